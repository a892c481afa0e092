//! The log: a pure state machine that decides *when* an op counts.
//!
//! It knows the members, their logs and the chains of hashes over them, promises, who holds what, the watermark, gossip,
//! joins, evictions, returns and truncation. What the registry's ops say is nothing to it: it hands them on in the order of
//! their logs, and says later which of them are decided, and in which order.
//!
//! # How it is driven
//!
//! [`Replica`](crate::replica::Replica) composes it with the registry. It hands in messages and the time, and after each
//! call takes the [`Event`]s in their order: ops to apply, messages to send, and the few turns of a node's life that the
//! registry has to know of. Once a step it asks for what has become final (`Log::decide`). The store is the replica's: it
//! is lent to the calls that read or write it, and all that one step writes is one batch.
//!
//! # Invariants
//!
//! * An op is issued only by a member, above every promise of its own, under the next `seq`.
//! * The watermark never passes an op that could still arrive: it is the least believed promise of all members.
//! * What is decided of a log is a prefix of it: at or below the watermark, and held by a majority.
//! * Two members never decide different ops under one number: a log that forks is decided no further.

mod barred;
mod boot;
mod chain;
mod chain_check;
mod cluster;
mod cluster_time;
mod config;
mod contacts;
mod decide;
mod denied;
mod encoded;
mod event;
mod evict;
mod exit;
mod frontiers;
mod gossip;
mod issue;
mod leave;
mod membership;
mod message;
mod op;
mod ops;
mod own_clock;
mod phase;
#[cfg(feature = "planted")]
mod planted;
mod rows;
mod settings;
mod suspect;
#[cfg(test)]
mod tests;
mod view;
mod vote;

use rand_chacha::ChaCha8Rng;

pub use self::barred::{Barred, Pass};
pub use self::chain::{Chain, Cut};
use self::cluster::Cluster;
pub(crate) use self::cluster::{write_founding, write_secrets};
use self::cluster_time::ClusterTime;
pub use self::config::{Config, Founding, GossipLimits, Now, Start};
use self::contacts::Contacts;
pub(crate) use self::decide::Decision;
pub use self::denied::Denied;
pub(crate) use self::denied::STARTS;
use self::event::Events;
pub use self::event::{Event, Output};
pub(crate) use self::exit::{Exit, used_up};
pub(crate) use self::frontiers::Fork;
use self::frontiers::Frontiers;
pub(crate) use self::gossip::Newcomer;
use self::gossip::Peers;
pub(crate) use self::membership::Membership;
pub use self::message::{Contact, Entry, HeldRow, Lane, Message, Obstacle, Promise, Secrets, SnapshotId, Vector};
pub use self::op::{Body, MemberOp, Op, Seq, TokenNonce};
use self::ops::LogBuffer;
pub(crate) use self::ops::read as read_log;
use self::own_clock::OwnClock;
use self::phase::Notice;
pub(crate) use self::phase::Phase;
pub use self::phase::{Return, StoredPhase};
pub use self::settings::{Setting, Settings};
use self::view::View;
use crate::clock::NodeId;
#[cfg(test)]
use crate::clock::{Hlc, Millis, Stamp};

/// What a node knows of its cluster and of the logs in it. See the module's text.
#[derive(Debug)]
pub struct Log {
    config: Config,
    me: NodeId,
    now: Now,
    /// This node's timestamps, and what it has promised by them.
    own: OwnClock,
    /// The clocks of the members.
    time: ClusterTime,
    cluster: Cluster,
    /// Where this node stands in its life.
    phase: Phase,
    /// What a peer has said that ends this incarnation.
    notice: Option<Notice>,
    /// The ops of this step, on their way to the store.
    buffer: LogBuffer,
    frontiers: Frontiers,
    membership: Membership,
    contacts: Contacts,
    peers: Peers,
    rng: ChaCha8Rng,
    events: Events,
}

/// What the replica asks.
impl Log {
    /// What followed from the calls since this was last asked, in order.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.events.take()
    }

    /// What the rules read, and the replica may ask of them.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            config: &self.config,
            settings: self.cluster.settings(),
            me: self.me,
            now: self.now,
            own: &self.own,
            time: &self.time,
            phase: &self.phase,
            notice: self.notice,
            membership: &self.membership,
            frontiers: &self.frontiers,
            contacts: &self.contacts,
            peers: &self.peers,
        }
    }

    /// What the members have in common.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// This node.
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Where this node stands in its life, and so what it may do.
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// This node must not go on: nothing that was held back gets out.
    pub(crate) fn stop(&mut self) {
        self.phase.halt();
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    /// How far each log is known.
    pub(crate) fn frontiers(&self) -> &Frontiers {
        &self.frontiers
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// How nodes are reached.
    pub(crate) fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// This node's own timestamps.
    pub(crate) fn own(&self) -> &OwnClock {
        &self.own
    }

    /// What ended by the watermark in this step must not be known for longer than the watermark is.
    pub(crate) fn keep_watermark(&mut self) {
        self.frontiers.keep_watermark(self.me);
    }

    /// Has the cluster begin with other settings, for tests.
    #[cfg(test)]
    pub(crate) fn found_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.cluster.found_with(change);
        self.membership_changed();
    }

    /// A random number.
    pub(crate) fn random(&mut self) -> u64 {
        use rand_chacha::rand_core::Rng;
        self.rng.next_u64()
    }

    /// The node must stop. What follows from this step comes to nothing.
    fn halt(&mut self, reason: String) {
        self.phase.halt();
        self.events.push(Event::Halt(reason));
    }
}
