//! The cluster's secret: which nodes get it, how members prove that they know it, and how it is replaced.

use super::super::event::{Event, Output};
use super::super::message::{Lane, Message, Secrets};
use super::super::{Denied, Log};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::name::Pepper;
use crate::store::Store;
use crate::store::schema::{self, Cell};

impl Log {
    pub(super) fn on_proof(&mut self, from: NodeId, proof: &[u8; 32]) {
        // Only nodes that know the secret can make this proof, and the connection authenticates the peer's id.
        let right = self
            .cluster
            .proof(from, self.me)
            .is_some_and(|ours| blake3::Hash::from(ours) == blake3::Hash::from(*proof));
        if let Some(peer) = self.peers.connected.get_mut(&from).filter(|_| right) {
            peer.knows_secret = true;
            self.events.output(Output::Hear { peer: from });
        }
    }

    /// Sends a member the secrets that only members know. A newcomer asks for them as long as it lacks them. A frozen
    /// member does not get them, because the cluster may have a new secret meanwhile that is meant to exclude it.
    pub(super) fn tell_secrets(&mut self, store: &impl Store, to: NodeId) {
        let told = self.phase.is_member() && self.peers.is_connected(to) && !self.membership.frozen().contains(&to);
        if let Some(secrets) = self.cluster.secrets(store).filter(|_| told) {
            self.events.send(to, Lane::Ordered, Message::Secrets(Box::new(secrets)));
        }
    }

    /// Sends a reader the key of private names, without which it can neither look such names up nor follow erasures. Only
    /// a member has it.
    pub(super) fn tell_key(&mut self, store: &impl Store, to: NodeId) {
        if let Some(secrets) = self.cluster.secrets(store).filter(|_| self.phase.is_member()) {
            self.events.send(to, Lane::Ordered, Message::PrivateKey(secrets.pepper));
        }
    }

    /// Takes the key of private names at a reader, so that it takes ops from now on.
    pub(super) fn on_key(&mut self, store: &mut impl Store, key: &Pepper) {
        if !self.phase.is_reader() || !self.phase.learn_key() {
            return;
        }
        schema::Pepper::save(store, key);
        self.events.push(Event::LetIn);
        // Nobody sends a reader anything unasked.
        self.peers.next_heartbeat = self.now.elapsed;
        for peer in self.peers.connected() {
            self.ask(peer, true);
        }
    }

    /// Sends a peer the cluster's secret with every heartbeat, where it has replaced the first one: the peer may have
    /// been away.
    pub(super) fn pass_secret_on(&mut self, store: &impl Store, to: NodeId) {
        if self.cluster.secret_age() > Stamp::default() && self.membership.is_member(to) {
            self.tell_secrets(store, to);
        }
    }

    /// Replaces the cluster's secret, as an operator has asked. The tokens that were derived from the old one are
    /// useless from then on.
    pub(crate) fn rotate_secret(&mut self, store: &mut impl Store, cluster: [u8; 32]) -> Result<(), Denied> {
        self.phase.may_change_membership()?;
        let Some(secrets) = self.cluster.secrets(store) else { return Err(Denied::NotMember) };
        let after = self.own.last().max(self.cluster.secret_age().hlc);
        let age = Stamp { hlc: Hlc(after.0 + 1), node: self.me };
        tracing::info!("an operator gives the cluster another secret");
        self.take_secret(store, &Secrets { cluster, age, ..secrets });
        Ok(())
    }

    fn take_secret(&mut self, store: &mut impl Store, secrets: &Secrets) {
        self.cluster.learn(store, secrets);
        for peer in self.peers.connected() {
            self.pass_secret_on(store, peer);
        }
    }

    /// Takes secrets: those that a newcomer lacked, so that it takes ops from now on, or a later one of the cluster.
    pub(super) fn on_secrets(&mut self, store: &mut impl Store, secrets: Secrets) {
        if self.phase.is_reader() {
            return;
        }
        if self.phase.is_untold() {
            self.cluster.learn(store, &secrets);
            self.phase.learn_secrets();
            self.events.push(Event::LetIn);
            for peer in self.peers.connected() {
                self.cluster.prove(&mut self.events, self.me, peer);
                let vector = self.vector(Some(peer), true, true);
                self.events.send(peer, Lane::Ordered, Message::Vector(vector));
            }
        } else if self.phase.is_member() && secrets.age > self.cluster.secret_age() {
            let by = secrets.age.node;
            tracing::info!(%by, label = self.contacts.label(by), "the cluster has another secret");
            self.take_secret(store, &secrets);
        }
    }
}
