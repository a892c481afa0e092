//! Commands of clients, and the parameters of their requests.

use std::fmt;

use uuid::Uuid;

use super::quota::Charge;
use crate::model::{NameRef, ReplacesBody, RulesVersion};
use crate::name::Rules;

/// A change that a client asks for. It is answered with the registration concerned, as of the end of the step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Claims names, all or none.
    Register(RegisterRequest),
    /// Makes a reservation permanent.
    Activate {
        /// The reservation's id.
        id: Uuid,
    },
    /// Extends a reservation; never shortens it.
    Extend {
        /// The reservation's id.
        id: Uuid,
        /// Milliseconds from now until it ends, 1 to [`MAX_TTL`](crate::model::limits::MAX_TTL).
        ttl: u64,
    },
    /// Releases all names of a registration.
    Release {
        /// The registration's id.
        id: Uuid,
    },
    /// Releases all names of a registration, and erases its owner, names and metadata at all nodes once that is final.
    /// Also possible where it is over already.
    Erase {
        /// The registration's id.
        id: Uuid,
    },
    /// Releases one name.
    ReleaseName {
        /// The owner, who must hold the name.
        owner: String,
        /// The name.
        name: NameRef,
    },
}

impl Command {
    /// Returns true where the command takes names or keeps them for longer.
    #[must_use]
    pub fn takes_names(&self) -> bool {
        matches!(self, Self::Register(_) | Self::Extend { .. })
    }
}

/// New rules for a namespace. They apply at this node from the answer on, and at other nodes once they arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetRules {
    /// The namespace.
    pub namespace: String,
    /// The rules.
    pub rules: Box<Rules>,
    /// The version that must be in force here; none for any version.
    pub if_version: Option<RulesVersion>,
}

/// How long an answer may wait for a final outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AwaitFinal {
    /// Greatest wait in milliseconds.
    pub at_most: u64,
    /// True where it waits also while a needed member is out of reach or its clock is too far ahead.
    pub always: bool,
}

impl AwaitFinal {
    /// Waits this many milliseconds at most, even if a needed member is out of reach.
    #[must_use]
    pub fn always(at_most: u64) -> Self {
        Self { at_most, always: true }
    }

    /// Waits this many milliseconds at most, and only while every needed member is in reach.
    #[must_use]
    pub fn in_reach(at_most: u64) -> Self {
        Self { at_most, always: false }
    }
}

/// A registration as a client asks for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegisterRequest {
    /// An id that the client chose, so that it may retry here or at another node.
    pub id: Option<Uuid>,
    /// The application's identifier for the holder of the names.
    pub owner: String,
    /// The names, 1 to [`MAX_NAMES`](crate::model::limits::MAX_NAMES).
    pub names: Vec<NameRef>,
    /// Milliseconds until the reservation ends; none for a permanent registration.
    pub ttl: Option<u64>,
    /// The claim that this registration replaces (a rename).
    pub replaces: Option<ReplacesBody>,
    /// A JSON object as text, which is returned with the registration.
    pub metadata: Option<String>,
    /// How long to wait with the answer until the outcome is final; the answer then has the state at that time. None:
    /// answer as soon as the registration is accepted.
    pub wait: Option<AwaitFinal>,
    /// The API token that it is charged to, where the node distinguishes callers.
    pub charge: Option<Charge>,
}

/// The secret of a cluster, from which the key of private names is derived.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(pub [u8; 32]);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}
