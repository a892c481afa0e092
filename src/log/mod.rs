//! The log: a pure state machine that decides *when* an op counts.
//!
//! It handles the members, their logs with the hash chains over them, promises, acknowledgements, the watermark,
//! gossip, joins, evictions, returns and truncation. It does not read the ops of the registry: it hands them on in the
//! order of their logs, and says later which of them are decided, and in which order.
//!
//! # How it is driven
//!
//! [`Replica`](crate::replica::Replica) composes it with the registry. The replica hands in messages and the time, and
//! after each call takes the [`Event`]s in their order: ops to apply, messages to send, and the few changes of the
//! node's phase that the registry has to know. Once a step it asks what has become final (`Log::decide`). The replica
//! owns the store and lends it to the calls that read or write it. All that one step writes is one batch.
//!
//! # Invariants
//!
//! * An op is issued only by a member, above every promise of its own, under the next `seq`.
//! * The watermark never passes an op that could still arrive: it is the least believed promise of all members.
//! * The decided ops of a log are a prefix of it. They are at or below the watermark, and a majority holds them.
//! * Two members never decide different ops under one number: once a log forks, nothing more of it is decided.

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

/// The state of the log machine: what this node knows of its cluster and of the logs in it. See the module's text.
#[derive(Debug)]
pub struct Log {
    config: Config,
    me: NodeId,
    now: Now,
    /// The timestamps of this node, and what it has promised by them.
    own: OwnClock,
    /// The clocks of the members.
    time: ClusterTime,
    cluster: Cluster,
    /// The phase of this node's life.
    phase: Phase,
    /// A message of a peer that ends this incarnation at the end of the step.
    notice: Option<Notice>,
    /// The ops of this step that are to be written to the store.
    buffer: LogBuffer,
    frontiers: Frontiers,
    membership: Membership,
    contacts: Contacts,
    peers: Peers,
    rng: ChaCha8Rng,
    events: Events,
}

/// The methods that the replica calls.
impl Log {
    /// Takes the events that followed from the calls since this was last called, in order.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.events.take()
    }

    /// Returns a read-only view of the whole state. The rules read it, and the replica may ask it too.
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

    /// Returns what all members have in common.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the id of this node.
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Returns the phase of this node's life, which says what it may do.
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Stops the node for good. Outputs that wait for the disk are dropped.
    pub(crate) fn stop(&mut self) {
        self.phase.halt();
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Returns the members as people find them, each with its label and address.
    pub(crate) fn members_named(&self) -> Vec<String> {
        let contacts = self.membership.members().filter_map(|member| self.contacts.get(member));
        contacts.map(|contact| format!("{:?} ({})", contact.label, contact.address)).collect()
    }

    /// Returns how far each log is known.
    pub(crate) fn frontiers(&self) -> &Frontiers {
        &self.frontiers
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Returns the addresses of the nodes.
    pub(crate) fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// Returns this node's own clock.
    pub(crate) fn own(&self) -> &OwnClock {
        &self.own
    }

    /// Has this step store the watermark. The end of a reservation that the watermark has passed must not be stored
    /// without the watermark.
    pub(crate) fn keep_watermark(&mut self) {
        self.frontiers.keep_watermark(self.me);
    }

    /// Changes the settings that the cluster was founded with, for tests.
    #[cfg(test)]
    pub(crate) fn found_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.cluster.found_with(change);
        self.membership_changed();
    }

    /// Returns a random number.
    pub(crate) fn random(&mut self) -> u64 {
        use rand_chacha::rand_core::Rng;
        self.rng.next_u64()
    }

    /// Stops the node. The changes of this step are not committed.
    fn halt(&mut self, reason: String) {
        self.phase.halt();
        self.events.push(Event::Halt(reason));
    }
}
