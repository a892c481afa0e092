//! Messages by which this node catches up. They wait until the driver has taken everything else: the ops of one take as long as
//! thousands of requests, and a peer that catches up itself asks with a small message for what it lacks next.

use std::collections::VecDeque;

use crate::clock::NodeId;
use crate::log::Message;
use crate::replica::Input;

/// The number of messages that wait, before the driver takes no other inputs. A guess: what several peers send ahead.
const MOST: usize = 32;

/// Messages of ops that more follow, in the order in which they came.
#[derive(Default, Debug)]
pub(super) struct Waiting(VecDeque<(NodeId, Message)>);

impl Waiting {
    /// Keeps an input that may wait, and returns any other one. Where a connection ends its messages are dropped, since none
    /// may come after its end; what they brought is sent again.
    pub(super) fn sort(&mut self, input: Input) -> Option<Input> {
        match input {
            Input::Message { from, message: message @ Message::Ops { more: true, .. } } => {
                self.0.push_back((from, message));
                return None;
            }
            Input::Disconnected(peer) => self.0.retain(|(from, _)| *from != peer),
            _ => {}
        }
        Some(input)
    }

    /// Takes the first message.
    pub(super) fn next(&mut self) -> Option<Input> {
        self.0.pop_front().map(|(from, message)| Input::Message { from, message })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true while further inputs may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ADA: NodeId = NodeId(1);
    const BOB: NodeId = NodeId(2);

    fn ops(from: NodeId, more: bool) -> Input {
        Input::Message { from, message: Message::Ops { ops: Arc::default(), more } }
    }

    fn senders(waiting: &mut Waiting) -> Vec<NodeId> {
        let from = |input| match input {
            Input::Message { from, .. } => from,
            other => panic!("{other:?} does not wait"),
        };
        std::iter::from_fn(|| waiting.next()).map(from).collect()
    }

    #[test]
    fn only_messages_that_more_follow_wait() {
        let mut waiting = Waiting::default();
        assert!(waiting.sort(ops(ADA, true)).is_none());
        for other in [ops(ADA, false), Input::Connected(BOB), Input::Wake, Input::Disconnected(BOB)] {
            assert!(waiting.sort(other).is_some());
        }
        assert!(!waiting.is_empty());
        assert_eq!(senders(&mut waiting), [ADA]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn nothing_comes_after_the_end_of_its_connection() {
        let mut waiting = Waiting::default();
        for from in [ADA, BOB, ADA] {
            waiting.sort(ops(from, true));
        }
        assert!(matches!(waiting.sort(Input::Disconnected(ADA)), Some(Input::Disconnected(ADA))));
        assert_eq!(senders(&mut waiting), [BOB]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        while waiting.has_room() {
            waiting.sort(ops(ADA, true));
        }
        assert_eq!(senders(&mut waiting).len(), MOST);
        assert!(waiting.has_room());
    }
}
