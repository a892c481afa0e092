//! The replica: a node's state machine, without sockets, tasks, threads, clocks or ambient randomness.
//!
//! # How to drive it
//!
//! * [`Replica::open`] takes a store and what the node knows of itself. What it writes
//!   is committed by the first flush.
//! * [`Replica::handle`] takes one [`Input`]. Call it as often as there are inputs.
//! * [`Replica::flush`] ends the step: it decides what has become final, gossips, commits one batch to the store, and
//!   returns the [`Output`]s to act upon, all of them, in order. Outputs that could tell somebody about a batch are
//!   held back until [`Input::Persisted`] says that it is durable; so nothing is sent, promised or answered before the
//!   fsync that covers it.
//! * [`Replica::wake_at`] says when to hand it [`Input::Wake`] at the latest.
//!
//! Time is an argument: [`Now`]. The wall clock may jump; timers run on `elapsed`, which does not.
//!
//! # Invariants
//!
//! * An op is issued only by a member, above every promise of its own, under the next `seq`.
//! * The watermark never passes an op that could still arrive: it is the least believed promise of all members.
//! * A registration is confirmed exactly when it is not lost and its op is decided (`seq <= decided` of its origin):
//!   at or below the watermark and held by a majority. So a confirmation costs no write of its own.
//! * Each registration gets one `confirmed` or `rejected` event, written in the batch that decides it.

mod allowance;
mod answer;
mod charges;
mod config;
mod endings;
mod evict;
mod feed;
mod finality;
mod gossip;
mod input;
pub mod limits;
mod log;
mod membership;
mod message;
mod open;
mod private;
mod reading;
mod recovery;
mod refusal;
mod rejoin;
mod request;
mod reservations;
mod retention;
mod returning;
mod rules;
mod serve;
mod starting;
mod verify;
mod views;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha8Rng;

use self::allowance::Allowances;
pub use self::answer::*;
pub use self::charges::Charge;
use self::charges::Charges;
pub use self::config::{Config, Founding, Now, Start};
use self::feed::Feed;
use self::finality::Finality;
use self::gossip::Peers;
pub use self::gossip::Spread;
pub use self::input::{Input, Output, Token};
use self::log::LogBuffer;
use self::membership::Membership;
pub use self::message::{Contact, Entry, HeldRow, Lane, Message, Promise, SnapshotId, Vector};
pub use self::open::OpenError;
pub use self::reading::*;
pub use self::recovery::{Holdings, RecoverError, lay_open};
pub use self::refusal::Refusal;
pub use self::rejoin::RejoinError;
pub use self::request::*;
use self::retention::Retention;
use self::returning::Returning;
pub use self::returning::{Return, node_in};
use self::serve::Waiters;
use self::starting::Starting;
pub use self::verify::{Fault, Finding, Verification, verify};
use crate::clock::{Clock, Hlc, Millis, NodeId};
use crate::codec;
use crate::crdt::{Body, Effects, Op, Registry, Seq};
use crate::store::{Batch, Store, Table};

/// How far ahead a promise ceiling is stored. Seconds, so that it costs next to no writes; half of the clock skew at
/// most, because a node that restarts at once issues ops that far ahead of its clock.
const CEILING_STEP: u64 = 5000;

const META_NODE: &[u8] = b"node";
const META_CEILING: &[u8] = b"ceiling";
const META_INSTALLED: &[u8] = b"installed";
const META_LEFT: &[u8] = b"left";
const META_RETURNING: &[u8] = b"returning";
/// The state of the life before is still here, whole.
const META_SET_ASIDE: &[u8] = b"set-aside";
/// Its own earlier ids that the cluster it came to has never heard of.
const META_UNHEARD: &[u8] = b"unheard";
/// What the feed may not have told of what this node accepted itself.
const META_UNTOLD: &[u8] = b"untold";
/// All registrations that came with the state and are over have a row that says so.
const META_SWEPT: &[u8] = b"swept";
const CLUSTER_FOUNDING: &[u8] = b"founding";
const CLUSTER_FORMER: &[u8] = b"former";
const CLUSTER_WATERMARK: &[u8] = b"watermark";

/// A node's state machine. See the module's text for how to drive it.
#[derive(Debug)]
pub struct Replica<S> {
    config: Config,
    me: NodeId,
    now: Now,
    clock: Clock,
    ceiling: Hlc,
    founding: Option<Founding>,
    /// The store holds a whole state: founded here, or a snapshot that came to its end.
    installed: bool,
    /// It has just been started, and its peers may have seen more of its log than it has.
    starting: Option<Starting>,
    registry: Registry<S>,
    log: LogBuffer,
    feed: Feed,
    membership: Membership,
    contacts: BTreeMap<NodeId, Contact>,
    contacts_changed: bool,
    /// Contacts that peers have not been told of.
    fresh_contacts: BTreeSet<NodeId>,
    finality: Finality,
    peers: Peers,
    waiters: Waiters,
    allowances: Allowances,
    charges: Charges,
    rng: ChaCha8Rng,
    outbox: Vec<Output>,
    gated: VecDeque<(Batch, Output)>,
    persisted: Batch,
    /// It takes nothing in any more.
    halted: bool,
    /// It is out of the cluster: what is held back gets out, then the last word.
    gone: bool,
    /// A member said that this node is out: the prefix of its log that counts.
    evicted: Option<Seq>,
    /// It holds ops that an eviction has made void: only a newcomer that is no member yet can.
    holds_void: bool,
    /// Nobody in reach has what it lacks.
    left_behind: bool,
    /// What this node has to make good after an eviction.
    returning: Returning,
    retention: Retention,
}

impl<S: Store> Replica<S> {
    /// The store, to read.
    pub fn store(&self) -> &S {
        &self.registry.store
    }

    /// The store, for its driver.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.registry.store
    }

    /// The store, to be closed. Nothing that is held back gets out.
    pub fn into_store(self) -> S {
        self.registry.store
    }

    /// The node's id.
    pub fn node(&self) -> NodeId {
        self.me
    }

    /// What the cluster has in common; none while a newcomer has no snapshot.
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// The cursor of the last event, durable when the replica has just been opened.
    pub fn last_event(&self) -> Cursor {
        self.feed.last()
    }

    /// Whether this node is a member, by what it knows.
    pub fn is_member(&self) -> bool {
        // With void ops in its state it is about to drop that, and what it would issue now with it.
        self.installed && !self.holds_void && self.membership.is_member(self.me)
    }

    /// The evicted, as far as this node knows, each with the prefix of its log that counts.
    pub fn cuts(&self) -> &BTreeMap<NodeId, Seq> {
        self.membership.cuts()
    }

    /// Everything at or below it has arrived.
    pub fn watermark(&self) -> Hlc {
        self.finality.watermark()
    }

    /// When to hand it [`Input::Wake`] at the latest, in `elapsed` time.
    pub fn wake_at(&self) -> Millis {
        let deadline = self.waiters.next_deadline().unwrap_or(Millis(u64::MAX));
        let silence = self.next_silence().unwrap_or(Millis(u64::MAX));
        let alone = self.serves_alone_at().unwrap_or(Millis(u64::MAX));
        self.peers.next_beat().min(deadline).min(silence).min(alone)
    }

    /// Takes one input in. What follows from it comes with the next [`Replica::flush`].
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        if let Input::Persisted(batch) = input {
            self.persisted = self.persisted.max(batch);
        }
        if self.halted || self.gone {
            return;
        }
        match input {
            Input::Request { token, request } => self.on_request(token, request),
            Input::Connected(peer) => self.on_connected(peer),
            Input::Disconnected(peer) => self.on_disconnected(peer),
            Input::Message { from, message } => self.on_message(from, message),
            Input::SnapshotRows { from, snapshot, rows } => self.on_snapshot_rows(from, snapshot, rows),
            Input::SnapshotEnd { from, snapshot } => self.on_snapshot_end(from, snapshot),
            Input::Persisted(_) | Input::Wake => {}
        }
    }

    /// Ends the step. Returns what is to be done now.
    pub fn flush(&mut self, now: Now) -> Vec<Output> {
        self.now = now;
        if self.halted {
            return std::mem::take(&mut self.outbox);
        }
        if self.gone {
            return self.release();
        }
        self.advance_clock();
        self.end_start();
        self.join_freezes();
        self.welcome_newcomers();
        self.register_again();
        self.decide();
        self.answer_waiting();
        let fresh = self.log.write(&mut self.registry.store);
        self.gossip(fresh);
        self.announce_peers();
        self.tidy();
        let events = self.feed.write(&mut self.registry.store);
        self.finality.save(&mut self.registry);
        self.raise_ceiling();
        let last_word = self.farewell();
        let batch = self.registry.store.commit();
        if let Some(failure) = self.registry.store.failure() {
            self.halt(failure.to_string());
            return std::mem::take(&mut self.outbox);
        }
        self.outbox.extend(events.map(Output::Events));
        self.gone = last_word.is_some();
        self.outbox.extend(last_word);
        if self.gated.is_empty() && batch <= self.persisted {
            return std::mem::take(&mut self.outbox);
        }
        self.gated.extend(self.outbox.drain(..).map(|output| (batch, output)));
        self.release()
    }

    /// The outputs whose batches are durable.
    fn release(&mut self) -> Vec<Output> {
        let durable =
            self.gated.iter().take_while(|(batch, _)| *batch <= self.persisted || planted!(SpeakBeforeFsync)).count();
        self.gated.drain(..durable).map(|(_, output)| output).collect()
    }

    /// Stops for good: nothing that is held back gets out.
    fn halt(&mut self, reason: String) {
        self.gated.clear();
        self.outbox.clear();
        self.outbox.push(Output::Halt(reason));
        self.halted = true;
    }

    /// Issues an op of this node's own.
    fn issue(&mut self, body: Body) -> Effects {
        let hlc = self.clock.tick(self.promised_wall());
        let seq = self.registry.applied_of(self.me) + 1;
        let op = Op::new(self.me, seq, hlc, self.finality.chain(self.me), body);
        let effects = self.apply(&op);
        self.log.push(op);
        effects
    }

    /// Applies the next op of a log and hands on what follows from it.
    fn apply(&mut self, op: &Op) -> Effects {
        let effects = match self.registry.apply_op(op) {
            Ok(effects) => effects,
            Err(error) => unreachable!("the caller offers ops in order: {error}"),
        };
        if op.body.is_membership() {
            let key = [op.node.0.to_be_bytes(), op.seq.to_be_bytes()].concat();
            self.registry.store.put(Table::Membership, key, codec::encode(op));
            let registry = &self.registry;
            self.membership.add(op.clone(), &|node| registry.applied_of(node));
            self.membership_changed();
        }
        let registry = &self.registry;
        if self.membership.try_finish(&|node| registry.applied_of(node)) {
            self.membership_changed();
        }
        self.finality.applied(op);
        if let Some(registration) = effects.registered.as_ref().filter(|_| effects.first_of_id) {
            self.tell_accepted(registration);
        }
        self.on_lost(&effects.lost);
        effects
    }

    /// The wall clock, as far as this node lets it move its own timestamps: a clock that is off from all others' is
    /// not let in, because timestamps never go back.
    fn promised_wall(&self) -> Millis {
        if self.clock_suspect().is_some() { Millis(0) } else { self.now.wall }
    }

    fn advance_clock(&mut self) {
        let wall = self.promised_wall();
        self.clock.promise(wall);
    }

    /// Stores the promise ceiling ahead of time where this step's timestamps have reached it.
    fn raise_ceiling(&mut self) {
        if self.clock.last() > self.ceiling {
            let step = CEILING_STEP.min(self.config.max_clock_skew / 2);
            self.ceiling = Hlc::from_millis(self.clock.last().millis().plus(step));
            self.registry.store.put(Table::Meta, META_CEILING.to_vec(), codec::encode(&self.ceiling));
        }
    }

    /// What hangs on the membership is worked out again.
    fn membership_changed(&mut self) {
        self.finality.membership_changed(self.membership.members(), self.now.elapsed);
        self.contacts_changed = true;
        let void = |(node, cut): (&NodeId, &Seq)| self.registry.applied_of(*node) > *cut;
        self.holds_void = self.membership.cuts().iter().any(void);
    }

    /// Welcomes every newcomer that this node is asked to, unless an eviction is under way.
    fn welcome_newcomers(&mut self) {
        let asked = self.membership.to_welcome(self.me);
        if asked.is_empty() || planted!(NoWelcome) {
            return;
        }
        let frozen = self.membership.has_unfinished_freeze(self.me) && !planted!(WelcomeAfterFreeze);
        let busy = frozen || self.membership.departing(self.me).is_some();
        if self.is_member() && !busy && !self.is_starting() {
            asked.into_iter().for_each(|node| drop(self.issue(Body::Welcome { node })));
        }
    }

    fn send(&mut self, to: NodeId, lane: Lane, message: Message) {
        self.outbox.push(Output::Send { to, lane, message });
    }
}
