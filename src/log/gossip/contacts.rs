//! Contacts in gossip: how members are reached, and to which nodes this node is to be connected.

use super::choose;
use crate::clock::NodeId;
use crate::log::{Contact, Lane, Log, Message, Output};

/// How many contacts are sent at a time.
const SOME_CONTACTS: usize = 8;

impl Log {
    /// Takes contacts: from a member all of them, from a newcomer only its own.
    pub(super) fn on_contacts(&mut self, from: NodeId, contacts: Vec<Contact>) {
        let whole = self.membership.is_member(from);
        let contacts =
            contacts.into_iter().filter(|contact| contact.node != self.me && (whole || contact.node == from));
        self.contacts.learn(contacts);
    }

    /// Where the nodes to be connected to have changed, informs the driver of them and sends contacts to the peers.
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

    /// Sends contacts: in a small cluster all of them to all peers, in a large one the new ones to some, as a rumour
    /// like ops.
    fn spread_contacts(&mut self) {
        let fresh = self.contacts.take_fresh();
        let small = self.view().is_small();
        let told = self.contacts.all().filter(|contact| small || fresh.contains(&contact.node));
        let told: Vec<_> = told.cloned().collect();
        let mut to = if small {
            self.peers.partners()
        } else {
            choose(&mut self.rng, self.peers.partners(), self.config.spread.fanout)
        };
        // A reader dials all members, and does not pass anything on.
        to.extend(self.peers.readers());
        for to in to.into_iter().filter(|_| !told.is_empty()) {
            self.events.send(to, Lane::Ordered, Message::Contacts(told.clone()));
        }
    }

    /// Sends a peer some of the known contacts with every idle heartbeat. It does so no more often where heartbeats are
    /// faster, because contacts hardly ever change and nothing undecided waits for them.
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
