//! Joining, from both sides: a newcomer asks one sponsor, takes its snapshot, and is admitted.

use std::collections::BTreeSet;

use super::super::Replica;
use super::super::input::Output;
use super::super::message::{Contact, Lane, Message, SnapshotId};
use super::peers::Joining;
use crate::clock::NodeId;
use crate::crdt::Body;
use crate::store::{Store, Table, Write};

/// A newcomer whose request to join has had no effect makes it again after so many milliseconds, and each time after
/// twice as many, up to four times: it was lost, or whom it asked was no member yet. A guess at how long a sponsor may take
/// to begin its snapshot.
const JOIN_AGAIN: u64 = 5000;

/// A sponsor keeps a snapshot that broke off, and what has entered the logs since, for so many milliseconds. A guess:
/// longer than most links are down, shorter than a log takes to grow large.
const RESUMED_WITHIN: u64 = 300_000;

impl<S: Store> Replica<S> {
    /// A newcomer starts over: what an earlier snapshot left is forgotten first.
    pub(in crate::replica) fn ask_to_join(&mut self, sponsor: NodeId) {
        if self.peers.received.take().is_some() {
            self.wipe();
        }
        self.peers.resuming = false;
        self.peers.next_beat = self.now.elapsed.plus(JOIN_AGAIN << self.peers.asked.min(2));
        self.peers.asked += 1;
        self.peers.sponsor = Some(sponsor);
        self.peers.snapshot = self.peers.snapshot.wrapping_add(1);
        let (contact, snapshot) = (self.config.contact.clone(), self.peers.snapshot);
        // It was said at the beginning of the connection, but that may have been lost.
        self.tell_reads(sponsor);
        self.send(sponsor, Lane::Ordered, Message::Join { contact, snapshot });
    }

    /// A newcomer is connected to somebody: to its sponsor again, whose snapshot broke off, or to one that it can ask.
    pub(in crate::replica) fn find_sponsor(&mut self, peer: NodeId) {
        match self.peers.sponsor {
            None => self.ask_to_join(peer),
            Some(sponsor) if sponsor == peer => {
                if let Some((table, key)) = self.peers.received.clone() {
                    self.peers.resuming = true;
                    self.peers.next_beat = self.now.elapsed.plus(JOIN_AGAIN);
                    let (snapshot, table) = (self.peers.snapshot, table.name().to_owned());
                    self.send(peer, Lane::Ordered, Message::Resume { snapshot, table, key });
                }
            }
            Some(_) => {}
        }
    }

    /// A newcomer has lost a peer. A sponsor whose snapshot has begun may be back soon; it is waited for.
    pub(in crate::replica) fn lose_sponsor(&mut self, peer: NodeId) {
        if self.peers.sponsor != Some(peer) {
            return;
        }
        if self.peers.received.is_some() && !self.installed {
            self.peers.next_beat = self.now.elapsed.plus(JOIN_AGAIN);
            return;
        }
        self.peers.sponsor = None;
        if let Some(other) = self.someone_to_ask().filter(|_| !self.installed) {
            self.ask_to_join(other);
        }
    }

    /// Asks again where no snapshot has begun, or one broke off and does not go on. One that has begun goes on for as long
    /// as its connection does.
    pub(in crate::replica) fn join_again(&mut self) {
        let now = self.now.elapsed;
        if now < self.peers.next_beat {
            return;
        }
        self.peers.next_beat = now.plus(JOIN_AGAIN);
        // Another one, where there is: whom it asked may be a newcomer itself, and wait for this one.
        let comes = self.peers.received.is_some() && !self.peers.resuming;
        let comes = comes && self.peers.sponsor.is_some_and(|sponsor| self.peers.is_connected(sponsor));
        if !comes && let Some(sponsor) = self.someone_to_ask() {
            self.ask_to_join(sponsor);
        }
    }

    /// Anybody at first; whoever comes next once that one had its chance, so that all have theirs.
    pub(in crate::replica) fn someone_to_ask(&mut self) -> Option<NodeId> {
        let peers = self.peers.connected();
        let Some(last) = self.peers.sponsor else { return self.choose(peers, 1).first().copied() };
        peers.iter().find(|peer| **peer > last).or(peers.first()).copied()
    }

    pub(in crate::replica) fn on_join(&mut self, from: NodeId, contact: Contact, snapshot: SnapshotId) {
        // Said twice, it would bring two snapshots of one name.
        let again = |joining: &Joining| joining.snapshot == snapshot && joining.broken_at.is_none();
        let again = self.peers.joining.get(&from).is_some_and(again);
        if !self.is_member() || contact.node != from || again {
            return;
        }
        if self.is_starting() {
            return;
        }
        if self.membership.knows(from) && self.registry.applied_of(from) > 0 {
            tracing::warn!(newcomer = %from, "a node that was a member before asks to join with an empty store; it is to take its next id");
            return self.send(from, Lane::Ordered, Message::Used);
        }
        if self.turns_away(from) {
            return;
        }
        self.retire_earlier_lives(from);
        self.peers.joining.insert(from, Joining { contact, snapshot, broken_at: None });
        self.outbox.push(Output::SendSnapshot { to: from, snapshot, after: None });
    }

    fn turns_away(&self, newcomer: NodeId) -> bool {
        let away = !self.can_be_let_in(newcomer);
        if away {
            tracing::warn!(%newcomer, "a newcomer of an older version asks to join, which cannot read the rules of namespaces, or what else came with this one and is used here; it is not let in before it is upgraded");
        }
        away
    }

    /// A newcomer is back whose snapshot broke off. Where it is not kept any more, the newcomer asks for another in a while.
    pub(in crate::replica) fn on_resume(&mut self, from: NodeId, snapshot: SnapshotId, table: &str, key: Vec<u8>) {
        let table = Table::ALL.into_iter().find(|known| known.name() == table && known.in_snapshot());
        let joining = self.peers.joining.get_mut(&from).filter(|joining| joining.snapshot == snapshot);
        if let Some((joining, table)) = joining.zip(table) {
            joining.broken_at = None;
            self.outbox.push(Output::SendSnapshot { to: from, snapshot, after: Some((table, key)) });
        }
    }

    /// Those who are in need no sponsor any more, and those who do not come back have lost theirs.
    pub(super) fn end_joins(&mut self) {
        let now = self.now.elapsed;
        let is_late = |joining: &Joining| joining.broken_at.is_some_and(|at| now > at.plus(RESUMED_WITHIN));
        let ended =
            self.peers.joining.iter().filter(|(node, joining)| self.membership.knows(**node) || is_late(joining));
        for node in ended.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.peers.joining.remove(&node);
            self.outbox.push(Output::EndSnapshot { to: node });
        }
    }

    /// Whoever comes under a later id has given up the earlier ones.
    fn retire_earlier_lives(&mut self, node: NodeId) {
        if self.membership.departing(self.me).is_some() {
            return;
        }
        for earlier in self.membership.earlier_lives(node) {
            self.issue(Body::Retire { node: earlier });
        }
    }

    /// Takes a part of the snapshot that was asked for last: the parts of two would mix, and of one that was asked for
    /// before, the first parts may have been missed.
    pub(in crate::replica) fn on_snapshot_rows(&mut self, from: NodeId, snapshot: SnapshotId, rows: Vec<Write>) {
        if !self.awaits(from, snapshot) {
            return;
        }
        self.peers.resuming = false;
        for row in rows.into_iter().filter(|row| row.table.in_snapshot()) {
            if let Some(value) = row.value {
                self.peers.received = Some((row.table, row.key.clone()));
                self.registry.store.put(row.table, row.key, value);
            }
        }
    }

    fn awaits(&self, from: NodeId, snapshot: SnapshotId) -> bool {
        !self.installed && self.peers.sponsor == Some(from) && self.peers.snapshot == snapshot
    }

    pub(in crate::replica) fn on_snapshot_end(&mut self, from: NodeId, snapshot: SnapshotId) {
        if !self.awaits(from, snapshot) {
            return;
        }
        self.peers.received = None;
        self.mark_installed();
        self.load();
        self.take_up_again();
        for peer in self.peers.connected() {
            self.send(peer, Lane::Ordered, Message::Installed);
            self.on_connected(peer);
        }
    }

    /// The newcomer has the snapshot: it is to be let in. It says so again until it is.
    pub(in crate::replica) fn on_installed(&mut self, from: NodeId) {
        // What it cannot read may have come into use while it took the snapshot.
        if !self.is_member() || self.membership.knows(from) || self.turns_away(from) {
            return;
        }
        if let Some(joining) = self.peers.joining.get(&from) {
            let contact = joining.contact.clone();
            self.learn_contacts(vec![contact]);
        }
        if let Some(contact) = self.contacts.get(&from).cloned() {
            self.nominate(contact, true);
        }
    }

    /// The first member lets newcomers in; others pass the word on to it, through everybody where it is out of reach.
    pub(in crate::replica) fn nominate(&mut self, contact: Contact, by_us: bool) {
        let (node, first) = (contact.node, self.membership.first());
        let known = self.membership.knows(node) || self.membership.cut(node).is_some();
        if !self.is_member() || known || self.is_starting() || self.membership.has_later_life(node) {
            return;
        }
        // They may have been let in only now, by a word that was late.
        self.retire_earlier_lives(node);
        match first {
            Some(first) if first != self.me && self.peers.is_connected(first) => {
                self.send(first, Lane::Ordered, Message::Nominate(contact));
            }
            Some(first) if first != self.me => {
                let mut peers = if by_us { self.peers.connected() } else { Vec::new() };
                peers.retain(|peer| self.membership.is_member(*peer));
                for peer in peers {
                    self.send(peer, Lane::Ordered, Message::Nominate(contact.clone()));
                }
            }
            // With an eviction under way nobody is let in.
            _ if !self.membership.frozen().is_empty() && !planted!(WelcomeAfterFreeze) => {}
            _ => {
                self.learn_contacts(vec![contact]);
                let by: BTreeSet<_> = self.membership.members().chain(self.membership.half_admitted()).collect();
                self.issue(Body::Admit { node, by });
            }
        }
    }
}
