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

mod boot;
mod chain_check;
mod cluster_time;
mod config;
mod decide;
mod denied;
mod event;
mod evict;
mod exit;
mod frontiers;
mod gossip;
mod issue;
mod leave;
mod membership;
mod message;
mod ops;
mod phase;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;

pub(crate) use self::boot::{write_founding, write_secrets};
use self::cluster_time::ClusterTime;
pub use self::config::{Config, Founding, Now, Start};
pub(crate) use self::decide::Decision;
pub use self::denied::Denied;
pub(crate) use self::denied::STARTS;
pub use self::event::{Event, Output};
pub(crate) use self::exit::{Exit, used_up};
pub(crate) use self::frontiers::Fork;
use self::frontiers::Frontiers;
pub use self::gossip::GossipLimits;
pub(crate) use self::gossip::Newcomer;
use self::gossip::Peers;
pub(crate) use self::membership::Membership;
pub use self::message::{Contact, Entry, HeldRow, Lane, Message, Obstacle, Promise, Secrets, SnapshotId, Vector};
use self::ops::LogBuffer;
pub(crate) use self::ops::read as read_log;
use self::phase::Notice;
pub(crate) use self::phase::Phase;
pub use self::phase::{Return, StoredPhase};
use crate::clock::{Clock, Hlc, Millis, NodeId, Stamp};
use crate::crdt::{Chain, Seq, Settings};

/// What a node knows of its cluster and of the logs in it. See the module's text.
#[derive(Debug)]
pub struct Log {
    config: Config,
    me: NodeId,
    now: Now,
    clock: Clock,
    time: ClusterTime,
    /// The promise ceiling, as it is stored.
    ceiling: Hlc,
    /// The ceiling that was stored when the process started: whatever this node had promised before lies at or below it.
    opened_at: Hlc,
    /// This process has promised something since.
    has_promised: bool,
    founding: Option<Founding>,
    /// The settings of the cluster that are in force; the defaults while this node has no state.
    settings: Settings,
    /// The cluster's secret; none while this node was not let in.
    secret: Option<[u8; 32]>,
    /// Where this node stands in its life.
    phase: Phase,
    /// What a peer has said that ends this incarnation.
    notice: Option<Notice>,
    /// The ops of this step, on their way to the store.
    buffer: LogBuffer,
    frontiers: Frontiers,
    membership: Membership,
    contacts: BTreeMap<NodeId, Contact>,
    /// Whom to be connected to has changed since the driver was last told.
    contacts_changed: bool,
    /// Contacts that peers have not been told of.
    fresh_contacts: BTreeSet<NodeId>,
    /// Contacts that are not in the store.
    unsaved_contacts: BTreeSet<NodeId>,
    peers: Peers,
    rng: ChaCha8Rng,
    /// Other members that were asked to leave, as they say.
    leavers: BTreeSet<NodeId>,
    events: Vec<Event>,
}

/// What the replica asks.
impl Log {
    /// The time of the step that begins.
    pub(crate) fn set_time(&mut self, now: Now) {
        self.now = now;
    }

    /// What followed from the calls since this was last asked, in order.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// When it wants to be stepped at the latest, in `elapsed` time.
    pub(crate) fn wake_at(&self) -> Millis {
        let never = Millis(u64::MAX);
        let silence = self.next_silence().unwrap_or(never);
        let alone = self.serves_alone_at().unwrap_or(never);
        self.peers.next_heartbeat().min(silence).min(alone)
    }

    /// What the cluster has in common; none while a newcomer has no snapshot.
    pub(crate) fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// The cluster's secret; none while this node was not let in.
    pub(crate) fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    /// The settings of the cluster that are in force.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Has the cluster begin with other settings, for tests.
    #[cfg(test)]
    pub(crate) fn found_with(&mut self, change: impl FnOnce(&mut Settings)) {
        if let Some(founding) = &mut self.founding {
            change(&mut founding.settings);
        }
        self.membership_changed();
    }

    /// How often a node tells a peer what it has when nothing is undecided, milliseconds. A few promises may be lost before
    /// anybody takes a node for silent.
    fn heartbeat(&self) -> u64 {
        self.settings.evict_after.map_or(self.config.heartbeat, |after| self.config.heartbeat.min(after / 4))
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

    /// How a node is reached.
    pub(crate) fn contact(&self, node: NodeId) -> Option<&Contact> {
        self.contacts.get(&node)
    }

    /// The operator's name for a node; empty where there is none.
    pub(crate) fn label(&self, node: NodeId) -> String {
        self.contact(node).map(|contact| contact.label.clone()).unwrap_or_default()
    }

    /// Whether it knows, or knew, of any other node.
    pub(crate) fn knows_others(&self) -> bool {
        self.contacts.keys().any(|node| node.key_part() != self.me.key_part())
    }

    /// Everything at or below it has arrived.
    pub(crate) fn watermark(&self) -> Hlc {
        self.frontiers.watermark()
    }

    /// The prefix of a log that is here.
    pub(crate) fn applied_of(&self, origin: NodeId) -> Seq {
        self.frontiers.seq(origin)
    }

    /// The hash of what is here of a log.
    pub(crate) fn chain(&self, origin: NodeId) -> Chain {
        self.frontiers.chain(origin)
    }

    /// The prefix of a log that is decided.
    pub(crate) fn decided(&self, origin: NodeId) -> Seq {
        self.frontiers.decided(origin)
    }

    /// Whether an op that was applied is decided.
    pub(crate) fn is_decided(&self, op: Stamp) -> bool {
        self.frontiers.is_decided(op)
    }

    /// What ended by the watermark in this step must not be known for longer than the watermark is.
    pub(crate) fn keep_watermark(&mut self) {
        self.frontiers.keep_watermark(self.me);
    }

    /// This node's last timestamp: its promise.
    pub(crate) fn last_timestamp(&self) -> Hlc {
        self.clock.last()
    }

    /// The latest that this node knows of anything.
    pub(crate) fn latest_known(&self) -> Hlc {
        self.ceiling.max(self.clock.last()).max(self.frontiers.latest()).max(self.watermark())
    }

    /// How far a member's clock is ahead of this node's, in milliseconds.
    pub(crate) fn clock_offset(&self, member: NodeId) -> Option<i64> {
        self.time.offset(member, self.now)
    }

    /// A random number.
    pub(crate) fn random(&mut self) -> u64 {
        use rand_chacha::rand_core::Rng;
        self.rng.next_u64()
    }

    /// A promise that has come by some relay.
    #[cfg(test)]
    pub(crate) fn believe(&mut self, node: NodeId, promise: Promise) {
        self.frontiers.hear(node, promise, node, self.now);
    }

    /// Whether there are so few members that everybody tells everybody.
    fn is_small(&self) -> bool {
        self.membership.count() <= self.config.spread.small
    }

    fn output(&mut self, output: Output) {
        self.events.push(Event::Output(output));
    }

    fn send(&mut self, to: NodeId, lane: Lane, message: Message) {
        self.output(Output::Send { to, lane, message });
    }

    /// The node must stop. What follows from this step comes to nothing.
    fn halt(&mut self, reason: String) {
        self.phase.halt();
        self.events.push(Event::Halt(reason));
    }
}
