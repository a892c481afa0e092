//! Whom a node votes out for being silent.

use std::collections::BTreeSet;

use crate::clock::{Millis, NodeId};

/// How fresh the word of a peer on who is silent must be, milliseconds (design, section 5).
pub(super) const VOTE_LASTS: u64 = 1000;
/// A node that has voted for the eviction of some members votes for that of others only so many milliseconds after it last said
/// the first: what follows from its first vote is known by then, and no two evictions find a majority at the same time. A
/// guess: as long as a vote lasts, and twice that for messages on their way.
const VOTE_BINDS: u64 = 3 * VOTE_LASTS;

/// Whom a node votes out.
#[derive(Clone, Debug, Default)]
pub(super) struct Vote {
    /// Whom it says to be silent.
    says: BTreeSet<NodeId>,
    /// Whom it last voted for, and when it last said so.
    bound: Option<(Millis, BTreeSet<NodeId>)>,
}

impl Vote {
    /// These members are silent now.
    pub(super) fn cast(&mut self, now: Millis, silent: BTreeSet<NodeId>) {
        let other = |(at, nodes): &(Millis, BTreeSet<NodeId>)| *nodes != silent && now.since(*at) < VOTE_BINDS;
        self.says = if self.bound.as_ref().is_some_and(other) { BTreeSet::new() } else { silent };
        if !self.says.is_empty() {
            self.bound = Some((now, self.says.clone()));
        }
    }

    /// Whom it says to be silent.
    pub(super) fn says(&self) -> &BTreeSet<NodeId> {
        &self.says
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_binds_for_a_while_after_it_was_last_said() {
        let nodes = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect::<BTreeSet<_>>();
        let mut vote = Vote::default();
        let mut says = |now: u64, silent: &[u64]| {
            vote.cast(Millis(now), nodes(silent));
            vote.says().clone()
        };
        assert_eq!(says(0, &[]), nodes(&[]));
        assert_eq!(says(1, &[4]), nodes(&[4]), "who has said nothing is free");
        assert_eq!(says(500, &[4]), nodes(&[4]));
        assert_eq!(says(501, &[5]), nodes(&[]), "nor may it vote for more of them");
        assert_eq!(says(600, &[4, 5]), nodes(&[]));
        assert_eq!(says(700, &[4]), nodes(&[4]), "its first vote it may repeat");
        assert_eq!(says(700 + VOTE_BINDS - 1, &[5]), nodes(&[]));
        assert_eq!(says(700 + VOTE_BINDS, &[5]), nodes(&[5]));
    }
}
