//! What replicas say to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::log::barred::Pass;
use crate::log::chain::Chain;
use crate::log::op::{Op, Seq};
use crate::name::Pepper;

/// What a newcomer calls a snapshot that it asks for.
pub type SnapshotId = u64;

/// How a member is reached and recognised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// The member.
    pub node: NodeId,
    /// Its Ed25519 public key, which its connections are pinned to: 32 bytes, or none in a simulation.
    pub public_key: Vec<u8>,
    /// Where its QUIC listens, `host:port`.
    pub address: String,
    /// The operator's name for it; may be empty.
    pub label: String,
    /// When the member said so; a later word replaces an earlier one.
    pub as_of: Millis,
}

/// "Up to `seq` you have all my ops at or below `hlc`."
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Promise {
    /// The prefix of the origin's log that the promise speaks of.
    pub seq: Seq,
    /// The hash of that prefix.
    pub chain: Chain,
    /// No op after that prefix has a timestamp at or below this one.
    pub hlc: Hlc,
}

/// What the sender knows of one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Whose log.
    pub origin: NodeId,
    /// The gap-free prefix that the sender has durably: what comes after it is worth sending.
    pub has: Seq,
    /// How much of it the sender acknowledges to hold: all, but for a member that leaves.
    pub holds: Seq,
    /// The hash of what it acknowledges.
    pub chain: Chain,
    /// The origin's latest promise that the sender believes; for the sender's own log, its promise.
    pub promise: Promise,
}

/// What some other member said that it holds, passed on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldRow {
    /// Who said so.
    pub by: NodeId,
    /// Prefixes by origin, with their hashes.
    pub held: Vec<(NodeId, Seq, Chain)>,
}

/// An acknowledgement, a heartbeat, or one half of an anti-entropy exchange.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vector {
    /// What the sender knows; all logs where `wants` is set, else perhaps only what is news. Of a log that has no entry
    /// it knows nothing.
    pub entries: Vec<Entry>,
    /// A few rows of others, so that knowledge passes through those between us; and the receiver's own, as the sender
    /// remembers it, so that an old copy of a data directory betrays itself.
    pub rows: Vec<HeldRow>,
    /// The sender's wall clock.
    pub wall: Millis,
    /// Members whose promises have not moved for so long that the sender would evict them.
    pub silent: BTreeSet<NodeId>,
    /// Members that are known to the sender to leave, itself among them where it does.
    pub leaving: BTreeSet<NodeId>,
    /// Those of them that it lets go first.
    pub yields_to: BTreeSet<NodeId>,
    /// The sender asks for whatever the entries show it to lack.
    pub wants: bool,
    /// The sender asks for the receiver's vector in turn.
    pub echo: bool,
}

/// A message from one replica to another. New messages are added at the end, as the encoding counts them; what a message
/// holds stays as it is for as long as the major version does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A newcomer asks to be let in; the connection has proved that it holds a token.
    Join {
        /// Who it is.
        contact: Contact,
        /// What the snapshot that it asks for is to be called, so that no late part of another is taken for its own.
        snapshot: SnapshotId,
        /// Its wall clock.
        wall: Millis,
    },
    /// A newcomer has the sponsor's snapshot durably and waits to be let in; or it was let in, and lacks the secrets.
    Installed {
        /// Its wall clock.
        wall: Millis,
        /// The prefixes of logs that its state has.
        has: Vec<(NodeId, Seq)>,
    },
    /// What the sender knows of members' addresses.
    Contacts(Vec<Contact>),
    /// Ops, gap-free and in order for each origin.
    Ops {
        /// The ops; shared between the messages to several peers.
        ops: Arc<Vec<Op>>,
        /// There was more than one message may carry: ask again.
        more: bool,
    },
    /// See [`Vector`].
    Vector(Vector),
    /// The receiver's ops were not taken because their timestamps lie too far ahead of the cluster's time.
    Skewed {
        /// By how many milliseconds; 0 where they are taken again.
        ahead: u64,
    },
    /// A newcomer has the sponsor's snapshot and is to be let in.
    Nominate {
        /// The newcomer.
        contact: Contact,
        /// The token that it has shown, where that lets in a limited number.
        pass: Option<Pass>,
    },
    /// The receiver is out, finally.
    Evicted {
        /// The prefix of its log that counts.
        cut: Seq,
    },
    /// The receiver, which asked to be let in, has been a member under its id before and issued ops.
    Used,
    /// Of these logs the receiver lacked ops when it asked that have left the sender's, because all members held them; each
    /// with the first op that is left.
    Gone(BTreeMap<NodeId, Seq>),
    /// A newcomer whose snapshot broke off has all rows up to this one, and asks for the rest.
    Resume {
        /// What the snapshot is called.
        snapshot: SnapshotId,
        /// The table of the last row.
        table: String,
        /// Its key.
        key: Vec<u8>,
    },
    /// What keeps a newcomer out for now, to whoever asked for its admission and on to the newcomer.
    Waits {
        /// The newcomer.
        newcomer: NodeId,
        /// What it waits for.
        obstacles: Vec<Obstacle>,
    },
    /// What only members know, for one that was let in.
    Secrets(Box<Secrets>),
    /// The sender knows the cluster's secret, which goes to members alone: the receiver may lack the word that let it in.
    Member {
        /// A keyed hash over the sender's id and the receiver's.
        proof: [u8; 32],
    },
    /// Members hold different ops of the receiver's log under one number, so nothing more of it is decided.
    Forked {
        /// The number.
        seq: Seq,
    },
}

impl Message {
    /// Whether the next heartbeat says it again, or what follows from that.
    pub(crate) fn is_said_again(&self) -> bool {
        matches!(self, Self::Vector(_) | Self::Ops { .. } | Self::Contacts(_))
    }
}

/// What members of a cluster share and nobody else knows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// What join tokens are derived from.
    pub cluster: [u8; 32],
    /// When that was made, and by whom; the least of all for the one that the cluster was founded with. Of two the later one
    /// counts.
    pub age: Stamp,
    /// The key of private names.
    pub pepper: Pepper,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// What keeps a newcomer out for now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Obstacle {
    /// Its clock is off from the cluster's time.
    Clock {
        /// By so many milliseconds; positive where it is ahead.
        ahead: i64,
    },
    /// An eviction of these is not finished.
    Eviction(BTreeSet<NodeId>),
    /// Not all members were heard of just now.
    Silent(BTreeSet<NodeId>),
    /// Not enough members are known to hold the admissions before.
    Unsettled(BTreeSet<NodeId>),
    /// The member that admits newcomers is out of reach of its sponsor.
    FirstOutOfReach(NodeId),
    /// The token that it came with has let in as many as it was made for.
    TokenUsed,
    /// Its key is banned.
    Banned,
}

impl Obstacle {
    /// Whether it does not pass by itself.
    pub(super) fn needs_operator(&self) -> bool {
        matches!(self, Self::Clock { .. } | Self::TokenUsed | Self::Banned)
    }
}

/// Which stream carries a message, so that bulk never delays a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// In order, with all others of this lane.
    Ordered,
    /// By itself, in any order.
    Bulk,
}
