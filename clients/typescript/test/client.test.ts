// Which node is asked, and when a refusal counts, with servers in place of nodes.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Client, OtherCluster, Refused, Taken, Uncertain, Unreachable } from "../src/index.js";
import { target } from "../src/nodes.js";
import { type Answer, type Asked, type Fake, fake, nobody, problem, registration } from "./fake.js";

const ALICE = [{ namespace: "username", name: "alice" }];
const open: Fake[] = [];
after(() => Promise.all(open.map((one) => one.close())));

async function node(answer: (asked: Asked) => Answer, cluster?: string): Promise<Fake> {
  const one = await fake(answer, cluster);
  open.push(one);
  return one;
}

const confirms = ({ body }: Asked): Answer => ({ status: 201, body: registration(body.id) });
const silent = () => node(() => undefined);
const takes = () => node(() => problem(409, "name-taken", { names: [] }));

test("a registration goes to the next node under one id", async () => {
  const [first, second, third] = [await silent(), await node(() => problem(503, "leaving")), await node(confirms)];
  const client = new Client([await nobody(), first.address, second.address, third.address]);
  const found = await client.register("ann", ALICE, { wait: "final", ttl: "15m", suggest: 3 });
  for (const one of [first, second, third]) assert.equal(one.asked[0]?.body.id, found.id);
  assert.deepEqual(third.asked[0]?.body, { id: found.id, owner: "ann", names: ALICE, ttl: "15m", wait: "final", suggest: 3 });
  assert.equal(third.asked[0]?.headers["content-type"], "application/json");
  // Which answered last is asked first.
  await client.register("ann", ALICE);
  assert.deepEqual([first.asked.length, third.asked.length], [1, 2]);
});

test("a refusal counts only where no other node may have taken it", async () => {
  const [lost, first, second] = [await silent(), await takes(), await takes()];
  await assert.rejects(new Client([first.address, second.address]).register("ann", ALICE), (error) => error instanceof Taken && error.kind === "name-taken");
  assert.equal(second.asked.length, 0);
  await assert.rejects(new Client([await nobody(), first.address]).register("ann", ALICE), Taken);
  const uncertain = new Client([lost.address, first.address]).register("ann", ALICE, { id: "7" });
  await assert.rejects(uncertain, (error) => error instanceof Uncertain && error.registration === "7");
  // Asked before, all have to refuse.
  await assert.rejects(new Client([first.address, second.address]).register("ann", ALICE, { askedBefore: true }), Taken);
  assert.equal(second.asked.length, 1);
  await assert.rejects(new Client([first.address, await nobody()]).register("ann", ALICE, { askedBefore: true }), Uncertain);
  const rejected = await node(() => problem(409, "registration-rejected"));
  await assert.rejects(new Client([lost.address, rejected.address]).register("ann", ALICE), Taken);
});

test("a batch goes to the next node where nothing was taken", async () => {
  const takes = ({ body }: Asked): Answer => {
    const lines = body.map(({ id }: { id: string }, index: number) => ({ line: index + 1, status: 201, registration: registration(id) }));
    return { status: 200, body: lines.map((line: object) => JSON.stringify(line)).join("\n") };
  };
  const many = async (client: Client, count: number): Promise<number[]> => {
    const bodies = Array.from({ length: count }, (_, index) => ({ id: String(index), owner: "ann", names: [{ namespace: "username", name: `a${index}` }] }));
    const lines: number[] = [];
    for await (const { line } of client.registerMany(bodies)) lines.push(line);
    return lines;
  };
  const [leaving, good] = [await node(() => problem(503, "leaving")), await node(takes)];
  const lines = await many(new Client([await nobody(), leaving.address, good.address]), 501);
  assert.deepEqual([lines.length, lines[499], lines[500]], [501, 500, 1]);
  // The second batch goes where the first went.
  assert.deepEqual([leaving.asked.length, good.asked.length], [1, 2]);
  const low = await node(({ body }) => ({ status: 200, body: body.map((_: unknown, index: number) => `{"line":${index + 1},"status":507}`).join("\n") }));
  assert.equal((await many(new Client([low.address, good.address]), 501)).length, 501);
  assert.deepEqual([low.asked.length, good.asked.length], [1, 3]);
  const breaks = await node(() => ({ status: 200, body: `{"line":1}\n{"li`, cut: true }));
  const client = new Client([breaks.address, good.address]);
  await assert.rejects(many(client, 3), (error) => error instanceof Unreachable && error.sent);
  assert.equal(good.asked.length, 3);
  const short = await node(() => ({ status: 200, body: `{"line":1}\n`, cut: true }));
  await assert.rejects(many(new Client([short.address]), 3), Unreachable);
  // The lines have ids, so they can be sent again.
  assert.equal((await many(client, 3)).length, 3);
});

test("other changes go on only where nothing was done", async () => {
  const [lost, good] = [await silent(), await node(() => ({ status: 200, body: registration("7") }))];
  await assert.rejects(new Client([lost.address, good.address]).extend("7", "1h"), (error) => error instanceof Unreachable && error.sent);
  assert.equal(good.asked.length, 0);
  // Activating twice does no harm.
  assert.equal((await new Client([lost.address, good.address]).activate("7")).id, "7");
  const client = new Client([await nobody(), good.address], { token: "secret" }).forOwner("ann");
  assert.equal((await client.activate("7")).id, "7");
  assert.equal((await client.release("7", { erase: true })).id, "7");
  const paths = ["/v1/registrations/7/activate?owner=ann", "/v1/registrations/7?owner=ann&erase=true"];
  assert.deepEqual(good.asked.slice(1).map(({ path }) => path), paths);
  assert.equal(good.asked[1]?.headers.authorization, "Bearer secret");
});

test("reading goes on also where a node broke off, and says why none answered", async () => {
  const [lost, good] = [await silent(), await node(() => ({ status: 200, body: { available: true } }))];
  assert.ok((await new Client([lost.address, good.address]).name("username", "alice")).available);
  await assert.rejects(new Client([lost.address, await nobody()]).name("username", "alice"), (error) => error instanceof Unreachable && error.message.includes(lost.address));
  const proxy = await node(() => ({ status: 502, body: "<h1>Bad gateway</h1>" }));
  assert.ok((await new Client([proxy.address, good.address]).name("username", "alice")).available);
  const closed = await node(() => problem(403, "forbidden", { scope: "read" }));
  await assert.rejects(new Client([await nobody(), closed.address]).cluster(), (error) => error instanceof Refused && error.kind === "forbidden" && !error.passing);
});

test("an answer of another cluster is an error", async () => {
  const [one, two] = [await node(() => ({ status: 200, body: {} }), "one"), await node(() => ({ status: 200, body: {} }), "two")];
  const client = new Client(one.address);
  await client.cluster();
  assert.equal(client.clusterId, "one");
  await client.cluster();
  assert.equal(one.asked[1]?.headers["forename-cluster"], "one");
  await assert.rejects(new Client(two.address, { cluster: "one" }).cluster(), OtherCluster);
});

test("pages are read to the end", async () => {
  const pages: Record<string, object> = {
    "/v1/names": { names: [1, 2], next: "a b" }, "/v1/names?after=a+b": { names: [], next: "c" }, "/v1/names?after=c": { names: [3] },
  };
  const good = await node(({ path }) => ({ status: 200, body: pages[path] }));
  const found: unknown[] = [];
  for await (const name of new Client(good.address).names()) found.push(name);
  assert.deepEqual(found, [1, 2, 3]);
});

test("parts of addresses are encoded", () => {
  assert.equal(target(["v1", "names", "org/42", "a b?é"], { owner: "a&b", none: undefined, erase: true }), "/v1/names/org%2F42/a%20b%3F%C3%A9?owner=a%26b&erase=true");
  for (const bad of ["", ".", ".."]) assert.throws(() => target(["v1", bad]), TypeError);
  assert.throws(() => new Client("ftp://127.0.0.1"), TypeError);
  assert.throws(() => new Client([]), TypeError);
});
