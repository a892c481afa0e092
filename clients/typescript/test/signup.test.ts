// The sign-up example against real nodes, killed and started again. See live.test.ts for where they are.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as later } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const NODES = process.env["FORENAME_NODES"] ?? "";
const skip = NODES === "" && "FORENAME_NODES does not say where the nodes are";
const DEADLINE = 60_000;
const APP = fileURLToPath(new URL("../examples/signup/app.js", import.meta.url));

// Runs the example while `use` is busy, and ends it by kill -9.
async function app(database: string, use: (address: string) => Promise<void>): Promise<void> {
  const env = { ...process.env, DATABASE: database, NODES, PORT: "0" };
  const process_ = spawn(process.execPath, [APP], { env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(process_, "exit");
  try {
    const [address] = (await once(createInterface(process_.stdout), "line")) as [string];
    await use(address);
  } finally {
    process_.kill("SIGKILL");
    await ended;
  }
}

async function ask(address: string, fields?: Record<string, string>): Promise<[number, string]> {
  const init = fields && { method: "POST", body: new URLSearchParams(fields) };
  const answer = await fetch(address, { ...init, signal: AbortSignal.timeout(DEADLINE) });
  return [answer.status, await answer.text()];
}

// Looks at a page until it shows this.
async function shows(address: string, text: string): Promise<void> {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const [, page] = await ask(address);
    if (page.includes(text)) return;
    assert.ok(Date.now() < end, page);
    await later(20);
  }
}

test("people sign up and are told, also across a crash", { skip }, async () => {
  const dir = await mkdtemp(join(tmpdir(), "forename-"));
  const database = join(dir, "signup.json");
  const [yan, other, kim] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
  await app(database, async (address) => {
    const [status, page] = await ask(address, { owner: yan, username: "yan" });
    assert.ok(status === 201 && page.includes("You are all set"), page);
    // Sent twice, it is one sign-up.
    assert.equal((await ask(address, { owner: yan, username: "yan" }))[0], 201);
    const [taken, sorry] = await ask(address, { owner: other, username: "YAN" });
    assert.ok(taken === 409 && sorry.includes("YAN not available. Free are"), sorry);
    const [invalid, escaped] = await ask(address, { owner: other, username: "<i> a" });
    assert.ok(invalid === 422 && !escaped.includes("<i>"), escaped);
    assert.equal((await ask(address, { owner: kim, username: "kim", email: "kim@example.org" }))[0], 201);
    await shows(`${address}/account/${kim}`, "kim is reserved for you");
    await shows(`${address}/account/${yan}`, "yan is yours");
  });
  // Killed, it goes on where it was; nobody is told anything twice.
  await app(database, async (address) => {
    const [, outbox] = await ask(`${address}/outbox`);
    const links = [...outbox.matchAll(/To kim@example.org: .*?href="(\/verify\/[^"]*)"/g)].map(([, link]) => link);
    assert.equal(links.length, 1, outbox);
    const link = `${address}${links[0]}`;
    assert.ok((await ask(link))[1].includes("kim@example.org"));
    assert.equal((await ask(link, {}))[0], 200);
    await shows(`${address}/account/${kim}`, "kim is yours");
    assert.equal((await ask(`${address}/verify/${crypto.randomUUID()}`, {}))[0], 404);
    // Whoever was refused may take another name.
    assert.equal((await ask(address, { owner: other, username: "yan2" }))[0], 201);
    await shows(`${address}/account/${other}`, "yan2 is yours");
  });
  await rm(dir, { recursive: true });
});
