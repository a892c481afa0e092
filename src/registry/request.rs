//! What clients want to change, and of which names and events they ask.

use std::fmt;

use uuid::Uuid;

use super::quota::Charge;
use crate::model::{NameRef, ReplacesBody, RulesVersion};
use crate::name::Rules;

/// A change that a client asks for. Each is answered with the registration that it is about, as it stands when the step
/// ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
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
        /// Milliseconds from now until it ends, 1 to [`MAX_TTL`](crate::model::limits::MAX_TTL).
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
        name: NameRef,
    },
}

impl Command {
    /// Whether it takes names, or asks for them to be taken for longer.
    #[must_use]
    pub fn takes_names(&self) -> bool {
        matches!(self, Self::Register(_) | Self::Extend { .. })
    }
}

/// New rules for a namespace. They apply at this node from the answer on, elsewhere once they arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetRules {
    /// The namespace.
    pub namespace: String,
    /// The rules.
    pub rules: Box<Rules>,
    /// Only where this is the version in force here.
    pub if_version: Option<RulesVersion>,
}

/// How long an answer may wait for its outcome to be final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AwaitFinal {
    /// Milliseconds at most.
    pub at_most: u64,
    /// Also while the outcome needs a member that is out of reach, or whose clock is too far ahead.
    pub always: bool,
}

impl AwaitFinal {
    /// For so many milliseconds, whoever is out of reach.
    #[must_use]
    pub fn always(at_most: u64) -> Self {
        Self { at_most, always: true }
    }

    /// For so many milliseconds, and only while every member that is needed is in reach.
    #[must_use]
    pub fn in_reach(at_most: u64) -> Self {
        Self { at_most, always: false }
    }
}

/// A registration as a client asks for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegisterRequest {
    /// Chosen by the client, so that it may ask again, here or at another node.
    pub id: Option<Uuid>,
    /// Who is to hold the names.
    pub owner: String,
    /// The names, 1 to [`MAX_NAMES`](crate::model::limits::MAX_NAMES).
    pub names: Vec<NameRef>,
    /// Milliseconds until the reservation ends; none for a permanent registration.
    pub ttl: Option<u64>,
    /// The claim that this registration takes the place of (rename).
    pub replaces: Option<ReplacesBody>,
    /// A JSON object as text, given back with the outcome.
    pub metadata: Option<String>,
    /// Answer only when the outcome is final, or when the wait ends, with what is known then; none: as soon as it is
    /// accepted.
    pub wait: Option<AwaitFinal>,
    /// What it counts for at this node, where callers are told apart.
    pub charge: Option<Charge>,
}

/// A secret for a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(pub [u8; 32]);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}
