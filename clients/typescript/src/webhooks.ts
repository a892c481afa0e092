// Signatures of webhooks, as Standard Webhooks 1.0 describes them (HMAC-SHA256).

import { createHmac, timingSafeEqual } from "node:crypto";

import { BadSignature } from "./errors.js";

// Seconds by which the time of a webhook may be off.
export const TOLERANCE = 300;

export interface VerifyOptions {
  // The present time, in seconds since 1970.
  now?: number;
  tolerance?: number;
}

// The signature of a webhook, like `v1,…`.
export function sign(secret: string, id: string, timestamp: number, body: string | Uint8Array): string {
  return `v1,${createHmac("sha256", key(secret)).update(`${id}.${timestamp}.`).update(body).digest("base64")}`;
}

// Checks that a webhook was signed with one of the secrets, and not long ago; returns its id.
//
// `body` is what came, byte by byte. Two secrets are good while one takes the place of the other. Drop a webhook whose id is
// known: it is sent again where the answer was lost. Throws `BadSignature`.
export function verify(
  secrets: string | string[],
  headers: Headers | Record<string, string | string[] | undefined>,
  body: string | Uint8Array,
  { now = Date.now() / 1000, tolerance = TOLERANCE }: VerifyOptions = {},
): string {
  const found = headers instanceof Headers ? headers : flat(headers);
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((part) => {
    const value = found.get(`webhook-${part}`);
    if (value === null) throw new BadSignature(`the header webhook-${part} is missing`);
    return value;
  }) as [string, string, string];
  if (!/^[0-9]+$/.test(timestamp)) {
    throw new BadSignature(`the header webhook-timestamp is ${JSON.stringify(timestamp)}, and not seconds since 1970`);
  }
  if (Math.abs(now - Number(timestamp)) > tolerance) {
    throw new BadSignature(`the webhook is of another time than now, by more than ${tolerance} s`);
  }
  const expected = [secrets].flat().map((secret) => sign(secret, id, Number(timestamp), body));
  // Each is compared, so that the time tells nothing.
  const matches = signatures.split(" ").flatMap((given) => expected.map((one) => same(one, given)));
  if (!matches.includes(true)) throw new BadSignature("the webhook is not signed with any of the secrets");
  return id;
}

function flat(headers: Record<string, string | string[] | undefined>): Headers {
  const found = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase().startsWith("webhook-") && typeof value === "string") found.set(name, value);
  }
  return found;
}

function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function key(secret: string): Buffer {
  const text = secret.replace(/^whsec_/, "");
  const bytes = Buffer.from(text, "base64");
  if (text === "" || bytes.toString("base64") !== text) throw new TypeError("the secret is not written as whsec_ and base64");
  // With a secret that was forgotten anybody could sign.
  if (bytes.length < 24) throw new TypeError("the secret has less than 24 bytes");
  return bytes;
}
