//! Which rows a reader asks for.

use uuid::Uuid;

use super::EventType;
use super::text::Time;

/// Which events; every condition given must be met.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventQuery {
    /// Only events at or after this time.
    pub since: Option<Time>,
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
    /// Events of one page.
    pub limit: Option<usize>,
}

/// Which names a list or a report is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NameQuery {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Rows of a page at most.
    pub limit: Option<usize>,
}
