// Signatures, against the vector that the implementations of Standard Webhooks are tested with.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BadSignature, sign, verify } from "../src/index.js";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = `whsec_${"QUJD".repeat(8)}`;
const [ID, TIME, BODY] = ["msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'] as const;
const SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const AT = { now: TIME };

function headers(signature = SIGNATURE, timestamp = String(TIME)): Record<string, string> {
  return { "Webhook-Id": ID, "webhook-timestamp": timestamp, "WEBHOOK-SIGNATURE": signature };
}

test("the published vector is signed and verified", () => {
  assert.equal(sign(SECRET, ID, TIME, BODY), SIGNATURE);
  assert.equal(sign(SECRET.slice("whsec_".length), ID, TIME, Buffer.from(BODY)), SIGNATURE);
  assert.equal(verify(SECRET, headers(), BODY, AT), ID);
  assert.equal(verify(SECRET, new Headers(headers()), BODY, AT), ID);
});

test("one of two secrets and of several signatures is enough", () => {
  assert.equal(verify([OTHER, SECRET], headers(), BODY, AT), ID);
  const both = `v2,whatever ${sign(OTHER, ID, TIME, BODY)} ${SIGNATURE}`;
  for (const secret of [SECRET, OTHER]) assert.equal(verify(secret, headers(both), BODY, AT), ID);
});

test("anything else is refused", () => {
  const refused = (secret: string, given: Record<string, string>, body: string, now: number) =>
    assert.throws(() => verify(secret, given, body, { now }), BadSignature);
  refused(OTHER, headers(), BODY, TIME);
  refused(SECRET, headers(), `${BODY} `, TIME);
  for (const now of [TIME + 301, TIME - 301]) refused(SECRET, headers(), BODY, now);
  for (const timestamp of [`${TIME}.0`, String(TIME + 1), ""]) refused(SECRET, headers(SIGNATURE, timestamp), BODY, TIME);
  for (const signature of ["v1,", "v1,%C3%A4", SIGNATURE.replace("v1,", "v1a,")]) refused(SECRET, headers(signature), BODY, TIME);
  refused(SECRET, { "webhook-id": ID, "webhook-timestamp": String(TIME) }, BODY, TIME);
});

test("a secret that is none is an error of the caller", () => {
  assert.throws(() => sign("whsec_!", ID, TIME, BODY), TypeError);
});
