//! Operations: the entries of the logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chain::{Chain, Cut};
use super::settings::Setting;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::crdt::NameOp;
pub use crate::model::Seq;

/// What tells one join token from all others.
pub type TokenNonce = [u8; 16];

/// An operation: one entry of a node's gap-free log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Op {
    /// The origin.
    pub node: NodeId,
    /// Its place in the origin's log.
    pub seq: Seq,
    /// Its timestamp; rises with `seq`.
    pub hlc: Hlc,
    /// The hash of the origin's log up to and with this op.
    pub chain: Chain,
    /// What it says.
    pub body: Body,
}

impl Op {
    /// The next op of a log whose hash so far is `after`.
    #[must_use]
    pub fn new(node: NodeId, seq: Seq, hlc: Hlc, after: Chain, body: Body) -> Self {
        let chain = after.then(node, seq, hlc, &body);
        Self { node, seq, hlc, chain, body }
    }

    /// Whether it continues a log whose hash so far is `after`.
    #[must_use]
    pub fn continues(&self, after: Chain) -> bool {
        self.chain == after.then(self.node, self.seq, self.hlc, &self.body)
    }

    /// Its stamp.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { hlc: self.hlc, node: self.node }
    }
}

/// What an op says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// Something about names: the registry's, and opaque to the log.
    Name(NameOp),
    /// Something about the membership, or what all members have in common: the log's.
    Member(MemberOp),
}

impl Body {
    /// Whether it decides about membership, or about what all members have in common. Such ops are few and kept for ever.
    #[must_use]
    pub fn is_membership(&self) -> bool {
        matches!(self, Self::Member(_))
    }
}

/// What an op says about the membership, and what all members have in common. New ones are added at the end: the encoding counts them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MemberOp {
    /// The first member lets a newcomer in: with this op it is a member.
    Admit {
        /// The newcomer.
        node: NodeId,
    },
    /// A member takes nothing of a node's log beyond `seq` any more: its part in an eviction.
    Freeze {
        /// Who is to be evicted.
        node: NodeId,
        /// The prefix of its log that the freezing member has.
        seq: Seq,
        /// The hash of that prefix.
        chain: Chain,
        /// The prefix of which the freezing member knows that a majority holds it. It decides no more of this log until the
        /// cut counts.
        held: Seq,
        /// The freezing member knows that somebody holds other ops under the same numbers.
        forked: bool,
    },
    /// The origin leaves the cluster; its last op.
    Depart,
    /// An eviction is done: the prefixes of the logs of those who are out that count. Each of those who stay declares it
    /// in its own log before anything that rests on it.
    Evict {
        /// By evicted node.
        cuts: BTreeMap<NodeId, Cut>,
    },
    /// Whoever has the key of this node begins anew under a later incarnation: it will issue nothing more. It is frozen at
    /// what the members have of its log.
    Retire {
        /// The earlier incarnation.
        node: NodeId,
    },
    /// Changes settings of the cluster. Of several changes of one setting the one with the greatest stamp stands.
    Configure {
        /// What is changed.
        settings: Vec<Setting>,
    },
    /// A newcomer is let in by a join token that lets in a limited number. The next op of the origin is the newcomer's
    /// `Admit`.
    Spend {
        /// Which token.
        token: TokenNonce,
    },
    /// A key is kept out of the cluster, or is not any more. Of several about one key that with the greatest stamp stands.
    Ban {
        /// The first incarnation of the key.
        node: NodeId,
        /// Whether it is kept out.
        banned: bool,
    },
}
