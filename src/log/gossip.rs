//! Gossip: the exchange with peers by push, acknowledgements and anti-entropy.

mod catch_up;
mod contacts;
mod exchange;
mod join;
mod peers;
mod promise;
mod secret;
mod sponsor;
mod truncate;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

#[cfg(feature = "planted")]
pub(super) use self::exchange::Check;
use self::peers::Peer;
pub(crate) use self::peers::{Newcomer, Peers};
use super::barred::Pass;
use super::chain_check::Contradiction;
use super::event::Output;
use super::message::{Entry, HeldRow, Lane, Message, Promise, Vector};
use super::view::View;
use super::{Log, Phase};
use crate::clock::NodeId;
use crate::log::op::{Op, Seq};
use crate::store::Store;

/// The number of rows of other members in one vector, so that its size stays proportional to the number of members.
const RELAYED_ROWS: usize = 8;

impl Log {
    pub(crate) fn on_connected(&mut self, store: &mut impl Store, peer: NodeId) {
        self.peers.connected.insert(peer, Peer::default());
        if self.phase.is_newcomer() || self.phase.is_reader() {
            self.events.output(Output::Hear { peer });
        }
        self.greet(store, peer);
    }

    /// Notes the token that a peer has shown.
    pub(crate) fn on_showed(&mut self, from: NodeId, pass: Pass) {
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.pass = Some(pass);
        }
    }

    /// Notes that a peer has shown a reader's token.
    pub(crate) fn on_reads(&mut self, from: NodeId) {
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.reads = true;
        }
    }

    /// Sends the first messages to a peer: on a new connection, or once this node has a state.
    pub(super) fn greet(&mut self, store: &mut impl Store, peer: NodeId) {
        self.cluster.prove(&mut self.events, self.me, peer);
        if self.phase.may_answer() {
            let all = self.contacts.all().cloned().collect();
            self.events.send(peer, Lane::Ordered, Message::Contacts(all));
            // The peer must learn of the fork before it takes this node for one that agrees with its log.
            if let Some(fork) = self.frontiers.fork(peer) {
                self.events.send(peer, Lane::Ordered, Message::Forked { seq: fork.seq });
            }
            let vector = self.vector(Some(peer), true, true);
            self.events.send(peer, Lane::Ordered, Message::Vector(vector));
            self.ask_for_admission(peer);
        } else {
            self.find_sponsor(store, peer);
        }
    }

    pub(crate) fn on_disconnected(&mut self, store: &mut impl Store, peer: NodeId) {
        self.peers.connected.remove(&peer);
        if let Some(joining) = self.peers.joining.get_mut(&peer) {
            joining.broken_at = Some(self.now.elapsed);
        }
        self.lose_sponsor(store, peer);
    }

    pub(crate) fn on_message(&mut self, store: &mut impl Store, from: NodeId, message: Message) {
        if let Some(cut) = self.membership.cut(from).filter(|_| self.phase.may_answer()) {
            return self.on_message_of_former(store, from, cut.seq, &message);
        }
        if self.phase.may_answer() && planted!(log::is_heard(self.view().is_heard(from))) {
            self.on_message_of_member(store, from, message);
        } else {
            self.on_message_of_stranger(store, from, message);
        }
    }

    /// Handles a message of a node that is out: it is told so. A node that has left gets the ops that it lacks, so that
    /// it knows which members must know of its departure.
    fn on_message_of_former(&mut self, store: &impl Store, from: NodeId, cut: Seq, message: &Message) {
        match message {
            // Each of two nodes may be out for the other, where one of them knows less.
            Message::Evicted { cut } if self.phase.departed().is_some() => self.on_evicted(from, *cut),
            Message::Evicted { .. } => {}
            _ => {
                if let Message::Vector(vector) = message
                    && vector.wants
                    && self.membership.has_left(from)
                {
                    self.send_missing(store, from, &vector.entries);
                }
                // A node that leaves hands over only what it has acknowledged, so it confirms only a departure that it
                // has acknowledged. A node that was evicted may be the only other one that has its last ops.
                let view = self.view();
                let is_mine = !self.phase.is_going() || view.acknowledged(from).seq >= cut;
                let is_safe = self.membership.has_left(from) || view.is_handed_over(from, cut);
                if is_mine && is_safe {
                    self.events.send(from, Lane::Ordered, Message::Evicted { cut });
                }
            }
        }
    }

    /// Handles a message of a node that is no member: it is heard about its own admission, and about that of this node
    /// where this node is no member either.
    fn on_message_of_stranger(&mut self, store: &mut impl Store, from: NodeId, message: Message) {
        match message {
            Message::Join { contact, snapshot, wall } => self.on_join(store, from, contact, snapshot, wall),
            Message::Resume { snapshot, table, key } => {
                self.peers.on_resume(&mut self.events, from, snapshot, &table, key)
            }
            Message::Installed { wall, has } => self.on_installed(store, from, wall, &has),
            Message::Member { proof } => self.on_proof(from, &proof),
            // This node was admitted and evicted before it had the state, so its sponsor does not admit it under that
            // id any more. Or a new cluster was made of a member's directory.
            Message::Evicted { cut } if self.view().is_sponsor(from) || self.view().goes_on_as(from) => {
                self.on_evicted(from, cut)
            }
            // A late message does not concern a node that has its state. The sponsor knows this id as that of a member.
            Message::Used if self.view().is_sponsor(from) && matches!(self.phase, Phase::Joining) => {
                self.on_evicted(from, Seq::MAX)
            }
            Message::Contacts(contacts) if self.phase.may_answer() && !self.peers.is_reader(from) => {
                self.on_contacts(from, contacts);
            }
            // The peer lacks ops, among them its own admission.
            Message::Vector(vector) if self.phase.may_answer() => self.answer_stranger(store, from, &vector),
            _ => {}
        }
    }

    fn on_message_of_member(&mut self, store: &mut impl Store, from: NodeId, message: Message) {
        match message {
            // A member that asks for a state has lost its own.
            Message::Join { .. } if self.membership.is_member(from) => {
                self.events.send(from, Lane::Ordered, Message::Used)
            }
            Message::Join { contact, snapshot, wall } => self.on_join(store, from, contact, snapshot, wall),
            Message::Resume { snapshot, table, key } => {
                self.peers.on_resume(&mut self.events, from, snapshot, &table, key)
            }
            Message::Installed { .. } if self.membership.is_member(from) => self.tell_secrets(store, from),
            Message::Installed { wall, has } => self.on_installed(store, from, wall, &has),
            Message::Member { proof } => self.on_proof(from, &proof),
            Message::Contacts(contacts) => self.on_contacts(from, contacts),
            Message::Ops { ops, more } => self.on_ops(from, &ops, more),
            Message::Vector(vector) => self.on_vector(store, from, &vector),
            Message::Skewed { ahead } => self.peers.on_skewed(&self.contacts, from, ahead),
            Message::Nominate { contact, pass } => self.nominate(store, contact, pass, from),
            Message::Waits { newcomer, obstacles } if newcomer == self.me => {
                self.peers.on_waits(obstacles, self.phase.is_member())
            }
            Message::Waits { newcomer, obstacles } => {
                let contact = self.contacts.get(newcomer).cloned();
                self.peers.pass_waits_on(&mut self.events, newcomer, contact, obstacles, self.now.elapsed);
            }
            Message::Secrets(secrets) => self.on_secrets(store, *secrets),
            Message::PrivateKey(key) => self.on_key(store, &key),
            Message::Evicted { cut } => self.on_evicted(from, cut),
            Message::Gone(begins) => self.on_gone(from, &begins),
            Message::Forked { seq } if self.phase.is_member() => self.halt_as_copy(&Contradiction::Forked(seq)),
            Message::Used | Message::Forked { .. } => {}
        }
    }

    /// Pushes the step's ops, acknowledges those of others, and keeps the heartbeat. `contested` is true where outcomes
    /// of registrations wait for other members.
    pub(crate) fn gossip(&mut self, store: &mut impl Store, fresh: BTreeMap<NodeId, Vec<Op>>, contested: bool) {
        if matches!(self.phase, Phase::Joining) {
            return self.join_again(store);
        }
        let small = self.view().is_small();
        // A reader has nothing to say, and asks with its heartbeats.
        if !fresh.is_empty() && !self.phase.is_reader() {
            self.spread(fresh, small);
        }
        self.ask_on();
        self.send_on(store);
        self.truncate(store);
        self.beat(store, small, contested);
        self.promise_unasked();
    }

    /// Pushes the step's ops and acknowledges those of others.
    fn spread(&mut self, mut fresh: BTreeMap<NodeId, Vec<Op>>, small: bool) {
        let foreign: Vec<_> = fresh.keys().copied().filter(|origin| *origin != self.me).collect();
        let ours = fresh.remove(&self.me).unwrap_or_default();
        // In a small cluster the origin itself sends its ops to all peers.
        let rumour = if small { ours } else { fresh.into_values().fold(ours, |all, ops| [all, ops].concat()) };
        self.push(rumour, small);
        if !foreign.is_empty() {
            let mut to = if small {
                self.peers.partners()
            } else {
                choose(&mut self.rng, self.peers.partners(), self.config.spread.fanout)
            };
            to.extend(foreign.iter().filter(|origin| !small && self.peers.is_connected(**origin)));
            let mut vector = self.vector(None, false, false);
            if small {
                self.note_promise();
            } else {
                vector.entries.retain(|entry| entry.origin == self.me || foreign.contains(&entry.origin));
            }
            to.into_iter().for_each(|to| self.events.send(to, Lane::Ordered, Message::Vector(vector.clone())));
        }
    }

    fn push(&mut self, ops: Vec<Op>, small: bool) {
        if ops.is_empty() {
            return;
        }
        let to = if small {
            self.peers.partners()
        } else {
            choose(&mut self.rng, self.peers.partners(), self.config.spread.fanout)
        };
        let to: Vec<_> = to.into_iter().filter(|peer| self.view().takes_ours(*peer)).collect();
        if to.is_empty() {
            return;
        }
        let mut ops = ops;
        while !ops.is_empty() {
            let rest = ops.split_off(ops.len().min(self.config.spread.ops));
            let ops = Arc::new(std::mem::replace(&mut ops, rest));
            for peer in &to {
                self.events.send(*peer, Lane::Ordered, Message::Ops { ops: ops.clone(), more: false });
            }
        }
    }

    /// Sends the heartbeat when it is due: the promise to some or all peers, and a full exchange with one of them.
    fn beat(&mut self, store: &mut impl Store, small: bool, contested: bool) {
        let now = self.now.elapsed;
        if now < self.peers.next_heartbeat {
            let sooner = now.plus(self.config.busy_heartbeat);
            // Something may have become undecided since the last, slower heartbeat was planned.
            if sooner < self.peers.next_heartbeat && self.view().is_busy(contested) {
                self.peers.next_heartbeat = sooner;
            }
            return;
        }
        let interval =
            if self.view().is_busy(contested) { self.config.busy_heartbeat } else { self.view().heartbeat() };
        self.peers.next_heartbeat = now.plus(interval * 3 / 4 + u64::from(self.rng.next_u32()) % (interval / 2).max(1));
        // Where the clock is ahead of the wall clock, as after a restart, the promise would otherwise seem to stand
        // still.
        self.own.tick(self.view().time_to_follow());
        let to = if self.phase.is_reader() {
            Vec::new()
        } else if small {
            self.peers.partners()
        } else {
            choose(&mut self.rng, self.peers.partners(), self.config.spread.fanout)
        };
        let partner = choose(&mut self.rng, self.peers.partners(), 1).first().copied();
        let entries = self.view().entries();
        if small {
            self.note_promise();
        }
        for peer in to.iter().copied().filter(|peer| Some(*peer) != partner) {
            let vector = self.vector_of(entries.clone(), Some(peer), false, false);
            self.events.send(peer, Lane::Ordered, Message::Vector(vector));
        }
        if let Some(partner) = partner {
            let vector = self.vector_of(entries, Some(partner), self.phase.takes_ops(), true);
            self.events.send(partner, Lane::Ordered, Message::Vector(vector));
            self.pass_contacts_on(partner);
            self.pass_secret_on(store, partner);
            // This was sent before, but it may have been lost, or the peer may have been no member then.
            self.ask_for_admission(partner);
            if let Some(ahead) = self.peers.skewed.get(&partner).copied() {
                self.peers.tell_skewed(&mut self.events, partner, ahead);
            }
        }
    }

    /// Returns a vector of all that this node knows of all logs. It has rows of other members where it goes to a
    /// particular peer.
    fn vector(&mut self, to: Option<NodeId>, wants: bool, echo: bool) -> Vector {
        // A node that takes no ops yet does not ask for any.
        let wants = wants && self.phase.takes_ops();
        let entries = self.view().entries();
        self.vector_of(entries, to, wants, echo)
    }

    pub(in crate::log) fn vector_of(
        &mut self,
        mut entries: Vec<Entry>,
        to: Option<NodeId>,
        wants: bool,
        echo: bool,
    ) -> Vector {
        if self.phase.may_promise() {
            self.own.tell();
        }
        for entry in entries.iter_mut().filter(|entry| Some(entry.origin) == to) {
            entry.promise = self.frontiers.greatest_heard(entry.origin);
        }
        let rows = match to.filter(|_| self.phase.is_member()) {
            Some(to) => {
                let others = self.view().has_rows(to);
                let chosen = choose(&mut self.rng, others, RELAYED_ROWS);
                self.view().rows(chosen, to, wants)
            }
            None => Vec::new(),
        };
        let (leaving, yields_to) = self.view().leavers();
        Vector {
            entries,
            rows,
            wall: self.now.wall,
            silent: self.peers.vote.says().clone(),
            leaving,
            yields_to,
            wants,
            echo,
        }
    }
}

impl View<'_> {
    /// Returns true for members, and for peers that know the secret of the members: this node may lack the `Admit` of
    /// such a peer, and the node that issued it may be lost. A newcomer or a reader may know none of the present members, and
    /// hears whoever is connected to it, but for readers.
    fn is_heard(&self, node: NodeId) -> bool {
        let knows_secret = self.peers.connected.get(&node).is_some_and(|peer| peer.knows_secret);
        let knows_nobody = self.phase.is_newcomer() || self.phase.is_reader();
        self.membership.is_member(node) || knows_secret || knows_nobody && !self.peers.is_reader(node)
    }

    /// Returns true where a member goes on under that id, which is a later incarnation of it.
    pub(super) fn goes_on_as(&self, node: NodeId) -> bool {
        self.membership.members().any(|member| member.key_part() == node.key_part() && member < node)
    }

    fn is_sponsor(&self, node: NodeId) -> bool {
        self.peers.sponsor == Some(node)
    }

    /// Returns true where new ops are pushed to a peer. A peer that lags far behind is left to anti-entropy.
    fn takes_ours(&self, peer: NodeId) -> bool {
        let lag = self.frontiers.seq(self.me).saturating_sub(self.frontiers.held(peer, self.me));
        let froze = self.membership.freeze_by(peer, self.me).is_some();
        self.membership.is_member(peer) && !froze && lag <= self.config.spread.lag
    }

    /// Returns an entry for each log of which this node knows anything.
    fn entries(&self) -> Vec<Entry> {
        let applied = self.frontiers.logs();
        let mut origins: Vec<_> = applied.chain(self.membership.members()).chain([self.me]).collect();
        origins.sort_unstable();
        origins.dedup();
        let heard = |origin| self.frontiers.greatest_heard(origin) != Promise::default();
        let tells = |entry: &Entry| entry.has > 0 || entry.promise != Promise::default() || heard(entry.origin);
        origins.into_iter().map(|origin| self.entry(origin)).filter(tells).collect()
    }

    fn entry(&self, origin: NodeId) -> Entry {
        let (here, acknowledged) = (self.frontiers.here(origin), self.acknowledged(origin));
        let promise = if origin != self.me {
            self.frontiers.promise(origin)
        } else if !self.phase.may_promise() {
            Promise::default()
        } else {
            Promise { seq: here.seq, chain: here.chain, hlc: self.own.last() }
        };
        Entry { origin, has: here.seq, holds: acknowledged.seq, chain: acknowledged.chain, promise }
    }

    /// Returns the members, besides the receiver of a vector, whose acknowledgements this node knows.
    fn has_rows(&self, to: NodeId) -> Vec<NodeId> {
        let by = self.frontiers.rows().keys().copied();
        by.filter(|by| *by != to && self.membership.is_member(*by)).collect()
    }

    /// Returns the rows of the chosen members, and in a full exchange also that of the receiver.
    fn rows(&self, chosen: Vec<NodeId>, to: NodeId, own: bool) -> Vec<HeldRow> {
        let row = |by: NodeId| {
            let held = self.frontiers.rows()[&by].iter().map(|(origin, held)| (*origin, held.seq, held.chain));
            HeldRow { by, held: held.collect() }
        };
        let mut rows: Vec<_> = chosen.into_iter().map(row).collect();
        let word = Some(self.frontiers.word_of(to)).filter(|word| own && !word.is_empty());
        rows.extend(word.map(|held| HeldRow { by: to, held }));
        rows
    }
}

/// Returns `count` of the nodes at random.
fn choose(rng: &mut ChaCha8Rng, mut nodes: Vec<NodeId>, count: usize) -> Vec<NodeId> {
    for i in 0..count.min(nodes.len().saturating_sub(1)) {
        let rest = nodes.len() - i;
        nodes.swap(i, i + rng.next_u32() as usize % rest);
    }
    nodes.truncate(count);
    nodes
}
