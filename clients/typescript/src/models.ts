// Bodies and answers of the HTTP interface. Made from the node's OpenAPI document by clients/generate.py.

// Which of the cases it is.
export type Case = 
  | "never-held"
  | "free-again"
  | "pending"
  | "contested"
  | "confirmed"
  | "reserved"
  | "expiring"
  | "releasing"
  | "ended"
  | "rejected"
  | "erased";

// Which characters may stand in user names.
export type Characters = "any" | "ascii" | "letters-digits";

// Where a page of a name's history goes on. Opaque: give it as it is.
export type ClaimPlace = string;

// A cluster: a UUID.
export type ClusterId = string;

// Whether the outcomes of a conflict can still change.
export type ConflictStatus = "open" | "final";

// A place in one node's event feed. Opaque: give it as it is.
export type Cursor = string;

// Which events a node delivers to a webhook.
export type Deliver = "accepted" | "all";

// How a claim ended.
export type EndReason = "released" | "expired" | "replaced" | "rejected";

// The type of an event. Later versions may have more of them.
export type EventType = 
  | "forename.registration.accepted"
  | "forename.registration.contested"
  | "forename.registration.confirmed"
  | "forename.registration.rejected"
  | "forename.registration.activated"
  | "forename.name.ended";

// A length of time, or `never`.
export type EvictAfter = string;

// Who may take a name within the time for which it is kept after it was given up.
export type HeldFor = "owner" | "nobody";

// A length of time, or `forever`.
export type Keep = string;

// Which names that look alike are one name.
export type Lookalikes = "fold" | "strict" | "distinct";

// Where a node stands in the membership.
export type MemberState = "member" | "leaving" | "evicting";

// The application's own JSON object: up to 4096 bytes and 64 levels, no key twice in an object.
export type Metadata = Record<string, unknown>;

// Whether a name can be had.
export type NameStatus = "available" | "pending" | "held" | "ending";

// A node, in one of its incarnations: 16 hexadecimal digits.
export type NodeId = string;

// Where a page of an owner's registrations goes on. Opaque: give it as it is.
export type OwnerPlace = string;

// Where a page of names goes on. Opaque: give it as it is.
export type Place = string;

// Why one claim comes before another.
export type Precedence = "earliest-timestamp" | "lowest-node";

// The kind of a problem. Later versions may have more of them.
export type ProblemType = 
  | "urn:forename:problem:name-taken"
  | "urn:forename:problem:registration-rejected"
  | "urn:forename:problem:id-reused"
  | "urn:forename:problem:too-late"
  | "urn:forename:problem:permanent"
  | "urn:forename:problem:too-many-extensions"
  | "urn:forename:problem:invalid-name"
  | "urn:forename:problem:rules-changed"
  | "urn:forename:problem:namespace-in-use"
  | "urn:forename:problem:invalid-request"
  | "urn:forename:problem:malformed-json"
  | "urn:forename:problem:body-too-large"
  | "urn:forename:problem:too-slow"
  | "urn:forename:problem:unsupported-media-type"
  | "urn:forename:problem:too-many-open"
  | "urn:forename:problem:too-many-held"
  | "urn:forename:problem:too-many-requests"
  | "urn:forename:problem:disk-low"
  | "urn:forename:problem:unauthorized"
  | "urn:forename:problem:forbidden"
  | "urn:forename:problem:host-unknown"
  | "urn:forename:problem:other-cluster"
  | "urn:forename:problem:origin-refused"
  | "urn:forename:problem:not-owner"
  | "urn:forename:problem:out-of-reach"
  | "urn:forename:problem:no-registration"
  | "urn:forename:problem:no-webhook"
  | "urn:forename:problem:not-held"
  | "urn:forename:problem:no-route"
  | "urn:forename:problem:method-not-allowed"
  | "urn:forename:problem:no-member"
  | "urn:forename:problem:no-majority"
  | "urn:forename:problem:not-in-contact"
  | "urn:forename:problem:departed"
  | "urn:forename:problem:last-member"
  | "urn:forename:problem:events-compacted"
  | "urn:forename:problem:cursor-unknown"
  | "urn:forename:problem:leaving"
  | "urn:forename:problem:not-member"
  | "urn:forename:problem:reader"
  | "urn:forename:problem:clock-suspect"
  | "urn:forename:problem:unavailable"
  | "urn:forename:problem:internal";

// How the names of a namespace are written.
export type ProfileName = "username" | "email" | "opaque" | "dns-label";

// A version of a namespace's rules: `default`, or the stamp of the change that set them.
export type RulesVersion = string;

// What an API token lets its bearer do.
export type Scope = "register" | "claim" | "read" | "admin";

// A length of time: `500ms`, `5s`, `15m`, `24h`, `7d`, `1h30m`, or whole seconds.
export type Span = string;

// Where a registration stands.
export type Status = "pending" | "contested" | "confirmed" | "rejected";

// A time, as RFC 3339 in UTC with milliseconds.
export type Time = string;

// Whether a node takes registrations, and whether anything is wrong.
export type Verdict = "healthy" | "degraded" | "read-only";

// When to answer.
export type Wait = "none" | "final" | "always";

// Why a member's word is not here.
export type WaitReason = "round-trip" | "out-of-reach" | "clock-ahead" | "being-evicted" | "unknown";

// A member that is waited for.
export interface AwaitedMember {
  // Its label.
  label: string;
  // The member.
  node: NodeId;
  // What is the matter with it, as a code.
  reason: WaitReason;
  // When it was last heard of; none where it has not been since the answering node started.
  since?: Time;
  // The same as a sentence.
  why: string;
}

// A line of what `POST /v1/registrations:batch` answers: the registration, or the problem.
export interface BatchLine {
  // The number of the request's line that it answers, from 1.
  line: number;
  // Why nothing was, or it lost.
  problem?: Problem;
  // What was registered.
  registration?: Registration;
  // The HTTP status that the line would have had by itself.
  status: number;
}

// Whether one of several names can be had.
export interface CheckedName {
  // Whether it can be claimed here and now.
  available: boolean;
  // Its canonical form; none where it cannot be a name.
  key?: string;
  // The name as asked for.
  name: string;
  // The namespace.
  namespace: string;
  // Why it cannot be a name, as a code: that of `invalid-name`, or the type of another problem.
  reason?: string;
  // Where it stands; none where it cannot be a name.
  status?: NameStatus;
  // The same in words.
  why?: string;
}

// What `POST /v1/names:check` answers.
export interface CheckedNames {
  // In the order asked for.
  names: CheckedName[];
}

// One name of a registration.
export interface Claim {
  // How the claim ended, where it finally did.
  ended?: EndReason;
  // Its canonical form, or the hash of a private one.
  key: string;
  // The name as typed; left out, and empty here, where it is private and was not typed at the answering node.
  name?: string;
  // The namespace.
  namespace: string;
  // It was released, which need not be final.
  released?: boolean;
}

// The cluster as one node sees it.
export interface Cluster {
  // Nodes whose keys are kept out, by their first ids.
  banned?: NodeId[];
  // Where this node's clock is off from the median of the members by more than allowed: by how much,
  // milliseconds; positive where the others are ahead. It takes no registrations then.
  clock_suspect_ms?: number;
  // For how many milliseconds this node's disk has made nothing durable, where that is long.
  disk_hangs_ms?: number;
  // What the answering node keeps of its event feed.
  events: EventRange;
  // Those who are out for good, each with how much of its log counts.
  evicted: Cut[];
  // The eviction that is under way.
  eviction?: Eviction;
  // The first member: the one that has been a member for longest. It lets newcomers in, and delivers to
  // webhooks for nodes that are out.
  first?: NodeId;
  // Logs of which two nodes hold different ops under one number: an alarm.
  forks?: Fork[];
  // How the node is, in words for its operator.
  health?: Health;
  // The cluster's id; none while the node is joining.
  id?: ClusterId;
  // Where this node is a newcomer itself: what it waits for, as far as it was told.
  joining_waits_for?: Hindrance[];
  // Its label.
  label: string;
  // Up to when everything is in the last whole backup of this node that somebody took; none where there was
  // none.
  last_backup?: Time;
  // Where this node was asked to leave and has not departed: the members that do not hold yet what it hands
  // over, and those out of contact where the members that are left would be too few to go on without them.
  leaving_waits_for?: NodeId[];
  // Whether it is a member, so that it takes registrations.
  member: boolean;
  // All members, this node included, by id.
  members: Member[];
  // Newcomers that wait to be let in, as far as this node was asked or told.
  newcomers?: Newcomer[];
  // This node.
  node: NodeId;
  // A reservation whose time is over and which cannot end yet.
  overdue?: Overdue;
  // Registrations not yet final here.
  pending: number;
  // Whether it is a reader: it answers what is asked and changes nothing, and nobody waits for it.
  reader?: boolean;
  // The readers that are connected to it.
  readers?: NodeId[];
  // The settings that are in force at the node; the same at all members once they have heard of the latest
  // change.
  settings: ClusterSettings;
  // Its clock when it answered: what the other times are to be compared with.
  time: Time;
  // When the earliest op was issued that is not decided here: a registration, or something that an operator
  // does.
  undecided_since?: Time;
  // Members that the oldest pending registration waits for.
  waiting_for: Waiting[];
  // Everything at or below it has arrived.
  watermark: string;
}

// The settings of a cluster, in force at all of its members.
export interface ClusterSettings {
  // A member that a majority has not heard of for so long is evicted. `never`, the default, keeps the strict
  // order of claims whatever happens; a time trades it for progress: a node that is cut off for longer loses
  // the claims that it took alone, if others took the names meanwhile.
  evict_after: EvictAfter;
  // Events of the feed that are older are dropped, and what is over is forgotten with its last event.
  keep_events: Keep;
  // Ops whose timestamps lie further ahead of the cluster's time are not taken for now, and a node whose
  // clock is off by more than half of it takes no registrations.
  max_clock_skew: Span;
  // In a cluster of up to eight members in which anything was registered within the last minute each member
  // tells all others so often what it will not issue any more. The shorter it is, the sooner claims are final
  // between distant members, and the more small messages are sent; with 1s, the most, none is sent beside the
  // usual ones.
  promise_every: Span;
}

// What `PATCH /v1/cluster/settings` takes: the settings that are to change.
export interface ClusterSettingsBody {
  // After how long a silent member is evicted: a time of at least 1 s, or `never`.
  evict_after?: EvictAfter | null;
  // For how long events are kept: a time of at least 1 min, or `forever`.
  keep_events?: Keep | null;
  // How far ahead the timestamps of ops may lie: from 500 ms to 1 h.
  max_clock_skew?: Span | null;
  // How often members promise unasked in a small cluster that is in use: 1 s at most.
  promise_every?: Span | null;
}

// A tenure of a name that more than one registration claimed.
export interface Conflict {
  // All claims, the winner's first.
  claims: Contender[];
  // When the answering node knew that all outcomes are final, if it has seen it.
  final_at?: Time;
  // The name's canonical form.
  key: string;
  // The namespace.
  namespace: string;
  // `final` once no outcome is open any more.
  status: ConflictStatus;
  // Why it comes before the others.
  why: Precedence;
  // The registration that came first. It need not have the name: it may have lost another one of its names.
  winner: string;
}

// A page of the exception report.
export interface Conflicts {
  // By namespace and key; may be empty although there are more.
  conflicts: Conflict[];
  // Where to go on: give it as `after`; none at the end.
  next?: Place;
}

// A claim among those of a tenure.
export interface Contender {
  // When it was accepted.
  accepted_at: Time;
  // How it ended, where it finally did.
  ended?: EndReason;
  // That node's label, as far as it is known.
  label?: string;
  // The name as typed; left out, and empty here, where it is private and was not typed at the answering node.
  name?: string;
  // The node that accepted it.
  node: NodeId;
  // Whose it is.
  owner: string;
  // Its registration.
  registration: string;
  // Where an eviction had made that void, and it was registered again: when. Its stamp is of that time.
  reissued_at?: Time;
  // Where it was rejected: when the answering node knew that this is final, if it has seen it.
  rejected_at?: Time;
  // It has been released, which may not be final.
  released?: boolean;
  // Its stamp: of two claims the one with the lower stamp wins.
  stamp: string;
  // Where its registration stands.
  status: Status;
  // It is a retry of a registration that was accepted earlier elsewhere, and counts for nothing.
  twin?: boolean;
}

// A place in a node's log.
export interface Cut {
  // Whose log.
  node: NodeId;
  // The last op before the cut.
  seq: number;
}

// A dead letter.
export interface DeadLetter {
  // How often its delivery was attempted.
  attempts: number;
  // Why the last attempt failed.
  error?: string;
  // The event, as it would have been delivered.
  event: Event;
  // The event's id.
  id: string;
}

// Dead letters of one node.
export interface DeadLetters {
  // The oldest first.
  dead_letters: DeadLetter[];
}

// An operation that decides something.
export interface DecidingOp {
  // When.
  at: Time;
  // That node's label, as far as it is known.
  label?: string;
  // The node that issued it.
  node: NodeId;
  // Its stamp.
  stamp: string;
  // What it did and what came of that.
  what: string;
}

// A CloudEvents 1.0 object.
export interface Event {
  // Its place in the node's feed. In a stream it is the `id` of the message instead.
  cursor?: Cursor;
  // The particulars.
  data: EventData;
  // Always `application/json`.
  datacontenttype: string;
  // `<registration>/<what happened>`, with the namespace and the key where a name ended: the same at every
  // node and for ever. Whoever meets it again drops the event.
  id: string;
  // `/nodes/<id>`: the node that learnt it, by the id of its first incarnation.
  source: string;
  // Always `1.0`.
  specversion: string;
  // The registration's id, or `<namespace>/<name>` of a name that ended and was not erased.
  subject: string;
  // When the node learnt it.
  time: Time;
  // What happened.
  type: EventType;
}

// The particulars of an event.
export interface EventData {
  // The name that ended; none where it was erased.
  name?: Claim;
  // Why it ended.
  reason?: EndReason;
  // The registration as it stood when the event was told, which may be further by now.
  registration: Registration;
  // The claim that it lost to, where it is contested or rejected.
  rejected_by?: RejectedBy;
}

// The part of an event feed that is kept.
export interface EventRange {
  // The cursor of the last event; the same where there is none.
  last: Cursor;
  // The place before the earliest event kept.
  start: Cursor;
}

// A page of the feed.
export interface Events {
  // In order.
  events: Event[];
  // Where the next page begins: give it as `after`.
  next: Cursor;
}

// An eviction that is not finished.
export interface Eviction {
  // Ops that the answering node lacks: whose log, and up to which seq.
  missing: Cut[];
  // Who goes.
  nodes: NodeId[];
  // Those who stay are a majority, or none is needed because the others have come back under new ids.
  // `false`: it can never finish.
  possible: boolean;
  // Who stays and has yet to join in.
  waiting_for: NodeId[];
}

// Why something is where it is.
export interface Explanation {
  // Which of the cases it is.
  case: Case;
  // The operations that decide it, earliest first.
  decided_by: DecidingOp[];
  // The rule that makes it so.
  rule: string;
  // The name, or the registration's id.
  subject: string;
  // What is so, in a sentence or two.
  summary: string;
  // What ends the wait.
  until?: string;
  // Members that it waits for.
  waiting_for?: AwaitedMember[];
}

// What `POST /v1/registrations/{id}/extend` takes.
export interface ExtensionBody {
  // How long the reservation lasts from now on.
  ttl: Span;
}

// Two nodes hold different ops under one number of a log. Nothing more of it is decided until its origin has
// come back under a new id.
export interface Fork {
  // A node that holds another op than the one that answers.
  by: NodeId;
  // Whose log.
  origin: NodeId;
  // The number, or a later one.
  seq: number;
}

// How a node is, as it says itself.
export interface Health {
  // What an operator should look at, the worst first; none where it is healthy.
  troubles?: Trouble[];
  // In a word.
  verdict: Verdict;
}

// What keeps a newcomer out for now.
export interface Hindrance {
  // The members that it is about.
  nodes?: NodeId[];
  // As a code: `clock`, `eviction`, `silent`, `unsettled`, `first-out-of-reach`, `token-used` or `banned`.
  reason: string;
  // The same as a sentence, with what to do.
  why: string;
}

// A page of a name's tenures, earliest first.
export interface History {
  // Its canonical form.
  key: string;
  // The name as asked for.
  name: string;
  // The namespace.
  namespace: string;
  // Where there are more: give it as `after`. Where very many claimed one tenure, the next page may begin
  // with the rest of it, and its holder once more.
  next?: ClaimPlace;
  // This page of its tenures.
  tenures: Tenure[];
}

// A namespace that is known at the node that is asked.
export interface ListedNamespace {
  // Whether any of its names was ever claimed.
  has_names: boolean;
  // The namespace.
  namespace: string;
  // Whether its names are private.
  private: boolean;
  // How its names are written.
  profile: ProfileName;
  // Whether somebody has set rules for it; otherwise the defaults are in force.
  rules_set: boolean;
}

// A member as another sees it.
export interface Member {
  // Where it listens.
  address: string;
  // The prefix of its log that the answering node has.
  applied: number;
  // How far its clock is ahead of the answering node's, milliseconds, by its last heartbeat; none where it
  // was never heard.
  clock_offset_ms?: number;
  // Whether the answering node is connected to it now; true for itself.
  connected: boolean;
  // Who has joined in its eviction.
  frozen_by?: NodeId[];
  // When that last moved.
  heard_at?: Time;
  // How much of the answering node's log it says it holds.
  holds_ours: number;
  // Its label.
  label: string;
  // The member.
  node: NodeId;
  // Its latest promise that the answering node believes.
  promise: string;
  // How far ahead the timestamps of the answering node's ops are for it, where it does not take them for now,
  // milliseconds.
  refuses_ours_ms?: number;
  // How far ahead the timestamps of its ops are that the answering node does not take for now, milliseconds.
  skewed_ms?: number;
  // Where it stands.
  state: MemberState;
  // The wire version that it speaks, like `1.1`; none where it is not connected.
  wire?: string;
}

// A gap in what was delivered.
export interface MissedEvents {
  // The cursor of the last event that was read before it.
  after: Cursor;
  // When it was noticed.
  at: Time;
  // The cursor after which the events are kept.
  until: Cursor;
}

// Whether a name can be had.
export interface Name {
  // Whether it can be claimed here and now.
  available: boolean;
  // Where it was given up and is kept from others for a while: until when. Its former owner may be let have
  // it before.
  free_at?: Time;
  // Its canonical form.
  key: string;
  // The name that this registration holds, where the two are one name only because they look alike.
  looks_like?: string;
  // The name as asked for.
  name: string;
  // The namespace.
  namespace: string;
  // The registration that leads it, where one does.
  registration?: string;
  // When that was accepted.
  since?: Time;
  // The same with more detail.
  status: NameStatus;
  // Names like it that are free at the answering node, where they were asked for.
  suggestions?: string[];
}

// A name as a client writes it.
export interface NameRef {
  // The name as typed.
  name: string;
  // The namespace.
  namespace: string;
}

// A namespace and the rules in force at the node that is asked.
export interface Namespace {
  // When that was.
  changed_at?: Time;
  // With `username`: which characters may stand in names.
  characters?: Characters;
  // The change cannot be lost any more, whoever is evicted; a later one may take its place.
  final: boolean;
  // Who may take it meanwhile; with `hold_after_release` alone.
  held_for?: HeldFor;
  // For how long a name that was released, or given up for another one, is kept from others.
  hold_after_release?: Span;
  // With `username`: which look-alikes are one name.
  lookalikes?: Lookalikes;
  // Characters at most.
  max_length: number;
  // Characters of a name at least: code points as typed, composed (NFC) unless the profile is `opaque`.
  min_length: number;
  // The namespace.
  namespace: string;
  // Whether only a keyed hash of a name leaves the node that took it, and whether it exists is told to nobody
  // who may not read.
  private: boolean;
  // How its names are written.
  profile: ProfileName;
  // With `email`: whether what follows a `+` before the `@` is left out of account.
  remove_tags?: boolean;
  // Names that nobody can claim, as typed; whatever has the same canonical form as one of them neither. In a
  // pattern each `*` stands for any characters.
  reserved: string[];
  // Which change set these rules.
  version: RulesVersion;
}

// Rules as they are set: whatever is left out gets its default.
export interface NamespaceBody {
  // With `username` only: which characters may stand in names; all by default.
  characters?: Characters | null;
  // With `hold_after_release` only: who may take it meanwhile; whoever owned it last by default.
  held_for?: HeldFor | null;
  // For how long a name that was released, or given up for another one, is kept from others: at most 3650
  // days; not at all by default.
  hold_after_release?: Span | null;
  // Set them only if this is the version in force at the node.
  if_version?: RulesVersion | null;
  // With `username` only: which look-alikes are one name; by default what looks like ASCII is that.
  lookalikes?: Lookalikes | null;
  // Characters at most; 256, the limit on bytes, by default.
  max_length?: number | null;
  // Characters of a name at least; 1 by default.
  min_length?: number | null;
  // Whether names are private; they are public by default.
  private?: boolean;
  // How names are written; by default as the namespace's name says.
  profile?: ProfileName | null;
  // With `email` only: whether what follows a `+` before the `@` is left out of account; it counts by
  // default.
  remove_tags?: boolean | null;
  // Names and patterns, with `*` for any characters, that nobody is to claim; none by default.
  reserved?: string[];
}

// A change of rules, as a JSON merge patch (RFC 7396): what it names is set, `null` gives the default, and
// what it does not name stays.
export interface NamespacePatch {
  // With `username` only: which characters may stand in names; all by default.
  characters?: Characters | null;
  // With `hold_after_release` only: who may take it meanwhile; whoever owned it last by default.
  held_for?: HeldFor | null;
  // For how long a name that was released, or given up for another one, is kept from others: at most 3650
  // days; not at all by default.
  hold_after_release?: Span | null;
  // Set them only if this is the version in force at the node.
  if_version?: RulesVersion | null;
  // With `username` only: which look-alikes are one name; by default what looks like ASCII is that.
  lookalikes?: Lookalikes | null;
  // Characters at most; 256, the limit on bytes, by default.
  max_length?: number | null;
  // Characters of a name at least; 1 by default.
  min_length?: number | null;
  // Whether names are private; they are public by default.
  private?: boolean | null;
  // How names are written; by default as the namespace's name says.
  profile?: ProfileName | null;
  // With `email` only: whether what follows a `+` before the `@` is left out of account; it counts by
  // default.
  remove_tags?: boolean | null;
  // Names and patterns, with `*` for any characters, that nobody is to claim; none by default.
  reserved?: string[] | null;
}

// A page of the namespaces that are known, in the order of their names.
export interface Namespaces {
  // May be empty although there are more.
  namespaces: ListedNamespace[];
  // Where to go on: give it as `after`; none at the end.
  next?: string;
}

// A namespace that was made by its first claim.
export interface NewNamespace {
  // Its name.
  namespace: string;
  // The profile that it got.
  profile: ProfileName;
}

// A newcomer that is not let in for now.
export interface Newcomer {
  // Where it listens.
  address: string;
  // Its label.
  label: string;
  // The newcomer.
  node: NodeId;
  // What it waits for.
  waits_for: Hindrance[];
}

// A reservation whose time is over and which has not ended, because the watermark has not passed it.
export interface Overdue {
  // When the earliest such one was to end.
  since: Time;
  // Members whose clocks are not known to have passed that time.
  waiting_for: Waiting[];
}

// A problem, as it travels.
export interface Problem {
  // What happened, what it means for the data, what to do next.
  detail: string;
  // With `id-reused`, `no-registration`, `too-late`, `permanent` and `too-many-extensions`: which
  // registration.
  id?: string;
  // With `too-many-open` and `too-many-held`: how many the owner, or the API token, may have.
  limit?: number;
  // With `invalid-name` and `not-held`: as typed.
  name?: string;
  // With `name-taken`: which names, and by whom; with `registration-rejected` the lost one, where
  // alternatives were asked for.
  names?: Name[];
  // With `invalid-name`, `not-held`, `rules-changed` and `namespace-in-use`: which, or of which name.
  namespace?: string;
  // With `clock-suspect`: how far the peers are ahead, milliseconds.
  offset_ms?: number;
  // With `invalid-name`, `too-late` and `permanent`: a code for why.
  reason?: string;
  // With `registration-rejected`: the registration.
  registration?: Registration;
  // With `cursor-unknown` and `events-compacted`: the cursor to go on with.
  restart?: Cursor;
  // Seconds after which to ask again; also in the header `Retry-After`.
  retry_after?: number;
  // With `forbidden`: what the API token lacks.
  scope?: Scope;
  // The HTTP status.
  status: number;
  // The same for all of its kind.
  title: string;
  // Which kind.
  type: ProblemType;
  // With `invalid-name`: which rule it breaks, in words.
  why?: string;
}

// Where a registration stands.
export interface Registration {
  // When it was accepted. Never changes.
  accepted_at: Time;
  // Whether it was a reservation that was activated in time.
  activated?: boolean;
  // Its owner, names and metadata were erased.
  erased?: boolean;
  // When the reservation ends, where it is one that has not been activated.
  expires_at?: Time;
  // Its id.
  id: string;
  // The application's JSON object.
  metadata?: Metadata;
  // Its names; none where it was erased.
  names?: Claim[];
  // Where it is the first to use them: the namespaces that it has made. Only in the answer to the request
  // itself.
  new_namespaces?: NewNamespace[];
  // The node that accepted it.
  node: NodeId;
  // Its owner; none where it was erased.
  owner?: string;
  // Where an eviction had made that void, and the node that accepted it registered it again: when.
  reissued_at?: Time;
  // The claim that it lost to, where it is contested or rejected.
  rejected_by?: RejectedBy;
  // Where it is a rename: the claim that ends when it is confirmed.
  replaces?: ReplacesBody;
  // Its stamp: of two claims to a name the one with the lower stamp wins.
  stamp: string;
  // Where it stands.
  status: Status;
  // Members that a pending registration waits for.
  waiting_for?: Waiting[];
}

// What `POST /v1/registrations` takes.
export interface RegistrationBody {
  // Chosen by the client, so that it may ask again, here or at another node.
  id?: string | null;
  // A JSON object, given back with the outcome.
  metadata?: Metadata | null;
  // The names: all or none.
  names: NameRef[];
  // Who is to hold the names.
  owner: string;
  // The claim that this registration takes the place of (rename).
  replaces?: ReplacesBody | null;
  // So many free alternatives are to be told for each name that is taken or lost; it does not belong to the
  // content.
  suggest?: number | null;
  // How long to wait at most.
  timeout?: Span | null;
  // How long the reservation lasts; none for a permanent registration.
  ttl?: Span | null;
  // When to answer.
  wait?: Wait | null;
}

// An owner's registrations, earliest first.
export interface Registrations {
  // Where there may be more: give it as `after`.
  next?: OwnerPlace;
  // This page of them.
  registrations: Registration[];
}

// The claim that a registration lost to.
export interface RejectedBy {
  // When it was accepted.
  accepted_at: Time;
  // The lost name, as the loser typed it; left out, and empty here, where it is private and was not typed at
  // the answering node.
  name?: string;
  // The namespace of the lost name.
  namespace: string;
  // The winning registration.
  registration: string;
  // Its stamp.
  stamp: string;
}

// The claim that a rename ends.
export interface ReplacesBody {
  // The name.
  name: string;
  // Its namespace.
  namespace: string;
  // Its registration.
  registration: string;
}

// What a replay does.
export interface Replayed {
  // Dead letters of the answering node that are delivered anew.
  replayed: number;
}

// What `POST /v1/webhooks/{id}/rotate` takes.
export interface RotationBody {
  // For how long deliveries are signed with the present secret as well; none for a day.
  keep_old?: Span | null;
}

// A name that somebody has.
export interface TakenName {
  // When the reservation ends, where it is one that has not been activated.
  expires_at?: Time;
  // Its canonical form.
  key: string;
  // The application's JSON object.
  metadata?: Metadata;
  // The name as its holder typed it; left out, and empty here, where it is private and was not typed at the
  // answering node.
  name?: string;
  // The namespace.
  namespace: string;
  // Its owner.
  owner: string;
  // The registration that leads it.
  registration: string;
  // When that was accepted.
  since: Time;
  // Where its claim stands.
  status: NameStatus;
}

// A page of the names that are taken, by namespace and key.
export interface TakenNames {
  // May be empty although there are more.
  names: TakenName[];
  // Where to go on: give it as `after`; none at the end.
  next?: Place;
}

// A tenure of a name: who held it, from when till when.
export interface Tenure {
  // The claim that leads it, by stamp the first.
  holder: Contender;
  // Claims that lost to it.
  losers?: Contender[];
  // When that was accepted.
  since: Time;
  // When it ended, where that is final and the answering node has seen it.
  until?: Time;
}

// What `POST /v1/cluster/tokens` takes.
export interface TokenBody {
  // Whether it is a reader's token: with it any number of readers connect, and nobody becomes a member.
  reader?: boolean;
  // How long the token lets newcomers in, at most 30 days; none for a day. For a reader's token at most ten
  // years; none for a year.
  ttl?: Span | null;
  // How many newcomers the token lets in; none for one.
  uses?: number | null;
}

// A join token.
export interface TokenIssued {
  // The token.
  token: string;
}

// Something that an operator should look at.
export interface Trouble {
  // As a code: that of the problem which registrations are refused with, or `fork`, `skewed`, `refuses-ours`,
  // `silent`, `unconnected`, `eviction`, `joining` or `overdue`.
  code: string;
  // The command that helps, or tells more.
  command?: string;
  // The members that it is about.
  nodes?: NodeId[];
  // What is wrong and what it means, as a sentence.
  why: string;
}

// A member that something waits for.
export interface Waiting {
  // Its label.
  label: string;
  // The member.
  node: NodeId;
  // Why its word is not here.
  reason: WaitReason;
  // When its promise last moved; none where it has not been heard of since the answering node started.
  since?: Time;
}

// A webhook: where the nodes of the cluster post events to.
export interface Webhook {
  // Whether anything is delivered.
  active: boolean;
  // When it was changed last.
  changed_at: Time;
  // When it was made. Earlier events are not delivered.
  created_at: Time;
  // Which events a node delivers.
  deliver: Deliver;
  // How the deliveries of the answering node stand; none where it has not begun, or the webhook was removed.
  delivery?: WebhookDelivery;
  // The change cannot be lost any more, whoever is evicted.
  final: boolean;
  // Its id.
  id: string;
  // Until when deliveries are signed with the secret before the present one as well.
  old_secret_until?: Time;
  // The secret, in the answer that makes it and never again: `whsec_` and base64.
  secret?: string;
  // Only these types of event; an empty list means all.
  types: string[];
  // Where events are posted to.
  url: string;
}

// What `POST /v1/webhooks` takes.
export interface WebhookBody {
  // Which events a node delivers; those of the registrations that it accepted by default.
  deliver?: Deliver | null;
  // Only these types of event, as the feed names them; all by default.
  types?: string[];
  // Where events are posted to: an `http` or `https` URL.
  url: string;
}

// How the deliveries of one node to a webhook stand.
export interface WebhookDelivery {
  // Dead letters: events that were given up, and can be replayed.
  dead: number;
  // Events that were delivered since the node started.
  delivered: number;
  // When that was last.
  delivered_at?: Time;
  // Events of the feed that were not read yet, whether they are for this webhook or not, and those that wait.
  lag_events: number;
  // Why an attempt failed last, where none has succeeded since.
  last_error?: string;
  // When that was.
  last_error_at?: Time;
  // Events that the node no longer kept when it was to read them, so that they were not delivered: the last
  // such gap.
  missed?: MissedEvents;
  // Events that are read and not delivered.
  waiting: number;
}

// What `PATCH /v1/webhooks/{id}` takes: what is left out stays.
export interface WebhookPatch {
  // `false` stops the deliveries, `true` lets them go on where they stopped.
  active?: boolean | null;
  // Which events a node delivers.
  deliver?: Deliver | null;
  // Only these types of event; an empty list for all.
  types?: string[] | null;
  // Where events are posted to.
  url?: string | null;
}

// What became of a test of a webhook.
export interface WebhookTest {
  // Whether the receiver took the test event.
  delivered: boolean;
  // Why it was not delivered.
  error?: string;
  // The HTTP status of its answer, where it gave one.
  status?: number;
}

// All webhooks of a cluster.
export interface Webhooks {
  // In the order of their ids.
  webhooks: Webhook[];
}
