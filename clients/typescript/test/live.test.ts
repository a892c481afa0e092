// Three real nodes, one of which is killed. `tests/nodes/clients.rs` starts them and says where they are:
//
//   FORENAME_NODES    their addresses, separated by commas
//   FORENAME_FIRST    the process of the first of them, to be killed

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Client, type FeedEvent, FileStore, Follower, Taken } from "../src/index.js";

const NODES = process.env["FORENAME_NODES"] ?? "";
const skip = NODES === "" && "FORENAME_NODES does not say where the nodes are";
// Milliseconds that anything may take. Nothing hangs on it but how soon a failing test gives up.
const DEADLINE = 60_000;
const USER = { namespace: "username", name: "Alice" };
const BOTH = [USER, { namespace: "email", name: "alice@example.org" }];

// What the follower was told: one outcome for each registration.
class Told {
  private readonly outcomes: [string, string][] = [];
  private readonly ids = new Set<string>();
  private wake = () => {};

  readonly onEvent = (event: FeedEvent): void => {
    assert.ok(!this.ids.has(event.id), `${event.id} was told twice`);
    this.ids.add(event.id);
    const kind = event.type.split(".").at(-1) ?? "";
    if (kind === "confirmed" || kind === "rejected") this.outcomes.push([event.data.registration.id, kind]);
    this.wake();
  };

  async next(): Promise<[string, string]> {
    const until = Date.now() + DEADLINE;
    while (this.outcomes.length === 0) {
      assert.ok(Date.now() < until, "nothing more was told");
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, 1_000).unref();
      });
    }
    return this.outcomes.shift() as [string, string];
  }
}

async function all<T>(found: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of found) list.push(one);
  return list;
}

test("a client outlives a node", { skip }, async () => {
  const addresses = NODES.split(",");
  const client = new Client(addresses);
  const dir = await mkdtemp(join(tmpdir(), "forename-"));
  const told = new Told();
  const store = await FileStore.open(join(dir, "feed"), told.onEvent);
  const follower = new Follower(client, store);
  const following = follower.run();
  try {
    const before = await client.register("ann", BOTH, { wait: "always", timeout: "60s", metadata: { plan: "free" } });
    assert.deepEqual([before.status, before.metadata], ["confirmed", { plan: "free" }]);
    assert.deepEqual(await told.next(), [before.id, "confirmed"]);
    for (const address of addresses) {
      await assert.rejects(new Client(address).register("bob", [USER], { suggest: 2 }), (error) => {
        const lost = (error as Taken).problem.names?.[0];
        return error instanceof Taken && lost?.registration === before.id && lost.suggestions?.length === 2;
      });
    }
    const first = (await client.at(client.nodes[0]!).cluster()).node;

    process.kill(Number(process.env["FORENAME_FIRST"]), "SIGKILL");
    const id = crypto.randomUUID();
    const carol = await client.register("carol", [{ namespace: "username", name: "carol" }], { id, wait: "final", timeout: "1s" });
    // Whichever node is asked again, it is one registration.
    for (const address of addresses.slice(1)) {
      const again = await new Client([addresses[0]!, address]).register("carol", [{ namespace: "username", name: "carol" }], { id });
      assert.deepEqual([again.id, again.stamp], [id, carol.stamp]);
    }
    assert.equal(carol.status, "pending");
    const waits = await client.waitFor(id, 100, "final");
    assert.deepEqual(waits.waiting_for?.map(({ node }) => node), [first]);
    // As an operator does it, at a node that is in contact with a majority.
    await client.nodes[1]!.call({ method: "POST", path: ["v1", "cluster", "members", first, "evict"] });
    assert.equal((await client.waitFor(id, DEADLINE)).status, "confirmed");

    // The follower has gone on to another node, whose feed tells of both; the first is known.
    assert.deepEqual(await told.next(), [id, "confirmed"]);
    assert.ok((await client.release(id)).names?.[0]?.released);
    assert.deepEqual((await all(client.ofOwner("ann"))).map((found) => found.id), [before.id]);
    assert.ok((await all(client.names("username"))).some(({ key }) => key === "alice"));
    assert.equal((await client.explainName("username", "alice")).case, "confirmed");
    const tenures = await all(client.history("email", "alice@example.org"));
    assert.deepEqual(tenures.map(({ holder }) => holder.owner), ["ann"]);
    const checked = await client.check([USER, { namespace: "username", name: "dave" }]);
    assert.deepEqual(checked.map(({ available }) => available), [false, true]);
    const bodies = [0, 1, 2].map((index) => ({ owner: "eve", names: [{ namespace: "username", name: `eve${index}` }] }));
    assert.deepEqual((await all(client.registerMany(bodies))).map(({ line }) => line), [1, 2, 3]);
  } finally {
    follower.stop();
    await following;
    await store.close();
    await rm(dir, { recursive: true });
  }
});
