//! What is said of how members are reached, and whom this node is to be connected to.

use super::choose;
use crate::clock::NodeId;
use crate::log::{Contact, Lane, Log, Message, Output};

/// Contacts that are passed on at a time.
const SOME_CONTACTS: usize = 8;

impl Log {
    /// A member may speak of all, a newcomer only of itself.
    pub(super) fn on_contacts(&mut self, from: NodeId, contacts: Vec<Contact>) {
        let whole = self.membership.is_member(from);
        let contacts =
            contacts.into_iter().filter(|contact| contact.node != self.me && (whole || contact.node == from));
        self.contacts.learn(contacts);
    }

    /// Tells the driver whom to be connected to, where that changed, and the peers how all are reached.
    pub(crate) fn announce_peers(&mut self) {
        if !self.contacts.take_change() || !self.phase.may_answer() {
            return;
        }
        let others = |nodes: &mut dyn Iterator<Item = NodeId>| -> Vec<Contact> {
            nodes.filter(|node| *node != self.me).filter_map(|node| self.contacts.get(node).cloned()).collect()
        };
        let members = others(&mut self.membership.members());
        let former = others(&mut self.membership.cuts().keys().copied());
        let barred = self.membership.barred().clone();
        self.events.output(Output::Peers { members, former, barred });
        self.spread_contacts();
    }

    /// In a small cluster all that a node knows goes to all at once; in a large one what is new is a rumour, as ops are.
    fn spread_contacts(&mut self) {
        let fresh = self.contacts.take_fresh();
        let small = self.view().is_small();
        let told = self.contacts.all().filter(|contact| small || fresh.contains(&contact.node));
        let told: Vec<_> = told.cloned().collect();
        let to = if small {
            self.peers.connected()
        } else {
            choose(&mut self.rng, self.peers.connected(), self.config.spread.fanout)
        };
        for to in to.into_iter().filter(|_| !told.is_empty()) {
            self.events.send(to, Lane::Ordered, Message::Contacts(told.clone()));
        }
    }

    /// Tells a peer some of what is known: with every idle beat, and no more often where beats come faster, because contacts
    /// hardly ever change and nothing undecided waits for them.
    pub(super) fn pass_contacts_on(&mut self, to: NodeId) {
        let now = self.now.elapsed;
        if now < self.peers.next_contacts {
            return;
        }
        self.peers.next_contacts = now.plus(self.view().heartbeat() / 2);
        let nodes = self.contacts.all().map(|contact| contact.node).collect();
        let chosen = choose(&mut self.rng, nodes, SOME_CONTACTS);
        let contacts = chosen.into_iter().filter_map(|node| self.contacts.get(node).cloned()).collect();
        self.events.send(to, Lane::Ordered, Message::Contacts(contacts));
    }
}
