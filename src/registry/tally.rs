//! What a step told in the feed, counted: for the metrics of the node.

use super::feed::{EventKind, EventRecord};
use crate::clock::NodeId;
use crate::model::Cursor;

/// The events of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The cursor of the last one.
    pub last: Cursor,
    /// What they say of registrations that this node accepted.
    pub tally: Tally,
}

impl Told {
    /// The events of this step and of a later one.
    pub(crate) fn and(mut self, later: Self) -> Self {
        let Tally { accepted, confirmed, contested, rejected, final_after } = later.tally;
        self.tally.accepted += accepted;
        self.tally.confirmed += confirmed;
        self.tally.contested += contested;
        self.tally.rejected += rejected;
        self.tally.final_after.extend(final_after);
        Self { last: later.last, tally: self.tally }
    }
}

/// What became of registrations that this incarnation of the node accepted. A feed that is told anew is not counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Accepted.
    pub accepted: u64,
    /// Confirmed.
    pub confirmed: u64,
    /// Lost, and that is not final.
    pub contested: u64,
    /// Rejected.
    pub rejected: u64,
    /// How long after it was accepted each one that is confirmed or rejected became so, milliseconds.
    pub final_after: Vec<u64>,
}

impl Tally {
    /// Counts events that are about registrations of this node.
    pub(super) fn of(events: &[EventRecord], me: NodeId) -> Self {
        let mut tally = Self::default();
        for event in events.iter().filter(|event| event.registration.node == me) {
            let count = match event.kind {
                EventKind::Accepted => &mut tally.accepted,
                EventKind::Contested(_) => &mut tally.contested,
                EventKind::Confirmed => &mut tally.confirmed,
                EventKind::Rejected(_) => &mut tally.rejected,
                EventKind::Activated | EventKind::NameEnded(..) => continue,
            };
            *count += 1;
            if matches!(event.kind, EventKind::Confirmed | EventKind::Rejected(_)) {
                tally.final_after.push(event.time.since(event.registration.hlc.millis()));
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Hlc, Millis, Stamp};

    #[test]
    fn only_what_this_node_accepted_is_counted() {
        let (me, other) = (NodeId(1), NodeId(2));
        let event = |kind, node, time| EventRecord {
            kind,
            registration: Stamp { hlc: Hlc(1000 << 16), node },
            time: Millis(time),
        };
        let events = [
            event(EventKind::Accepted, me, 1000),
            event(EventKind::Contested(None), me, 1001),
            event(EventKind::Rejected(None), me, 1250),
            event(EventKind::Confirmed, other, 1250),
            // The clock was set back.
            event(EventKind::Confirmed, me, 900),
            event(EventKind::Activated, me, 1300),
        ];
        let expected = Tally { accepted: 1, confirmed: 1, contested: 1, rejected: 1, final_after: vec![250, 0] };
        assert_eq!(Tally::of(&events, me), expected);
        assert_eq!(Tally::of(&events, NodeId(3)), Tally::default());
        let told = |number| Told { last: Cursor { feed: 1, number }, tally: Tally::of(&events, me) };
        let twice = Tally { accepted: 2, confirmed: 2, contested: 2, rejected: 2, final_after: vec![250, 0, 250, 0] };
        assert_eq!(told(1).and(told(2)), Told { last: Cursor { feed: 1, number: 2 }, tally: twice });
    }
}
