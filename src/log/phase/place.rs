//! What belongs to a phase: what a newcomer lacks, a comparison, a leave, a departure, why an incarnation is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Millis, NodeId};
use crate::log::chain::Cut;
use crate::log::config::Now;
use crate::log::op::Seq;

/// What a newcomer with a whole state lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lacks {
    /// The op that lets it in, and the secrets.
    Both,
    /// The op that lets it in. It has been told the secrets, so it takes ops.
    Admission,
    /// The secrets. It takes no ops, which may speak of private names.
    Secrets,
}

/// Why this incarnation is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Out {
    /// An eviction has cut its log at this number.
    Evicted(Seq),
    /// It holds ops that an eviction has made void.
    HoldsVoid,
}

/// What a peer has said that ends this incarnation. It takes effect at the end of a step: what the step has taken in before
/// still counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::log) enum Notice {
    /// This node is out, and its log ends at this number.
    Evicted(Seq),
    /// Nobody in reach has what it lacks any more.
    LeftBehind,
}

/// What a node says that it holds of the logs of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::log) enum Acknowledges<'a> {
    /// All that is here.
    All,
    /// So much of each log, whatever has come since.
    HandedOver(&'a BTreeMap<NodeId, Cut>),
    /// Nothing: it may have to take another state under its id, and others remember what that id has said.
    Nothing,
}

/// Whose copies of its log a node that starts has compared with its own.
#[derive(Clone, Debug)]
pub(crate) struct ChainCheck {
    pub(in crate::log) since: Millis,
    /// Whose copies agree with it.
    pub(in crate::log) compared: BTreeSet<NodeId>,
}

impl ChainCheck {
    pub(in crate::log) fn at(now: Now) -> Self {
        Self { since: now.elapsed, compared: BTreeSet::new() }
    }
}

/// A leave that was asked for, until the last op is issued.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    pub(in crate::log) began: Millis,
    /// What this node acknowledges of each log of others.
    pub(in crate::log) acknowledged: BTreeMap<NodeId, Cut>,
    /// Other members that leave and that this node lets go first.
    pub(in crate::log) yields_to: BTreeSet<NodeId>,
    /// For now this node is as one that stays.
    pub(in crate::log) steps_back: bool,
}

/// A node that has issued its last op.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departed {
    /// The number of its last op.
    pub(in crate::log) last: Seq,
    /// What it had handed over of each log then; nothing where its process has started since.
    pub(in crate::log) handed_over: BTreeMap<NodeId, Cut>,
    /// Members that have said that they have the last op.
    pub(in crate::log) known_by: BTreeSet<NodeId>,
}
