//! What the members of the cluster have in common, as far as this node was told.

use super::config::Founding;
use super::event::Events;
use super::membership::Membership;
use super::message::{Lane, Message, Secrets};
use crate::clock::{NodeId, Stamp};
use crate::log::settings::Settings;
use crate::store::Store;
use crate::store::schema::{self, Cell};

/// The cluster that this node knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    founding: Option<Founding>,
    /// The settings that are in force; the defaults while this node has no state.
    settings: Settings,
    secret: Option<[u8; 32]>,
    /// When that was made.
    secret_age: Stamp,
}

impl Cluster {
    /// Reads it from a store; how the cluster began only where that holds a whole state.
    pub(super) fn load(store: &impl Store, whole: bool) -> Self {
        let founding = if whole { schema::Founding::load(store) } else { None };
        let secret_age = schema::SecretAge::load(store).unwrap_or_default();
        Self { founding, settings: Settings::default(), secret: schema::Secret::load(store), secret_age }
    }

    /// The settings that are in force.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Settings may have been changed by an op, or ops that changed them may be void.
    pub(super) fn membership_changed(&mut self, membership: &Membership) {
        self.settings = membership.settings(self.founding.as_ref().map(|founding| founding.settings));
    }

    /// Has the cluster begin with other settings, for tests.
    #[cfg(test)]
    pub(super) fn found_with(&mut self, change: impl FnOnce(&mut Settings)) {
        if let Some(founding) = &mut self.founding {
            change(&mut founding.settings);
        }
    }

    /// What it has in common from its first day; none while a newcomer has no snapshot.
    pub(crate) fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// The cluster's secret; none while this node was not let in.
    pub(crate) fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    /// What only members know; none where this node was not let in.
    pub(crate) fn secrets(&self, store: &impl Store) -> Option<Secrets> {
        Some(Secrets { cluster: self.secret?, age: self.secret_age, pepper: schema::Pepper::load(store)? })
    }

    /// When the secret was made; the least of all for the one that the cluster was founded with.
    pub(super) fn secret_age(&self) -> Stamp {
        self.secret_age
    }

    /// This node is told what only members know.
    pub(super) fn learn(&mut self, store: &mut impl Store, secrets: &Secrets) {
        write_secrets(store, secrets);
        (self.secret, self.secret_age) = (Some(secrets.cluster), secrets.age);
    }

    /// Proves to a peer that this node was let in: the peer may lack the word for it.
    pub(super) fn prove(&self, events: &mut Events, me: NodeId, peer: NodeId) {
        if let Some(proof) = self.proof(me, peer) {
            events.send(peer, Lane::Ordered, Message::Member { proof });
        }
    }

    /// What shows `by` to know the cluster's secret, on its connection with `to`.
    pub(super) fn proof(&self, by: NodeId, to: NodeId) -> Option<[u8; 32]> {
        let pair = [by.0.to_be_bytes(), to.0.to_be_bytes()].concat();
        Some(*blake3::keyed_hash(&self.secret?, &pair).as_bytes())
    }
}

/// What a cluster has in common from its first day.
pub(crate) fn write_founding(store: &mut impl Store, founding: &Founding) {
    schema::Founding::save(store, founding);
}

/// What only members know.
pub(crate) fn write_secrets(store: &mut impl Store, secrets: &Secrets) {
    schema::Secret::save(store, &secrets.cluster);
    if secrets.age > Stamp::default() {
        schema::SecretAge::save(store, &secrets.age);
    }
    schema::Pepper::save(store, &secrets.pepper);
}
