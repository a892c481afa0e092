//! Promises that nobody asked for: while a small cluster is in use, its members promise all the time.
//!
//! An op is final once every member has promised not to issue anything earlier. Where members promise only when they take an
//! op, that is a round trip to the farthest of them. Where the farthest promises all the time, its next promise is already on
//! the way when the op is issued, and reaches the origin after one way. The majority that must hold the op is asked as
//! before, and is nearer.

use crate::clock::Millis;
use crate::log::view::View;
use crate::log::{Lane, Log, Message};

/// For so many milliseconds after the last op about a name the cluster is in use (design, section 6).
const IN_USE: u64 = 60_000;

impl Log {
    /// An op about a name has entered a log.
    pub(in crate::log) fn note_use(&mut self) {
        self.peers.used_until = self.now.elapsed.plus(IN_USE);
    }

    /// All peers are told this node's promise in this step, with whatever else.
    pub(super) fn note_promise(&mut self) {
        self.peers.next_promise = self.now.elapsed.plus(self.cluster.settings().promise_every);
    }

    /// Tells all peers this node's promise where it is time. It is the promise of this step: below the clock, like every other,
    /// and with the step's batch where that has to raise the ceiling.
    pub(super) fn promise_unasked(&mut self) {
        if self.view().next_promise().is_none_or(|next| self.now.elapsed < next) {
            return;
        }
        self.note_promise();
        let own = self.view().entry(self.me);
        let vector = self.vector_of(vec![own], None, false, false);
        for peer in self.peers.connected() {
            self.events.send(peer, Lane::Ordered, Message::Vector(vector.clone()));
        }
    }
}

impl View<'_> {
    /// When this node is to tell its promise unasked next; none where it does not.
    pub(in crate::log) fn next_promise(&self) -> Option<Millis> {
        let is_in_use = self.now.elapsed < self.peers.used_until && !self.peers.connected.is_empty();
        let speaks = self.phase.is_member() && self.phase.may_promise() && self.is_small();
        // Otherwise the heartbeat says it as often.
        let is_often = self.settings.promise_every < self.heartbeat();
        (is_in_use && speaks && is_often).then_some(self.peers.next_promise)
    }

    /// Whether the peers are to hear of this node more often. What is said of silent members must be fresh, and whoever leaves
    /// waits for words of the others.
    pub(super) fn is_busy(&self, contested: bool) -> bool {
        contested
            || self.frontiers.has_undecided()
            || !self.peers.vote.says().is_empty()
            || self.phase.is_leaving()
            || !self.peers.leavers.is_empty()
    }
}
