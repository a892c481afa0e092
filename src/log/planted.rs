//! The log's rules, broken on purpose. Each function gets the result of a rule and returns it unchanged, or a wrong one
//! where its bug is planted. The macro `planted!` puts the function between the rule and its caller; without the
//! feature there is nothing between them.

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

/// Changes the phase in which a process begins with a whole state.
pub(super) fn started(phase: Phase) -> Phase {
    match phase {
        Phase::Comparing(_, place) if is(Bug::NothingCompared) => Phase::Settled(place),
        phase => phase,
    }
}

/// Changes the contradiction that a peer's copy of this node's log, or its promise, shows.
pub(super) fn contradicts_log(contradiction: Option<Contradiction>) -> Option<Contradiction> {
    let ignored = |found: &Contradiction| match found {
        Contradiction::Promised(_) => is(Bug::NothingCompared) || is(Bug::OldPromiseIgnored),
        _ => is(Bug::NothingCompared),
    };
    contradiction.filter(|found| !ignored(found))
}

/// Changes the contradiction that an acknowledgement remembered by a peer shows.
pub(super) fn contradicts_word(contradiction: Option<Contradiction>) -> Option<Contradiction> {
    contradiction.filter(|_| !is(Bug::NothingCompared) && !is(Bug::OldWordIgnored))
}

/// Changes the promise ceiling that a process starts above.
pub(super) fn ceiling(stored: Hlc) -> Hlc {
    if is(Bug::CeilingForgotten) { Hlc::default() } else { stored }
}

/// Changes the promises of which the watermark is the least.
pub(super) fn promises(all: impl Iterator<Item = (Hlc, NodeId)>) -> impl Iterator<Item = (Hlc, NodeId)> {
    let mut all: Vec<_> = all.collect();
    if is(Bug::WatermarkLeavesOneOut) && all.len() > 1 {
        all.remove(0);
    }
    all.into_iter()
}

/// Changes up to which op a member counts as a holder.
pub(super) fn counts_as_held(upto: Seq) -> Seq {
    if is(Bug::FrozenHoldAll) { Seq::MAX } else { upto }
}

/// Changes the promise that stands for a member from which none has arrived.
pub(super) fn floor(floor: Hlc) -> Hlc {
    if is(Bug::NewcomerPromisesTooMuch) && floor > Hlc::ZERO {
        return Hlc::from_millis(floor.millis().plus(2000));
    }
    floor
}

/// Changes up to which op a log is taken. `cut` is where the log of a node that is out ends.
pub(super) fn limit(limit: Seq, cut: Option<Cut>) -> Seq {
    if is(Bug::VoidOpsTaken) && cut.is_some() { Seq::MAX } else { limit }
}

/// Changes whether the members that stay are a majority.
pub(super) fn is_majority(majority: bool) -> bool {
    majority || is(Bug::NoMajorityNeeded)
}

/// Changes whether the retired nodes are few enough to be evicted without a majority.
pub(super) fn are_few(few: bool) -> bool {
    few || is(Bug::MajorityBeginsAnew)
}

/// Changes whether all that stay have frozen all that go.
pub(super) fn is_unanimous(unanimous: bool) -> bool {
    unanimous || is(Bug::FewFreezesSuffice)
}

/// Changes whether a node's freeze counts for a cut.
pub(super) fn freeze_counts(counts: bool) -> bool {
    counts || is(Bug::FreezesOfTheFrozenCount)
}

/// Changes which of the freezes, in their order, makes the cut.
pub(super) fn chosen<T: Copy + Ord>(greatest: Option<T>, all: &[T]) -> Option<T> {
    if is(Bug::CutTooLow) { all.iter().min().copied() } else { greatest }
}

/// Changes whether a declared cut replaces the one that is known.
pub(super) fn replaces(replaces: bool, known: Option<&Cut>) -> bool {
    replaces && !(is(Bug::GreaterCutCounts) && known.is_some())
}

/// Changes why this incarnation is over by the logs. `membership` knows the evictions that nobody has declared.
pub(super) fn out(out: Option<Out>, membership: &Membership, me: NodeId) -> Option<Out> {
    let early = membership.decided().get(&me).or(membership.agreed().get(&me));
    match (out, early) {
        (Some(Out::HoldsVoid) | None, Some(cut)) if is(Bug::OpsDroppedEarly) => Some(Out::Evicted(cut.seq)),
        _ => out,
    }
}

/// Changes the id under which an evicted node comes back.
pub(super) fn next_incarnation(next: Option<NodeId>, me: NodeId) -> Option<NodeId> {
    if is(Bug::SameIncarnation) { Some(me) } else { next }
}

/// Changes whether the messages of a peer are taken as those of a member.
pub(super) fn is_heard(heard: bool) -> bool {
    heard || is(Bug::AnybodyIsHeard)
}

/// Changes what a node acknowledges.
pub(super) fn acknowledges(word: Acknowledges<'_>) -> Acknowledges<'_> {
    match word {
        Acknowledges::HandedOver(_) if is(Bug::LeaverAcknowledges) => Acknowledges::All,
        word => word,
    }
}

/// Changes whether a leaving node may go: no other has to go first, and somebody stays.
pub(super) fn may_go(may: bool) -> bool {
    may || is(Bug::NobodyStays)
}

/// Changes the members that a leave waits for.
pub(super) fn leave_waits_for(waits: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    if is(Bug::NoHandOver) { BTreeSet::new() } else { waits }
}

/// Changes whether enough of the members that would stay are in contact.
pub(super) fn is_in_reach(reached: bool) -> bool {
    reached || is(Bug::EvictionsOfMinorities)
}

/// Changes the evictions that are to be declared.
pub(super) fn to_declare(cuts: BTreeMap<NodeId, Cut>) -> BTreeMap<NodeId, Cut> {
    if is(Bug::EvictionNotDeclared) { BTreeMap::new() } else { cuts }
}

/// Changes the frozen nodes of whose logs this node has more than it has frozen.
pub(super) fn to_raise(nodes: Vec<NodeId>) -> Vec<NodeId> {
    if is(Bug::FreezeNotRaised) { Vec::new() } else { nodes }
}

/// Changes the obstacle that lies with a newcomer itself.
pub(super) fn bars(obstacle: Option<Obstacle>) -> Option<Obstacle> {
    obstacle.filter(|_| !is(Bug::NewcomersClockUnchecked))
}

/// Changes whether a snapshot has been kept for too long.
pub(super) fn is_overdue(overdue: bool) -> bool {
    overdue && !is(Bug::SnapshotKeptForEver)
}

/// Changes the obstacles to all admissions.
pub(super) fn obstacles(obstacles: Vec<Obstacle>) -> Vec<Obstacle> {
    let ignored = |obstacle: &Obstacle| match obstacle {
        Obstacle::Eviction(_) => is(Bug::AdmitDuringFreeze),
        Obstacle::Unsettled(_) => is(Bug::AdmitUnsettled),
        Obstacle::Silent(_) => is(Bug::AdmitUnheard),
        _ => false,
    };
    obstacles.into_iter().filter(|obstacle| !ignored(obstacle)).collect()
}

/// Changes whether a sponsor sends a newcomer the secrets with its snapshot.
pub(super) fn tells_secrets(tells: bool) -> bool {
    tells || is(Bug::NewcomersToldSecrets)
}

/// Changes the result of checking an op that has arrived.
pub(super) fn check(check: Check) -> Check {
    match check {
        Check::Gap | Check::Broken if is(Bug::GapsTaken) => Check::Next,
        Check::Early if is(Bug::SkewUnchecked) => Check::Next,
        check => check,
    }
}

/// Changes how much of a promise cluster time allows.
pub(super) fn allowed(allowed: Promise, said: Promise) -> Promise {
    if is(Bug::SkewUnchecked) { said } else { allowed }
}

/// Changes the promise of a member that may be believed; none for a member that this node has frozen. `here` is what
/// this node has of that log.
pub(super) fn believable(believable: Option<Promise>, said: Promise, here: Cut) -> Option<Promise> {
    if is(Bug::FrozenPromiseBelieved) && believable.is_none() {
        return Some(Promise { seq: here.seq, chain: here.chain, ..said });
    }
    believable
}

/// Changes how a promise relates to what this node has of its log.
pub(super) fn word(word: Word, promise: Promise, believed: Hlc) -> Word {
    match is(Bug::PromiseWithoutPrefix) {
        true if promise.hlc > believed => Word::News,
        true => Word::Old,
        false => word,
    }
}

/// Changes whether somebody holds another continuation of a log.
pub(super) fn is_fork(fork: bool) -> bool {
    fork && !is(Bug::ForkIgnored)
}

/// Changes whether a member holds the same ops as this node.
pub(super) fn is_same(same: bool) -> bool {
    same || is(Bug::HoldsOfForksCount)
}

/// Changes the stored state of what is known of a log.
pub(super) fn stored(frontier: Frontier) -> Frontier {
    if is(Bug::DecidedNotStored) { Frontier { decided: 0, ..frontier } } else { frontier }
}

/// Changes whether the wall clock has run ahead.
pub(super) fn has_outrun(outran: bool) -> bool {
    outran && !is(Bug::JumpFollowed)
}

/// Changes which of the sorted clocks is taken to be right.
pub(super) fn median(middle: usize, count: usize) -> usize {
    if is(Bug::UpperMedian) { count / 2 } else { middle }
}
