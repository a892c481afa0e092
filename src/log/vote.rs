//! The votes for the eviction of silent members, and what binds the voter.
//!
//! A vote may be acted upon by whoever was told of it: with the votes of a majority that node begins the eviction. The voter
//! may not learn of this for long, because the link may break just then, in one direction alone. If it voted for the eviction
//! of others meanwhile, both evictions could be begun, and together leave no majority. So a vote binds its voter until
//! everybody who was told of it has promised a time at which the vote had expired: all ops of that member up to then are
//! here, a `Freeze` among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Millis, NodeId};

/// How old a peer's vote on who is silent may be, in milliseconds (`docs/protocol.md`, *Who may begin a freeze*).
pub(super) const VOTE_LASTS: u64 = 1000;
/// How long a vote may be acted upon after it was cast, in milliseconds of cluster time. A guess: the time that a vote
/// lasts, and twice that for messages on their way.
const VOTE_BINDS: u64 = 3 * VOTE_LASTS;

/// What a vote is cast upon.
#[derive(Clone, Debug)]
pub(super) struct Ballot<'a> {
    /// Cluster time, and by how much the clock of a member may be off from it.
    pub(super) time: Millis,
    pub(super) skew: u64,
    /// The members that are silent to this node for long enough.
    pub(super) silent: BTreeSet<NodeId>,
    /// The members that may be told of the vote.
    pub(super) told: BTreeSet<NodeId>,
    /// The promises of all members, as times. A member that is missing here is out.
    pub(super) promised: &'a BTreeMap<NodeId, Millis>,
}

/// Members for whose eviction this node voted, and who may have acted on that: for each of these, the time that it has to
/// promise before the vote does not bind any more.
#[derive(Clone, Debug)]
struct Bond {
    silent: BTreeSet<NodeId>,
    told: BTreeMap<NodeId, Millis>,
}

/// The vote of this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Vote {
    /// The members that it votes out for being silent.
    says: BTreeSet<NodeId>,
    /// Votes that may have been acted upon, the present one among them.
    bonds: Vec<Bond>,
    /// True while members are silent and the vote is withheld.
    withheld: bool,
}

impl Vote {
    /// Casts a vote, or withholds it where an eviction that rests on an earlier vote might be under way, and
    /// `leaves_majority` says that both together leave none. Returns true where the vote is withheld, and was not before.
    pub(super) fn cast(&mut self, ballot: Ballot<'_>, leaves_majority: impl Fn(&BTreeSet<NodeId>) -> bool) -> bool {
        let Ballot { time, skew, silent, told, promised } = ballot;
        // Whoever connected since the last ballot may have been told of the vote that was cast there.
        self.bind(&told, time.plus(VOTE_BINDS + skew));
        for bond in &mut self.bonds {
            bond.told.retain(|node, until| promised.get(node).is_some_and(|promise| *promise < *until));
        }
        self.bonds.retain(|bond| !bond.told.is_empty());
        let mut together = silent.clone();
        self.bonds.iter().for_each(|bond| together.extend(&bond.silent));
        let others = self.bonds.iter().any(|bond| bond.silent != silent);
        let withheld = !silent.is_empty() && others && !leaves_majority(&together);
        self.says = if withheld { BTreeSet::new() } else { silent };
        self.bind(&told, time.plus(VOTE_BINDS + skew));
        let before = std::mem::replace(&mut self.withheld, withheld);
        withheld && !before
    }

    /// Notes who may know of the present vote, and may act upon it until a time.
    fn bind(&mut self, told: &BTreeSet<NodeId>, until: Millis) {
        if self.says.is_empty() {
            return;
        }
        let told = told.iter().filter(|node| !self.says.contains(node)).map(|node| (*node, until));
        match self.bonds.iter_mut().find(|bond| bond.silent == self.says) {
            Some(bond) => bond.told.extend(told),
            None => self.bonds.push(Bond { silent: self.says.clone(), told: told.collect() }),
        }
    }

    /// Returns true where votes bind this node.
    pub(super) fn is_bound(&self) -> bool {
        !self.bonds.is_empty()
    }

    /// Returns the members that this node votes out.
    pub(super) fn says(&self) -> &BTreeSet<NodeId> {
        &self.says
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Node 1 of five casts its vote: at a time, these are silent, and all have promised a time.
    fn cast(vote: &mut Vote, time: u64, silent: &[u64], promised: u64) -> BTreeSet<NodeId> {
        let promised = (2..=5).map(|id| (NodeId(id), Millis(promised))).collect();
        let (silent, told) = (nodes(silent), nodes(&[2, 3, 4, 5]));
        let ballot = Ballot { time: Millis(time), skew: 500, silent, told, promised: &promised };
        vote.cast(ballot, |together| 5 - together.len() > 2);
        vote.says().clone()
    }

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    #[test]
    fn a_vote_binds_until_all_who_were_told_have_promised_a_time_after_it() {
        let mut vote = Vote::default();
        assert_eq!(cast(&mut vote, 0, &[], 0), nodes(&[]));
        assert_eq!(cast(&mut vote, 100, &[4, 5], 0), nodes(&[4, 5]), "who has said nothing is free");
        assert_eq!(cast(&mut vote, 200, &[4, 5], 0), nodes(&[4, 5]), "a vote may be repeated");
        assert_eq!(cast(&mut vote, 300, &[4, 3], 0), nodes(&[]), "both together leave no majority");
        assert_eq!(cast(&mut vote, 1_000_000, &[4, 3], 300 + VOTE_BINDS + 499), nodes(&[]), "however late");
        assert_eq!(cast(&mut vote, 1_000_000, &[4, 3], 300 + VOTE_BINDS + 500), nodes(&[4, 3]));
        assert_eq!(cast(&mut vote, 1_000_001, &[], 1_000_001 + VOTE_BINDS + 500), nodes(&[]));
        assert!(!vote.is_bound());
    }

    #[test]
    fn votes_that_together_leave_a_majority_do_not_bind_each_other() {
        let mut vote = Vote::default();
        assert_eq!(cast(&mut vote, 100, &[4], 0), nodes(&[4]));
        assert_eq!(cast(&mut vote, 200, &[5], 0), nodes(&[5]));
        assert_eq!(cast(&mut vote, 300, &[3], 0), nodes(&[]), "but three do");
    }

    #[test]
    fn who_is_out_has_not_acted_on_a_vote() {
        let mut vote = Vote::default();
        let all = [(NodeId(2), Millis(0)), (NodeId(3), Millis(0))].into();
        let ballot = |silent: &[u64], promised| Ballot {
            time: Millis(100),
            skew: 500,
            silent: nodes(silent),
            told: nodes(&[2]),
            promised,
        };
        let leaves_majority = |together: &BTreeSet<NodeId>| together.len() < 2;
        assert!(!vote.cast(ballot(&[3], &all), leaves_majority));
        assert!(!vote.cast(ballot(&[], &all), leaves_majority), "the third node is back");
        assert!(vote.cast(ballot(&[2], &all), leaves_majority), "it is said once that a vote is withheld");
        assert!(!vote.cast(ballot(&[2], &all), leaves_majority));
        assert_eq!(vote.says(), &nodes(&[]));
        let without = [(NodeId(3), Millis(0))].into();
        vote.cast(ballot(&[2], &without), leaves_majority);
        assert_eq!(vote.says(), &nodes(&[2]));
    }

    #[test]
    fn who_connects_after_a_ballot_may_know_of_its_vote() {
        let mut vote = Vote::default();
        let promised = [(NodeId(2), Millis(0)), (NodeId(3), Millis(0))].into();
        let ballot = |silent: &[u64], told: &[u64]| Ballot {
            time: Millis(100),
            skew: 500,
            silent: nodes(silent),
            told: nodes(told),
            promised: &promised,
        };
        let leaves_majority = |together: &BTreeSet<NodeId>| together.len() < 2;
        vote.cast(ballot(&[3], &[]), leaves_majority);
        vote.cast(ballot(&[], &[2]), leaves_majority);
        assert!(vote.cast(ballot(&[2], &[]), leaves_majority));
    }
}
