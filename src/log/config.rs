//! What a log is given: what it is to know of its node, its clocks, and how it starts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::message::Contact;
use crate::clock::{Millis, NodeId};
use crate::log::chain::Cut;
use crate::log::op::Seq;
use crate::log::settings::Settings;
use crate::model::ClusterId;

/// What the clocks of the machine say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Unix time; may jump, also back.
    pub wall: Millis,
    /// Milliseconds since any fixed moment of this process; never goes back.
    pub elapsed: Millis,
}

/// How many are told at a time, and how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GossipLimits {
    /// Up to so many members everybody tells everybody (design, section 6).
    pub small: usize,
    /// In larger clusters a node tells so many at a time.
    pub fanout: usize,
    /// Ops in one message at most, so that a step never takes long.
    pub ops: usize,
    /// Bytes of ops in one message, roughly; well below the transport's frame limit.
    pub bytes: usize,
    /// A peer that lacks more ops of ours than this is left to anti-entropy, which sends no more than it can take.
    pub lag: Seq,
}

impl Default for GossipLimits {
    /// Four at a time make rumours reach all with high probability in logarithmic rounds (Demers et al., "Epidemic
    /// Algorithms", 1987); a guess between traffic and rounds. The sizes are guesses as well.
    fn default() -> Self {
        Self { small: 8, fanout: 4, ops: 2048, bytes: 1 << 20, lag: 20_000 }
    }
}

/// What a node knows of itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// How others reach and recognise it; `contact.node` is its id.
    pub contact: Contact,
    /// How often a node tells a peer what it has when nothing is undecided. Milliseconds.
    pub heartbeat: u64,
    /// How often it does when something is. Milliseconds.
    pub busy_heartbeat: u64,
    /// How long a node that starts again waits at most for a majority of the members to compare their copies of its
    /// log with its own, before it serves alone. Milliseconds.
    pub start_grace: u64,
    /// Ops stay in the logs for so many milliseconds although all members hold them: newcomers whose snapshots have just
    /// begun will ask for them.
    pub keep_log: u64,
    /// A newcomer that is not let in within so many milliseconds begins anew: until then its sponsor keeps what it lacks.
    pub snapshot_ttl: u64,
    /// How many peers it tells at a time, and how much.
    pub spread: GossipLimits,
    /// Seed of its random choices of peers.
    pub seed: u64,
}

impl Config {
    /// The defaults for a node: a heartbeat a second and 5 s of grace as the design has them; the busy
    /// heartbeat only makes up for lost messages, and 100 ms is a guess at what links allow, as are a minute at how long it
    /// takes to join and an hour at how long a large snapshot takes.
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
            spread,
            seed,
        }
    }
}

/// What a node does with an empty store.
#[derive(Clone, Debug)]
pub enum Start {
    /// It is one of the founders of a cluster, as a rule the only one.
    Found {
        /// What all of them begin with.
        founding: Founding,
        /// The secret that join tokens are derived from.
        secret: [u8; 32],
    },
    /// It asks the first peer that it is connected to for admission.
    Join,
}

/// What all members of a cluster have in common from its first day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Founding {
    /// The cluster's id, made at random.
    pub id: ClusterId,
    /// The first members.
    pub founders: BTreeSet<NodeId>,
    /// Where the cluster was made of what a disaster left of another: all who had been in that one, each with the prefix
    /// of its log that was saved. They are out from the first day.
    pub former: BTreeMap<NodeId, Cut>,
    /// The settings until an op changes them.
    pub settings: Settings,
}
