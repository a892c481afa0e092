//! The data that the members of the cluster have in common, as far as this node has it.

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
    /// The settings in force; the defaults while this node has no state.
    settings: Settings,
    secret: Option<[u8; 32]>,
    /// The time at which the secret was made, and by which node.
    secret_age: Stamp,
}

impl Cluster {
    /// Loads it from a store. The founding is loaded only where the store holds a whole state.
    pub(super) fn load(store: &impl Store, whole: bool) -> Self {
        let founding = if whole { schema::Founding::load(store) } else { None };
        let secret_age = schema::SecretAge::load(store).unwrap_or_default();
        Self { founding, settings: Settings::default(), secret: schema::Secret::load(store), secret_age }
    }

    /// Returns the settings in force.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Computes the settings again: an op may have changed them, or an op that changed them may be void.
    pub(super) fn membership_changed(&mut self, membership: &Membership) {
        self.settings = membership.settings(self.founding.as_ref().map(|founding| founding.settings));
    }

    /// Changes the settings that the cluster was founded with, for tests.
    #[cfg(test)]
    pub(super) fn found_with(&mut self, change: impl FnOnce(&mut Settings)) {
        if let Some(founding) = &mut self.founding {
            change(&mut founding.settings);
        }
    }

    /// Returns what the cluster was founded with; none while a newcomer has no snapshot.
    pub(crate) fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// Returns the cluster's secret; none while this node was not admitted.
    pub(crate) fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    /// Returns the secrets that only members know; none while this node was not admitted.
    pub(crate) fn secrets(&self, store: &impl Store) -> Option<Secrets> {
        Some(Secrets { cluster: self.secret?, age: self.secret_age, pepper: schema::Pepper::load(store)? })
    }

    /// Returns when the secret was made; the least stamp for the secret that the cluster was founded with.
    pub(super) fn secret_age(&self) -> Stamp {
        self.secret_age
    }

    /// Stores the secrets that only members know.
    pub(super) fn learn(&mut self, store: &mut impl Store, secrets: &Secrets) {
        write_secrets(store, secrets);
        (self.secret, self.secret_age) = (Some(secrets.cluster), secrets.age);
    }

    /// Proves to a peer that this node was admitted, because the peer may lack its `Admit`.
    pub(super) fn prove(&self, events: &mut Events, me: NodeId, peer: NodeId) {
        if let Some(proof) = self.proof(me, peer) {
            events.send(peer, Lane::Ordered, Message::Member { proof });
        }
    }

    /// Returns the proof that `by` knows the cluster's secret, for its connection to `to`.
    pub(super) fn proof(&self, by: NodeId, to: NodeId) -> Option<[u8; 32]> {
        let pair = [by.0.to_be_bytes(), to.0.to_be_bytes()].concat();
        Some(*blake3::keyed_hash(&self.secret?, &pair).as_bytes())
    }
}

/// Stores what the cluster was founded with.
pub(crate) fn write_founding(store: &mut impl Store, founding: &Founding) {
    schema::Founding::save(store, founding);
}

/// Stores the secrets that only members know.
pub(crate) fn write_secrets(store: &mut impl Store, secrets: &Secrets) {
    schema::Secret::save(store, &secrets.cluster);
    if secrets.age > Stamp::default() {
        schema::SecretAge::save(store, &secrets.age);
    }
    schema::Pepper::save(store, &secrets.pepper);
}
