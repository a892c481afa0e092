//! How members are reached, and whom this node is to be connected to.

use crate::clock::NodeId;
use crate::log::{Contact, Lane, Log, Message, Output};
use crate::store::Store;
use crate::store::schema::{self, Rows};

/// Contacts that are passed on at a time.
const SOME_CONTACTS: usize = 8;

impl Log {
    /// A member may speak of all, a newcomer only of itself.
    pub(super) fn on_contacts(&mut self, from: NodeId, contacts: Vec<Contact>) {
        let whole = self.membership.is_member(from);
        let contacts =
            contacts.into_iter().filter(|contact| contact.node != self.me && (whole || contact.node == from));
        self.learn_contacts(contacts.collect());
    }

    /// Enters contacts that are newer than the known ones.
    pub(in crate::log) fn learn_contacts(&mut self, contacts: Vec<Contact>) {
        for contact in contacts {
            let known = self.contacts.get(&contact.node);
            let newer = known.is_none_or(|known| known.as_of < contact.as_of && known.public_key == contact.public_key);
            if newer {
                self.unsaved_contacts.insert(contact.node);
                self.fresh_contacts.insert(contact.node);
                self.contacts.insert(contact.node, contact);
                self.contacts_changed = true;
            }
        }
    }

    /// Writes the contacts that are newer than the store.
    pub(in crate::log) fn save_contacts(&mut self, store: &mut impl Store) {
        for node in std::mem::take(&mut self.unsaved_contacts) {
            if let Some(contact) = self.contacts.get(&node) {
                schema::Contacts::put(store, node, contact);
            }
        }
    }

    /// Tells the driver whom to be connected to, where that changed, and the peers how all are reached.
    pub(crate) fn announce_peers(&mut self) {
        if !std::mem::take(&mut self.contacts_changed) || !self.phase.may_answer() {
            return;
        }
        let others = |nodes: &mut dyn Iterator<Item = NodeId>| -> Vec<Contact> {
            nodes.filter(|node| *node != self.me).filter_map(|node| self.contacts.get(&node).cloned()).collect()
        };
        let members = others(&mut self.membership.members());
        let former = others(&mut self.membership.cuts().keys().copied());
        self.output(Output::Peers { members, former });
        self.spread_contacts();
    }

    /// In a small cluster all that a node knows goes to all at once; in a large one what is new is a rumour, as ops are.
    fn spread_contacts(&mut self) {
        let fresh = std::mem::take(&mut self.fresh_contacts);
        let small = self.is_small();
        let told = self.contacts.iter().filter(|(node, _)| small || fresh.contains(node));
        let told: Vec<_> = told.map(|(_, contact)| contact.clone()).collect();
        let to = if small { self.peers.connected() } else { self.some_peers(self.config.spread.fanout) };
        for to in to.into_iter().filter(|_| !told.is_empty()) {
            self.send(to, Lane::Ordered, Message::Contacts(told.clone()));
        }
    }

    /// Tells a peer some of what is known: with every idle beat, and no more often where beats come faster, because contacts
    /// hardly ever change and nothing undecided waits for them.
    pub(super) fn pass_contacts_on(&mut self, to: NodeId) {
        let now = self.now.elapsed;
        if now < self.peers.next_contacts {
            return;
        }
        self.peers.next_contacts = now.plus(self.heartbeat() / 2);
        let nodes = self.contacts.keys().copied().collect();
        let chosen = self.choose(nodes, SOME_CONTACTS);
        let contacts = chosen.into_iter().map(|node| self.contacts[&node].clone()).collect();
        self.send(to, Lane::Ordered, Message::Contacts(contacts));
    }
}
