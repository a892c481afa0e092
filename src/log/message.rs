//! The messages between replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::log::barred::Pass;
use crate::log::chain::Chain;
use crate::log::op::{Op, Seq};
use crate::name::Pepper;

/// The number that a newcomer gives to a snapshot that it asks for.
pub type SnapshotId = u64;

/// The address of a member and the key that identifies it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// The member.
    pub node: NodeId,
    /// Its Ed25519 public key of 32 bytes, to which its connections are pinned. Empty in a simulation.
    pub public_key: Vec<u8>,
    /// The address on which its QUIC endpoint listens, `host:port`.
    pub address: String,
    /// The operator's name for it; may be empty.
    pub label: String,
    /// The member's wall clock when it issued this contact. A later contact replaces an earlier one.
    pub as_of: Millis,
}

/// A promise: "up to `seq` you have all my ops at or below `hlc`."
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Promise {
    /// The number of the last op in the prefix of the origin's log that the promise is about.
    pub seq: Seq,
    /// The hash of that prefix.
    pub chain: Chain,
    /// No op after that prefix has a timestamp at or below this one.
    pub hlc: Hlc,
}

/// What the sender knows of one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The node whose log this is.
    pub origin: NodeId,
    /// The last op of the gap-free prefix that the sender has durably. Ops after it are worth sending to the sender.
    pub has: Seq,
    /// How much of that prefix the sender acknowledges. A member acknowledges all of it, unless it leaves.
    pub holds: Seq,
    /// The hash of the acknowledged prefix.
    pub chain: Chain,
    /// The latest promise of the origin that the sender believes. For the sender's own log it is the sender's promise.
    pub promise: Promise,
}

/// The acknowledgements of another member, relayed by the sender.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldRow {
    /// The member that has acknowledged these prefixes.
    pub by: NodeId,
    /// The acknowledged prefixes: the origin, the last op and the hash.
    pub held: Vec<(NodeId, Seq, Chain)>,
}

/// An acknowledgement, a heartbeat, or one half of an anti-entropy exchange.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vector {
    /// What the sender knows. Where `wants` is set it has an entry for every log, and a log without an entry is unknown
    /// to the sender. Otherwise it may have only the entries that changed.
    pub entries: Vec<Entry>,
    /// Some rows of other members, so that acknowledgements reach members that are not connected to each other; and the
    /// receiver's own row, as the sender remembers it, so that an old copy of a data directory is found out.
    pub rows: Vec<HeldRow>,
    /// The sender's wall clock.
    pub wall: Millis,
    /// The members whose promises have not moved for so long that the sender would evict them.
    pub silent: BTreeSet<NodeId>,
    /// The members that leave, as far as the sender knows, with the sender itself where it leaves.
    pub leaving: BTreeSet<NodeId>,
    /// Those of the leaving members that the sender lets go before itself.
    pub yields_to: BTreeSet<NodeId>,
    /// True where the sender asks for all ops that it lacks by its entries.
    pub wants: bool,
    /// True where the sender asks for the receiver's vector in return.
    pub echo: bool,
}

/// A message from one replica to another. New messages are added at the end, because the encoding numbers the variants.
/// The fields of a message do not change within a major version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A newcomer asks to be admitted. The connection has proved that it holds a token.
    Join {
        /// The newcomer's contact.
        contact: Contact,
        /// The number of the snapshot that it asks for. By it the newcomer recognises late parts of an earlier
        /// snapshot.
        snapshot: SnapshotId,
        /// Its wall clock.
        wall: Millis,
    },
    /// A newcomer has its sponsor's snapshot durably and waits for its admission; or it was admitted and lacks the
    /// secrets.
    Installed {
        /// Its wall clock.
        wall: Millis,
        /// The prefixes of the logs that its state has.
        has: Vec<(NodeId, Seq)>,
    },
    /// The contacts of members that the sender knows.
    Contacts(Vec<Contact>),
    /// Ops, gap-free and in order for each origin.
    Ops {
        /// The ops. They are shared by the messages to several peers.
        ops: Arc<Vec<Op>>,
        /// True where there are more ops than one message may carry: the receiver asks again.
        more: bool,
    },
    /// See [`Vector`].
    Vector(Vector),
    /// The sender did not take the receiver's ops, because their timestamps are too far ahead of cluster time.
    Skewed {
        /// How far they are ahead, in milliseconds; 0 once they are taken again.
        ahead: u64,
    },
    /// A newcomer has its sponsor's snapshot and is to be admitted.
    Nominate {
        /// The newcomer.
        contact: Contact,
        /// The token that it has shown, where that admits a limited number.
        pass: Option<Pass>,
    },
    /// The receiver is finally no longer a member.
    Evicted {
        /// The number of the last op of its log that counts.
        cut: Seq,
    },
    /// The receiver has asked to join, but it is a member already under its id.
    Used,
    /// The receiver asked for ops of these logs that the sender has truncated because all members held them. Each log
    /// comes with the first op that the sender still has.
    Gone(BTreeMap<NodeId, Seq>),
    /// A newcomer asks for the rest of a snapshot that broke off. It has all rows up to this one.
    Resume {
        /// The number of the snapshot.
        snapshot: SnapshotId,
        /// The table of the last row.
        table: String,
        /// The key of the last row.
        key: Vec<u8>,
    },
    /// What prevents the admission of a newcomer for now. It goes to the member that asked for the admission, which
    /// passes it on to the newcomer.
    Waits {
        /// The newcomer.
        newcomer: NodeId,
        /// What the admission waits for.
        obstacles: Vec<Obstacle>,
    },
    /// The secrets that only members know, for a newcomer that was admitted or for a member that lacks the latest
    /// secret.
    Secrets(Box<Secrets>),
    /// The sender proves that it knows the cluster's secret, which only members get: the receiver may lack the `Admit`
    /// of the sender.
    Member {
        /// A hash over the sender's id and the receiver's, keyed with the secret.
        proof: [u8; 32],
    },
    /// Members hold different ops of the receiver's log under one number, so nothing more of it is decided.
    Forked {
        /// The number of such an op.
        seq: Seq,
    },
    /// The key with which private names are hashed, for a reader. A reader gets no other secret.
    PrivateKey(Pepper),
}

impl Message {
    /// Returns true where the next heartbeat repeats this message or what follows from it.
    pub(crate) fn is_said_again(&self) -> bool {
        matches!(self, Self::Vector(_) | Self::Ops { .. } | Self::Contacts(_))
    }
}

/// The secrets that the members of a cluster share and nobody else knows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The secret from which join tokens are derived.
    pub cluster: [u8; 32],
    /// When this secret was made, and by which node; the least stamp for the secret that the cluster was founded with.
    /// Of two secrets the later one counts.
    pub age: Stamp,
    /// The key with which private names are hashed.
    pub pepper: Pepper,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// A reason why a newcomer is not admitted for now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Obstacle {
    /// The newcomer's clock differs from cluster time.
    Clock {
        /// By how many milliseconds; positive where the newcomer's clock is ahead.
        ahead: i64,
    },
    /// The eviction of these nodes is not finished.
    Eviction(BTreeSet<NodeId>),
    /// No promise of these members has arrived within the last heartbeats.
    Silent(BTreeSet<NodeId>),
    /// An earlier admission is not held by a majority yet. These members are not known to hold it.
    Unsettled(BTreeSet<NodeId>),
    /// The first member, which admits newcomers, is not connected to the sponsor.
    FirstOutOfReach(NodeId),
    /// The newcomer's token has admitted as many newcomers as it was made for.
    TokenUsed,
    /// The newcomer's key is banned.
    Banned,
}

impl Obstacle {
    /// Returns true where the obstacle does not go away by itself.
    pub(super) fn needs_operator(&self) -> bool {
        matches!(self, Self::Clock { .. } | Self::TokenUsed | Self::Banned)
    }
}

/// The stream that carries a message. Bulk has streams of its own, so that it never delays a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// In order with all other messages of this lane.
    Ordered,
    /// On a stream of its own, in any order.
    Bulk,
}
