//! Joining, from both sides: a newcomer asks one sponsor, takes its snapshot, and is admitted.

use std::collections::BTreeSet;

use super::super::barred::Pass;
use super::super::event::Output;
use super::super::message::{Contact, Lane, Message, Obstacle, SnapshotId};
use super::super::view::View;
use super::super::{Log, Phase};
use super::peers::Joining;
use super::truncate::say_gone;
use crate::clock::{Millis, NodeId};
use crate::log::op::{Body, MemberOp, Seq};
use crate::store::{Store, Write};

/// A newcomer whose request to join had no effect repeats it after so many milliseconds, then after twice and from then
/// on after four times as many: the request was lost, or the node that it asked was no member yet. A guess at how long
/// a sponsor may take to begin its snapshot.
const JOIN_AGAIN: u64 = 5000;

impl Log {
    /// Asks a sponsor for a new snapshot. What an earlier one has left in the store is deleted first.
    pub(in crate::log) fn ask_to_join(&mut self, store: &mut impl Store, sponsor: NodeId) {
        if self.peers.received.take().is_some() {
            self.wipe(store);
        }
        self.peers.resuming = false;
        self.peers.next_heartbeat = self.now.elapsed.plus(JOIN_AGAIN << self.peers.asked.min(2));
        self.peers.asked += 1;
        self.peers.sponsor = Some(sponsor);
        self.peers.snapshot = self.peers.snapshot.wrapping_add(1);
        let (contact, snapshot) = (self.config.contact.clone(), self.peers.snapshot);
        let wall = self.now.wall;
        self.events.send(sponsor, Lane::Ordered, Message::Join { contact, snapshot, wall });
    }

    /// Handles a connection of a newcomer: the peer is its sponsor again, whose snapshot broke off, or a node that it
    /// can ask.
    pub(in crate::log) fn find_sponsor(&mut self, store: &mut impl Store, peer: NodeId) {
        match self.peers.sponsor {
            None => self.ask_to_join(store, peer),
            Some(sponsor) if sponsor == peer => {
                if let Some((table, key)) = self.peers.received.clone() {
                    self.peers.resuming = true;
                    self.peers.next_heartbeat = self.now.elapsed.plus(JOIN_AGAIN);
                    let (snapshot, table) = (self.peers.snapshot, table.name().to_owned());
                    self.events.send(peer, Lane::Ordered, Message::Resume { snapshot, table, key });
                }
            }
            Some(_) => {}
        }
    }

    /// Handles a lost connection of a newcomer. A sponsor whose snapshot has begun may be back soon, so the newcomer
    /// waits for it.
    pub(in crate::log) fn lose_sponsor(&mut self, store: &mut impl Store, peer: NodeId) {
        if self.peers.sponsor != Some(peer) {
            return;
        }
        if self.peers.received.is_some() && matches!(self.phase, Phase::Joining) {
            self.peers.next_heartbeat = self.now.elapsed.plus(JOIN_AGAIN);
            return;
        }
        self.peers.sponsor = None;
        if let Some(other) = self.peers.next_to_ask(&mut self.rng).filter(|_| matches!(self.phase, Phase::Joining)) {
            self.ask_to_join(store, other);
        }
    }

    /// Asks again where no snapshot has begun, or where one broke off and does not go on. A snapshot that has begun
    /// goes on for as long as its connection lasts.
    pub(in crate::log) fn join_again(&mut self, store: &mut impl Store) {
        let now = self.now.elapsed;
        if now < self.peers.next_heartbeat {
            return;
        }
        self.peers.next_heartbeat = now.plus(JOIN_AGAIN);
        // It asks another node where there is one: the sponsor may be a newcomer itself that waits for this one.
        let comes = self.peers.received.is_some() && !self.peers.resuming;
        let comes = comes && self.peers.sponsor.is_some_and(|sponsor| self.peers.is_connected(sponsor));
        if !comes && let Some(sponsor) = self.peers.next_to_ask(&mut self.rng) {
            self.ask_to_join(store, sponsor);
        }
    }

    pub(in crate::log) fn on_join(
        &mut self,
        store: &impl Store,
        from: NodeId,
        contact: Contact,
        snapshot: SnapshotId,
        wall: Millis,
    ) {
        // A repeated request must not lead to two snapshots with one number.
        let again = |joining: &Joining| joining.snapshot == snapshot && joining.broken_at.is_none();
        let again = self.peers.joining.get(&from).is_some_and(again);
        if !self.phase.may_admit() || contact.node != from || again {
            return;
        }
        let (pass, reads) = (self.pass_of(from), self.peers.is_reader(from));
        let mut barred = self.refuses(from, pass);
        if !reads {
            barred = barred.or_else(|| planted!(log::bars(self.bars(from, wall))));
        }
        if let Some(obstacle) = barred {
            return self.peers.let_wait(&mut self.events, contact, vec![obstacle], from, self.now.elapsed);
        }
        if !reads {
            self.retire_earlier_incarnations(from);
        }
        // Where a log is forked, the state here may rest on the continuation that does not count.
        let forked: BTreeSet<_> = self.frontiers.forks().map(|(origin, _)| origin).collect();
        if !forked.is_empty() {
            let waits_for = vec![Obstacle::Eviction(forked)];
            return self.peers.let_wait(&mut self.events, contact, waits_for, from, self.now.elapsed);
        }
        // A newcomer gets the secrets only once it is admitted.
        if planted!(log::tells_secrets(false)) {
            self.tell_secrets(store, from);
        }
        // A reader that asks again and again must not keep the logs from being truncated.
        let before = self.peers.joining.get(&from).filter(|_| reads).map(|joining| joining.began);
        let began = before.unwrap_or(self.now.elapsed);
        self.peers.joining.insert(from, Joining { contact, snapshot, began, broken_at: None });
        self.events.output(Output::SendSnapshot { to: from, snapshot, after: None });
    }

    /// Returns the token that a connected newcomer has shown, where it admits a limited number.
    fn pass_of(&self, newcomer: NodeId) -> Option<Pass> {
        self.peers.connected.get(&newcomer).and_then(|peer| peer.pass)
    }

    /// Returns why a newcomer is not admitted with its key or its token. Only the first member admits, and it knows of
    /// all admissions, so no token admits more than it was made for.
    fn refuses(&self, newcomer: NodeId, pass: Option<Pass>) -> Option<Obstacle> {
        let barred = self.membership.barred();
        if barred.keys.contains(&newcomer.first_incarnation()) {
            return Some(Obstacle::Banned);
        }
        pass.filter(|pass| barred.is_used_up(pass)).map(|_| Obstacle::TokenUsed)
    }

    /// Returns an obstacle that lies with the newcomer itself and has to be removed before it is admitted.
    fn bars(&mut self, newcomer: NodeId, wall: Millis) -> Option<Obstacle> {
        // An earlier incarnation has the same machine's clock.
        let earlier = |node: &NodeId| node.key_part() == newcomer.key_part();
        for member in self.membership.members().filter(earlier).collect::<Vec<_>>() {
            self.time.heard(member, wall, self.now, self.cluster.settings().max_clock_skew);
        }
        let time = self.view().cluster_time();
        let is_off = wall.0.abs_diff(time.0) > self.cluster.settings().max_clock_skew;
        let ahead = i128::from(wall.0) - i128::from(time.0);
        is_off.then(|| Obstacle::Clock { ahead: i64::try_from(ahead).unwrap_or(i64::MAX) })
    }

    /// Retires the earlier incarnations of a node: the owner of the key has given them up.
    fn retire_earlier_incarnations(&mut self, node: NodeId) {
        for earlier in self.membership.earlier_incarnations(node) {
            self.issue_membership(Body::Member(MemberOp::Retire { node: earlier }));
        }
    }

    /// Takes a part of the snapshot that was asked for last. Parts of two snapshots would mix, and the first parts of
    /// an earlier one may have been missed.
    pub(crate) fn on_snapshot_rows(
        &mut self,
        store: &mut impl Store,
        from: NodeId,
        snapshot: SnapshotId,
        rows: Vec<Write>,
    ) {
        if !self.view().awaits(from, snapshot) {
            return;
        }
        self.peers.resuming = false;
        for row in rows.into_iter().filter(|row| row.table.in_snapshot()) {
            if let Some(value) = row.value {
                store.put(row.table, &row.key, &value);
                self.peers.received = Some((row.table, row.key));
            }
        }
    }

    /// Ends the snapshot. Returns true where it is the one that was asked for last: then the store is to be loaded, and
    /// after that the peers are to be greeted.
    pub(crate) fn on_snapshot_end(&mut self, store: &mut impl Store, from: NodeId, snapshot: SnapshotId) -> bool {
        let awaited = self.view().awaits(from, snapshot);
        if awaited {
            self.peers.received = None;
            self.phase.take_state(self.config.reads);
            self.keep_state(store);
        }
        awaited
    }

    /// Greets all peers, now that this node has the state of the cluster.
    pub(crate) fn greet_all(&mut self, store: &mut impl Store) {
        for peer in self.peers.connected() {
            self.greet(store, peer);
        }
    }

    /// Tells a peer that this newcomer has its snapshot. It is repeated until the newcomer is admitted and has the
    /// secrets, or until a reader has the key of private names.
    pub(super) fn ask_for_admission(&mut self, peer: NodeId) {
        if self.phase.is_waiting() || self.phase.is_untold() {
            let has = self.frontiers.logs().map(|origin| (origin, self.frontiers.seq(origin))).collect();
            self.events.send(peer, Lane::Ordered, Message::Installed { wall: self.now.wall, has });
        }
    }

    /// Handles the message that a newcomer has its snapshot and is to be admitted.
    pub(in crate::log) fn on_installed(
        &mut self,
        store: &impl Store,
        from: NodeId,
        wall: Millis,
        has: &[(NodeId, Seq)],
    ) {
        // A reader's token does not make anybody a member.
        if self.peers.is_reader(from) {
            return self.tell_key(store, from);
        }
        if !self.phase.may_admit() {
            return;
        }
        let contact = self.peers.joining.get(&from).map(|joining| joining.contact.clone());
        let Some(contact) = contact.or_else(|| self.contacts.get(from).cloned()) else { return };
        // The newcomer's clock may have been set meanwhile.
        if let Some(obstacle) = planted!(log::bars(self.bars(from, wall))) {
            return self.peers.let_wait(&mut self.events, contact, vec![obstacle], from, self.now.elapsed);
        }
        self.contacts.learn([contact.clone()]);
        // A newcomer that has waited for long may lack ops that were truncated meanwhile.
        let gone = self.view().gone_for(store, &has.iter().copied().collect());
        if gone.is_empty() {
            let pass = self.pass_of(from);
            self.nominate(store, contact, pass, from);
        } else {
            say_gone(&mut self.events, from, gone);
        }
    }

    /// Admits a newcomer, where this node is the first member. Other members pass the request on to the first member,
    /// through all peers where that one is not connected. `by` is the newcomer itself, or the member that passes its
    /// request on.
    pub(in crate::log) fn nominate(&mut self, store: &impl Store, contact: Contact, pass: Option<Pass>, by: NodeId) {
        let (node, first) = (contact.node, self.membership.first());
        let known = self.membership.is_known(node);
        if !self.phase.may_admit() || known || self.membership.has_later_incarnation(node) {
            return;
        }
        if let Some(obstacle) = self.refuses(node, pass) {
            return self.peers.let_wait(&mut self.events, contact, vec![obstacle], by, self.now.elapsed);
        }
        // An earlier incarnation may have been admitted only now, by an `Admit` that arrived late.
        self.retire_earlier_incarnations(node);
        match first {
            Some(first) if first == self.me => {
                let obstacles = planted!(log::obstacles(self.view().obstacles()));
                if obstacles.is_empty() {
                    self.contacts.learn([contact]);
                    tracing::info!(newcomer = %node, label = self.contacts.label(node), "a newcomer is let in");
                    if let Some(Pass { nonce: token, .. }) = pass {
                        self.issue_membership(Body::Member(MemberOp::Spend { token }));
                    }
                    self.issue_membership(Body::Member(MemberOp::Admit { node }));
                    self.tell_secrets(store, node);
                } else {
                    self.peers.let_wait(&mut self.events, contact, obstacles, by, self.now.elapsed);
                }
            }
            Some(first) if self.peers.is_connected(first) => {
                self.events.send(first, Lane::Ordered, Message::Nominate { contact, pass });
            }
            Some(first) if by == node => {
                let peers = self.peers.connected().into_iter().filter(|peer| self.membership.is_member(*peer));
                for peer in peers.collect::<Vec<_>>() {
                    self.events.send(peer, Lane::Ordered, Message::Nominate { contact: contact.clone(), pass });
                }
                let waits_for = vec![Obstacle::FirstOutOfReach(first)];
                self.peers.let_wait(&mut self.events, contact, waits_for, by, self.now.elapsed);
            }
            _ => {}
        }
    }
}

impl View<'_> {
    fn awaits(&self, from: NodeId, snapshot: SnapshotId) -> bool {
        matches!(self.phase, Phase::Joining) && self.peers.sponsor == Some(from) && self.peers.snapshot == snapshot
    }

    /// Returns the obstacles to all admissions. They make sure that the memberships that two nodes see differ by one
    /// newcomer at most, so that their majorities meet.
    fn obstacles(&self) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        let leaving: BTreeSet<_> =
            self.membership.frozen().iter().chain(self.membership.agreed().keys()).copied().collect();
        // A finished eviction is declared in this step, before anything that rests on it.
        if !leaving.is_empty() {
            obstacles.push(Obstacle::Eviction(leaving));
        } else if !self.membership.to_declare().is_empty() {
            obstacles.push(Obstacle::Eviction(self.membership.to_declare().keys().copied().collect()));
        }
        let unsettled = self.lack_admissions();
        if !unsettled.is_empty() {
            obstacles.push(Obstacle::Unsettled(unsettled));
        }
        let silent: BTreeSet<_> = self.membership.members().filter(|member| !self.is_in_contact(*member)).collect();
        if !silent.is_empty() {
            obstacles.push(Obstacle::Silent(silent));
        }
        obstacles
    }

    /// Returns the members that are not known to hold an admission, where no majority is known to hold it.
    fn lack_admissions(&self) -> BTreeSet<NodeId> {
        let mut lack = BTreeSet::new();
        for (_, origin, seq) in self.membership.admissions() {
            let holds = |member: &NodeId| {
                *member == self.me || *member == origin || self.frontiers.held(*member, origin) >= seq
            };
            let (holders, others): (Vec<_>, Vec<_>) = self.membership.members().partition(holds);
            if 2 * holders.len() <= self.membership.count() {
                lack.extend(others);
            }
        }
        lack
    }
}
