// A server that answers as a test says, in place of a node.

import { type IncomingHttpHeaders, createServer } from "node:http";
import type { AddressInfo } from "node:net";

// `cut`: the answer breaks off after the body.
export type Answer = { status: number; body: unknown; cut?: boolean } | undefined;

export interface Asked {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: any;
}

export interface Fake extends AsyncDisposable {
  address: string;
  asked: Asked[];
  close(): Promise<void>;
}

// `answer` gives the status and the JSON; none: the connection breaks without an answer.
export async function fake(answer: (asked: Asked) => Answer, cluster?: string): Promise<Fake> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const lines = request.headers["content-type"] === "application/x-ndjson";
    const body = lines ? text.split("\n").map((line) => JSON.parse(line)) : text ? JSON.parse(text) : undefined;
    const one = { method: request.method ?? "", path: request.url ?? "", headers: request.headers, body };
    asked.push(one);
    const told = answer(one);
    if (told === undefined) return request.socket.destroy();
    response.writeHead(told.status, cluster === undefined ? {} : { "forename-cluster": cluster });
    if (told.cut === true) return response.write(told.body, () => request.socket.destroy());
    return response.end(typeof told.body === "string" ? told.body : JSON.stringify(told.body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const { port } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${port}`, asked, close, [Symbol.asyncDispose]: close };
}

// An address at which nobody listens.
export async function nobody(): Promise<string> {
  const server = await fake(() => undefined);
  await server.close();
  return server.address;
}

export function problem(status: number, kind: string, more: object = {}): Answer {
  return { status, body: { type: `urn:forename:problem:${kind}`, title: kind, status, detail: kind, ...more } };
}

export function registration(id: string): object {
  return { id, status: "confirmed", owner: "ann", node: "0".repeat(16), stamp: `1.0@${"0".repeat(16)}`, accepted_at: "" };
}
