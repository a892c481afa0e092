//! Views of registrations, names, rules and events.

use uuid::Uuid;

use crate::clock::{Millis, NodeId, Stamp};
use crate::model::Cursor;
pub use crate::model::{
    Claim as ClaimView, EndReason, EventType, NameStatus, RejectedBy, RulesVersion, Status, Waiting,
};
use crate::name::Rules;

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
