//! The window of messages that are on their way to a peer which lacks more ops than one message may carry.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::{Millis, NodeId};
use crate::log::op::Seq;

/// The most messages of ops that are on their way to a peer. With a mebibyte each, this is what a fast link between
/// continents holds.
pub(super) const WINDOW: usize = 8;
/// After how many milliseconds without progress the messages on their way are sent again. A guess at a long round trip
/// with some fsyncs.
const SEND_AGAIN: u64 = 1500;

/// The messages that are on their way to a peer, where it lacks more than one message may carry.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// For each message the last op of each log in it; the oldest message first.
    sent: VecDeque<BTreeMap<NodeId, Seq>>,
    /// When a message last left the window because the peer had its ops, or when the window was last empty.
    moved_at: Millis,
}

impl Window {
    /// Removes the messages that have arrived by the prefixes that the peer has. Where none arrives for too long, all
    /// are removed so that they are sent again.
    pub(super) fn arrived(&mut self, has: &BTreeMap<NodeId, Seq>, now: Millis) {
        let before = self.sent.len();
        let is_there = |ends: &mut BTreeMap<NodeId, Seq>| ends.iter().all(|(origin, seq)| prefix(has, *origin) >= *seq);
        while self.sent.pop_front_if(is_there).is_some() {}
        if self.sent.len() < before || before == 0 {
            self.moved_at = now;
        }
        if now.since(self.moved_at) >= SEND_AGAIN {
            self.sent.clear();
            self.moved_at = now;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.sent.len() >= WINDOW
    }

    /// Returns the last op of a log that the peer has or that is on its way to it.
    pub(super) fn reaches(&self, origin: NodeId, has: Seq) -> Seq {
        self.sent.iter().filter_map(|ends| ends.get(&origin)).copied().fold(has, Seq::max)
    }

    /// Adds a message. A message without a rest after it is not counted, unless it follows others.
    pub(super) fn send(&mut self, ends: BTreeMap<NodeId, Seq>, more: bool) {
        if more || !self.sent.is_empty() {
            self.sent.push_back(ends);
        }
    }
}

/// Returns the last op of a log that a peer has.
pub(super) fn prefix(has: &BTreeMap<NodeId, Seq>, origin: NodeId) -> Seq {
    has.get(&origin).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: NodeId = NodeId(7);

    fn has(seq: Seq) -> BTreeMap<NodeId, Seq> {
        [(LOG, seq)].into()
    }

    #[test]
    fn a_single_message_is_not_under_way() {
        let mut window = Window::default();
        window.send(has(5), false);
        assert_eq!(window.reaches(LOG, 0), 0);
        window.send(has(5), true);
        window.send(has(9), false);
        assert_eq!(window.reaches(LOG, 0), 9);
    }

    #[test]
    fn what_does_not_arrive_is_sent_again() {
        let mut window = Window::default();
        window.arrived(&has(0), Millis(100));
        (1..=WINDOW as u64).for_each(|seq| window.send(has(seq), true));
        assert!(window.is_full());
        window.arrived(&has(1), Millis(1000));
        assert!(!window.is_full() && window.reaches(LOG, 1) == WINDOW as u64);
        window.arrived(&has(1), Millis(1000 + SEND_AGAIN - 1));
        assert_eq!(window.reaches(LOG, 1), WINDOW as u64);
        window.arrived(&has(1), Millis(1000 + SEND_AGAIN));
        assert_eq!(window.reaches(LOG, 1), 1);
    }

    proptest! {
        /// Whenever ops arrive: nothing that the peer has is in the window, the window continues the peer's prefix, and
        /// it never exceeds its limit.
        #[test]
        fn the_window_follows_the_peer(steps in prop::collection::vec((0..4_u64, 0..400_u64), 1..60)) {
            let (mut window, mut at, mut now, mut next) = (Window::default(), 0, 0, 0);
            for (arrives, pause) in steps {
                now += pause;
                at = (at + arrives).min(next);
                window.arrived(&has(at), Millis(now));
                next = window.reaches(LOG, at);
                prop_assert!(window.sent.len() as u64 == next - at, "each message is one op here");
                while !window.is_full() && next < at + 5 {
                    next += 1;
                    window.send(has(next), true);
                }
                prop_assert!(window.sent.len() <= WINDOW);
            }
        }
    }
}
