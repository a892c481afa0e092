// The event stream and the follower, with a scripted feed in place of a node's.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { Client, type FeedEvent, FileStore, type FileStoreOptions, Follower, Gap, Refused, sourceOf } from "../src/index.js";
import { Parser } from "../src/events.js";
import { type Answer, type Fake, fake, problem } from "./fake.js";

const NODE = "0b8326a221c00003";
const SOURCE = "/nodes/0b8326a221c00000";
const cleanup: (() => Promise<unknown>)[] = [];
after(() => Promise.all(cleanup.map((clean) => clean())));

function event(id: string, cursor: string, source = SOURCE): string {
  const text = JSON.stringify({ id, source, type: "forename.registration.confirmed", data: {} });
  return `id: ${cursor}\nevent: x\ndata: ${text}\n\n`;
}

const ok = (body: string): Answer => ({ status: 200, body });

// A node whose stream is chosen by `Last-Event-ID`; where nothing is scripted, it is busy.
async function serve(feed: Record<string, Answer>, start = "a-0"): Promise<Fake> {
  const node = await fake(({ path, headers }) => {
    if (path === "/v1/cluster") return { status: 200, body: { node: NODE, events: { start, last: "a-9" } } };
    return feed[String(headers["last-event-id"] ?? "")] ?? problem(503, "unavailable");
  });
  cleanup.push(() => node.close());
  return node;
}

async function file(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "forename-"));
  cleanup.push(() => rm(dir, { recursive: true }));
  return join(dir, "feed");
}

// Follows until the event of this id is dealt with; the ids of all that were.
async function follow(path: string, last: string, nodes: Fake[], options: FileStoreOptions = {}, fails?: string): Promise<string[]> {
  const ids: string[] = [];
  const store = await FileStore.open(path, (told: FeedEvent) => {
    if (told.id === fails) throw new Error("the application fails here");
    ids.push(told.id);
    if (told.id === last) follower.stop();
  }, options);
  const follower = new Follower(new Client(nodes.map(({ address }) => address)), store);
  const deadline = setTimeout(() => follower.stop(), 60_000);
  await follower.run().finally(() => {
    clearTimeout(deadline);
    return store.close();
  });
  return ids;
}

test("messages are found however the text is cut", () => {
  const text = ': hello\n\nid: a-7\nevent: x\ndata: {"a":\rdata: 1}\r\n\r\nid:a-8\n\ndata:2\n\ndata: cut off';
  for (let size = 1; size < text.length; size += 1) {
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(found.map(({ id, data }) => [id, data.join("\n")]), [["a-7", '{"a":\n1}'], ["a-8", ""], ["", "2"]], `${size}`);
  }
  assert.throws(() => new Parser().push("x".repeat((1 << 20) + 1)), /longer than/);
});

test("the follower goes on where it was and drops what it knows", async () => {
  const path = await file();
  const node = await serve({
    "a-0": ok(event("r1/accepted", "a-1") + event("r1/confirmed", "a-2")),
    "a-2": ok("id: a-5\n\n"),
    // The node has begun a new feed, which tells anew what it told before.
    "a-5": problem(410, "cursor-unknown", { restart: "b-0" }),
    "b-0": ok(event("r1/confirmed", "b-1") + event("r2/confirmed", "b-2")),
  });
  assert.deepEqual(await follow(path, "r2/confirmed", [node]), ["r1/accepted", "r1/confirmed", "r2/confirmed"]);
  const next = await serve({ "b-2": ok(event("r2/confirmed", "b-3") + event("r3/confirmed", "b-4")) });
  assert.deepEqual(await follow(path, "r3/confirmed", [next]), ["r3/confirmed"]);
  // A line that a crash has cut off counts for nothing.
  await writeFile(path, `${await readFile(path, "utf8")}{"source":"${SOURCE}","cur`);
  const last = await serve({ "b-4": ok(event("r3/confirmed", "b-4") + event("r4/confirmed", "b-5")) });
  assert.deepEqual(await follow(path, "r4/confirmed", [last]), ["r4/confirmed"]);
});

test("an event whose handler fails is told again", async () => {
  const path = await file();
  const node = await serve({
    "a-0": ok(event("r1/confirmed", "a-1") + event("r2/confirmed", "a-2")),
    "a-1": ok(event("r2/confirmed", "a-2")),
  });
  await assert.rejects(follow(path, "r2/confirmed", [node], {}, "r2/confirmed"), /fails here/);
  assert.deepEqual(await follow(path, "r2/confirmed", [node]), ["r2/confirmed"]);
});

test("lost events are made good or told", async () => {
  const node = await serve({ "a-0": problem(410, "events-compacted", { restart: "a-7" }), "a-7": ok(event("r9/confirmed", "a-8")) });
  let gaps = 0;
  const onGap = async (at: Client) => {
    assert.equal((await at.cluster()).node, NODE);
    gaps += 1;
  };
  assert.deepEqual(await follow(await file(), "r9/confirmed", [node], { onGap }), ["r9/confirmed"]);
  assert.equal(gaps, 1);
  await assert.rejects(follow(await file(), "r9/confirmed", [node]), Gap);
});

test("another node's feed at the same address is not taken", async () => {
  const wrong = await serve({ "a-0": ok(event("x/confirmed", "a-1", "/nodes/ffff000000000000")) });
  const right = await serve({ "a-0": ok(event("r1/confirmed", "a-1")) });
  assert.deepEqual(await follow(await file(), "r1/confirmed", [wrong, right]), ["r1/confirmed"]);
  assert.equal(sourceOf(NODE), SOURCE);
});

test("the bare stream goes on where it was cut off", async () => {
  const node = await serve({
    "a-0": ok(event("e1", "a-1") + event("e2", "a-2")),
    "a-2": ok(event("e3", "a-3")),
    "a-3": problem(410, "events-compacted", { restart: "a-7" }),
  });
  const stream = new Client(node.address).stream("a-0");
  const ids: string[] = [];
  const reading = async () => {
    for await (const { id } of stream) ids.push(id);
  };
  await assert.rejects(reading(), (error) => error instanceof Refused && error.problem.restart === "a-7");
  assert.deepEqual(ids, ["e1", "e2", "e3"]);
  assert.equal(stream.cursor, "a-3");
  assert.deepEqual(node.asked.map(({ headers }) => headers["last-event-id"]), ["a-0", "a-2", "a-3"]);
});
