//! What a replica answers to clients.

use uuid::Uuid;

use super::queries::{ConflictPage, HistoryPage, NameExplanation, NamePage, RegistrationExplanation};
use super::refusal::Refusal;
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::log::Obstacle;
use crate::log::Settings;
pub use crate::model::{
    Claim as ClaimView, EndReason, EventType, Fork as ForkView, NameStatus, RejectedBy, RulesVersion, Status, Waiting,
};
use crate::model::{ClusterId, Cursor, Seq};
use crate::name::Rules;

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
    /// The name of that registration as typed, where the two are one name only because they look alike.
    pub looks_like: Option<String>,
    /// Where it was given up and is kept from others: until when.
    pub free_at: Option<Millis>,
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
    /// The registration as it stood then, without whom it waited for.
    pub registration: RegistrationView,
    /// With [`EventType::NameEnded`], the name.
    pub ended: Option<NameEnd>,
}

impl Event {
    /// Its id, the same at every node and for ever: the registration's and what happened, and for the end of a name its
    /// namespace and key. Where the registration was erased, the name's place among its names stands for the key.
    #[must_use]
    pub fn id(&self) -> String {
        let id = self.registration.id;
        match (self.event_type, &self.ended) {
            (EventType::Accepted, _) => format!("{id}/accepted"),
            (EventType::Contested, _) => format!("{id}/contested"),
            (EventType::Confirmed, _) => format!("{id}/confirmed"),
            (EventType::Rejected, _) => format!("{id}/rejected"),
            (EventType::Activated, _) => format!("{id}/activated"),
            (EventType::NameEnded, None) => format!("{id}/ended"),
            (EventType::NameEnded, Some(end)) => {
                let NameEnd { index, name: ClaimView { namespace, key, .. }, .. } = end;
                if key.is_empty() {
                    format!("{id}/ended/{namespace}/#{index}")
                } else {
                    format!("{id}/ended/{namespace}/{key}")
                }
            }
        }
    }
}

/// The end of a confirmed claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameEnd {
    /// The name's place among the names of its registration, from 0.
    pub index: usize,
    /// The name.
    pub name: ClaimView,
    /// Why it ended.
    pub reason: EndReason,
}

/// The cluster as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterView {
    /// The cluster's id; none while a newcomer has no state.
    pub id: Option<ClusterId>,
    /// The settings that are in force here.
    pub settings: Settings,
    /// This node.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Whether it is a member, so that it takes registrations.
    pub member: bool,
    /// All members, this node included, by id.
    pub members: Vec<MemberView>,
    /// Everything at or below it has arrived.
    pub watermark: Hlc,
    /// Registrations not yet final here.
    pub pending: u64,
    /// Members that the oldest pending registration waits for.
    pub waiting_for: Vec<Waiting>,
    /// A reservation whose time is over and which cannot end yet.
    pub overdue: Option<OverdueView>,
    /// Where this node's clock is off from the median of the members by more than allowed: by how much, milliseconds;
    /// positive where the others are ahead.
    pub clock_suspect: Option<i64>,
    /// Newcomers that wait to be let in, as far as this node was asked or told.
    pub newcomers: Vec<NewcomerView>,
    /// Where this node is a newcomer itself, what it waits for, as far as it was told.
    pub waits_for: Option<Vec<Obstacle>>,
    /// Where this node was asked to leave and has not departed: members that do not hold yet what it hands over, or without which too few would be left in contact.
    pub leaving: Option<Vec<NodeId>>,
    /// The eviction that is under way.
    pub eviction: Option<EvictionView>,
    /// Logs of which two nodes hold different ops under one number.
    pub forks: Vec<ForkView>,
    /// For how many milliseconds the disk has made nothing durable, where that is long.
    pub disk_hangs: Option<u64>,
    /// The places before the earliest event that this node keeps, and of the last; the same where there is none.
    pub events: (Cursor, Cursor),
    /// Those who are out, each with the prefix of its log that counts.
    pub evicted: Vec<(NodeId, Seq)>,
    /// Keys that are kept out, by their first incarnations.
    pub banned: Vec<NodeId>,
}

/// A newcomer that is not let in for now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewcomerView {
    /// The newcomer.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Where it listens.
    pub address: String,
    /// What it waits for.
    pub waits_for: Vec<Obstacle>,
}

/// A reservation whose time is over and which has not ended, because the watermark has not passed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OverdueView {
    /// When the earliest such one was to end.
    pub since: Millis,
    /// Members whose clocks are not known to have passed that time.
    pub waiting_for: Vec<Waiting>,
}

/// An eviction that is not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvictionView {
    /// Who goes.
    pub nodes: Vec<NodeId>,
    /// Who stays and has yet to freeze some of them.
    pub waiting_for: Vec<NodeId>,
    /// Ops that are missing here: whose log, and up to which seq.
    pub missing: Vec<(NodeId, Seq)>,
    /// Those who stay are a majority, or none is needed because the others have come back under new ids.
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
    /// It was asked to leave: known of the answering node alone.
    pub leaving: bool,
    /// Who has frozen it: an eviction is under way.
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
    /// How far its clock is ahead of this node's, milliseconds, by its last heartbeat; none where it was never heard.
    pub clock_offset: Option<i64>,
    /// How far ahead the timestamps of its ops are that this node does not take for now, milliseconds.
    pub skewed: Option<u64>,
    /// How far ahead the timestamps of this node's ops are for it, where it does not take them for now, milliseconds.
    pub refuses_ours: Option<u64>,
}

/// What becomes of a request in the step that takes it: an answer, or none yet.
pub(crate) type Outcome = Result<Option<Answer>, Refusal>;
