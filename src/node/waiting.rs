//! Messages by which this node catches up. They wait until the driver has taken everything else: the ops of one take as long as
//! thousands of requests, and a peer that catches up itself asks with a small message for what it lacks next.

use std::collections::VecDeque;

use crate::clock::NodeId;
use crate::log::{Message, Op};
use crate::replica::Input;

/// The number of ops that wait, before the driver takes no other inputs of peers. A guess: what several peers send ahead.
const MOST: usize = 1 << 16;

/// Messages of ops, in the order in which they came.
#[derive(Default, Debug)]
pub(super) struct Waiting {
    messages: VecDeque<(NodeId, Message)>,
    /// The number of the messages and of their ops.
    weight: usize,
}

impl Waiting {
    /// Keeps an input that is to wait, and returns any other one. Ops wait where more follow, or where ops of the same peer
    /// wait already: they would arrive before those that they continue.
    pub(super) fn sort(&mut self, input: Input) -> Option<Input> {
        match input {
            Input::Message { from, message: Message::Ops { ops, more } } if more || self.has(from) => {
                self.weight += weight(&ops);
                self.messages.push_back((from, Message::Ops { ops, more }));
                None
            }
            input => Some(input),
        }
    }

    /// Takes the first message.
    pub(super) fn next(&mut self) -> Option<Input> {
        self.messages.pop_front().map(|message| self.take(message))
    }

    /// Takes the first message of a peer.
    pub(super) fn next_of(&mut self, peer: NodeId) -> Option<Input> {
        let at = self.messages.iter().position(|(from, _)| *from == peer)?;
        self.messages.remove(at).map(|message| self.take(message))
    }

    fn take(&mut self, (from, message): (NodeId, Message)) -> Input {
        if let Message::Ops { ops, .. } = &message {
            self.weight -= weight(ops);
        }
        Input::Message { from, message }
    }

    fn has(&self, peer: NodeId) -> bool {
        self.messages.iter().any(|(from, _)| *from == peer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns true while further inputs of peers may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.weight < MOST
    }
}

fn weight(ops: &[Op]) -> usize {
    1 + ops.len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Hlc, Stamp};
    use crate::crdt::NameOp;
    use crate::log::{Body, Chain};

    const ADA: NodeId = NodeId(1);
    const BOB: NodeId = NodeId(2);

    /// A message of this many ops.
    fn ops(from: NodeId, count: usize, more: bool) -> Input {
        let body = Body::Name(NameOp::Erase { registration: Stamp::default() });
        let op = Op::new(from, 1, Hlc(1 << 16), Chain::default(), body);
        Input::Message { from, message: Message::Ops { ops: Arc::new(vec![op; count]), more } }
    }

    /// Returns the sender and the number of ops of each message.
    fn taken(next: impl FnMut() -> Option<Input>) -> Vec<(NodeId, usize)> {
        let read = |input| match input {
            Input::Message { from, message: Message::Ops { ops, .. } } => (from, ops.len()),
            other => panic!("{other:?} does not wait"),
        };
        std::iter::from_fn(next).map(read).collect()
    }

    #[test]
    fn ops_wait_where_more_follow_and_behind_those_of_the_same_peer() {
        let mut waiting = Waiting::default();
        assert!(waiting.sort(ops(ADA, 1, false)).is_some(), "none of hers wait");
        assert!(waiting.sort(ops(ADA, 2, true)).is_none());
        assert!(waiting.sort(ops(ADA, 3, false)).is_none(), "they continue those that wait");
        for other in [ops(BOB, 1, false), Input::Connected(BOB), Input::Wake, Input::Disconnected(ADA)] {
            assert!(waiting.sort(other).is_some());
        }
        assert!(!waiting.is_empty());
        assert_eq!(taken(|| waiting.next()), [(ADA, 2), (ADA, 3)]);
        assert!(waiting.is_empty());
        assert!(waiting.sort(ops(ADA, 4, false)).is_some());
    }

    #[test]
    fn those_of_one_peer_can_be_taken_first() {
        let mut waiting = Waiting::default();
        for (from, count) in [(ADA, 1), (BOB, 2), (ADA, 3)] {
            assert!(waiting.sort(ops(from, count, true)).is_none());
        }
        assert_eq!(taken(|| waiting.next_of(ADA)), [(ADA, 1), (ADA, 3)]);
        assert_eq!(taken(|| waiting.next()), [(BOB, 2)]);
    }

    #[test]
    fn what_waits_is_bounded() {
        for count in [0, 1, 2048] {
            let mut waiting = Waiting::default();
            let fill = (0..=MOST).take_while(|_| {
                let has_room = waiting.has_room();
                waiting.sort(ops(ADA, count, true));
                has_room
            });
            assert!(fill.count() <= MOST, "{count} ops in each");
            assert!(!waiting.has_room());
            while waiting.next().is_some() {}
            assert!(waiting.has_room());
        }
    }
}
