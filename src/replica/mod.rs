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

mod evict;
mod feed;
mod finality;
mod gossip;
mod input;
pub mod limits;
mod log;
mod membership;
mod message;
mod request;
mod returning;
mod serve;
mod views;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use crdts::{Dot, VClock};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use self::feed::Feed;
use self::finality::Finality;
use self::gossip::Peers;
pub use self::gossip::Spread;
pub use self::input::{Input, Output, Token};
use self::log::LogBuffer;
use self::membership::Membership;
pub use self::message::{Contact, Entry, HeldRow, Lane, Message, Promise, Vector};
pub use self::request::*;
use self::returning::Returning;
pub use self::returning::{Return, node_in};
use self::serve::Waiters;
use crate::clock::{Clock, Hlc, Millis, NodeId};
use crate::codec;
use crate::crdt::{Body, Effects, Op, Registry, Seq, read_record};
use crate::store::{Batch, Direction, Store, Table};

/// What the clocks of the machine say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Unix time; may jump, also back.
    pub wall: Millis,
    /// Milliseconds since any fixed moment of this process; never goes back.
    pub elapsed: Millis,
}

/// What a node knows of itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// How others reach and recognise it; `contact.node` is its id.
    pub contact: Contact,
    /// Ops whose timestamps lie further ahead than this are not taken, and a node whose clock is off from its peers'
    /// by more takes no registrations. Milliseconds.
    pub max_clock_skew: u64,
    /// How often a node tells a peer what it has when nothing is undecided. Milliseconds.
    pub heartbeat: u64,
    /// How often it does when something is. Milliseconds.
    pub busy_heartbeat: u64,
    /// A member that a majority has not heard of for so many milliseconds is evicted; none: never. See the design,
    /// section 5: it trades the strict order of claims for progress.
    pub evict_after: Option<u64>,
    /// How many peers it tells at a time, and how much.
    pub spread: Spread,
    /// Seed of its random choices of peers.
    pub seed: u64,
}

impl Config {
    /// The defaults for a node: 10 s of skew and a heartbeat a second as the design has them; the busy heartbeat only
    /// makes up for lost messages, and 100 ms is a guess at what links allow.
    #[must_use]
    pub fn new(contact: Contact, seed: u64) -> Self {
        let spread = Spread::default();
        Self { contact, max_clock_skew: 10_000, heartbeat: 1000, busy_heartbeat: 100, evict_after: None, spread, seed }
    }
}

/// What a node does with an empty store.
#[derive(Clone, Debug)]
pub enum Start {
    /// It is one of the founders of a cluster, as a rule the only one.
    Found(Founding),
    /// It asks the first peer that it is connected to for admission.
    Join,
}

/// What all members of a cluster have in common from its first day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Founding {
    /// The first members.
    pub founders: BTreeSet<NodeId>,
    /// The secret that join tokens are derived from.
    pub secret: [u8; 32],
}

impl Founding {
    /// The cluster's id: its least founder.
    #[must_use]
    pub fn cluster_id(&self) -> NodeId {
        self.founders.first().copied().unwrap_or_default()
    }
}

/// The store does not fit this node. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else's state.
    #[error(
        "the data directory belongs to node {found}, but the identity in it is that of {expected}; restore the pair, or start a new node on an empty directory"
    )]
    OtherNode {
        /// Whose state it is.
        found: NodeId,
        /// Whose identity was given.
        expected: NodeId,
    },
    /// There is no state and no word what to do.
    #[error("the data directory holds no cluster yet: start with an address and a token to join one")]
    NotStarted,
    /// The node has left its cluster.
    #[error(
        "the node of this data directory has left its cluster; to take part again, start a new node on an empty directory with --join"
    )]
    Left,
}

/// How far ahead a promise ceiling is stored. Seconds, so that it costs next to no writes; half of the clock skew at
/// most, because a node that restarts at once issues ops that far ahead of its clock.
const CEILING_STEP: u64 = 5000;

const META_NODE: &[u8] = b"node";
const META_CEILING: &[u8] = b"ceiling";
const META_INSTALLED: &[u8] = b"installed";
const META_LEFT: &[u8] = b"left";
const META_RETURNING: &[u8] = b"returning";
const CLUSTER_FOUNDING: &[u8] = b"founding";
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
    /// What this node has to make good after an eviction.
    returning: Returning,
}

impl<S: Store> Replica<S> {
    /// Opens the state in `store`. With an empty one, `start` says what to do; otherwise it is not looked at.
    ///
    /// # Errors
    /// The store belongs to another node, or is empty and `start` is none.
    pub fn open(config: Config, store: S, start: Option<Start>, now: Now) -> Result<Self, OpenError> {
        let me = config.contact.node;
        if let Some(found) = store.get(Table::Meta, META_NODE).map(|bytes| read_record(&bytes, "node id"))
            && found != me
        {
            return Err(OpenError::OtherNode { found, expected: me });
        }
        let installed = store.get(Table::Meta, META_INSTALLED).is_some();
        let ceiling = store.get(Table::Meta, META_CEILING).map(|bytes| read_record(&bytes, "ceiling"));
        if store.get(Table::Meta, META_LEFT).is_some() {
            return Err(OpenError::Left);
        }
        let returning = store.get(Table::Meta, META_RETURNING).map(|bytes| read_record::<Return>(&bytes, "return"));
        // What an earlier incarnation promised does not bind this one.
        let ceiling = ceiling.filter(|_| returning.as_ref().is_none_or(|returning| returning.was == me));
        let returning = returning.is_some();
        if !installed && !returning && start.is_none() {
            return Err(OpenError::NotStarted);
        }
        let mut replica = Self {
            me,
            now,
            clock: Clock::starting_above(ceiling.filter(|_| !planted!(CeilingForgotten)).unwrap_or_default()),
            ceiling: ceiling.unwrap_or_default(),
            founding: None,
            installed,
            registry: Registry::new(store, VClock::new()),
            log: LogBuffer::default(),
            feed: Feed::empty(),
            membership: Membership::default(),
            contacts: BTreeMap::new(),
            contacts_changed: true,
            fresh_contacts: BTreeSet::new(),
            finality: Finality::default(),
            peers: Peers::new(config.seed, now),
            waiters: Waiters::default(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            outbox: Vec::new(),
            gated: VecDeque::new(),
            persisted: 0,
            halted: false,
            gone: false,
            evicted: None,
            returning: Returning::default(),
            config,
        };
        match (installed, start) {
            (false, Some(Start::Found(founding))) if !returning => replica.found(founding),
            (false, _) => replica.wipe(),
            (true, _) => {}
        }
        replica.load();
        Ok(replica)
    }

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
        self.installed && self.membership.is_member(self.me)
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
        self.peers.next_beat().min(deadline).min(silence)
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
            Input::SnapshotRows { from, rows } => self.on_snapshot_rows(from, rows),
            Input::SnapshotEnd { from } => self.on_snapshot_end(from),
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
        self.join_freezes();
        self.welcome_newcomers();
        self.register_again();
        self.decide();
        self.answer_waiting();
        let fresh = self.log.write(&mut self.registry.store);
        self.gossip(fresh);
        self.announce_peers();
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

    /// A founder's first state.
    fn found(&mut self, founding: Founding) {
        self.registry.store.put(Table::Cluster, CLUSTER_FOUNDING.to_vec(), codec::encode(&founding));
        self.mark_installed();
    }

    fn mark_installed(&mut self) {
        self.installed = true;
        self.registry.store.put(Table::Meta, META_NODE.to_vec(), codec::encode(&self.me));
        self.registry.store.put(Table::Meta, META_INSTALLED.to_vec(), Vec::new());
    }

    /// Forgets a snapshot that did not come to its end.
    fn wipe(&mut self) {
        for table in Table::ALL.into_iter().filter(|table| table.in_snapshot()) {
            let mut keys = Vec::new();
            self.registry.store.scan(table, &[], None, Direction::Up, &mut |key, _| {
                keys.push(key.to_vec());
                ControlFlow::Continue(())
            });
            keys.into_iter().for_each(|key| self.registry.store.delete(table, key));
        }
    }

    /// Takes up what the store holds, and this node's own contact.
    fn load(&mut self) {
        let store = &self.registry.store;
        let founding = store.get(Table::Cluster, CLUSTER_FOUNDING);
        self.founding = founding.filter(|_| self.installed).map(|bytes| read_record(&bytes, "founding"));
        let founders = self.founding.as_ref().map(|founding| founding.founders.clone()).unwrap_or_default();
        let mut ops: Vec<Op> = Vec::new();
        let mut contacts: Vec<Contact> = Vec::new();
        store.scan(Table::Membership, &[], None, Direction::Up, &mut |_, bytes| {
            ops.push(read_record(bytes, "membership op"));
            ControlFlow::Continue(())
        });
        store.scan(Table::Contacts, &[], None, Direction::Up, &mut |_, bytes| {
            contacts.push(read_record(bytes, "contact"));
            ControlFlow::Continue(())
        });
        self.contacts = contacts.into_iter().map(|contact| (contact.node, contact)).collect();
        self.feed = Feed::open(store);
        self.finality = Finality::default();
        let applied = self.finality.load(&self.registry.store);
        self.membership = Membership::new(founders, ops, &|node| applied.get(&node).copied().unwrap_or(0));
        let dots = applied.iter().map(|(origin, seq)| Dot::new(*origin, *seq));
        self.registry.set_applied(dots.collect());
        self.finality.recall(self.membership.members().filter(|member| *member != self.me));
        self.finality.membership_changed(self.membership.members(), self.now.elapsed);
        self.load_undecided(&applied);
        self.load_returning();
        let mut own = self.config.contact.clone();
        // A clock set back must not make this node's new address look old.
        own.as_of = self.contacts.get(&self.me).map_or(own.as_of, |known| own.as_of.max(known.as_of.plus(1)));
        self.learn_contacts(vec![own]);
    }

    /// Issues an op of this node's own.
    fn issue(&mut self, body: Body) -> Effects {
        let hlc = self.clock.tick(self.promised_wall());
        let seq = self.registry.applied_of(self.me) + 1;
        let op = Op { node: self.me, seq, hlc, body };
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
    }

    /// Welcomes every newcomer that this node is asked to, unless an eviction is under way.
    fn welcome_newcomers(&mut self) {
        let busy = self.membership.has_unfinished_freeze(self.me) || self.membership.departing(self.me).is_some();
        if self.is_member() && !busy && !planted!(NoWelcome) {
            for node in self.membership.to_welcome(self.me) {
                self.issue(Body::Welcome { node });
            }
        }
    }

    /// Enters contacts that are newer than the known ones.
    fn learn_contacts(&mut self, contacts: Vec<Contact>) {
        for contact in contacts {
            let known = self.contacts.get(&contact.node);
            let newer = known.is_none_or(|known| known.as_of < contact.as_of && known.public_key == contact.public_key);
            if newer {
                let key = contact.node.0.to_be_bytes().to_vec();
                self.registry.store.put(Table::Contacts, key, codec::encode(&contact));
                self.fresh_contacts.insert(contact.node);
                self.contacts.insert(contact.node, contact);
                self.contacts_changed = true;
            }
        }
    }

    /// Tells the driver whom to be connected to, where that changed, and the peers how all are reached.
    fn announce_peers(&mut self) {
        if !std::mem::take(&mut self.contacts_changed) || !self.installed {
            return;
        }
        let others = |nodes: &mut dyn Iterator<Item = NodeId>| -> Vec<Contact> {
            nodes.filter(|node| *node != self.me).filter_map(|node| self.contacts.get(&node).cloned()).collect()
        };
        let members = others(&mut self.membership.members().chain(self.membership.half_admitted()));
        let former = others(&mut self.membership.cuts().keys().copied());
        self.outbox.push(Output::Peers { members, former });
        self.spread_contacts();
    }

    fn send(&mut self, to: NodeId, lane: Lane, message: Message) {
        self.outbox.push(Output::Send { to, lane, message });
    }
}
