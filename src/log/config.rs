//! The configuration of a log: its node, its clocks, and how it starts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::message::Contact;
use crate::clock::{Millis, NodeId};
use crate::log::chain::Cut;
use crate::log::op::Seq;
use crate::log::settings::Settings;
use crate::model::ClusterId;

/// The readings of the machine's clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Unix time. It may jump, also back.
    pub wall: Millis,
    /// Milliseconds since any fixed moment of this process. It never goes back.
    pub elapsed: Millis,
}

/// Limits on how many peers a node sends to at a time, and how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GossipLimits {
    /// Up to so many members the cluster is small, and each member sends to all others (`docs/protocol.md`, *Push and
    /// acknowledgement*).
    pub small: usize,
    /// In a larger cluster a node sends to so many peers at a time.
    pub fanout: usize,
    /// The most ops in one message, so that a step never takes long.
    pub ops: usize,
    /// The bytes of ops in one message, roughly; well below the transport's frame limit.
    pub bytes: usize,
    /// A peer that lacks more ops of this node than this is left to anti-entropy, which sends no more than the peer can
    /// take.
    pub lag: Seq,
}

impl Default for GossipLimits {
    /// A fanout of four makes rumours reach all members with high probability in logarithmic rounds (Demers et al.,
    /// "Epidemic Algorithms", 1987); it is a guess between traffic and rounds. The sizes are guesses as well.
    fn default() -> Self {
        Self { small: 8, fanout: 4, ops: 2048, bytes: 1 << 20, lag: 20_000 }
    }
}

/// The configuration of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The contact of the node, with its id.
    pub contact: Contact,
    /// How often the node sends its vector to a peer while nothing is undecided, in milliseconds.
    pub heartbeat: u64,
    /// How often it does so while something is undecided, in milliseconds.
    pub busy_heartbeat: u64,
    /// How long a node that starts again waits for enough members to compare logs, before it serves alone,
    /// in milliseconds.
    pub start_grace: u64,
    /// How long ops stay in the logs although all members hold them, in milliseconds. Newcomers whose snapshots have
    /// just begun will ask for them.
    pub keep_log: u64,
    /// After how many milliseconds a newcomer that is not admitted begins anew. Until then its sponsor keeps the ops
    /// that it lacks.
    pub snapshot_ttl: u64,
    /// True where a state that is dropped may leave the store in several batches; false where nothing may be committed
    /// while the log is opened.
    pub wipes_in_batches: bool,
    /// True for a reader, which takes all that members have and is none itself.
    pub reads: bool,
    /// How many peers it sends to at a time, and how much.
    pub spread: GossipLimits,
    /// The seed of its random choices of peers.
    pub seed: u64,
}

impl Config {
    /// The defaults for a node. `docs/protocol.md` has the heartbeat of a second and the 5 s of grace. The busy
    /// heartbeat only makes up for lost messages, and its 100 ms are a guess at what links allow. A minute for a join
    /// and an hour for a large snapshot are guesses as well.
    #[must_use]
    pub fn new(contact: Contact, seed: u64) -> Self {
        let spread = GossipLimits::default();
        Self {
            contact,
            heartbeat: 1000,
            busy_heartbeat: 100,
            start_grace: 5000,
            keep_log: 60_000,
            snapshot_ttl: 3_600_000,
            wipes_in_batches: true,
            reads: false,
            spread,
            seed,
        }
    }
}

/// What a node does with an empty store.
#[derive(Clone, Debug)]
pub enum Start {
    /// The node is one of the founders of a cluster, usually the only one.
    Found {
        /// What all founders begin with.
        founding: Founding,
        /// The secret from which join tokens are derived.
        secret: [u8; 32],
    },
    /// The node asks the first peer that it is connected to for admission.
    Join,
}

/// What all members of a cluster have in common from its founding on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Founding {
    /// The cluster's random id.
    pub id: ClusterId,
    /// The first members.
    pub founders: BTreeSet<NodeId>,
    /// In a recovered cluster: all nodes that were ever members of the lost one, each with the prefix of its log that
    /// was saved. They are out from the founding on.
    pub former: BTreeMap<NodeId, Cut>,
    /// The settings that hold until an op changes them.
    pub settings: Settings,
}
