// The event feed of a node as a stream of server-sent events that outlives its connections.

import { ForenameError, Refused, Unreachable, why } from "./errors.js";
import type { Event } from "./models.js";
import { PATIENCE, type Node, type Query, target } from "./nodes.js";

// A node sends a comment every 15 s; a connection that is silent for three times as long is dead.
const SILENCE = 45_000;
// Between attempts to connect: doubled from the first to the last. Guesses: a restart takes a second or so.
export const FIRST_PAUSE = 200;
export const LAST_PAUSE = 5_000;
// Characters of an event; it has a few kilobytes.
const MAX_MESSAGE = 1 << 20;

// Which events; every condition given must be met. `types` are like `confirmed`, `local`: accepted by this node.
export interface Filter {
  types?: string[];
  owner?: string;
  registration?: string;
  namespace?: string;
  since?: string;
  local?: boolean;
  limit?: number;
}

// An event of the feed, with its place in it.
export type FeedEvent = Event & { cursor: string };

export function queryOf({ types, local, ...rest }: Filter): Query {
  return { ...rest, types: types?.length ? types.join(",") : undefined, origin: local ? "local" : undefined };
}

// A message of a stream of server-sent events, as far as it matters here.
export interface Message {
  id: string;
  data: string[];
}

// Takes a stream of server-sent events apart (WHATWG HTML, section 9.2.6).
export class Parser {
  private rest = "";
  private message: Message = { id: "", data: [] };
  private size = 0;
  private any = false;

  push(text: string): Message[] {
    // A carriage return at the end may belong to a line feed that comes next.
    const all = this.rest + text;
    const held = all.endsWith("\r") ? 1 : 0;
    const lines = all.slice(0, all.length - held).split(/\r\n|\n|\r/);
    this.rest = (lines.pop() ?? "") + all.slice(all.length - held);
    const whole = lines.flatMap((line) => this.line(line));
    if (this.rest.length + this.size > MAX_MESSAGE) {
      throw new ForenameError(`a message of the event stream is longer than ${MAX_MESSAGE} characters`);
    }
    return whole;
  }

  private line(line: string): Message[] {
    if (line === "") {
      const whole = this.any ? [this.message] : [];
      [this.message, this.size, this.any] = [{ id: "", data: [] }, 0, false];
      return whole;
    }
    this.size += line.length;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.message.data.push(value);
    else if (field === "id") this.message.id = value;
    this.any ||= field === "data" || field === "id";
    return [];
  }
}

// The event feed of one node as it grows. Each event comes once, in order, also across lost connections.
//
//     for await (const event of client.stream(cursor)) { … } // then store event.cursor
//
// It ends with `close`, and throws `Refused` where the node refuses the cursor; `restart` of its problem is the cursor to go
// on with.
export class EventStream implements AsyncIterable<FeedEvent> {
  private readonly closing = new AbortController();

  constructor(
    private readonly node: Node,
    // How far the feed has been read: where another stream goes on.
    public cursor: string | undefined,
    private readonly filter: Filter,
    private readonly reconnects = true,
  ) {}

  // Ends the stream.
  close(): void {
    this.closing.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FeedEvent> {
    let pause = FIRST_PAUSE;
    while (!this.closing.signal.aborted) {
      try {
        for await (const event of this.connected()) {
          pause = FIRST_PAUSE;
          yield event;
        }
        throw new Unreachable(this.node.address, "it has ended the stream", true);
      } catch (error) {
        if (this.closing.signal.aborted) return;
        const passing = error instanceof Unreachable || (error instanceof Refused && error.passing);
        if (!passing || !this.reconnects) throw error;
      }
      await paused(pause, this.closing.signal);
      pause = Math.min(pause * 2, LAST_PAUSE);
    }
  }

  private async *connected(): AsyncGenerator<FeedEvent> {
    const broken = new AbortController();
    const signal = AbortSignal.any([this.closing.signal, broken.signal]);
    // Each sign of life puts the end off.
    let watch = setTimeout(() => broken.abort(new Error("it takes too long to begin the stream")), PATIENCE);
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => broken.abort(new Error("it has fallen silent")), SILENCE);
    };
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (this.cursor !== undefined) headers["last-event-id"] = this.cursor;
    try {
      const response = await this.node.open(target(["v1", "events"], queryOf(this.filter)), { method: "GET", headers, signal });
      const [parser, decoder] = [new Parser(), new TextDecoder()];
      alive();
      for await (const chunk of this.chunks(response)) {
        alive();
        for (const message of parser.push(decoder.decode(chunk, { stream: true }))) {
          const event = this.event(message);
          if (event !== undefined) yield event;
        }
      }
    } finally {
      clearTimeout(watch);
      broken.abort();
    }
  }

  private async *chunks(response: Response): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body ?? []) yield chunk as Uint8Array;
    } catch (error) {
      throw new Unreachable(this.node.address, why(error), true);
    }
  }

  // The event in a message; none where it only tells how far the reader has come.
  private event(message: Message): FeedEvent | undefined {
    if (message.id !== "") this.cursor = message.id;
    if (message.data.length === 0) return undefined;
    try {
      return { ...(JSON.parse(message.data.join("\n")) as Event), cursor: message.id };
    } catch (error) {
      // It is passed over: asking again would bring the same.
      throw new ForenameError(`an event of ${this.node.address} cannot be understood: ${why(error)}`);
    }
  }
}

// Waits, or until `signal`.
export async function paused(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
