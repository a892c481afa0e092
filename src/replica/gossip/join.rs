//! Joining, from both sides: a newcomer asks one sponsor, takes its snapshot, and is admitted.

use std::collections::BTreeSet;

use super::super::Replica;
use super::super::input::Output;
use super::super::message::{Contact, Lane, Message, SnapshotId};
use crate::clock::NodeId;
use crate::crdt::Body;
use crate::store::{Store, Write};

/// A newcomer whose request to join has had no effect makes it again after so many milliseconds, and each time after
/// twice as many, up to four times: it was lost, or whom it asked was no member yet. A guess at how long a sponsor may take
/// to begin its snapshot.
const JOIN_AGAIN: u64 = 5000;

impl<S: Store> Replica<S> {
    /// A newcomer starts over: what an earlier snapshot left is forgotten first.
    pub(in crate::replica) fn ask_to_join(&mut self, sponsor: NodeId) {
        if std::mem::take(&mut self.peers.half_installed) {
            self.wipe();
        }
        self.peers.sponsor = Some(sponsor);
        self.peers.snapshot = self.peers.snapshot.wrapping_add(1);
        let (contact, snapshot) = (self.config.contact.clone(), self.peers.snapshot);
        // It was said at the beginning of the connection, but that may have been lost.
        self.tell_reads(sponsor);
        self.send(sponsor, Lane::Ordered, Message::Join { contact, snapshot });
    }

    /// Asks again where no snapshot has begun. One that has begun goes on for as long as its connection does.
    pub(in crate::replica) fn join_again(&mut self) {
        let now = self.now.elapsed;
        if now < self.peers.next_beat {
            return;
        }
        self.peers.next_beat = now.plus(JOIN_AGAIN << self.peers.asked.min(2));
        self.peers.asked += 1;
        // Another one, where there is: whom it asked may be a newcomer itself, and wait for this one.
        if !self.peers.half_installed
            && let Some(sponsor) = self.someone_to_ask()
        {
            self.ask_to_join(sponsor);
        }
    }

    pub(in crate::replica) fn someone_to_ask(&mut self) -> Option<NodeId> {
        let mut peers = self.peers.connected();
        if peers.len() > 1 {
            // Whom it asked last had its chance.
            peers.retain(|peer| self.peers.sponsor != Some(*peer));
        }
        self.choose(peers, 1).first().copied()
    }

    pub(in crate::replica) fn on_join(&mut self, from: NodeId, contact: Contact, snapshot: SnapshotId) {
        // Said twice, it would bring two snapshots of one name.
        let again = self.peers.joining.get(&from).is_some_and(|(_, asked)| *asked == snapshot);
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
        if !self.can_be_let_in(from) {
            tracing::warn!(newcomer = %from, "a newcomer of an older version asks to join, which cannot read the rules of namespaces that were set here; it is not let in before it is upgraded");
            return;
        }
        self.retire_earlier_lives(from);
        self.peers.joining.insert(from, (contact, snapshot));
        self.outbox.push(Output::SendSnapshot { to: from, snapshot });
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
        self.peers.half_installed = true;
        for row in rows.into_iter().filter(|row| row.table.in_snapshot()) {
            if let Some(value) = row.value {
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
        if !self.is_member() || self.membership.knows(from) {
            return;
        }
        if let Some((contact, _)) = self.peers.joining.get(&from).cloned() {
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
