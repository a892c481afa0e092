//! The cluster's secret: who is told it, how members prove that they know it, and how another one takes its place.

use super::super::event::{Event, Output};
use super::super::message::{Lane, Message, Secrets};
use super::super::{Denied, Log};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::store::Store;

impl Log {
    pub(super) fn on_proof(&mut self, from: NodeId, proof: &[u8; 32]) {
        // Only those who know the secret can make it, and the connection says who they are.
        let right = self
            .cluster
            .proof(from, self.me)
            .is_some_and(|ours| blake3::Hash::from(ours) == blake3::Hash::from(*proof));
        if let Some(peer) = self.peers.connected.get_mut(&from).filter(|_| right) {
            peer.knows_secret = true;
            self.events.output(Output::Hear { peer: from });
        }
    }

    /// Tells a member what only members know. A newcomer asks for it as long as it lacks that. Whoever is being put out is not
    /// told: what is secret from it from now on is made meanwhile.
    pub(super) fn tell_secrets(&mut self, store: &impl Store, to: NodeId) {
        let told = self.phase.is_member() && self.peers.is_connected(to) && !self.membership.frozen().contains(&to);
        if let Some(secrets) = self.cluster.secrets(store).filter(|_| told) {
            self.events.send(to, Lane::Ordered, Message::Secrets(Box::new(secrets)));
        }
    }

    /// Tells a peer the secret that took the place of the first one, with every beat: it may have been away.
    pub(super) fn pass_secret_on(&mut self, store: &impl Store, to: NodeId) {
        if self.cluster.secret_age() > Stamp::default() && self.membership.is_member(to) {
            self.tell_secrets(store, to);
        }
    }

    /// An operator wants another secret in the place of the present one: tokens that follow from that are of no use from then
    /// on.
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

    /// This node was let in: from now on it takes ops. Or the cluster has another secret.
    pub(super) fn on_secrets(&mut self, store: &mut impl Store, secrets: Secrets) {
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
