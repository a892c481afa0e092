//! The addresses of the nodes of the cluster, and the keys that identify them.

use std::collections::{BTreeMap, BTreeSet};

use super::message::Contact;
use crate::clock::NodeId;
use crate::store::Store;
use crate::store::schema::{self, Rows, Span};

/// The contacts that a node knows, with its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contacts {
    known: BTreeMap<NodeId, Contact>,
    /// True where the nodes to be connected to have changed since the driver was last informed.
    changed: bool,
    /// The contacts that were not sent to peers yet.
    fresh: BTreeSet<NodeId>,
    /// The contacts that are not in the store.
    unsaved: BTreeSet<NodeId>,
}

impl Contacts {
    /// Returns the contact of a node.
    pub(crate) fn get(&self, node: NodeId) -> Option<&Contact> {
        self.known.get(&node)
    }

    /// Returns the operator's name for a node; empty where there is none.
    pub(crate) fn label(&self, node: NodeId) -> String {
        self.get(node).map(|contact| contact.label.clone()).unwrap_or_default()
    }

    /// Returns nodes by their labels and ids, for messages to people.
    pub(crate) fn named(&self, nodes: impl IntoIterator<Item = NodeId>) -> String {
        nodes.into_iter().map(|node| format!("{} ({node})", self.label(node))).collect::<Vec<_>>().join(", ")
    }

    /// Returns all contacts.
    pub(super) fn all(&self) -> impl Iterator<Item = &Contact> {
        self.known.values()
    }

    /// Returns true where a node with another key is or was known.
    pub(crate) fn knows_others(&self, me: NodeId) -> bool {
        self.known.keys().any(|node| node.key_part() != me.key_part())
    }

    /// Loads the contacts from the store.
    pub(super) fn load(&mut self, store: &impl Store) {
        self.known.clear();
        schema::Contacts::each(store, &Span::all(), |found| {
            let contact: Contact = found.row();
            self.known.insert(contact.node, contact);
        });
        self.unsaved.clear();
    }

    /// Enters contacts that are newer than the known ones.
    pub(super) fn learn(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        for contact in contacts {
            let known = self.known.get(&contact.node);
            let newer = known.is_none_or(|known| known.as_of < contact.as_of && known.public_key == contact.public_key);
            if newer {
                self.unsaved.insert(contact.node);
                self.fresh.insert(contact.node);
                self.known.insert(contact.node, contact);
                self.changed = true;
            }
        }
    }

    /// Writes the contacts that are newer than those in the store.
    pub(super) fn save(&mut self, store: &mut impl Store) {
        for node in std::mem::take(&mut self.unsaved) {
            if let Some(contact) = self.known.get(&node) {
                schema::Contacts::put(store, node, contact);
            }
        }
    }

    /// Notes that the nodes to be connected to have changed.
    pub(super) fn members_changed(&mut self) {
        self.changed = true;
    }

    /// Returns true where the nodes to be connected to have changed since this was last called.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Takes the contacts that were not sent to peers since this was last called.
    pub(super) fn take_fresh(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.fresh)
    }
}
