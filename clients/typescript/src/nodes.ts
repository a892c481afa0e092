// The nodes that a client asks, and in which order; requests and answers of one node.

import { ForenameError, OtherCluster, Refused, Unreachable, refused, why } from "./errors.js";
import type { Problem } from "./models.js";

export const CLUSTER = "forename-cluster";
// Milliseconds that a node may take beyond what it was asked to wait. A guess: a busy disk answers within seconds.
export const PATIENCE = 30_000;

export type Query = Record<string, string | number | boolean | undefined>;

export interface Call {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string[];
  query?: Query;
  body?: unknown;
  // Milliseconds that the node is asked to wait.
  wait?: number;
}

// The cluster that a client talks to: the one that it was told, or else the first that it saw.
export class Meant {
  constructor(public id: string | undefined) {}

  check(address: string, found: string | null): void {
    if (found === null) return;
    this.id ??= found;
    if (this.id !== found) throw new OtherCluster(address, this.id, found);
  }
}

// One node.
export class Node {
  readonly address: string;

  constructor(address: string, private readonly token: string | undefined, private readonly meant: Meant) {
    if (!/^https?:\/\/[^/]/.test(address)) {
      throw new TypeError(`${JSON.stringify(address)} is not the address of a node; write it like http://127.0.0.1:7400`);
    }
    this.address = address.replace(/\/+$/, "");
  }

  // The answer to a request, as JSON. Throws `Refused`, `OtherCluster` or `Unreachable` where there is none.
  async call<T>({ method, path, query, body, wait = 0 }: Call): Promise<T> {
    const signal = AbortSignal.timeout(wait + PATIENCE);
    const init: RequestInit = { method, signal };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await this.open(target(path, query), init);
    try {
      return (await response.json()) as T;
    } catch (error) {
      if (error instanceof SyntaxError) {
        throw new ForenameError(`the answer of ${this.address} cannot be understood: ${error.message}`);
      }
      throw new Unreachable(this.address, why(error), true);
    }
  }

  // An answer that is a success.
  async open(target: string, init: RequestInit, media = "application/json"): Promise<Response> {
    const headers = new Headers(init.headers);
    // A node takes no change that does not say so, also where it has no body: a form of a web page cannot say it.
    if (init.method !== "GET") headers.set("content-type", media);
    if (this.token !== undefined) headers.set("authorization", `Bearer ${this.token}`);
    if (this.meant.id !== undefined) headers.set(CLUSTER, this.meant.id);
    let response: Response;
    try {
      response = await fetch(this.address + target, { ...init, headers, redirect: "error" });
    } catch (error) {
      throw new Unreachable(this.address, why(error), !unsent(error));
    }
    this.meant.check(this.address, response.headers.get(CLUSTER));
    if (!response.ok) throw await this.refusal(response);
    return response;
  }

  private async refusal(response: Response): Promise<ForenameError> {
    const text = await response.text().catch(() => "");
    try {
      const problem = JSON.parse(text) as Problem;
      if (typeof problem.type === "string") return refused(problem);
    } catch {
      // Told below.
    }
    const told = `status ${response.status} and no problem of RFC 9457`;
    // A proxy that cannot reach the node says so.
    if (response.status >= 500) return new Unreachable(this.address, told, true);
    return new ForenameError(`${this.address} answered with ${told}`);
  }
}

// Whether no connection came about, so that the node has certainly done nothing.
function unsent(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    const code = (inner as { code?: string }).code ?? "";
    if (["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"].includes(code)) return true;
  }
  return false;
}

// Each part of the path becomes one segment, slashes in it encoded.
export function target(path: string[], query: Query = {}): string {
  const bad = path.find((part) => ["", ".", ".."].includes(part));
  if (bad !== undefined) throw new TypeError(`${JSON.stringify(bad)} cannot be part of an address; reach the name by its registration`);
  const segments = path.map((part) => encodeURIComponent(part).replace(/%3A/g, ":"));
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
  return `/${segments.join("/")}${search.size > 0 ? `?${search}` : ""}`;
}

// Several nodes of one cluster; the one that answered last is asked first.
export class Nodes {
  private last = 0;

  constructor(readonly all: Node[]) {
    if (all.length === 0) throw new TypeError("there is no address of a node");
  }

  inTurn(): Node[] {
    return [...this.all.slice(this.last), ...this.all.slice(0, this.last)];
  }

  answered(node: Node): void {
    this.last = this.all.indexOf(node);
  }

  // Asks the next node first from now on.
  passedOver(node: Node): void {
    if (this.all[this.last] === node) this.last = (this.last + 1) % this.all.length;
  }

  // Asks one node after the other, until one has done it or refused it for good. `repeats`: it may be sent to another node
  // also where this one may have done it; so may whatever only reads.
  async call<T>(call: Call, repeats = call.method === "GET"): Promise<T> {
    const failures: (Unreachable | Refused)[] = [];
    for (const node of this.inTurn()) {
      try {
        const answer = await node.call<T>(call);
        this.answered(node);
        return answer;
      } catch (error) {
        const goesOn = error instanceof Refused ? error.passing : error instanceof Unreachable && (repeats || !error.sent);
        if (!goesOn) throw error;
        failures.push(error as Unreachable | Refused);
      }
    }
    throw allFailed(failures);
  }
}

// Of several nodes, why none has answered: the last word of one that refused, or all that was tried.
export function allFailed(failures: (Unreachable | Refused)[]): ForenameError {
  const refusal = failures.findLast((failure) => failure instanceof Refused);
  if (refusal !== undefined) return refusal;
  const silent = failures.filter((failure) => failure instanceof Unreachable) as Unreachable[];
  const addresses = silent.map((failure) => failure.address).join(" and ");
  return new Unreachable(addresses, silent.map((failure) => failure.why).join("; "), silent.some((failure) => failure.sent));
}
