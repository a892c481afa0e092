// Following the event feed for good: a cursor that is stored, several nodes, events that come once.

import { type FileHandle, open, readFile, rename } from "node:fs/promises";

import { Client } from "./client.js";
import { Gap, Refused, Unreachable } from "./errors.js";
import { EventStream, FIRST_PAUSE, type FeedEvent, type Filter, LAST_PAUSE, paused } from "./events.js";
import type { Node } from "./nodes.js";

// Why a feed is not read on from where it was: it was never read, its node has begun a new one (410 `cursor-unknown`), or
// the events that come next are no longer kept (410 `events-compacted`).
export type Why = "new" | "cursor-unknown" | "events-compacted";

// Where a follower keeps how far it has come. Every node has a feed of its own, named by its `source`.
export interface Store {
  // The cursor of this feed that was stored last.
  cursor(source: string): Promise<string | undefined>;
  // Makes something of an event and stores the cursor, both or neither. An event whose id is known changes nothing: another
  // feed has told it before.
  apply(source: string, cursor: string, event: FeedEvent): Promise<void>;
  // The feed goes on after this cursor, which is to be stored. With `events-compacted`, events in between are lost: what is
  // followed has to be read anew first, from `node`.
  restart(source: string, cursor: string, why: Why, node: Client): Promise<void>;
}

// Reads the event feed of one node after the other, whichever answers, and hands each event to the store. One node's feed is
// enough: every node tells of everything that it hears of.
export class Follower {
  private readonly stopping = new AbortController();
  // How far each feed has been read, where that is further than the last event: filters leave events out.
  private readonly passed = new Map<string, string>();
  private stream: EventStream | undefined;

  constructor(
    private readonly client: Client,
    private readonly store: Store,
    private readonly filter: Filter = {},
    // Told why a feed is interrupted, before the next node is tried.
    private readonly warn: (text: string) => void = () => {},
  ) {}

  // Has `run` return once the event at hand is dealt with.
  stop(): void {
    this.stopping.abort();
    this.stream?.close();
  }

  // Follows the feed until `stop`, or until the store throws.
  async run(): Promise<void> {
    let pause = FIRST_PAUSE;
    for (;;) {
      for (const node of this.client.nodes) {
        if (this.stopping.signal.aborted) return;
        const started = Date.now();
        try {
          await this.read(node);
        } catch (error) {
          const passing = error instanceof Unreachable || (error instanceof Refused && error.passing);
          if (!passing) throw error;
          this.warn(`the feed of ${node.address} is interrupted, the next node is tried: ${error.message}`);
        }
        if (Date.now() - started > LAST_PAUSE) pause = FIRST_PAUSE;
        await paused(pause, this.stopping.signal);
        pause = Math.min(pause * 2, LAST_PAUSE);
      }
    }
  }

  private async read(node: Node): Promise<void> {
    const client = this.client.at(node);
    const cluster = await client.cluster();
    const source = sourceOf(cluster.node);
    let cursor = this.passed.get(source) ?? (await this.store.cursor(source));
    this.passed.delete(source);
    if (cursor === undefined) {
      cursor = cluster.events.start;
      await this.store.restart(source, cursor, "new", client);
    }
    while (!this.stopping.signal.aborted) {
      try {
        return await this.streamFrom(node, source, cursor);
      } catch (error) {
        if (!(error instanceof Refused) || error.problem.restart === undefined) throw error;
        cursor = error.problem.restart;
        await this.store.restart(source, cursor, error.kind === "cursor-unknown" ? "cursor-unknown" : "events-compacted", client);
      }
    }
  }

  private async streamFrom(node: Node, source: string, cursor: string): Promise<void> {
    const stream = (this.stream = new EventStream(node, cursor, this.filter, false));
    const events = stream[Symbol.asyncIterator]();
    try {
      while (!this.stopping.signal.aborted) {
        const next = await events.next().catch((error: unknown) => {
          if (error instanceof Unreachable) this.passed.set(source, stream.cursor ?? cursor);
          throw error;
        });
        if (next.done) return;
        const event = next.value;
        if (event.source !== source) {
          throw new Unreachable(node.address, `the feed of ${event.source} answers, not that of ${source}`, true);
        }
        await this.store.apply(source, event.cursor, event);
      }
    } finally {
      this.stream = undefined;
      stream.close();
      await events.return(undefined);
    }
  }
}

// Whose feed it is, as its events say: it stays that of the node's first incarnation.
export function sourceOf(node: string): string {
  return `/nodes/${node.slice(0, -4)}0000`;
}

interface Row {
  source?: string;
  cursor?: string;
  id?: string;
  at?: number;
}

export interface FileStoreOptions {
  // Reads anew what is followed where events are lost; without it `Gap` is thrown then.
  onGap?: (node: Client) => Promise<void> | void;
  // How long event ids are known; longer than the cluster's setting `keep_events`. 400 days by default.
  keepIdsDays?: number;
}

// Keeps cursors and known event ids in a file, a line for each event, written after `onEvent` has dealt with it. So an event
// is dealt with once, and once more where the program dies in between: `onEvent` has to bear that. Where what it writes is in
// a database, a `Store` that keeps both there in one transaction deals with each event exactly once.
export class FileStore implements Store {
  private constructor(
    private readonly file: FileHandle,
    private readonly cursors: Map<string, string>,
    private readonly known: Set<string>,
    private readonly onEvent: (event: FeedEvent) => Promise<void> | void,
    private readonly onGap: FileStoreOptions["onGap"],
  ) {}

  static async open(path: string, onEvent: (event: FeedEvent) => Promise<void> | void, options: FileStoreOptions = {}): Promise<FileStore> {
    const oldest = Date.now() - (options.keepIdsDays ?? 400) * 86_400_000;
    const cursors = new Map<string, string>();
    const known = new Map<string, number>();
    for (const { source, cursor, id, at = 0 } of rows(await readFile(path, "utf8").catch(missing))) {
      if (source !== undefined && cursor !== undefined) cursors.set(source, cursor);
      if (id !== undefined && at >= oldest) known.set(id, at);
    }
    // Written anew without what is too old, and without a last line that was cut off.
    const kept: Row[] = [...[...known].map(([id, at]) => ({ id, at })), ...[...cursors].map(([source, cursor]) => ({ source, cursor }))];
    const anew = await open(`${path}.new`, "w");
    await anew.writeFile(kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
    await anew.datasync();
    await anew.close();
    await rename(`${path}.new`, path);
    return new FileStore(await open(path, "a"), cursors, new Set(known.keys()), onEvent, options.onGap);
  }

  async cursor(source: string): Promise<string | undefined> {
    return this.cursors.get(source);
  }

  async apply(source: string, cursor: string, event: FeedEvent): Promise<void> {
    if (!this.known.has(event.id)) await this.onEvent(event);
    await this.write(source, cursor, { id: event.id, at: Date.now() });
    this.known.add(event.id);
  }

  async restart(source: string, cursor: string, why: Why, node: Client): Promise<void> {
    if (why === "events-compacted") {
      if (this.onGap === undefined) throw new Gap(`events of ${source} are no longer kept; give onGap, which reads anew what you follow`);
      await this.onGap(node);
    }
    await this.write(source, cursor);
  }

  private async write(source: string, cursor: string, known: Row = {}): Promise<void> {
    await this.file.write(`${JSON.stringify({ source, cursor, ...known })}\n`);
    await this.file.datasync();
    this.cursors.set(source, cursor);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

function missing(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "";
  throw error;
}

// The rows of a file; a line that was cut off by a crash is none.
function rows(text: string): Row[] {
  const lines = text.split("\n");
  lines.pop();
  return lines.map((line) => JSON.parse(line) as Row);
}
