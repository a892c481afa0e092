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

mod answer;
mod boot;
mod chain_check;
mod cluster_time;
mod commands;
mod config;
mod endings;
mod evict;
mod exit;
mod feed;
mod finality;
mod gossip;
mod input;
mod leave;
mod log;
mod membership;
mod message;
mod namespaces;
mod on_behalf;
mod private;
mod queries;
mod quota;
mod recovery;
mod refusal;
mod reissue;
mod rejoin;
mod request;
mod reservations;
mod retention;
mod rows;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha8Rng;

pub use self::answer::*;
pub use self::boot::OpenError;
use self::chain_check::ChainCheck;
use self::cluster_time::ClusterTime;
use self::commands::Waiters;
pub use self::config::{Config, Founding, Now, Start};
use self::feed::Feed;
use self::feed::retelling::Retelling;
use self::finality::Finality;
pub use self::gossip::GossipLimits;
use self::gossip::Peers;
pub use self::input::{Input, Output, Token};
use self::leave::Leaving;
use self::log::LogBuffer;
use self::membership::Membership;
pub use self::message::{Contact, Entry, HeldRow, Lane, Message, Obstacle, Promise, Secrets, SnapshotId, Vector};
pub use self::on_behalf::{Bearer, reaches};
pub use self::queries::*;
pub use self::quota::Charge;
use self::quota::OwnerQuota;
use self::quota::TokenQuota;
pub use self::recovery::{Holdings, RecoverError, lay_open};
pub use self::refusal::Refusal;
use self::reissue::Reissue;
pub use self::reissue::{Return, node_in};
pub use self::rejoin::RejoinError;
pub use self::request::*;
use self::retention::Retention;
pub use self::verify::{Fault, Finding, Verification, verify};
use crate::clock::{Clock, Hlc, Millis, NodeId};
use crate::crdt::{Body, Cut, Effects, Op, Registry, Seq};
pub use crate::model::{Cursor, CursorError, limits};
use crate::store::schema::{self, Cell, LogKey, Rows};
use crate::store::{Batch, Store};

/// Outputs that wait for the disk at most before messages among them are dropped. A guess: some hundred megabytes.
const MOST_HELD_BACK: usize = 100_000;
/// A disk that makes nothing durable for so many milliseconds hangs, and the node says so. A guess: longer than a busy disk
/// takes, shorter than an operator's patience.
const DISK_HANGS: u64 = 2000;

/// How far ahead a promise ceiling is stored. Seconds, so that it costs next to no writes; half of the clock skew at
/// most, because a node that restarts at once issues ops that far ahead of its clock.
const CEILING_STEP: u64 = 5000;

/// A node's state machine. See the module's text for how to drive it.
#[derive(Debug)]
pub struct Replica<S> {
    config: Config,
    me: NodeId,
    now: Now,
    clock: Clock,
    time: ClusterTime,
    ceiling: Hlc,
    /// The ceiling that was stored when the process started: whatever this node had promised before lies at or below it.
    opened_at: Hlc,
    /// This process has promised something since.
    has_promised: bool,
    founding: Option<Founding>,
    /// The cluster's secret; none while this node was not let in.
    secret: Option<[u8; 32]>,
    /// The store holds a whole state: founded here, or a snapshot that came to its end.
    installed: bool,
    /// It has just been started, and its peers may have seen more of its log than it has.
    starting: Option<ChainCheck>,
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
    allowances: OwnerQuota,
    charges: TokenQuota,
    rng: ChaCha8Rng,
    outbox: Vec<Output>,
    /// What rests on nothing that could be lost.
    at_once: Vec<Output>,
    gated: VecDeque<(Batch, Output)>,
    persisted: Batch,
    /// Since when the disk has made nothing durable, in `elapsed` time; none where nothing waits for it.
    disk_waits: Option<Millis>,
    disk_logged: bool,
    /// It takes nothing in any more.
    halted: bool,
    /// It is out of the cluster: what is held back gets out, then the last word.
    gone: bool,
    /// It was asked to leave, and has not departed.
    leaving: Option<Leaving>,
    /// What this node had handed over of each log when it departed.
    handed_over: BTreeMap<NodeId, Cut>,
    /// Other members that were asked to leave, as they say.
    leavers: BTreeSet<NodeId>,
    /// Members that have said that they have this node's last op.
    departure_known: BTreeSet<NodeId>,
    /// A member said that this node is out: the prefix of its log that counts.
    evicted: Option<Seq>,
    /// It holds ops that an eviction has made void: it was let in by a void word, or took them from one that was.
    holds_void: bool,
    /// Nobody in reach has what it lacks.
    left_behind: bool,
    /// What this node has to make good after an eviction.
    reissue: Reissue,
    /// What a feed that has just begun has yet to tell anew.
    retelling: Option<Retelling>,
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
        self.installed && !self.is_blind() && !self.holds_void && self.membership.is_member(self.me)
    }

    /// The cluster's secret; none while this node was not let in.
    pub fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    /// It has the state, and not the key of private names: it takes no ops, which may speak of such.
    fn is_blind(&self) -> bool {
        self.installed && self.secret.is_none()
    }

    /// Those who are out, as far as this node knows, each with the prefix of its log that counts.
    pub fn cuts(&self) -> &BTreeMap<NodeId, Cut> {
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
        let retell = if self.retelling.is_some() { self.now.elapsed } else { Millis(u64::MAX) };
        self.peers.next_heartbeat().min(deadline).min(silence).min(alone).min(retell)
    }

    /// Takes one input in. What follows from it comes with the next [`Replica::flush`].
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        if let Input::Persisted(batch) = input {
            if batch > self.persisted {
                self.disk_waits = None;
            }
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
        self.look_at_the_clock();
        self.advance_clock();
        self.end_start();
        self.join_evictions();
        self.depart();
        self.register_again();
        self.decide();
        self.answer_waiting();
        let fresh = self.log.write(&mut self.registry.store);
        self.tell_forks();
        self.gossip(fresh);
        self.announce_peers();
        self.retell();
        self.tidy();
        let events = self.feed.write(&mut self.registry.store);
        self.finality.save(&mut self.registry);
        self.raise_ceiling();
        let last_word = self.exit();
        let batch = self.registry.store.commit();
        if let Some(failure) = self.registry.store.failure() {
            self.halt(failure.to_string());
            return std::mem::take(&mut self.outbox);
        }
        self.outbox.extend(events.map(Output::Events));
        self.gone = last_word.is_some();
        self.outbox.extend(last_word);
        if self.gated.is_empty() && batch <= self.persisted {
            self.disk_waits = None;
            self.at_once.append(&mut self.outbox);
            return std::mem::take(&mut self.at_once);
        }
        self.hold_back(batch);
        self.release()
    }

    /// Holds this step's outputs back until its batch is durable. Where the disk hangs, what anti-entropy makes up for is
    /// dropped at once, and every message before what waits grows too large.
    fn hold_back(&mut self, batch: Batch) {
        let since = *self.disk_waits.get_or_insert(self.now.elapsed);
        let waited = self.now.elapsed.since(since);
        if waited < DISK_HANGS {
            self.disk_logged = false;
        } else if !std::mem::replace(&mut self.disk_logged, true) {
            tracing::error!(for_ms = waited, "the disk has made nothing durable; what depends on it waits");
        }
        let room = MOST_HELD_BACK.saturating_sub(self.gated.len());
        let mut outputs = std::mem::take(&mut self.outbox);
        if waited >= DISK_HANGS {
            outputs.retain(|output| !matches!(output, Output::Send { message, .. } if message.is_said_again()));
        }
        if outputs.len() > room {
            outputs.retain(|output| !matches!(output, Output::Send { .. }));
        }
        self.gated.extend(outputs.drain(..).map(|output| (batch, output)));
        self.outbox = outputs;
    }

    /// For how many milliseconds the disk has made nothing durable, where that is long.
    fn disk_hangs(&self) -> Option<u64> {
        let waited = self.now.elapsed.since(self.disk_waits?);
        (waited >= DISK_HANGS).then_some(waited)
    }

    /// The outputs whose batches are durable.
    fn release(&mut self) -> Vec<Output> {
        let durable =
            self.gated.iter().take_while(|(batch, _)| *batch <= self.persisted || planted!(SpeakBeforeFsync)).count();
        let mut released = std::mem::take(&mut self.at_once);
        released.extend(self.gated.drain(..durable).map(|(_, output)| output));
        released
    }

    /// Stops for good: nothing that is held back gets out.
    fn halt(&mut self, reason: String) {
        self.gated.clear();
        self.at_once.clear();
        self.outbox.clear();
        self.outbox.push(Output::Halt(reason));
        self.halted = true;
    }

    /// Issues an op of this node's own.
    fn issue(&mut self, body: Body) -> Effects {
        let hlc = self.clock.tick(self.time_to_follow());
        self.has_promised = true;
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
        self.finality.applied(op);
        if op.body.is_membership() {
            schema::Membership::put(&mut self.registry.store, LogKey { origin: op.node, seq: op.seq }, op);
            let finality = &self.finality;
            self.membership.add(op.clone(), &|node| finality.here(node));
            self.membership_changed();
        }
        let finality = &self.finality;
        if self.membership.try_finish(&|node| finality.here(node)) {
            self.membership_changed();
        }
        if let Some(registration) = effects.registered.as_ref().filter(|_| effects.first_of_id) {
            self.tell_accepted(registration);
        }
        self.on_lost(&effects.lost);
        effects
    }

    fn advance_clock(&mut self) {
        let time = self.time_to_follow();
        self.clock.promise(time);
    }

    /// Stores the promise ceiling ahead of time where this step's timestamps have reached it.
    fn raise_ceiling(&mut self) {
        if self.clock.last() > self.ceiling {
            let step = CEILING_STEP.min(self.config.max_clock_skew / 2);
            self.ceiling = Hlc::from_millis(self.clock.last().millis().plus(step));
            schema::Ceiling::save(&mut self.registry.store, &self.ceiling);
        }
    }

    /// What hangs on the membership is worked out again.
    fn membership_changed(&mut self) {
        self.finality.membership_changed(self.membership.members(), self.now.elapsed);
        let membership = &self.membership;
        self.finality.forget_rows(|node| membership.is_member(node));
        self.leavers.retain(|node| membership.is_member(*node));
        self.contacts_changed = true;
        let out: Vec<_> = self.membership.cuts().keys().copied().collect();
        self.holds_void = out.iter().any(|node| self.membership.is_void_beyond(*node, self.finality.here(*node)));
        out.into_iter().for_each(|node| self.finality.end_fork(node));
    }

    /// Whether there are so few members that everybody tells everybody.
    fn is_small(&self) -> bool {
        self.membership.count() <= self.config.spread.small
    }

    /// Tells the origins of forked logs, and the log of this node, once each.
    fn tell_forks(&mut self) {
        for origin in self.finality.take_new_forks() {
            let Some(fork) = self.finality.fork(origin) else { continue };
            tracing::error!(
                %origin, label = self.label(origin), seq = fork.seq, other = %fork.by,
                "two nodes hold different ops under one number of a log: its data directory was put back or ran twice; nothing \
                 more of that log is decided until the node has come back under a new id"
            );
            if self.peers.is_connected(origin) {
                self.send(origin, Lane::Ordered, Message::Forked { seq: fork.seq });
            }
        }
    }

    fn send(&mut self, to: NodeId, lane: Lane, message: Message) {
        self.outbox.push(Output::Send { to, lane, message });
    }
}
