// Why a call has no answer.

import type { Problem } from "./models.js";

const URN = "urn:forename:problem:";

// Any error of this package.
export class ForenameError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

// No node answered. Whether one did what it was asked is not known where `sent` is true.
export class Unreachable extends ForenameError {
  constructor(readonly address: string, readonly why: string, readonly sent: boolean) {
    super(`no answer from ${address}: ${why}; a request with an id of its own can be repeated safely`);
  }
}

// The address leads to another cluster than the one that is meant.
export class OtherCluster extends ForenameError {
  constructor(address: string, readonly meant: string, readonly found: string) {
    super(`the node at ${address} belongs to cluster ${found}, and this client means ${meant}; check the address`);
  }
}

// A node refused, or the registration lost. `problem` has the particulars (RFC 9457).
export class Refused extends ForenameError {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? "the node gave no reason");
  }

  // What kind of problem it is, like `name-taken`.
  get kind(): string {
    return this.problem.type.startsWith(URN) ? this.problem.type.slice(URN.length) : this.problem.type;
  }

  // Whether the node refuses for now and has done nothing, so that another one may be asked.
  get passing(): boolean {
    return this.problem.status === 503 || this.problem.status === 507;
  }
}

// The names went to somebody else: `name-taken`, or for good `registration-rejected`.
export class Taken extends Refused {}

// A node may have taken the registration and its answer was lost, while others refuse it. Ask again later with the same
// id and `askedBefore`, or take the outcome from the feed.
export class Uncertain extends ForenameError {
  constructor(readonly registration: string, readonly refusal: Problem) {
    super(`a node may have taken registration ${registration} and did not answer; ask again with the same id`);
  }
}

// The next events of a feed are no longer kept, and nobody has said what to do then.
export class Gap extends ForenameError {}

// A webhook is not signed with any of the secrets, or too old.
export class BadSignature extends ForenameError {}

// The error that a problem stands for.
export function refused(problem: Problem): Refused {
  const error = new Refused(problem);
  return error.kind === "name-taken" || error.kind === "registration-rejected" ? new Taken(problem) : error;
}

// What happened, in the words of its innermost cause: "connect ECONNREFUSED 127.0.0.1:7400".
export function why(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}
