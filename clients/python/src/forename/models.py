"""Bodies and answers of the HTTP interface. Made from the node's OpenAPI document by clients/generate.py."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

# Which of the cases it is.
Case = Literal[
    "never-held",
    "free-again",
    "pending",
    "contested",
    "confirmed",
    "reserved",
    "expiring",
    "releasing",
    "ended",
    "rejected",
    "erased",
]

# Which characters may stand in user names.
Characters = Literal["any", "ascii", "letters-digits"]

# Where a page of a name's history goes on. Opaque: give it as it is.
ClaimPlace = str

# A cluster: a UUID.
ClusterId = str

# Whether the outcomes of a conflict can still change.
ConflictStatus = Literal["open", "final"]

# A place in one node's event feed. Opaque: give it as it is.
Cursor = str

# Which events a node delivers to a webhook.
Deliver = Literal["accepted", "all"]

# How a claim ended.
EndReason = Literal["released", "expired", "replaced", "rejected"]

# The type of an event. Later versions may have more of them.
EventType = Literal[
    "forename.registration.accepted",
    "forename.registration.contested",
    "forename.registration.confirmed",
    "forename.registration.rejected",
    "forename.registration.activated",
    "forename.name.ended",
]

# A length of time, or `never`.
EvictAfter = str

# Who may take a name within the time for which it is kept after it was given up.
HeldFor = Literal["owner", "nobody"]

# A length of time, or `forever`.
Keep = str

# Which names that look alike are one name.
Lookalikes = Literal["fold", "strict", "distinct"]

# Where a node stands in the membership.
MemberState = Literal["member", "leaving", "evicting"]

# The application's own JSON object: up to 4096 bytes and 64 levels, no key twice in an object.
Metadata = dict[str, Any]

# Whether a name can be had.
NameStatus = Literal["available", "pending", "held", "ending"]

# A node, in one of its incarnations: 16 hexadecimal digits.
NodeId = str

# Where a page of an owner's registrations goes on. Opaque: give it as it is.
OwnerPlace = str

# Where a page of names goes on. Opaque: give it as it is.
Place = str

# Why one claim comes before another.
Precedence = Literal["earliest-timestamp", "lowest-node"]

# The kind of a problem. Later versions may have more of them.
ProblemType = Literal[
    "urn:forename:problem:name-taken",
    "urn:forename:problem:registration-rejected",
    "urn:forename:problem:id-reused",
    "urn:forename:problem:too-late",
    "urn:forename:problem:permanent",
    "urn:forename:problem:too-many-extensions",
    "urn:forename:problem:invalid-name",
    "urn:forename:problem:rules-changed",
    "urn:forename:problem:namespace-in-use",
    "urn:forename:problem:invalid-request",
    "urn:forename:problem:malformed-json",
    "urn:forename:problem:body-too-large",
    "urn:forename:problem:too-slow",
    "urn:forename:problem:unsupported-media-type",
    "urn:forename:problem:too-many-open",
    "urn:forename:problem:too-many-held",
    "urn:forename:problem:too-many-requests",
    "urn:forename:problem:disk-low",
    "urn:forename:problem:unauthorized",
    "urn:forename:problem:forbidden",
    "urn:forename:problem:host-unknown",
    "urn:forename:problem:other-cluster",
    "urn:forename:problem:origin-refused",
    "urn:forename:problem:not-owner",
    "urn:forename:problem:out-of-reach",
    "urn:forename:problem:no-registration",
    "urn:forename:problem:no-webhook",
    "urn:forename:problem:not-held",
    "urn:forename:problem:no-route",
    "urn:forename:problem:method-not-allowed",
    "urn:forename:problem:no-member",
    "urn:forename:problem:no-majority",
    "urn:forename:problem:not-in-contact",
    "urn:forename:problem:departed",
    "urn:forename:problem:last-member",
    "urn:forename:problem:events-compacted",
    "urn:forename:problem:cursor-unknown",
    "urn:forename:problem:leaving",
    "urn:forename:problem:not-member",
    "urn:forename:problem:reader",
    "urn:forename:problem:clock-suspect",
    "urn:forename:problem:unavailable",
    "urn:forename:problem:internal",
]

# How the names of a namespace are written.
ProfileName = Literal["username", "email", "opaque", "dns-label"]

# A version of a namespace's rules: `default`, or the stamp of the change that set them.
RulesVersion = str

# What an API token lets its bearer do.
Scope = Literal["register", "claim", "read", "admin"]

# A length of time: `500ms`, `5s`, `15m`, `24h`, `7d`, `1h30m`, or whole seconds.
Span = str

# Where a registration stands.
Status = Literal["pending", "contested", "confirmed", "rejected"]

# A time, as RFC 3339 in UTC with milliseconds.
Time = str

# Whether a node takes registrations, and whether anything is wrong.
Verdict = Literal["healthy", "degraded", "read-only"]

# When to answer.
Wait = Literal["none", "final", "always"]

# Why a member's word is not here.
WaitReason = Literal["round-trip", "out-of-reach", "clock-ahead", "being-evicted", "unknown"]


class AwaitedMember(TypedDict):
    """A member that is waited for."""

    # Its label.
    label: str
    # The member.
    node: NodeId
    # What is the matter with it, as a code.
    reason: WaitReason
    # When it was last heard of; none where it has not been since the answering node started.
    since: NotRequired[Time]
    # The same as a sentence.
    why: str


class BatchLine(TypedDict):
    """A line of what `POST /v1/registrations:batch` answers: the registration, or the problem."""

    # The number of the request's line that it answers, from 1.
    line: int
    # Why nothing was, or it lost.
    problem: NotRequired[Problem]
    # What was registered.
    registration: NotRequired[Registration]
    # The HTTP status that the line would have had by itself.
    status: int


class CheckedName(TypedDict):
    """Whether one of several names can be had."""

    # Whether it can be claimed here and now.
    available: bool
    # Its canonical form; none where it cannot be a name.
    key: NotRequired[str]
    # The name as asked for.
    name: str
    # The namespace.
    namespace: str
    # Why it cannot be a name, as a code: that of `invalid-name`, or the type of another problem.
    reason: NotRequired[str]
    # Where it stands; none where it cannot be a name.
    status: NotRequired[NameStatus]
    # The same in words.
    why: NotRequired[str]


class CheckedNames(TypedDict):
    """What `POST /v1/names:check` answers."""

    # In the order asked for.
    names: list[CheckedName]


class Claim(TypedDict):
    """One name of a registration."""

    # How the claim ended, where it finally did.
    ended: NotRequired[EndReason]
    # Its canonical form, or the hash of a private one.
    key: str
    # The name as typed; left out, and empty here, where it is private and was not typed at the answering
    # node.
    name: NotRequired[str]
    # The namespace.
    namespace: str
    # It was released, which need not be final.
    released: NotRequired[bool]


class Cluster(TypedDict):
    """The cluster as one node sees it."""

    # Nodes whose keys are kept out, by their first ids.
    banned: NotRequired[list[NodeId]]
    # Where this node's clock is off from the median of the members by more than allowed: by how much,
    # milliseconds; positive where the others are ahead. It takes no registrations then.
    clock_suspect_ms: NotRequired[int]
    # For how many milliseconds this node's disk has made nothing durable, where that is long.
    disk_hangs_ms: NotRequired[int]
    # What the answering node keeps of its event feed.
    events: EventRange
    # Those who are out for good, each with how much of its log counts.
    evicted: list[Cut]
    # The eviction that is under way.
    eviction: NotRequired[Eviction]
    # The first member: the one that has been a member for longest. It lets newcomers in, and delivers to
    # webhooks for nodes that are out.
    first: NotRequired[NodeId]
    # Logs of which two nodes hold different ops under one number: an alarm.
    forks: NotRequired[list[Fork]]
    # How the node is, in words for its operator.
    health: NotRequired[Health]
    # The cluster's id; none while the node is joining.
    id: NotRequired[ClusterId]
    # Where this node is a newcomer itself: what it waits for, as far as it was told.
    joining_waits_for: NotRequired[list[Hindrance]]
    # Its label.
    label: str
    # Up to when everything is in the last whole backup of this node that somebody took; none where there was
    # none.
    last_backup: NotRequired[Time]
    # Where this node was asked to leave and has not departed: the members that do not hold yet what it hands
    # over, and those out of contact where the members that are left would be too few to go on without them.
    leaving_waits_for: NotRequired[list[NodeId]]
    # Whether it is a member, so that it takes registrations.
    member: bool
    # All members, this node included, by id.
    members: list[Member]
    # Newcomers that wait to be let in, as far as this node was asked or told.
    newcomers: NotRequired[list[Newcomer]]
    # This node.
    node: NodeId
    # A reservation whose time is over and which cannot end yet.
    overdue: NotRequired[Overdue]
    # Registrations not yet final here.
    pending: int
    # Whether it is a reader: it answers what is asked and changes nothing, and nobody waits for it.
    reader: NotRequired[bool]
    # The readers that are connected to it.
    readers: NotRequired[list[NodeId]]
    # The settings that are in force at the node; the same at all members once they have heard of the latest
    # change.
    settings: ClusterSettings
    # Its clock when it answered: what the other times are to be compared with.
    time: Time
    # When the earliest op was issued that is not decided here: a registration, or something that an operator
    # does.
    undecided_since: NotRequired[Time]
    # Members that the oldest pending registration waits for.
    waiting_for: list[Waiting]
    # Everything at or below it has arrived.
    watermark: str


class ClusterSettings(TypedDict):
    """The settings of a cluster, in force at all of its members."""

    # A member that a majority has not heard of for so long is evicted. `never`, the default, keeps the strict
    # order of claims whatever happens; a time trades it for progress: a node that is cut off for longer loses
    # the claims that it took alone, if others took the names meanwhile.
    evict_after: EvictAfter
    # Events of the feed that are older are dropped, and what is over is forgotten with its last event.
    keep_events: Keep
    # Ops whose timestamps lie further ahead of the cluster's time are not taken for now, and a node whose
    # clock is off by more than half of it takes no registrations.
    max_clock_skew: Span
    # In a cluster of up to eight members in which anything was registered within the last minute each member
    # tells all others so often what it will not issue any more. The shorter it is, the sooner claims are
    # final between distant members, and the more small messages are sent; with 1s, the most, none is sent
    # beside the usual ones.
    promise_every: Span


class ClusterSettingsBody(TypedDict):
    """What `PATCH /v1/cluster/settings` takes: the settings that are to change."""

    # After how long a silent member is evicted: a time of at least 1 s, or `never`.
    evict_after: NotRequired[EvictAfter | None]
    # For how long events are kept: a time of at least 1 min, or `forever`.
    keep_events: NotRequired[Keep | None]
    # How far ahead the timestamps of ops may lie: from 500 ms to 1 h.
    max_clock_skew: NotRequired[Span | None]
    # How often members promise unasked in a small cluster that is in use: 1 s at most.
    promise_every: NotRequired[Span | None]


class Conflict(TypedDict):
    """A tenure of a name that more than one registration claimed."""

    # All claims, the winner's first.
    claims: list[Contender]
    # When the answering node knew that all outcomes are final, if it has seen it.
    final_at: NotRequired[Time]
    # The name's canonical form.
    key: str
    # The namespace.
    namespace: str
    # `final` once no outcome is open any more.
    status: ConflictStatus
    # Why it comes before the others.
    why: Precedence
    # The registration that came first. It need not have the name: it may have lost another one of its names.
    winner: str


class Conflicts(TypedDict):
    """A page of the exception report."""

    # By namespace and key; may be empty although there are more.
    conflicts: list[Conflict]
    # Where to go on: give it as `after`; none at the end.
    next: NotRequired[Place]


class Contender(TypedDict):
    """A claim among those of a tenure."""

    # When it was accepted.
    accepted_at: Time
    # How it ended, where it finally did.
    ended: NotRequired[EndReason]
    # That node's label, as far as it is known.
    label: NotRequired[str]
    # The name as typed; left out, and empty here, where it is private and was not typed at the answering
    # node.
    name: NotRequired[str]
    # The node that accepted it.
    node: NodeId
    # Whose it is.
    owner: str
    # Its registration.
    registration: str
    # Where an eviction had made that void, and it was registered again: when. Its stamp is of that time.
    reissued_at: NotRequired[Time]
    # Where it was rejected: when the answering node knew that this is final, if it has seen it.
    rejected_at: NotRequired[Time]
    # It has been released, which may not be final.
    released: NotRequired[bool]
    # Its stamp: of two claims the one with the lower stamp wins.
    stamp: str
    # Where its registration stands.
    status: Status
    # It is a retry of a registration that was accepted earlier elsewhere, and counts for nothing.
    twin: NotRequired[bool]


class Cut(TypedDict):
    """A place in a node's log."""

    # Whose log.
    node: NodeId
    # The last op before the cut.
    seq: int


class DeadLetter(TypedDict):
    """A dead letter."""

    # How often its delivery was attempted.
    attempts: int
    # Why the last attempt failed.
    error: NotRequired[str]
    # The event, as it would have been delivered.
    event: Event
    # The event's id.
    id: str


class DeadLetters(TypedDict):
    """Dead letters of one node."""

    # The oldest first.
    dead_letters: list[DeadLetter]


class DecidingOp(TypedDict):
    """An operation that decides something."""

    # When.
    at: Time
    # That node's label, as far as it is known.
    label: NotRequired[str]
    # The node that issued it.
    node: NodeId
    # Its stamp.
    stamp: str
    # What it did and what came of that.
    what: str


class Event(TypedDict):
    """A CloudEvents 1.0 object."""

    # Its place in the node's feed. In a stream it is the `id` of the message instead.
    cursor: NotRequired[Cursor]
    # The particulars.
    data: EventData
    # Always `application/json`.
    datacontenttype: str
    # `<registration>/<what happened>`, with the namespace and the key where a name ended: the same at every
    # node and for ever. Whoever meets it again drops the event.
    id: str
    # `/nodes/<id>`: the node that learnt it, by the id of its first incarnation.
    source: str
    # Always `1.0`.
    specversion: str
    # The registration's id, or `<namespace>/<name>` of a name that ended and was not erased.
    subject: str
    # When the node learnt it.
    time: Time
    # What happened.
    type: EventType


class EventData(TypedDict):
    """The particulars of an event."""

    # The name that ended; none where it was erased.
    name: NotRequired[Claim]
    # Why it ended.
    reason: NotRequired[EndReason]
    # The registration as it stood when the event was told, which may be further by now.
    registration: Registration
    # The claim that it lost to, where it is contested or rejected.
    rejected_by: NotRequired[RejectedBy]


class EventRange(TypedDict):
    """The part of an event feed that is kept."""

    # The cursor of the last event; the same where there is none.
    last: Cursor
    # The place before the earliest event kept.
    start: Cursor


class Events(TypedDict):
    """A page of the feed."""

    # In order.
    events: list[Event]
    # Where the next page begins: give it as `after`.
    next: Cursor


class Eviction(TypedDict):
    """An eviction that is not finished."""

    # Ops that the answering node lacks: whose log, and up to which seq.
    missing: list[Cut]
    # Who goes.
    nodes: list[NodeId]
    # Those who stay are a majority, or none is needed because the others have come back under new ids.
    # `false`: it can never finish.
    possible: bool
    # Who stays and has yet to join in.
    waiting_for: list[NodeId]


class Explanation(TypedDict):
    """Why something is where it is."""

    # Which of the cases it is.
    case: Case
    # The operations that decide it, earliest first.
    decided_by: list[DecidingOp]
    # The rule that makes it so.
    rule: str
    # The name, or the registration's id.
    subject: str
    # What is so, in a sentence or two.
    summary: str
    # What ends the wait.
    until: NotRequired[str]
    # Members that it waits for.
    waiting_for: NotRequired[list[AwaitedMember]]


class ExtensionBody(TypedDict):
    """What `POST /v1/registrations/{id}/extend` takes."""

    # How long the reservation lasts from now on.
    ttl: Span


class Fork(TypedDict):
    """Two nodes hold different ops under one number of a log. Nothing more of it is decided until its origin
has come back under a new id."""

    # A node that holds another op than the one that answers.
    by: NodeId
    # Whose log.
    origin: NodeId
    # The number, or a later one.
    seq: int


class Health(TypedDict):
    """How a node is, as it says itself."""

    # What an operator should look at, the worst first; none where it is healthy.
    troubles: NotRequired[list[Trouble]]
    # In a word.
    verdict: Verdict


class Hindrance(TypedDict):
    """What keeps a newcomer out for now."""

    # The members that it is about.
    nodes: NotRequired[list[NodeId]]
    # As a code: `clock`, `eviction`, `silent`, `unsettled`, `first-out-of-reach`, `token-used` or `banned`.
    reason: str
    # The same as a sentence, with what to do.
    why: str


class History(TypedDict):
    """A page of a name's tenures, earliest first."""

    # Its canonical form.
    key: str
    # The name as asked for.
    name: str
    # The namespace.
    namespace: str
    # Where there are more: give it as `after`. Where very many claimed one tenure, the next page may begin
    # with the rest of it, and its holder once more.
    next: NotRequired[ClaimPlace]
    # This page of its tenures.
    tenures: list[Tenure]


class ListedNamespace(TypedDict):
    """A namespace that is known at the node that is asked."""

    # Whether any of its names was ever claimed.
    has_names: bool
    # The namespace.
    namespace: str
    # Whether its names are private.
    private: bool
    # How its names are written.
    profile: ProfileName
    # Whether somebody has set rules for it; otherwise the defaults are in force.
    rules_set: bool


class Member(TypedDict):
    """A member as another sees it."""

    # Where it listens.
    address: str
    # The prefix of its log that the answering node has.
    applied: int
    # How far its clock is ahead of the answering node's, milliseconds, by its last heartbeat; none where it
    # was never heard.
    clock_offset_ms: NotRequired[int]
    # Whether the answering node is connected to it now; true for itself.
    connected: bool
    # Who has joined in its eviction.
    frozen_by: NotRequired[list[NodeId]]
    # When that last moved.
    heard_at: NotRequired[Time]
    # How much of the answering node's log it says it holds.
    holds_ours: int
    # Its label.
    label: str
    # The member.
    node: NodeId
    # Its latest promise that the answering node believes.
    promise: str
    # How far ahead the timestamps of the answering node's ops are for it, where it does not take them for
    # now, milliseconds.
    refuses_ours_ms: NotRequired[int]
    # How far ahead the timestamps of its ops are that the answering node does not take for now, milliseconds.
    skewed_ms: NotRequired[int]
    # Where it stands.
    state: MemberState
    # The wire version that it speaks, like `1.1`; none where it is not connected.
    wire: NotRequired[str]


class MissedEvents(TypedDict):
    """A gap in what was delivered."""

    # The cursor of the last event that was read before it.
    after: Cursor
    # When it was noticed.
    at: Time
    # The cursor after which the events are kept.
    until: Cursor


class Name(TypedDict):
    """Whether a name can be had."""

    # Whether it can be claimed here and now.
    available: bool
    # Where it was given up and is kept from others for a while: until when. Its former owner may be let have
    # it before.
    free_at: NotRequired[Time]
    # Its canonical form.
    key: str
    # The name that this registration holds, where the two are one name only because they look alike.
    looks_like: NotRequired[str]
    # The name as asked for.
    name: str
    # The namespace.
    namespace: str
    # The registration that leads it, where one does.
    registration: NotRequired[str]
    # When that was accepted.
    since: NotRequired[Time]
    # The same with more detail.
    status: NameStatus
    # Names like it that are free at the answering node, where they were asked for.
    suggestions: NotRequired[list[str]]


class NameRef(TypedDict):
    """A name as a client writes it."""

    # The name as typed.
    name: str
    # The namespace.
    namespace: str


class Namespace(TypedDict):
    """A namespace and the rules in force at the node that is asked."""

    # When that was.
    changed_at: NotRequired[Time]
    # With `username`: which characters may stand in names.
    characters: NotRequired[Characters]
    # The change cannot be lost any more, whoever is evicted; a later one may take its place.
    final: bool
    # Who may take it meanwhile; with `hold_after_release` alone.
    held_for: NotRequired[HeldFor]
    # For how long a name that was released, or given up for another one, is kept from others.
    hold_after_release: NotRequired[Span]
    # With `username`: which look-alikes are one name.
    lookalikes: NotRequired[Lookalikes]
    # Characters at most.
    max_length: int
    # Characters of a name at least: code points as typed, composed (NFC) unless the profile is `opaque`.
    min_length: int
    # The namespace.
    namespace: str
    # Whether only a keyed hash of a name leaves the node that took it, and whether it exists is told to
    # nobody who may not read.
    private: bool
    # How its names are written.
    profile: ProfileName
    # With `email`: whether what follows a `+` before the `@` is left out of account.
    remove_tags: NotRequired[bool]
    # Names that nobody can claim, as typed; whatever has the same canonical form as one of them neither. In a
    # pattern each `*` stands for any characters.
    reserved: list[str]
    # Which change set these rules.
    version: RulesVersion


class NamespaceBody(TypedDict):
    """Rules as they are set: whatever is left out gets its default."""

    # With `username` only: which characters may stand in names; all by default.
    characters: NotRequired[Characters | None]
    # With `hold_after_release` only: who may take it meanwhile; whoever owned it last by default.
    held_for: NotRequired[HeldFor | None]
    # For how long a name that was released, or given up for another one, is kept from others: at most 3650
    # days; not at all by default.
    hold_after_release: NotRequired[Span | None]
    # Set them only if this is the version in force at the node.
    if_version: NotRequired[RulesVersion | None]
    # With `username` only: which look-alikes are one name; by default what looks like ASCII is that.
    lookalikes: NotRequired[Lookalikes | None]
    # Characters at most; 256, the limit on bytes, by default.
    max_length: NotRequired[int | None]
    # Characters of a name at least; 1 by default.
    min_length: NotRequired[int | None]
    # Whether names are private; they are public by default.
    private: NotRequired[bool]
    # How names are written; by default as the namespace's name says.
    profile: NotRequired[ProfileName | None]
    # With `email` only: whether what follows a `+` before the `@` is left out of account; it counts by
    # default.
    remove_tags: NotRequired[bool | None]
    # Names and patterns, with `*` for any characters, that nobody is to claim; none by default.
    reserved: NotRequired[list[str]]


class NamespacePatch(TypedDict):
    """A change of rules, as a JSON merge patch (RFC 7396): what it names is set, `null` gives the default,
and what it does not name stays."""

    # With `username` only: which characters may stand in names; all by default.
    characters: NotRequired[Characters | None]
    # With `hold_after_release` only: who may take it meanwhile; whoever owned it last by default.
    held_for: NotRequired[HeldFor | None]
    # For how long a name that was released, or given up for another one, is kept from others: at most 3650
    # days; not at all by default.
    hold_after_release: NotRequired[Span | None]
    # Set them only if this is the version in force at the node.
    if_version: NotRequired[RulesVersion | None]
    # With `username` only: which look-alikes are one name; by default what looks like ASCII is that.
    lookalikes: NotRequired[Lookalikes | None]
    # Characters at most; 256, the limit on bytes, by default.
    max_length: NotRequired[int | None]
    # Characters of a name at least; 1 by default.
    min_length: NotRequired[int | None]
    # Whether names are private; they are public by default.
    private: NotRequired[bool | None]
    # How names are written; by default as the namespace's name says.
    profile: NotRequired[ProfileName | None]
    # With `email` only: whether what follows a `+` before the `@` is left out of account; it counts by
    # default.
    remove_tags: NotRequired[bool | None]
    # Names and patterns, with `*` for any characters, that nobody is to claim; none by default.
    reserved: NotRequired[list[str] | None]


class Namespaces(TypedDict):
    """A page of the namespaces that are known, in the order of their names."""

    # May be empty although there are more.
    namespaces: list[ListedNamespace]
    # Where to go on: give it as `after`; none at the end.
    next: NotRequired[str]


class NewNamespace(TypedDict):
    """A namespace that was made by its first claim."""

    # Its name.
    namespace: str
    # The profile that it got.
    profile: ProfileName


class Newcomer(TypedDict):
    """A newcomer that is not let in for now."""

    # Where it listens.
    address: str
    # Its label.
    label: str
    # The newcomer.
    node: NodeId
    # What it waits for.
    waits_for: list[Hindrance]


class Overdue(TypedDict):
    """A reservation whose time is over and which has not ended, because the watermark has not passed it."""

    # When the earliest such one was to end.
    since: Time
    # Members whose clocks are not known to have passed that time.
    waiting_for: list[Waiting]


class Problem(TypedDict):
    """A problem, as it travels."""

    # What happened, what it means for the data, what to do next.
    detail: str
    # With `id-reused`, `no-registration`, `too-late`, `permanent` and `too-many-extensions`: which
    # registration.
    id: NotRequired[str]
    # With `too-many-open` and `too-many-held`: how many the owner, or the API token, may have.
    limit: NotRequired[int]
    # With `invalid-name` and `not-held`: as typed.
    name: NotRequired[str]
    # With `name-taken`: which names, and by whom; with `registration-rejected` the lost one, where
    # alternatives were asked for.
    names: NotRequired[list[Name]]
    # With `invalid-name`, `not-held`, `rules-changed` and `namespace-in-use`: which, or of which name.
    namespace: NotRequired[str]
    # With `clock-suspect`: how far the peers are ahead, milliseconds.
    offset_ms: NotRequired[int]
    # With `invalid-name`, `too-late` and `permanent`: a code for why.
    reason: NotRequired[str]
    # With `registration-rejected`: the registration.
    registration: NotRequired[Registration]
    # With `cursor-unknown` and `events-compacted`: the cursor to go on with.
    restart: NotRequired[Cursor]
    # Seconds after which to ask again; also in the header `Retry-After`.
    retry_after: NotRequired[int]
    # With `forbidden`: what the API token lacks.
    scope: NotRequired[Scope]
    # The HTTP status.
    status: int
    # The same for all of its kind.
    title: str
    # Which kind.
    type: ProblemType
    # With `invalid-name`: which rule it breaks, in words.
    why: NotRequired[str]


class Registration(TypedDict):
    """Where a registration stands."""

    # When it was accepted. Never changes.
    accepted_at: Time
    # Whether it was a reservation that was activated in time.
    activated: NotRequired[bool]
    # Its owner, names and metadata were erased.
    erased: NotRequired[bool]
    # When the reservation ends, where it is one that has not been activated.
    expires_at: NotRequired[Time]
    # Its id.
    id: str
    # The application's JSON object.
    metadata: NotRequired[Metadata]
    # Its names; none where it was erased.
    names: NotRequired[list[Claim]]
    # Where it is the first to use them: the namespaces that it has made. Only in the answer to the request
    # itself.
    new_namespaces: NotRequired[list[NewNamespace]]
    # The node that accepted it.
    node: NodeId
    # Its owner; none where it was erased.
    owner: NotRequired[str]
    # Where an eviction had made that void, and the node that accepted it registered it again: when.
    reissued_at: NotRequired[Time]
    # The claim that it lost to, where it is contested or rejected.
    rejected_by: NotRequired[RejectedBy]
    # Where it is a rename: the claim that ends when it is confirmed.
    replaces: NotRequired[ReplacesBody]
    # Its stamp: of two claims to a name the one with the lower stamp wins.
    stamp: str
    # Where it stands.
    status: Status
    # Members that a pending registration waits for.
    waiting_for: NotRequired[list[Waiting]]


class RegistrationBody(TypedDict):
    """What `POST /v1/registrations` takes."""

    # Chosen by the client, so that it may ask again, here or at another node.
    id: NotRequired[str | None]
    # A JSON object, given back with the outcome.
    metadata: NotRequired[Metadata | None]
    # The names: all or none.
    names: list[NameRef]
    # Who is to hold the names.
    owner: str
    # The claim that this registration takes the place of (rename).
    replaces: NotRequired[ReplacesBody | None]
    # So many free alternatives are to be told for each name that is taken or lost; it does not belong to the
    # content.
    suggest: NotRequired[int | None]
    # How long to wait at most.
    timeout: NotRequired[Span | None]
    # How long the reservation lasts; none for a permanent registration.
    ttl: NotRequired[Span | None]
    # When to answer.
    wait: NotRequired[Wait | None]


class Registrations(TypedDict):
    """An owner's registrations, earliest first."""

    # Where there may be more: give it as `after`.
    next: NotRequired[OwnerPlace]
    # This page of them.
    registrations: list[Registration]


class RejectedBy(TypedDict):
    """The claim that a registration lost to."""

    # When it was accepted.
    accepted_at: Time
    # The lost name, as the loser typed it; left out, and empty here, where it is private and was not typed at
    # the answering node.
    name: NotRequired[str]
    # The namespace of the lost name.
    namespace: str
    # The winning registration.
    registration: str
    # Its stamp.
    stamp: str


class ReplacesBody(TypedDict):
    """The claim that a rename ends."""

    # The name.
    name: str
    # Its namespace.
    namespace: str
    # Its registration.
    registration: str


class Replayed(TypedDict):
    """What a replay does."""

    # Dead letters of the answering node that are delivered anew.
    replayed: int


class RotationBody(TypedDict):
    """What `POST /v1/webhooks/{id}/rotate` takes."""

    # For how long deliveries are signed with the present secret as well; none for a day.
    keep_old: NotRequired[Span | None]


class TakenName(TypedDict):
    """A name that somebody has."""

    # When the reservation ends, where it is one that has not been activated.
    expires_at: NotRequired[Time]
    # Its canonical form.
    key: str
    # The application's JSON object.
    metadata: NotRequired[Metadata]
    # The name as its holder typed it; left out, and empty here, where it is private and was not typed at the
    # answering node.
    name: NotRequired[str]
    # The namespace.
    namespace: str
    # Its owner.
    owner: str
    # The registration that leads it.
    registration: str
    # When that was accepted.
    since: Time
    # Where its claim stands.
    status: NameStatus


class TakenNames(TypedDict):
    """A page of the names that are taken, by namespace and key."""

    # May be empty although there are more.
    names: list[TakenName]
    # Where to go on: give it as `after`; none at the end.
    next: NotRequired[Place]


class Tenure(TypedDict):
    """A tenure of a name: who held it, from when till when."""

    # The claim that leads it, by stamp the first.
    holder: Contender
    # Claims that lost to it.
    losers: NotRequired[list[Contender]]
    # When that was accepted.
    since: Time
    # When it ended, where that is final and the answering node has seen it.
    until: NotRequired[Time]


class TokenBody(TypedDict):
    """What `POST /v1/cluster/tokens` takes."""

    # Whether it is a reader's token: with it any number of readers connect, and nobody becomes a member.
    reader: NotRequired[bool]
    # How long the token lets newcomers in, at most 30 days; none for a day. For a reader's token at most ten
    # years; none for a year.
    ttl: NotRequired[Span | None]
    # How many newcomers the token lets in; none for one.
    uses: NotRequired[int | None]


class TokenIssued(TypedDict):
    """A join token."""

    # The token.
    token: str


class Trouble(TypedDict):
    """Something that an operator should look at."""

    # As a code: that of the problem which registrations are refused with, or `fork`, `skewed`, `refuses-
    # ours`, `silent`, `unconnected`, `eviction`, `joining` or `overdue`.
    code: str
    # The command that helps, or tells more.
    command: NotRequired[str]
    # The members that it is about.
    nodes: NotRequired[list[NodeId]]
    # What is wrong and what it means, as a sentence.
    why: str


class Waiting(TypedDict):
    """A member that something waits for."""

    # Its label.
    label: str
    # The member.
    node: NodeId
    # Why its word is not here.
    reason: WaitReason
    # When its promise last moved; none where it has not been heard of since the answering node started.
    since: NotRequired[Time]


class Webhook(TypedDict):
    """A webhook: where the nodes of the cluster post events to."""

    # Whether anything is delivered.
    active: bool
    # When it was changed last.
    changed_at: Time
    # When it was made. Earlier events are not delivered.
    created_at: Time
    # Which events a node delivers.
    deliver: Deliver
    # How the deliveries of the answering node stand; none where it has not begun, or the webhook was removed.
    delivery: NotRequired[WebhookDelivery]
    # The change cannot be lost any more, whoever is evicted.
    final: bool
    # Its id.
    id: str
    # Until when deliveries are signed with the secret before the present one as well.
    old_secret_until: NotRequired[Time]
    # The secret, in the answer that makes it and never again: `whsec_` and base64.
    secret: NotRequired[str]
    # Only these types of event; an empty list means all.
    types: list[str]
    # Where events are posted to.
    url: str


class WebhookBody(TypedDict):
    """What `POST /v1/webhooks` takes."""

    # Which events a node delivers; those of the registrations that it accepted by default.
    deliver: NotRequired[Deliver | None]
    # Only these types of event, as the feed names them; all by default.
    types: NotRequired[list[str]]
    # Where events are posted to: an `http` or `https` URL.
    url: str


class WebhookDelivery(TypedDict):
    """How the deliveries of one node to a webhook stand."""

    # Dead letters: events that were given up, and can be replayed.
    dead: int
    # Events that were delivered since the node started.
    delivered: int
    # When that was last.
    delivered_at: NotRequired[Time]
    # Events of the feed that were not read yet, whether they are for this webhook or not, and those that
    # wait.
    lag_events: int
    # Why an attempt failed last, where none has succeeded since.
    last_error: NotRequired[str]
    # When that was.
    last_error_at: NotRequired[Time]
    # Events that the node no longer kept when it was to read them, so that they were not delivered: the last
    # such gap.
    missed: NotRequired[MissedEvents]
    # Events that are read and not delivered.
    waiting: int


class WebhookPatch(TypedDict):
    """What `PATCH /v1/webhooks/{id}` takes: what is left out stays."""

    # `false` stops the deliveries, `true` lets them go on where they stopped.
    active: NotRequired[bool | None]
    # Which events a node delivers.
    deliver: NotRequired[Deliver | None]
    # Only these types of event; an empty list for all.
    types: NotRequired[list[str] | None]
    # Where events are posted to.
    url: NotRequired[str | None]


class WebhookTest(TypedDict):
    """What became of a test of a webhook."""

    # Whether the receiver took the test event.
    delivered: bool
    # Why it was not delivered.
    error: NotRequired[str]
    # The HTTP status of its answer, where it gave one.
    status: NotRequired[int]


class Webhooks(TypedDict):
    """All webhooks of a cluster."""

    # In the order of their ids.
    webhooks: list[Webhook]
