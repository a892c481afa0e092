//! The log's rules, broken on purpose. Each function is given what a rule says and hands it on, or says something else where
//! the bug is planted that it is for. The macro `planted!` puts it between the rule and whoever asks; without the feature
//! there is nothing between them.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::Cut;
use super::chain_check::Contradiction;
use super::frontiers::{Frontier, Word};
use super::gossip::Check;
use super::membership::Membership;
use super::message::{Obstacle, Promise};
use super::phase::{Acknowledges, Out, Phase};
use crate::clock::{Hlc, NodeId};
use crate::model::Seq;
use crate::planted::{Bug, is};

/// The phase in which a process begins with a whole state.
pub(super) fn started(phase: Phase) -> Phase {
    match phase {
        Phase::Comparing(_, place) if is(Bug::NothingCompared) => Phase::Settled(place),
        phase => phase,
    }
}

/// What a peer's copies of this node's log, and its promises, say against the directory.
pub(super) fn contradicts_log(contradiction: Option<Contradiction>) -> Option<Contradiction> {
    let ignored = |found: &Contradiction| match found {
        Contradiction::Promised(_) => is(Bug::NothingCompared) || is(Bug::OldPromiseIgnored),
        _ => is(Bug::NothingCompared),
    };
    contradiction.filter(|found| !ignored(found))
}

/// The same of what a peer remembers.
pub(super) fn contradicts_word(contradiction: Option<Contradiction>) -> Option<Contradiction> {
    contradiction.filter(|_| !is(Bug::NothingCompared) && !is(Bug::OldWordIgnored))
}

/// The promise ceiling that a process starts above.
pub(super) fn ceiling(stored: Hlc) -> Hlc {
    if is(Bug::CeilingForgotten) { Hlc::default() } else { stored }
}

/// The promises that the watermark is the least of.
pub(super) fn promises(all: impl Iterator<Item = (Hlc, NodeId)>) -> impl Iterator<Item = (Hlc, NodeId)> {
    let mut all: Vec<_> = all.collect();
    if is(Bug::WatermarkLeavesOneOut) && all.len() > 1 {
        all.remove(0);
    }
    all.into_iter()
}

/// How far a member counts as a holder.
pub(super) fn counts_as_held(upto: Seq) -> Seq {
    if is(Bug::FrozenHoldAll) { Seq::MAX } else { upto }
}

/// Which promise stands for a member that has not spoken yet.
pub(super) fn floor(floor: Hlc) -> Hlc {
    if is(Bug::NewcomerPromisesTooMuch) && floor > Hlc::ZERO {
        return Hlc::from_millis(floor.millis().plus(2000));
    }
    floor
}

/// How far a log is taken; `cut` says where that of one that is out ends.
pub(super) fn limit(limit: Seq, cut: Option<Cut>) -> Seq {
    if is(Bug::VoidOpsTaken) && cut.is_some() { Seq::MAX } else { limit }
}

/// Whether those who stay are enough.
pub(super) fn is_majority(majority: bool) -> bool {
    majority || is(Bug::NoMajorityNeeded)
}

/// Whether the retired are few enough to go without a majority.
pub(super) fn are_few(few: bool) -> bool {
    few || is(Bug::MajorityBeginsAnew)
}

/// Whether all who stay have frozen all who go.
pub(super) fn is_unanimous(unanimous: bool) -> bool {
    unanimous || is(Bug::FewFreezesSuffice)
}

/// Whether somebody's freeze counts for a cut.
pub(super) fn freeze_counts(counts: bool) -> bool {
    counts || is(Bug::FreezesOfTheFrozenCount)
}

/// Which of the freezes, in their order, makes the cut.
pub(super) fn chosen<T: Copy + Ord>(greatest: Option<T>, all: &[T]) -> Option<T> {
    if is(Bug::CutTooLow) { all.iter().min().copied() } else { greatest }
}

/// Whether a declared cut takes the place of the one that is known.
pub(super) fn replaces(replaces: bool, known: Option<&Cut>) -> bool {
    replaces && !(is(Bug::GreaterCutCounts) && known.is_some())
}

/// Why this incarnation is over by the logs; `membership` knows of evictions that nobody has declared.
pub(super) fn out(out: Option<Out>, membership: &Membership, me: NodeId) -> Option<Out> {
    let early = membership.decided().get(&me).or(membership.agreed().get(&me));
    match (out, early) {
        (Some(Out::HoldsVoid) | None, Some(cut)) if is(Bug::OpsDroppedEarly) => Some(Out::Evicted(cut.seq)),
        _ => out,
    }
}

/// Under which id the evicted come back.
pub(super) fn next_incarnation(next: Option<NodeId>, me: NodeId) -> Option<NodeId> {
    if is(Bug::SameIncarnation) { Some(me) } else { next }
}

/// Whether a peer is heard.
pub(super) fn is_heard(heard: bool) -> bool {
    heard || is(Bug::AnybodyIsHeard)
}

/// What a node acknowledges.
pub(super) fn acknowledges(word: Acknowledges<'_>) -> Acknowledges<'_> {
    match word {
        Acknowledges::HandedOver(_) if is(Bug::LeaverAcknowledges) => Acknowledges::All,
        word => word,
    }
}

/// Whether nobody has to go before, and somebody stays.
pub(super) fn may_go(may: bool) -> bool {
    may || is(Bug::NobodyStays)
}

/// Whom a leave waits for.
pub(super) fn leave_waits_for(waits: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    if is(Bug::NoHandOver) { BTreeSet::new() } else { waits }
}

/// Whether enough of those who would stay are in contact.
pub(super) fn is_in_reach(reached: bool) -> bool {
    reached || is(Bug::EvictionsOfMinorities)
}

/// The evictions that are to be declared.
pub(super) fn to_declare(cuts: BTreeMap<NodeId, Cut>) -> BTreeMap<NodeId, Cut> {
    if is(Bug::EvictionNotDeclared) { BTreeMap::new() } else { cuts }
}

/// Of whom more is here than this node has frozen.
pub(super) fn to_raise(nodes: Vec<NodeId>) -> Vec<NodeId> {
    if is(Bug::FreezeNotRaised) { Vec::new() } else { nodes }
}

/// What a newcomer itself has to mend.
pub(super) fn bars(obstacle: Option<Obstacle>) -> Option<Obstacle> {
    obstacle.filter(|_| !is(Bug::NewcomersClockUnchecked))
}

/// Whether a snapshot has been kept for too long.
pub(super) fn is_overdue(overdue: bool) -> bool {
    overdue && !is(Bug::SnapshotKeptForEver)
}

/// What keeps newcomers out.
pub(super) fn obstacles(obstacles: Vec<Obstacle>) -> Vec<Obstacle> {
    let ignored = |obstacle: &Obstacle| match obstacle {
        Obstacle::Eviction(_) => is(Bug::AdmitDuringFreeze),
        Obstacle::Unsettled(_) => is(Bug::AdmitUnsettled),
        Obstacle::Silent(_) => is(Bug::AdmitUnheard),
        _ => false,
    };
    obstacles.into_iter().filter(|obstacle| !ignored(obstacle)).collect()
}

/// Whether a sponsor tells a newcomer the secrets with its snapshot.
pub(super) fn tells_secrets(tells: bool) -> bool {
    tells || is(Bug::NewcomersToldSecrets)
}

/// What an op is to this node.
pub(super) fn check(check: Check) -> Check {
    match check {
        Check::Gap | Check::Broken if is(Bug::GapsTaken) => Check::Next,
        Check::Early if is(Bug::SkewUnchecked) => Check::Next,
        check => check,
    }
}

/// As much of a promise as the cluster's time allows.
pub(super) fn allowed(allowed: Promise, said: Promise) -> Promise {
    if is(Bug::SkewUnchecked) { said } else { allowed }
}

/// The promise that may be believed of a member, none of one that this node has frozen; `here` is what it has of that log.
pub(super) fn believable(believable: Option<Promise>, said: Promise, here: Cut) -> Option<Promise> {
    if is(Bug::FrozenPromiseBelieved) && believable.is_none() {
        return Some(Promise { seq: here.seq, chain: here.chain, ..said });
    }
    believable
}

/// What a promise is to what is here of its log.
pub(super) fn word(word: Word, promise: Promise, believed: Hlc) -> Word {
    match is(Bug::PromiseWithoutPrefix) {
        true if promise.hlc > believed => Word::News,
        true => Word::Old,
        false => word,
    }
}

/// Whether somebody holds another continuation of a log.
pub(super) fn is_fork(fork: bool) -> bool {
    fork && !is(Bug::ForkIgnored)
}

/// Whether what a member holds is what is here.
pub(super) fn is_same(same: bool) -> bool {
    same || is(Bug::HoldsOfForksCount)
}

/// How far a log is known, as it is stored.
pub(super) fn stored(frontier: Frontier) -> Frontier {
    if is(Bug::DecidedNotStored) { Frontier { decided: 0, ..frontier } } else { frontier }
}

/// Whether the wall clock has run ahead.
pub(super) fn has_outrun(outran: bool) -> bool {
    outran && !is(Bug::JumpFollowed)
}

/// The place of the clock that is taken to be right, of so many in their order.
pub(super) fn median(middle: usize, count: usize) -> usize {
    if is(Bug::UpperMedian) { count / 2 } else { middle }
}
