//! Operations: what nodes tell each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Chain, Setting};
use crate::clock::{Hlc, NodeId, Stamp};
pub use crate::model::Seq;
use crate::name::Rules;

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

/// Where a log ends that counts no further: how many of its ops count, and their hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Cut {
    /// The last op that counts.
    pub seq: Seq,
    /// The hash of the log up to and with it.
    pub chain: Chain,
}

/// What an op says. New bodies are added at the end: the encoding counts them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// Claims names.
    Register(Register),
    /// Makes a reservation permanent.
    Activate {
        /// The reservation.
        registration: Stamp,
    },
    /// Ends a claim.
    Release(ClaimRef),
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
        /// Where the freezing member knows that somebody holds other ops under the same numbers: the prefix that it had
        /// decided by then.
        forked: Option<Seq>,
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
    /// Gives a namespace its rules. Of several the one with the greatest stamp stands.
    Namespace {
        /// The namespace.
        namespace: String,
        /// Its rules from now on.
        rules: Box<Rules>,
    },
    /// Lets a reservation last longer.
    Extend {
        /// The reservation.
        registration: Stamp,
        /// When it ends now, where this comes before its end and is later.
        expires: Hlc,
    },
    /// Ends all claims of a registration, and takes its owner, its names and its metadata from all nodes once that is
    /// final.
    Erase {
        /// The registration.
        registration: Stamp,
    },
    /// Changes settings of the cluster. Of several changes of one setting the one with the greatest stamp stands.
    Configure {
        /// What is changed.
        settings: Vec<Setting>,
    },
}

impl Body {
    /// Whether it decides about membership, or about what all members have in common. Such ops are few and kept for ever.
    #[must_use]
    pub fn is_membership(&self) -> bool {
        match self {
            Self::Register(_) | Self::Activate { .. } | Self::Release(_) => false,
            Self::Namespace { .. } | Self::Extend { .. } | Self::Erase { .. } => false,
            Self::Admit { .. } | Self::Freeze { .. } | Self::Depart => true,
            Self::Evict { .. } | Self::Retire { .. } | Self::Configure { .. } => true,
        }
    }
}

/// A registration as it travels: all of its claims or none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Register {
    /// The id that the client chose; none where the accepting node made it from the stamp.
    pub id: Option<Uuid>,
    /// The application's word for who holds the names.
    pub owner: String,
    /// The names; no two of one key.
    pub claims: Vec<Claim>,
    /// Where it is a reservation: when it ends unless it is activated before.
    pub expires: Option<Hlc>,
    /// The claim that ends when this registration is confirmed (rename).
    pub replaces: Option<ClaimRef>,
    /// The application's JSON object, kept as text.
    pub metadata: Option<String>,
}

/// One name of a registration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The namespace.
    pub namespace: String,
    /// The canonical form, or what stands for it in a private namespace, computed once by the accepting node.
    pub key: String,
    /// The name as typed; empty in a private namespace.
    pub name: String,
    /// The claim whose tenure this one follows; none for a name never held.
    pub after: Option<Stamp>,
}

/// Points at one claim.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ClaimRef {
    /// The claim's registration.
    pub registration: Stamp,
    /// Its namespace.
    pub namespace: String,
    /// Its key.
    pub key: String,
}
