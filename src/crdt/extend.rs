//! Extensions of a reservation.
//!
//! The end of a reservation is a function of the ops that extend it, taken in the order of their stamps. An op whose
//! timestamp is below the end so far moves the end to the time that it names, if this is later. So the order of arrival
//! does not matter, and once the watermark is at or past the end, no op that is yet to arrive can move it.
//!
//! Not all of these ops are kept. An op that does not reach beyond an earlier one is dropped: where the earlier op
//! counts, the later one moves nothing, and where the earlier op comes too late, the later one does too. The ops at or
//! below the watermark are reduced to a single timestamp.

use serde::{Deserialize, Serialize};

use crate::clock::{Hlc, Stamp};

/// An op that extends a reservation: its stamp, and the end that it asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
struct Extension {
    by: Stamp,
    until: Hlc,
}

/// All that is kept of the ops that extend one reservation.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Extensions {
    /// The end that the ops at or below the watermark lead to; none where these ops do not move the original end.
    settled: Option<Hlc>,
    /// The other ops, by stamp. Each asks for a later end than the one before.
    open: Vec<Extension>,
}

impl Extensions {
    /// Returns the end of a reservation whose original end is `first`.
    #[must_use]
    pub fn end(&self, first: Hlc) -> Hlc {
        let settled = self.settled.map_or(first, |settled| settled.max(first));
        let counts = |end: Hlc, next: &Extension| (next.by.hlc < end).then(|| end.max(next.until));
        // Where one op comes too late, so do all ops after it.
        self.open.iter().try_fold(settled, |end, next| counts(end, next).ok_or(end)).unwrap_or_else(|end| end)
    }

    /// Returns the number of ops that are kept one by one.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.open.len()
    }

    /// Adds an op. An op that cannot move the end is dropped.
    pub(crate) fn add(&mut self, by: Stamp, until: Hlc) {
        let place = self.open.partition_point(|other| other.by < by);
        let before = self.open[..place].last().map(|other| other.until).max(self.settled);
        if before.is_some_and(|before| until <= before) || self.open.get(place).is_some_and(|other| other.by == by) {
            return;
        }
        let overtaken = self.open[place..].iter().take_while(|other| other.until <= until).count();
        self.open.splice(place..place + overtaken, [Extension { by, until }]);
    }

    /// Replaces the ops at or below `upto` by the end that they lead to. Everything at or below `upto` must have
    /// arrived. Returns true where anything changed.
    pub(super) fn settle(&mut self, first: Hlc, upto: Hlc) -> bool {
        let place = self.open.partition_point(|extension| extension.by.hlc <= upto);
        if place == 0 {
            return false;
        }
        let rest = self.open.split_off(place);
        self.settled = Some(self.end(first));
        self.open = rest.into_iter().filter(|extension| Some(extension.until) > self.settled).collect();
        true
    }

    /// Adds the ops that another state knows.
    pub(super) fn join(&mut self, theirs: Self) {
        self.settled = self.settled.max(theirs.settled);
        let ours = std::mem::take(&mut self.open);
        ours.into_iter().chain(theirs.open).for_each(|extension| self.add(extension.by, extension.until));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::NodeId;

    fn extension(at: u64, node: u64, until: u64) -> (Stamp, Hlc) {
        (Stamp { hlc: Hlc(at), node: NodeId(node) }, Hlc(until))
    }

    /// The rule of the module's documentation, applied to all ops at once.
    fn rule(first: u64, ops: &[(Stamp, Hlc)]) -> Hlc {
        let mut ops = ops.to_vec();
        ops.sort_unstable();
        ops.iter().fold(Hlc(first), |end, (by, until)| if by.hlc < end { end.max(*until) } else { end })
    }

    fn all(ops: &[(Stamp, Hlc)]) -> Extensions {
        let mut extensions = Extensions::default();
        ops.iter().for_each(|(by, until)| extensions.add(*by, *until));
        extensions
    }

    #[test]
    fn one_that_comes_late_counts_where_an_earlier_one_made_room_for_it() {
        let (first, second) = (extension(8, 1, 20), extension(15, 2, 30));
        assert_eq!(all(&[second]).end(Hlc(10)), Hlc(10), "too late by what is known");
        assert_eq!(all(&[second, first]).end(Hlc(10)), Hlc(30));
        assert_eq!(all(&[extension(10, 1, 20)]).end(Hlc(10)), Hlc(10), "at the end it is over");
    }

    #[test]
    fn what_reaches_no_further_is_not_kept() {
        let ops: Vec<_> = (0..50).map(|n| extension(n, 1, 100 - n)).collect();
        assert_eq!(all(&ops).kept(), 1);
        let mut rising = all(&(0..50).map(|n| extension(n, 1, 100 + n)).collect::<Vec<_>>());
        assert_eq!(rising.kept(), 50);
        assert!(rising.settle(Hlc(90), Hlc(40)));
        assert_eq!((rising.kept(), rising.end(Hlc(90))), (9, Hlc(149)));
        assert!(!rising.settle(Hlc(90), Hlc(40)));
    }

    fn ops() -> impl Strategy<Value = Vec<(Stamp, Hlc)>> {
        let op = (0u64..30, 0u64..3, 0u64..40).prop_map(|(at, node, until)| extension(at, node, until));
        prop::collection::btree_map(0u64..90, op, 0..14).prop_map(|ops| {
            // No two ops have one stamp.
            let ops: std::collections::BTreeMap<_, _> = ops.into_values().collect();
            ops.into_iter().collect()
        })
    }

    proptest! {
        /// In any order, and with every op applied twice, the end is the rule's, and the same ops are kept.
        #[test]
        fn the_order_of_arrival_does_not_matter(ops in ops().prop_shuffle(), first in 0u64..25) {
            let mut sorted = ops.clone();
            sorted.sort_unstable();
            let shuffled = all(&[ops.clone(), sorted.clone()].concat());
            prop_assert_eq!(shuffled.end(Hlc(first)), rule(first, &ops));
            prop_assert_eq!(&shuffled, &all(&sorted));
            let half = ops.len() / 2;
            let mut joined = all(&ops[..half]);
            joined.join(all(&ops[half / 2..]));
            prop_assert_eq!(shuffled, joined);
        }

        /// Settling at arbitrary times leads to the same end as keeping all ops.
        #[test]
        fn what_is_settled_changes_no_end(ops in ops(), first in 0u64..25, settles in prop::collection::vec(any::<bool>(), 14)) {
            let mut settling = Extensions::default();
            for (index, (by, until)) in ops.iter().enumerate() {
                settling.add(*by, *until);
                prop_assert_eq!(settling.end(Hlc(first)), rule(first, &ops[..=index]));
                // All ops with this timestamp have arrived.
                let whole = ops.get(index + 1).is_none_or(|(next, _)| next.hlc > by.hlc);
                if settles[index] && whole {
                    settling.settle(Hlc(first), by.hlc);
                    prop_assert_eq!(settling.end(Hlc(first)), rule(first, &ops[..=index]));
                }
            }
        }
    }
}
