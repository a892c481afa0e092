//! The votes for the eviction of silent members.

use std::collections::BTreeSet;

use crate::clock::{Millis, NodeId};

/// How old a peer's vote on who is silent may be, in milliseconds (`docs/protocol.md`, *Who may begin a freeze*).
pub(super) const VOTE_LASTS: u64 = 1000;
/// How long a vote binds after it was last cast, in milliseconds: until then the node does not vote for the eviction of
/// other members. By then all know what followed from the first vote, and no two evictions find a majority at the same
/// time. A guess: the time that a vote lasts, and twice that for messages on their way.
const VOTE_BINDS: u64 = 3 * VOTE_LASTS;

/// The vote of this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Vote {
    /// The members that it votes out for being silent.
    says: BTreeSet<NodeId>,
    /// The members that it last voted out, and when it last did so.
    bound: Option<(Millis, BTreeSet<NodeId>)>,
}

impl Vote {
    /// Casts a vote: these members are silent now.
    pub(super) fn cast(&mut self, now: Millis, silent: BTreeSet<NodeId>) {
        let other = |(at, nodes): &(Millis, BTreeSet<NodeId>)| *nodes != silent && now.since(*at) < VOTE_BINDS;
        self.says = if self.bound.as_ref().is_some_and(other) { BTreeSet::new() } else { silent };
        if !self.says.is_empty() {
            self.bound = Some((now, self.says.clone()));
        }
    }

    /// Returns the members that this node votes out.
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
