//! Unasked promises: while a small cluster is in use, its members send their promises all the time.
//!
//! An op is final once every member has promised to issue nothing earlier. Where members promise only when they take an
//! op, that costs a round trip to the farthest of them. Where the farthest member promises all the time, its next
//! promise is already on its way when the op is issued, and reaches the origin after one way. The acknowledgements of a
//! majority still take a round trip, but only to the nearest members.

use crate::clock::Millis;
use crate::log::view::View;
use crate::log::{Lane, Log, Message};

/// For how many milliseconds after the last op about a name the cluster counts as in use (`docs/protocol.md`,
/// *Heartbeats*).
const IN_USE: u64 = 60_000;

impl Log {
    /// Notes that an op about a name has entered a log.
    pub(in crate::log) fn note_use(&mut self) {
        self.peers.used_until = self.now.elapsed.plus(IN_USE);
    }

    /// Notes that this step sends all peers this node's promise.
    pub(super) fn note_promise(&mut self) {
        self.peers.next_promise = self.now.elapsed.plus(self.cluster.settings().promise_every);
    }

    /// Sends all peers this node's promise when it is due. It is the promise of this step: below the clock, like every
    /// other, and held back with the step's batch where that has to raise the ceiling.
    pub(super) fn promise_unasked(&mut self) {
        if self.view().next_promise().is_none_or(|next| self.now.elapsed < next) {
            return;
        }
        self.note_promise();
        let own = self.view().entry(self.me);
        let vector = self.vector_of(vec![own], None, false, false);
        for peer in self.peers.partners() {
            self.events.send(peer, Lane::Ordered, Message::Vector(vector.clone()));
        }
    }
}

impl View<'_> {
    /// Returns when this node sends its promise unasked next; none where it does not.
    pub(in crate::log) fn next_promise(&self) -> Option<Millis> {
        let is_in_use = self.now.elapsed < self.peers.used_until && !self.peers.connected.is_empty();
        let speaks = self.phase.is_member() && self.phase.may_promise() && self.is_small();
        // Otherwise the heartbeat sends the promise as often.
        let is_often = self.settings.promise_every < self.heartbeat();
        (is_in_use && speaks && is_often).then_some(self.peers.next_promise)
    }

    /// Returns true where heartbeats have to be more frequent: outcomes are open, votes on silent members must be
    /// fresh, a member that leaves waits for the others, or this node is a reader of a cluster in use, which learns of
    /// nothing that it does not ask for.
    pub(super) fn is_busy(&self, contested: bool) -> bool {
        contested
            || self.phase.is_reader() && self.now.elapsed < self.peers.used_until
            || self.frontiers.has_undecided()
            || !self.peers.vote.says().is_empty()
            || self.phase.is_leaving()
            || !self.peers.leavers.is_empty()
    }
}
