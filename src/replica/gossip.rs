//! What a node tells its peers, and what it takes from them: push, acknowledgements, anti-entropy.

mod join;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::input::Output;
use super::message::{Contact, Entry, HeldRow, Lane, Message, Promise, Vector};
use super::{Now, Replica, log};
use crate::clock::{Millis, NodeId};
use crate::crdt::{Body, Op, Seq};
use crate::store::Store;

/// How many are told at a time, and how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spread {
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

impl Default for Spread {
    /// Four at a time make rumours reach all with high probability in logarithmic rounds (Demers et al., "Epidemic
    /// Algorithms", 1987); a guess between traffic and rounds. The sizes are guesses as well.
    fn default() -> Self {
        Self { small: 8, fanout: 4, ops: 2048, bytes: 1 << 20, lag: 20_000 }
    }
}

/// Contacts that a beat passes on.
const SOME_CONTACTS: usize = 8;
/// A peer is not asked for ops again within so many milliseconds. A guess at a long round trip.
const ASK_AGAIN: u64 = 300;
/// Rows of other members in one vector, so that its size stays proportional to the number of members.
const RELAYED_ROWS: usize = 8;

/// A peer that is connected now.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// How far its wall clock is ahead of ours, milliseconds, by its last word.
    offset: Option<i64>,
    /// When it was last asked for ops that have not come.
    asked_at: Option<Millis>,
    /// Who is silent to it, and when it said so.
    silent: Option<(Millis, BTreeSet<NodeId>)>,
}

/// The peers that are connected, and when they hear from us next.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    connected: BTreeMap<NodeId, Peer>,
    /// Newcomers that this node sponsors.
    joining: BTreeMap<NodeId, Contact>,
    /// By how much the timestamps that we last refused from a node were ahead.
    skewed: BTreeMap<NodeId, u64>,
    next_beat: Millis,
    /// The peer that a newcomer asked to let it in: one at a time, or their snapshots would mix.
    sponsor: Option<NodeId>,
    /// Rows of a snapshot that has not come to its end are in the store.
    half_installed: bool,
    /// Peers whose snapshots came when they were not awaited: on these connections there is no whole one.
    missed: BTreeSet<NodeId>,
}

impl Peers {
    pub(super) fn new(seed: u64, now: Now) -> Self {
        // Nodes that start together should not speak together for ever.
        let next_beat = now.elapsed.plus(seed % 50);
        let (connected, joining, skewed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { connected, joining, skewed, next_beat, sponsor: None, half_installed: false, missed: BTreeSet::new() }
    }

    pub(super) fn next_beat(&self) -> Millis {
        self.next_beat
    }

    pub(super) fn connected(&self) -> Vec<NodeId> {
        self.connected.keys().copied().collect()
    }

    pub(super) fn is_connected(&self, node: NodeId) -> bool {
        self.connected.contains_key(&node)
    }

    pub(super) fn offset(&self, node: NodeId) -> Option<i64> {
        self.connected.get(&node)?.offset
    }

    /// Who is silent to a peer, and when it last said so.
    pub(super) fn silent_to(&self, node: NodeId) -> Option<&(Millis, BTreeSet<NodeId>)> {
        self.connected.get(&node)?.silent.as_ref()
    }

    pub(super) fn skewed(&self, node: NodeId) -> Option<u64> {
        self.skewed.get(&node).copied()
    }
}

impl<S: Store> Replica<S> {
    pub(super) fn on_connected(&mut self, peer: NodeId) {
        self.peers.connected.insert(peer, Peer::default());
        if self.installed {
            let all = self.contacts.values().cloned().collect();
            self.send(peer, Lane::Ordered, Message::Contacts(all));
            let vector = self.vector(Some(peer), true, true);
            self.send(peer, Lane::Ordered, Message::Vector(vector));
            if !self.is_member() {
                self.send(peer, Lane::Ordered, Message::Installed);
            }
        } else if self.peers.sponsor.is_none() {
            self.ask_to_join(peer);
        }
    }

    pub(super) fn on_disconnected(&mut self, peer: NodeId) {
        self.peers.connected.remove(&peer);
        self.peers.joining.remove(&peer);
        self.peers.missed.remove(&peer);
        // What still waits for an fsync belongs to this connection: a request to join that went out on the next one
        // would bring a snapshot that nobody waits for any more, and that mixes with another's.
        let gone =
            |output: &Output| matches!(output, Output::Send { to, .. } | Output::SendSnapshot { to } if *to == peer);
        self.gated.retain(|(_, output)| !gone(output));
        self.outbox.retain(|output| !gone(output));
        if self.peers.sponsor == Some(peer) {
            self.peers.sponsor = None;
            if let Some(other) = self.someone_to_ask().filter(|_| !self.installed) {
                self.ask_to_join(other);
            }
        }
    }

    pub(super) fn on_message(&mut self, from: NodeId, message: Message) {
        if let Some(cut) = self.membership.cut(from).filter(|_| self.installed) {
            if !matches!(message, Message::Evicted { .. }) {
                self.send(from, Lane::Ordered, Message::Evicted { cut });
            }
            return;
        }
        match message {
            Message::Join(contact) => self.on_join(from, contact),
            Message::Installed => self.on_installed(from),
            // Let in and put out again before it had the state: its sponsor does not let it in under that id any more.
            Message::Evicted { cut } if self.peers.sponsor == Some(from) => self.on_evicted(cut),
            _ if !self.installed => {}
            Message::Contacts(contacts) => self.on_contacts(from, contacts),
            Message::Ops { ops, more } => self.on_ops(from, &ops, more),
            Message::Vector(vector) => self.on_vector(from, &vector),
            Message::Skewed { ahead } => {
                tracing::warn!(peer = %from, ahead, "a peer does not take our ops: their timestamps are ahead of its clock");
                self.peers.skewed.insert(self.me, ahead);
            }
            Message::Nominate(contact) if self.membership.is_member(from) => self.nominate(contact, false),
            Message::Nominate(_) => {}
            Message::Evicted { cut } if self.membership.knows_key(from) => self.on_evicted(cut),
            Message::Evicted { .. } => {}
        }
    }

    /// A member may speak of all, a newcomer only of itself.
    fn on_contacts(&mut self, from: NodeId, contacts: Vec<Contact>) {
        let whole = self.membership.is_member(from);
        let contacts =
            contacts.into_iter().filter(|contact| contact.node != self.me && (whole || contact.node == from));
        self.learn_contacts(contacts.collect());
    }

    /// Takes in what continues the logs that are here; asks again where there is a gap.
    fn on_ops(&mut self, from: NodeId, ops: &[Op], more: bool) {
        let limit = self.now.wall.plus(self.config.max_clock_skew);
        if let Some(worst) = ops.iter().map(|op| op.hlc.millis()).max().filter(|worst| *worst > limit) {
            let ahead = worst.since(self.now.wall);
            self.peers.skewed.insert(from, ahead);
            self.send(from, Lane::Ordered, Message::Skewed { ahead });
            return;
        }
        self.peers.skewed.remove(&from);
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.asked_at = None;
        }
        let (mut gap, mut origins) = (false, BTreeSet::new());
        for op in ops {
            match self.check(op) {
                Check::Next => {
                    self.clock.observe(op.hlc);
                    self.apply(op);
                    self.log.push(op.clone());
                    origins.insert(op.node);
                }
                Check::Known | Check::Stranger => {}
                Check::Gap => gap = true,
                Check::Broken(why) => {
                    tracing::error!(origin = %op.node, seq = op.seq, why, "an op was refused");
                    break;
                }
                Check::Ours => return self.halt_behind(op.seq),
            }
        }
        // Only where this brought something: of several answers to one lack the first asks on, or each would for itself.
        let more = more && !origins.is_empty();
        for origin in origins.into_iter().filter(|origin| self.membership.freeze_by(self.me, *origin).is_none()) {
            self.finality.believe(origin, self.registry.applied_of(origin), self.now);
        }
        if gap || more {
            self.ask(from, more);
        }
    }

    fn check(&self, op: &Op) -> Check {
        let applied = self.registry.applied_of(op.node);
        if op.seq <= applied {
            Check::Known
        } else if op.node == self.me {
            Check::Ours
        } else if op.seq > self.membership.limit(self.me, op.node) {
            Check::Stranger
        } else if op.seq > applied + 1 && !planted!(GapsTaken) {
            Check::Gap
        } else if op.hlc <= self.membership.floor(op.node) {
            // Another admission let it in earlier, which is not complete here yet.
            Check::Stranger
        } else if op.hlc <= self.finality.promise(op.node).hlc {
            Check::Broken("its origin had promised to issue nothing that early")
        } else {
            Check::Next
        }
    }

    /// Asks a peer for all that it has and this node lacks.
    fn ask(&mut self, peer: NodeId, at_once: bool) {
        let now = self.now.elapsed;
        let Some(state) = self.peers.connected.get_mut(&peer) else { return };
        if at_once || state.asked_at.is_none_or(|asked| now.since(asked) >= ASK_AGAIN) {
            state.asked_at = Some(now);
            let vector = self.vector(Some(peer), true, false);
            self.send(peer, Lane::Ordered, Message::Vector(vector));
        }
    }

    fn on_vector(&mut self, from: NodeId, vector: &Vector) {
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            let (theirs, ours) = (i128::from(vector.wall.0), i128::from(self.now.wall.0));
            peer.offset = Some(i64::try_from(theirs - ours).unwrap_or(i64::MAX));
            peer.silent = Some((self.now.elapsed, vector.silent.clone()));
        }
        let limit = self.now.wall.plus(self.config.max_clock_skew);
        let mut lacking = false;
        for entry in &vector.entries {
            self.finality.hold(from, entry.origin, entry.held);
            let applied = self.registry.applied_of(entry.origin);
            if entry.origin == self.me {
                if entry.held > applied {
                    return self.halt_behind(entry.held);
                }
                if entry.held == applied {
                    self.peers.skewed.remove(&self.me);
                }
            } else if entry.promise.hlc.millis() <= limit {
                if self.membership.freeze_by(self.me, entry.origin).is_none() {
                    self.finality.hear(entry.origin, entry.promise, applied, self.now);
                    // What comes after a freeze, or after a newcomer is let in, lies above all that was promised before.
                    self.clock.observe(self.finality.promise(entry.origin).hlc);
                }
                // What its own origin is about to push needs no asking.
                let takes = entry.held.min(self.membership.limit(self.me, entry.origin));
                lacking |= takes > applied && !self.peers.is_connected(entry.origin);
            }
        }
        for row in vector.rows.iter().filter(|row| row.by != self.me) {
            row.held.iter().for_each(|(origin, seq)| self.finality.hold(row.by, *origin, *seq));
        }
        if vector.wants {
            self.send_missing(from, &vector.entries);
        }
        if vector.echo {
            let vector = self.vector(Some(from), true, false);
            self.send(from, Lane::Ordered, Message::Vector(vector));
        } else if lacking {
            self.ask(from, false);
        }
    }

    /// Sends what the entries, one for each log that the peer has, show it to lack; of every log its next ops. Each has
    /// its share of the message: a log that the peer does not take yet must not crowd out the welcome that it waits for.
    fn send_missing(&mut self, to: NodeId, entries: &[Entry]) {
        let theirs: BTreeMap<_, _> = entries.iter().map(|entry| (entry.origin, entry.held)).collect();
        let (mut ops, mut bytes, mut more) = (Vec::new(), 0, false);
        let most = self.config.spread;
        let behind = self.registry.applied().iter().filter_map(|dot| {
            let held = theirs.get(dot.actor).copied().unwrap_or(0);
            let upto = dot.counter.min(self.membership.limit(to, *dot.actor));
            (*dot.actor != to && held < upto).then_some((*dot.actor, held + 1, upto))
        });
        let behind: Vec<_> = behind.collect();
        let logs = behind.len().max(1);
        for (origin, from, upto) in behind {
            let (mut left, mut room) = (most.ops.div_ceil(logs), most.bytes.div_ceil(logs));
            log::read(&self.registry.store, origin, from, &mut |op| {
                if op.seq > upto {
                    return ControlFlow::Break(());
                }
                if left == 0 || room == 0 {
                    more = true;
                    return ControlFlow::Break(());
                }
                let weight = weight(&op);
                (left, room, bytes) = (left - 1, room.saturating_sub(weight), bytes + weight);
                ops.push(op);
                ControlFlow::Continue(())
            });
        }
        if !ops.is_empty() {
            // Little goes in order with the promises, much by itself.
            let lane = if more || bytes > most.bytes / 16 { Lane::Bulk } else { Lane::Ordered };
            self.send(to, lane, Message::Ops { ops: Arc::new(ops), more });
        }
    }

    /// Pushes the step's ops, acknowledges those of others, and keeps the heartbeat.
    pub(super) fn gossip(&mut self, mut fresh: BTreeMap<NodeId, Vec<Op>>) {
        if !self.installed {
            return self.join_again();
        }
        let small = self.membership.count() <= self.config.spread.small;
        let foreign: Vec<_> = fresh.keys().copied().filter(|origin| *origin != self.me).collect();
        let ours = fresh.remove(&self.me).unwrap_or_default();
        // In a small cluster the origin itself tells all that it can reach.
        let rumour = if small { ours } else { fresh.into_values().fold(ours, |all, ops| [all, ops].concat()) };
        self.push(rumour, small);
        if !foreign.is_empty() {
            let mut to = if small { self.peers.connected() } else { self.some_peers(self.config.spread.fanout) };
            to.extend(foreign.iter().filter(|origin| !small && self.peers.is_connected(**origin)));
            let mut vector = self.vector(None, false, false);
            if !small {
                vector.entries.retain(|entry| entry.origin == self.me || foreign.contains(&entry.origin));
            }
            to.into_iter().for_each(|to| self.send(to, Lane::Ordered, Message::Vector(vector.clone())));
        }
        self.beat(small);
    }

    fn push(&mut self, ops: Vec<Op>, small: bool) {
        if ops.is_empty() {
            return;
        }
        let to = if small { self.peers.connected() } else { self.some_peers(self.config.spread.fanout) };
        let to: Vec<_> = to.into_iter().filter(|peer| self.takes_ours(*peer)).collect();
        if to.is_empty() {
            return;
        }
        let mut ops = ops;
        while !ops.is_empty() {
            let rest = ops.split_off(ops.len().min(self.config.spread.ops));
            let ops = Arc::new(std::mem::replace(&mut ops, rest));
            for peer in &to {
                self.send(*peer, Lane::Ordered, Message::Ops { ops: ops.clone(), more: false });
            }
        }
    }

    /// Whether a peer is to be sent what is issued here: one that lags far behind is left to anti-entropy.
    fn takes_ours(&self, peer: NodeId) -> bool {
        let lag = self.registry.applied_of(self.me).saturating_sub(self.finality.held(peer, self.me));
        let froze = self.membership.freeze_by(peer, self.me).is_some();
        self.membership.knows(peer) && !froze && lag <= self.config.spread.lag
    }

    /// Once in a while a node tells its peers its promise, and exchanges with one of them all that either lacks.
    fn beat(&mut self, small: bool) {
        let now = self.now.elapsed;
        // What is said of silent members must be fresh.
        let busy = self.finality.busy() || !self.silent().is_empty();
        let interval = if busy { self.config.busy_heartbeat } else { self.config.heartbeat };
        if now < self.peers.next_beat.min(now.plus(interval)) && !(busy && now.plus(interval) < self.peers.next_beat) {
            return;
        }
        if now < self.peers.next_beat {
            // Something has become undecided since the last, slower beat was planned.
            self.peers.next_beat = now.plus(interval);
            return;
        }
        self.peers.next_beat = now.plus(interval * 3 / 4 + u64::from(self.rng.next_u32()) % (interval / 2).max(1));
        // Where the clock stands ahead of the wall, as after a restart, its promise would seem to stand still.
        self.clock.tick(self.promised_wall());
        let to = if small { self.peers.connected() } else { self.some_peers(self.config.spread.fanout) };
        let partner = self.some_peers(1).first().copied();
        let entries = self.entries();
        for peer in to.iter().copied().filter(|peer| Some(*peer) != partner) {
            let vector = self.vector_of(entries.clone(), Some(peer), false, false);
            self.send(peer, Lane::Ordered, Message::Vector(vector));
        }
        if let Some(partner) = partner {
            let vector = self.vector_of(entries, Some(partner), true, true);
            self.send(partner, Lane::Ordered, Message::Vector(vector));
            let some: Vec<_> = self.some_contacts();
            self.send(partner, Lane::Ordered, Message::Contacts(some));
            if !self.is_member() {
                // Said before, but that may have been lost, or said to one who was no member itself.
                self.send(partner, Lane::Ordered, Message::Installed);
            }
        }
    }

    /// All that this node knows of all logs; with rows of other members where it goes to somebody in particular.
    fn vector(&mut self, to: Option<NodeId>, wants: bool, echo: bool) -> Vector {
        let entries = self.entries();
        self.vector_of(entries, to, wants, echo)
    }

    fn vector_of(&mut self, entries: Vec<Entry>, to: Option<NodeId>, wants: bool, echo: bool) -> Vector {
        let rows = to.map(|to| self.some_rows(to)).unwrap_or_default();
        Vector { entries, rows, wall: self.now.wall, silent: self.silent(), wants, echo }
    }

    /// An entry for each log that there is something to say of.
    fn entries(&self) -> Vec<Entry> {
        let mut origins: BTreeSet<_> = self.registry.applied().iter().map(|dot| *dot.actor).collect();
        origins.extend(self.membership.members());
        origins.insert(self.me);
        let tells = |entry: &Entry| entry.held > 0 || entry.promise != Promise::default();
        origins.into_iter().map(|origin| self.entry(origin)).filter(tells).collect()
    }

    fn entry(&self, origin: NodeId) -> Entry {
        let held = self.registry.applied_of(origin);
        let promise = if origin == self.me {
            Promise { seq: held, hlc: self.clock.last() }
        } else {
            self.finality.promise(origin)
        };
        Entry { origin, held, promise }
    }

    fn some_rows(&mut self, to: NodeId) -> Vec<HeldRow> {
        let others: Vec<_> =
            self.finality.rows().keys().copied().filter(|by| *by != to && self.membership.is_member(*by)).collect();
        let chosen = self.choose(others, RELAYED_ROWS);
        let row = |by: NodeId| {
            let held = self.finality.rows()[&by].iter().map(|(origin, seq)| (*origin, *seq));
            HeldRow { by, held: held.collect() }
        };
        chosen.into_iter().map(row).collect()
    }

    fn some_peers(&mut self, count: usize) -> Vec<NodeId> {
        let connected = self.peers.connected();
        self.choose(connected, count)
    }

    /// In a small cluster all that a node knows goes to all at once; in a large one what is new is a rumour, as ops are.
    pub(super) fn spread_contacts(&mut self) {
        let fresh = std::mem::take(&mut self.fresh_contacts);
        let small = self.membership.count() <= self.config.spread.small;
        let told = self.contacts.iter().filter(|(node, _)| small || fresh.contains(node));
        let told: Vec<_> = told.map(|(_, contact)| contact.clone()).collect();
        let to = if small { self.peers.connected() } else { self.some_peers(self.config.spread.fanout) };
        for to in to.into_iter().filter(|_| !told.is_empty()) {
            self.send(to, Lane::Ordered, Message::Contacts(told.clone()));
        }
    }

    fn some_contacts(&mut self) -> Vec<Contact> {
        let nodes = self.contacts.keys().copied().collect();
        self.choose(nodes, SOME_CONTACTS).into_iter().map(|node| self.contacts[&node].clone()).collect()
    }

    /// `count` of the nodes, at random.
    fn choose(&mut self, mut nodes: Vec<NodeId>, count: usize) -> Vec<NodeId> {
        for i in 0..count.min(nodes.len().saturating_sub(1)) {
            let rest = nodes.len() - i;
            nodes.swap(i, i + self.rng.next_u32() as usize % rest);
        }
        nodes.truncate(count);
        nodes
    }

    /// By how much this node's clock is off from the median of its peers', where that is more than allowed.
    pub(super) fn clock_suspect(&self) -> Option<i64> {
        let members = self.peers.connected.iter().filter(|(node, _)| self.membership.is_member(**node));
        let mut offsets: Vec<_> = members.filter_map(|(_, peer)| peer.offset).collect();
        offsets.sort_unstable();
        let median = offsets.get(offsets.len() / 2).copied()?;
        (median.unsigned_abs() > self.config.max_clock_skew).then_some(median)
    }

    /// A peer has ops of this node that it does not have itself: going on would issue their numbers again.
    fn halt_behind(&mut self, seq: Seq) {
        let applied = self.registry.applied_of(self.me);
        self.halt(format!(
            "this data directory is older than what peers have seen of this node: it ends at op {applied}, they hold \
             op {seq}. It was restored from a copy, or its disk lost acknowledged writes. Nothing was issued under a \
             used number, and what peers hold is safe. Start a new node on an empty data directory with --join"
        ));
    }
}

/// What an op is to this node.
enum Check {
    Next,
    Known,
    Gap,
    Stranger,
    Ours,
    Broken(&'static str),
}

/// The encoded size of an op, roughly.
fn weight(op: &Op) -> usize {
    let Body::Register(register) = &op.body else { return 64 };
    let claims = register.claims.iter().map(|claim| claim.namespace.len() + claim.key.len() + claim.name.len() + 24);
    64 + register.owner.len() + register.metadata.as_ref().map_or(0, String::len) + claims.sum::<usize>()
}
