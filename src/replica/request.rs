//! What clients ask of a replica, and its answers. The HTTP interface, the library and the simulator use these.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::charges::Charge;
use super::reading::{ConflictPage, HistoryPage, NameExplanation, NamePage, Place, RegistrationExplanation};
use crate::clock::{Hlc, Millis, NodeId, Stamp};
pub use crate::crdt::EndReason;
use crate::crdt::Seq;
use crate::name::{Profile, Rules};

/// A place in a node's event feed; the first event's is 1.
pub type Cursor = u64;

/// A client's request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Claims names, all or none.
    Register(RegisterRequest),
    /// Makes a reservation permanent.
    Activate {
        /// The reservation.
        id: Uuid,
    },
    /// Lets a reservation last longer. Never shortens it.
    Extend {
        /// The reservation.
        id: Uuid,
        /// Milliseconds from now until it ends, 1 to [`MAX_TTL`](crate::replica::limits::MAX_TTL).
        ttl: u64,
    },
    /// Releases all names of a registration.
    Release {
        /// The registration.
        id: Uuid,
    },
    /// Releases all names of a registration, and has its owner, its names and its metadata erased at all nodes once that
    /// is final; also where it is over already.
    Erase {
        /// The registration.
        id: Uuid,
    },
    /// Releases one name.
    ReleaseName {
        /// Whose claim it must be.
        owner: String,
        /// The name.
        name: NameRequest,
    },
    /// What became of a registration.
    Registration {
        /// Its id.
        id: Uuid,
        /// Answer only when it is final, or after so many milliseconds with what is known then.
        wait: Option<u64>,
    },
    /// Who holds a name.
    Name(NameRequest),
    /// The tenures of a name.
    History {
        /// The name.
        name: NameRequest,
        /// Without so many of them.
        after: usize,
        /// At most so many.
        limit: usize,
    },
    /// Names that were claimed more than once.
    Conflicts {
        /// Only of this namespace.
        namespace: Option<String>,
        /// Only what happened at or after this time, or is still open.
        since: Option<Millis>,
        /// Where the page before this one ended.
        after: Option<Place>,
        /// At most so many.
        limit: usize,
    },
    /// What decides a registration, and what it waits for.
    ExplainRegistration(Uuid),
    /// What decides a name, and what it waits for.
    ExplainName(NameRequest),
    /// Whether each of these names can be had, 1 to [`MAX_CHECKED`](crate::replica::limits::MAX_CHECKED).
    Names(Vec<NameRequest>),
    /// Names like this one that are free.
    Suggest {
        /// The name that is taken.
        name: NameRequest,
        /// At most so many, up to [`MAX_SUGGESTIONS`](crate::replica::limits::MAX_SUGGESTIONS).
        count: usize,
    },
    /// The names that are taken.
    List {
        /// Only of this namespace.
        namespace: Option<String>,
        /// Only names whose keys begin as that of this one does, with a namespace.
        prefix: String,
        /// Where the page before this one ended.
        after: Option<Place>,
        /// At most so many.
        limit: usize,
    },
    /// What became of an owner's registrations, earliest first.
    Owner {
        /// The owner.
        owner: String,
        /// Only those after this one.
        after: Option<Uuid>,
        /// At most so many.
        limit: usize,
    },
    /// A page of the event feed.
    Events {
        /// Only events after this cursor; 0 for all that are kept.
        after: Cursor,
        /// At most so many.
        limit: usize,
        /// Which ones.
        filter: EventFilter,
    },
    /// The rules of a namespace.
    Namespace(String),
    /// Give a namespace its rules. They apply at this node from its answer on, elsewhere once they arrive.
    SetNamespace {
        /// The namespace.
        namespace: String,
        /// The rules.
        rules: Box<Rules>,
        /// Only where this is the version in force here.
        if_version: Option<RulesVersion>,
    },
    /// Members, promises, what the watermark waits for.
    Cluster,
    /// Put a member, or a half-admitted newcomer, out of the cluster for good. Answered as `Cluster` is once it has
    /// begun; it is done when all who stay have joined in.
    Evict(NodeId),
    /// Leave the cluster. Answered as `Cluster` is once it has begun; the node is out when all others know.
    Leave,
    /// The same of somebody who may not be told what is known of private names: registers, activates, releases.
    Discreet(Box<Request>),
}

impl Request {
    /// Whether it may have the node issue an op.
    pub(super) fn issues_ops(&self) -> bool {
        match self {
            Self::Register(_) | Self::Activate { .. } | Self::Release { .. } | Self::ReleaseName { .. } => true,
            Self::Extend { .. } | Self::Erase { .. } | Self::Evict(_) | Self::Leave | Self::SetNamespace { .. } => true,
            Self::Registration { .. } | Self::Name(_) | Self::Owner { .. } | Self::Events { .. } => false,
            Self::Namespace(_) | Self::Cluster => false,
            Self::History { .. } | Self::Conflicts { .. } | Self::ExplainRegistration(_) | Self::ExplainName(_) => {
                false
            }
            Self::Names(_) | Self::Suggest { .. } | Self::List { .. } => false,
            Self::Discreet(request) => request.issues_ops(),
        }
    }
}

/// A name as a client writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct NameRequest {
    /// The namespace.
    pub namespace: String,
    /// The name as typed.
    pub name: String,
}

/// A registration as a client asks for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegisterRequest {
    /// Chosen by the client, so that it may ask again, here or at another node.
    pub id: Option<Uuid>,
    /// Who is to hold the names.
    pub owner: String,
    /// The names, 1 to [`MAX_NAMES`](crate::replica::limits::MAX_NAMES).
    pub names: Vec<NameRequest>,
    /// Milliseconds until the reservation ends; none for a permanent registration.
    pub ttl: Option<u64>,
    /// The claim that this registration takes the place of (rename).
    pub replaces: Option<Replaces>,
    /// A JSON object as text, given back with the outcome.
    pub metadata: Option<String>,
    /// Answer only when the outcome is final, or after so many milliseconds with what is known then; none: as soon as
    /// it is accepted.
    pub wait: Option<u64>,
    /// What it counts for at this node, where callers are told apart.
    pub charge: Option<Charge>,
    /// The client may not be told whether private names exist: taken or not, it is told that they are pending, at once. Set
    /// by [`Request::Discreet`].
    pub discreet: bool,
}

/// The claim that a rename ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaces {
    /// Its registration.
    pub registration: Uuid,
    /// The name.
    pub name: NameRequest,
}

/// Which events a page holds; every condition given must be met.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventFilter {
    /// Only these types; none for all.
    pub types: Vec<EventType>,
    /// Only registrations of this owner.
    pub owner: Option<String>,
    /// Only this registration.
    pub registration: Option<Uuid>,
    /// Only registrations with a name in this namespace.
    pub namespace: Option<String>,
    /// Only registrations that this node accepted.
    pub local: bool,
    /// Only events at or after this time.
    pub since: Option<Millis>,
}

/// What a replica answers; exactly one answer to each request.
pub type Reply = Result<Answer, Refusal>;

/// An answer that is not a refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To `Register`, `Activate`, `Extend`, `Release`, `Erase`, `ReleaseName` and `Registration`.
    Registration(Box<RegistrationView>),
    /// To `Name`.
    Name(NameView),
    /// To `History`.
    History(HistoryPage),
    /// To `Conflicts`.
    Conflicts(ConflictPage),
    /// To `ExplainRegistration`.
    RegistrationExplanation(Box<RegistrationExplanation>),
    /// To `ExplainName`.
    NameExplanation(Box<NameExplanation>),
    /// To `Names`, in the order asked for; a name that cannot be one has its own refusal.
    Names(Vec<Result<NameView, Refusal>>),
    /// To `Suggest`.
    Suggestions(Vec<String>),
    /// To `List`.
    List(NamePage),
    /// To `Owner`.
    Registrations(Vec<RegistrationView>),
    /// To `Events`.
    Events(EventPage),
    /// To `Namespace` and `SetNamespace`.
    Namespace(Box<NamespaceView>),
    /// To `Cluster`.
    Cluster(Box<ClusterView>),
}

/// Where a registration stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not yet final.
    Pending,
    /// Not yet final, but an earlier claim to one of its names is known.
    Contested,
    /// It has its names. Final.
    Confirmed,
    /// It has none of them. Final.
    Rejected,
}

impl Status {
    /// Whether it stands for good.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Rejected)
    }
}

/// A registration as its client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationView {
    /// Its id.
    pub id: Uuid,
    /// Its owner.
    pub owner: String,
    /// Where it stands.
    pub status: Status,
    /// Its names.
    pub names: Vec<ClaimView>,
    /// The node that accepted it.
    pub node: NodeId,
    /// Its stamp; its `hlc.millis()` is when it was accepted.
    pub stamp: Stamp,
    /// When the reservation ends, where it is one that has not been activated.
    pub expires: Option<Millis>,
    /// Whether it was a reservation that was activated in time.
    pub activated: bool,
    /// The application's JSON object.
    pub metadata: Option<String>,
    /// It was erased: it has no owner and no metadata, and of its names only their namespaces and how they ended are left.
    pub erased: bool,
    /// Members that a pending registration waits for.
    pub waiting_for: Vec<Waiting>,
    /// The claim that it lost to, where it is contested or rejected.
    pub rejected_by: Option<RejectedBy>,
}

/// One name of a registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimView {
    /// The namespace.
    pub namespace: String,
    /// The name as typed; empty for a private one that was not typed at this node.
    pub name: String,
    /// Its canonical form, or the hash of it.
    pub key: String,
    /// How the claim ended, where it finally did.
    pub ended: Option<EndReason>,
}

/// A member that something waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// The member.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// When its promise last moved, by this node's clock; none where it has not been heard of since the start.
    pub since: Option<Millis>,
}

/// The claim that a registration lost to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedBy {
    /// The namespace of the lost name.
    pub namespace: String,
    /// The lost name, as the loser typed it; empty for a private one that was not typed at this node.
    pub name: String,
    /// The winning registration.
    pub registration: Uuid,
    /// Its stamp.
    pub stamp: Stamp,
}

/// Whether a name can be had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameStatus {
    /// It can be claimed here and now.
    Available,
    /// A claim leads that is not yet final.
    Pending,
    /// A confirmed claim holds it.
    Held,
    /// Its claim has ended, but that is not yet final.
    Ending,
}

/// A name as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameView {
    /// The namespace.
    pub namespace: String,
    /// The name as asked for.
    pub name: String,
    /// Its canonical form.
    pub key: String,
    /// Whether it can be had.
    pub status: NameStatus,
    /// The registration that leads it, where one does.
    pub registration: Option<Uuid>,
    /// When that was accepted.
    pub since: Option<Millis>,
}

/// Which rules of a namespace are meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RulesVersion {
    /// The defaults: nobody has set any.
    Default,
    /// Those that this op set.
    Set(Stamp),
}

/// The rules of a namespace as this node sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamespaceView {
    /// The namespace.
    pub namespace: String,
    /// Its rules.
    pub rules: Rules,
    /// Which they are.
    pub version: RulesVersion,
    /// The change cannot be lost any more, whoever is evicted; a later one may take its place.
    pub is_final: bool,
}

/// The kind of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum EventType {
    /// This node knows of the registration.
    Accepted,
    /// An earlier claim to one of its names turned up; not yet final.
    Contested,
    /// It has its names. Final.
    Confirmed,
    /// It lost. Final.
    Rejected,
    /// The reservation was made permanent.
    Activated,
    /// A confirmed claim ended.
    NameEnded,
}

/// A page of the feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventPage {
    /// In order.
    pub events: Vec<Event>,
    /// Where the next page begins: give it as `after`.
    pub next: Cursor,
}

/// An event as its reader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its place in this node's feed.
    pub cursor: Cursor,
    /// What happened.
    pub event_type: EventType,
    /// When this node learnt it.
    pub time: Millis,
    /// The registration as it stands now.
    pub registration: RegistrationView,
    /// With [`EventType::NameEnded`], the name and why.
    pub ended: Option<(ClaimView, EndReason)>,
}

/// The cluster as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterView {
    /// This node.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Whether it is a member, so that it takes registrations.
    pub member: bool,
    /// All members and half-admitted newcomers, this node included, by id.
    pub members: Vec<MemberView>,
    /// Everything at or below it has arrived.
    pub watermark: Hlc,
    /// Registrations not yet final here.
    pub pending: u64,
    /// Members that the oldest pending registration waits for.
    pub waiting_for: Vec<Waiting>,
    /// Where this node's clock is off from the median of its peers by more than allowed: by how much, milliseconds.
    pub clock_suspect: Option<i64>,
    /// The eviction or departure that is under way.
    pub eviction: Option<EvictionView>,
    /// The cursors of the earliest event that this node keeps and of the last; where there is none, the last is one less.
    pub events: (Cursor, Cursor),
    /// Those who are out, each with the prefix of its log that counts.
    pub evicted: Vec<(NodeId, Seq)>,
}

/// An eviction or departure that is not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvictionView {
    /// Who goes.
    pub nodes: Vec<NodeId>,
    /// Who stays and has yet to freeze some of them.
    pub waiting_for: Vec<NodeId>,
    /// Ops that are missing here: whose log, and up to which seq.
    pub missing: Vec<(NodeId, Seq)>,
    /// Those who stay are a majority, or none is needed because all leave by themselves.
    pub possible: bool,
}

/// A member as another sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    /// The member.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Where it listens.
    pub address: String,
    /// `false` for a newcomer that some members have yet to welcome.
    pub member: bool,
    /// It said that it leaves.
    pub leaving: bool,
    /// Who has frozen it: an eviction or departure is under way.
    pub frozen_by: Vec<NodeId>,
    /// Whether this node is connected to it now; true for itself.
    pub connected: bool,
    /// Its latest promise that this node believes.
    pub promise: Hlc,
    /// When that last moved, by this node's clock.
    pub heard_at: Option<Millis>,
    /// The prefix of its log that this node has.
    pub applied: Seq,
    /// How much of this node's log it says it holds.
    pub holds_ours: Seq,
    /// How far its clock is ahead of this node's, milliseconds; none where it is not connected.
    pub clock_offset: Option<i64>,
    /// How far ahead the timestamps were that this node last refused to take from it, milliseconds.
    pub skewed: Option<u64>,
}

/// What becomes of a request in the step that takes it: an answer, or none yet.
pub(super) type Outcome = Result<Option<Answer>, Refusal>;

/// Why a request was not done. Nothing was recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Some of the names are held by others.
    #[error("not available: {}; nothing was registered, choose another name", list(.names))]
    NameTaken {
        /// Which ones, and by whom.
        names: Vec<NameView>,
    },
    /// A name breaks a rule of its namespace.
    #[error("{namespace}/{name:?} is not a valid name: {reason}")]
    InvalidName {
        /// The namespace.
        namespace: String,
        /// The name as typed.
        name: String,
        /// Which rule.
        reason: String,
    },
    /// The request breaks a limit or contradicts itself.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The id belongs to a registration with other content.
    #[error("registration id {0} was used before with other content; nothing was registered, choose a new id")]
    IdReused(Uuid),
    /// The owner has as many open registrations as it may.
    #[error(
        "owner {owner:?} has {limit} registrations that are undecided or reservations not activated, which is the limit \
         per owner at this node; nothing was registered. Activate or release some, or wait until they are decided"
    )]
    TooManyOpen {
        /// Whose.
        owner: String,
        /// How many it may have.
        limit: u32,
    },
    /// An API token has as many open registrations as it may.
    #[error(
        "the API token {token:?} has {limit} registrations that are undecided or reservations not activated, which is its \
         limit at this node; nothing was registered. Activate or release some, or wait until they are decided"
    )]
    TokenTooManyOpen {
        /// The token's name.
        token: String,
        /// How many it may have.
        limit: u32,
    },
    /// No such registration is known here.
    #[error("no registration {0} is known to this node; if it was accepted elsewhere, it may not have arrived yet")]
    NoRegistration(Uuid),
    /// The name is not held, so nothing can be released.
    #[error("{namespace}/{name} is not held by owner {owner:?}; nothing was released")]
    NotHeld {
        /// The namespace.
        namespace: String,
        /// The name as typed.
        name: String,
        /// The owner given.
        owner: String,
    },
    /// The registration has ended or lost, so the request has no effect any more.
    #[error("registration {id} {why}; nothing was changed")]
    TooLate {
        /// Which.
        id: Uuid,
        /// What stands against it.
        why: String,
    },
    /// The registration is permanent, so there is nothing to extend.
    #[error(
        "registration {id} {why}, so it does not end by itself and there is nothing to extend; nothing was changed"
    )]
    Permanent {
        /// Which.
        id: Uuid,
        /// Since when.
        why: String,
    },
    /// The reservation was extended too often for now.
    #[error(
        "reservation {id} was extended {limit} times, and not all nodes are known to know of that, so no more extensions \
         are taken here; it lasts as long as it was last told. Extend it by more at once, or again once that is final: \
         `forename status` shows which member is waited for"
    )]
    TooManyExtensions {
        /// Which.
        id: Uuid,
        /// How many are open at most.
        limit: usize,
    },
    /// The namespace has other rules than the caller has seen.
    #[error(
        "namespace {namespace} has other rules by now: version {version}; nothing was changed, look at them and set yours again"
    )]
    RulesChanged {
        /// The namespace.
        namespace: String,
        /// The version in force here.
        version: RulesVersion,
    },
    /// Names of the namespace are taken, and the change would give the same names other keys.
    #[error(
        "namespace {namespace} has names already, whose keys follow profile {} and whether they are private; they would not be \
         found under other ones, and could be taken twice. Nothing was changed: keep that, or begin a new namespace",
        .profile.name()
    )]
    NamespaceInUse {
        /// The namespace.
        namespace: String,
        /// Its profile.
        profile: Profile,
    },
    /// Members of an older version could not read what is asked for.
    #[error(
        "members that run an older version, or have not been connected since this one was upgraded, could not read what \
         is asked for: {}; nothing was changed, upgrade them or wait until they are connected",
        .nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    OlderMembers {
        /// Which.
        nodes: Vec<NodeId>,
    },
    /// The caller may not be told what the answer would tell.
    #[error(
        "{0}: only callers who may read are answered about that, since it would tell whether a private name exists; nothing \
         was done"
    )]
    NeedsRead(
        /// What it is about.
        &'static str,
    ),
    /// This node is not a member yet.
    #[error("this node is still joining the cluster and takes no requests; ask another node, or again later")]
    NotMember,
    /// This node's clock is off from its peers'.
    #[error(
        "this node's clock is off from the median of its peers by {offset} ms; it refuses new registrations until the clock is right"
    )]
    ClockSuspect {
        /// Positive where the peers are ahead.
        offset: i64,
    },
    /// There is no such member.
    #[error("{0} is no member of this cluster; nothing was changed. `forename member list` shows the members")]
    NoMember(NodeId),
    /// An eviction is under way and cannot be taken back.
    #[error("{0} is on its way out already; wait until that is done. `forename member list` shows what it waits for")]
    BeingEvicted(NodeId),
    /// Those who would stay are no majority.
    #[error(
        "evicting {node} would leave no majority of the {members} members and {joining} newcomers; nothing was changed. Bring another node back first, or evict a newcomer that is half-way in"
    )]
    NoMajority {
        /// Who was to go.
        node: NodeId,
        /// Members now.
        members: usize,
        /// Newcomers on their way in.
        joining: usize,
    },
    /// A cluster keeps one member at least.
    #[error("this is the last member; with it the cluster would end. Stop the node instead")]
    LastMember,
    /// The node is leaving.
    #[error("this node is leaving the cluster and takes no more requests; ask another node")]
    Leaving,
    /// Events that were asked for are no longer kept.
    #[error(
        "the events after cursor {after} are no longer all kept: this node's feed begins at {earliest}. No registration or \
         name is lost, but events that you have not read are; read anew what became of the owners or registrations that \
         you follow, and go on after cursor {}",
        earliest - 1
    )]
    EventsCompacted {
        /// Where the reader stood.
        after: Cursor,
        /// The earliest event that is kept.
        earliest: Cursor,
    },
    /// The node is stopping or cannot keep up.
    #[error("the node cannot take the request now: {0}; nothing is known of it, ask again with the same id")]
    Unavailable(String),
}

impl fmt::Display for RulesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Set(stamp) => stamp.fmt(f),
        }
    }
}

fn list(names: &[NameView]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{}/{}", name.namespace, name.name)).collect();
    names.join(", ")
}
