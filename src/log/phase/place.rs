//! The data of a phase: what a newcomer lacks, a comparison of logs, a leave, a departure, why an incarnation is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Millis, NodeId};
use crate::log::chain::Cut;
use crate::log::op::Seq;

/// What a newcomer with a whole state lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lacks {
    /// The op that admits it, and the secrets.
    Both,
    /// The op that admits it. It has got the secrets, so it takes ops.
    Admission,
    /// The secrets. It takes no ops, because they may name private names.
    Secrets,
}

/// The reason why this incarnation is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Out {
    /// An eviction has cut the node's log at this number.
    Evicted(Seq),
    /// The node holds ops that an eviction has made void.
    HoldsVoid,
}

/// A message of a peer that ends this incarnation. It takes effect at the end of the step, because what the step has
/// taken before still counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::log) enum Notice {
    /// This node is out, and its log ends at this number.
    Evicted(Seq),
    /// No peer that is connected has the ops that this node lacks.
    LeftBehind,
}

/// The prefixes of the logs of others that a node acknowledges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::log) enum Acknowledges<'a> {
    /// It acknowledges all that it has.
    All,
    /// It acknowledges these prefixes only, whatever ops have arrived since.
    HandedOver(&'a BTreeMap<NodeId, Cut>),
    /// It acknowledges nothing: it may have to take another state under its id, and others remember what that id has
    /// acknowledged.
    Nothing,
}

/// The comparison of logs of a node that starts.
#[derive(Clone, Debug)]
pub(crate) struct ChainCheck {
    /// When the first step began; none before. What a process reads when it opens its store may take long.
    pub(in crate::log) since: Option<Millis>,
    /// The peers whose copies of this node's log agree with it.
    pub(in crate::log) compared: BTreeSet<NodeId>,
}

impl ChainCheck {
    pub(in crate::log) fn new() -> Self {
        Self { since: None, compared: BTreeSet::new() }
    }
}

/// A leave that the node was asked for, until the last op is issued.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    pub(in crate::log) began: Millis,
    /// What this node acknowledges of each log of another node.
    pub(in crate::log) acknowledged: BTreeMap<NodeId, Cut>,
    /// The other leaving members that this node lets go before itself.
    pub(in crate::log) yields_to: BTreeSet<NodeId>,
    /// True while this node behaves like a member that stays.
    pub(in crate::log) steps_back: bool,
}

/// The departure of a node that has issued its last op.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departed {
    /// The number of its last op.
    pub(in crate::log) last: Seq,
    /// The prefixes of the logs of others that it had handed over then; none where the process has started since.
    pub(in crate::log) handed_over: BTreeMap<NodeId, Cut>,
    /// The members that have said that they have the last op.
    pub(in crate::log) known_by: BTreeSet<NodeId>,
}
