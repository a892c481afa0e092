// A client of forename, a masterless registry of unique names. See README.md.

export { Client, type ClientOptions, type RegisterOptions } from "./client.js";
export { BadSignature, ForenameError, Gap, OtherCluster, Refused, Taken, Uncertain, Unreachable } from "./errors.js";
export { EventStream, type FeedEvent, type Filter } from "./events.js";
export { FileStore, type FileStoreOptions, Follower, type Store, type Why, sourceOf } from "./follow.js";
export type * from "./models.js";
export type { Node } from "./nodes.js";
export { sign, verify, type VerifyOptions } from "./webhooks.js";
