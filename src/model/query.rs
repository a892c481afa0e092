//! Queries of the event feed, and of lists and reports of names.

use uuid::Uuid;

use super::EventType;
use super::text::Time;

/// The events that a reader asks for. An event must meet every condition that is given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventQuery {
    /// Only events at or after this time.
    pub since: Option<Time>,
    /// Only these types; an empty list means all.
    pub types: Vec<EventType>,
    /// Only registrations of this owner.
    pub owner: Option<String>,
    /// Only this registration.
    pub registration: Option<Uuid>,
    /// Only registrations with a name in this namespace.
    pub namespace: Option<String>,
    /// Only registrations that this node accepted.
    pub local: bool,
    /// The number of events in one page.
    pub limit: Option<usize>,
}

/// The names that a list or a report is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameQuery {
    /// Only names of this namespace.
    pub namespace: Option<String>,
    /// The number of rows in one page.
    pub limit: Option<usize>,
}
