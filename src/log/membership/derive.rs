//! What follows from the membership ops: admissions, freezes, cuts.

use std::collections::{BTreeMap, BTreeSet};

use super::Logs;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::log::chain::Cut;
use crate::log::op::{Body, MemberOp, Op, Seq};

/// Membership ops by origin and seq.
type Ops = BTreeMap<(NodeId, Seq), Op>;

/// Who is in, who is out, and who is on the way out.
#[derive(Clone, Debug, Default)]
pub(super) struct Derivation {
    /// All who were ever admitted, each with the floor of its ops: the timestamp of the earliest word that let it in,
    /// which every op of it follows.
    pub(super) since: BTreeMap<NodeId, Hlc>,
    /// Those who are out, each with the prefix of its log that counts.
    pub(super) cuts: BTreeMap<NodeId, Cut>,
    /// Who was admitted and is not out.
    pub(super) members: BTreeSet<NodeId>,
    /// The stamps of the ops that let newcomers in.
    admitted: BTreeMap<NodeId, Stamp>,
    /// Those who are frozen, and are not out yet.
    pub(super) frozen: BTreeSet<NodeId>,
    /// Of them, those whose keys have begun anew under later incarnations.
    pub(super) retired: BTreeSet<NodeId>,
    /// Those who stay are enough for an eviction of the frozen, or none are needed.
    pub(super) possible: bool,
    /// Cuts that all who stay agree upon, or that somebody declared, where ops up to them are missing here.
    pub(super) agreed: BTreeMap<NodeId, Cut>,
    /// Cuts that all who stay agree upon, all ops up to them being here, and that nobody has declared yet.
    pub(super) decided: BTreeMap<NodeId, Cut>,
}

impl Derivation {
    /// Whether an op says anything: its origin was admitted, and it lies within its cut.
    pub(super) fn counts(&self, op: &Op) -> bool {
        self.since.contains_key(&op.node) && self.cuts.get(&op.node).is_none_or(|cut| op.seq <= cut.seq)
    }

    /// The member that has been one for longest, the least id among equals.
    pub(super) fn first(&self) -> Option<NodeId> {
        let rank = |node: &NodeId| (self.admitted.get(node).copied().unwrap_or_default(), *node);
        self.members.iter().copied().min_by_key(rank)
    }
}

/// Derives everything from the founders on; those who were in the cluster that this one was recovered from are out from the
/// beginning. Repeated until nothing more follows: a finished eviction makes ops void.
pub(super) fn derive(
    founders: &BTreeSet<NodeId>,
    former: &BTreeMap<NodeId, Cut>,
    ops: &Ops,
    logs: Logs<'_>,
) -> Derivation {
    let since = founders.iter().chain(former.keys()).map(|node| (*node, Hlc::ZERO)).collect();
    let mut derived = Derivation { since, cuts: former.clone(), ..Derivation::default() };
    loop {
        admit(&mut derived, ops);
        let stays = |node: &NodeId| !derived.cuts.contains_key(node);
        derived.members = derived.since.keys().copied().filter(stays).collect();
        if !adopt(&mut derived, ops, logs) {
            break;
        }
    }
    let declared = !derived.agreed.is_empty();
    if let Some(cuts) = evict(&mut derived, ops).filter(|_| !declared) {
        let here = cuts.iter().all(|(node, cut)| logs(*node).seq >= cut.seq);
        let place = if here { &mut derived.decided } else { &mut derived.agreed };
        place.extend(cuts);
    }
    derived
}

/// A newcomer is a member with the word of a member; the ops of nodes that are none count for nothing. The word of one that
/// is out counts up to its cut.
fn admit(derived: &mut Derivation, ops: &Ops) {
    loop {
        let mut admitted: BTreeMap<NodeId, Stamp> = BTreeMap::new();
        for op in ops.values().filter(|op| derived.counts(op)) {
            if let Body::Member(MemberOp::Admit { node }) = &op.body {
                let stamp = op.stamp();
                admitted.entry(*node).and_modify(|first| *first = stamp.min(*first)).or_insert(stamp);
            }
        }
        let before = std::mem::replace(&mut derived.admitted, admitted);
        for (node, stamp) in &derived.admitted {
            derived.since.entry(*node).and_modify(|floor| *floor = stamp.hlc.min(*floor)).or_insert(stamp.hlc);
        }
        if derived.admitted == before {
            return;
        }
    }
}

/// Takes over evictions that somebody has declared, and departures. An eviction once all ops up to its cuts are here: before
/// that the watermark still waits for the evicted. False where there is none.
///
/// Of two cuts the lesser counts: whoever was let in by a word that is void may have found a greater one than those who
/// stay.
fn adopt(derived: &mut Derivation, ops: &Ops, logs: Logs<'_>) -> bool {
    let (mut ready, mut agreed): (BTreeMap<NodeId, Cut>, BTreeMap<NodeId, Cut>) = Default::default();
    for op in ops.values().filter(|op| derived.counts(op)) {
        match &op.body {
            Body::Member(MemberOp::Evict { cuts }) => {
                let here = cuts.iter().all(|(node, cut)| logs(*node).seq >= cut.seq);
                let place = if here { &mut ready } else { &mut agreed };
                for (node, cut) in cuts {
                    let known = derived.cuts.get(node);
                    if planted!(log::replaces(known.is_none_or(|known| cut < known), known)) {
                        place.entry(*node).and_modify(|least| *least = (*least).min(*cut)).or_insert(*cut);
                    }
                }
            }
            Body::Member(MemberOp::Depart) if derived.members.contains(&op.node) => {
                ready.insert(op.node, Cut { seq: op.seq, chain: op.chain });
            }
            _ => {}
        }
    }
    derived.agreed = agreed;
    derived.cuts.extend(&ready);
    !ready.is_empty()
}

/// A freeze: the prefix that it allows.
#[derive(Clone, Copy)]
struct Freeze {
    upto: Cut,
    forked: Option<Seq>,
}

/// Who is frozen, then by whom.
type Freezes = BTreeMap<NodeId, BTreeMap<NodeId, Freeze>>;

/// The cuts of those who are frozen now, where all who stay have agreed and are enough.
fn evict(derived: &mut Derivation, ops: &Ops) -> Option<BTreeMap<NodeId, Cut>> {
    let (mut freezes, mut retired) = (Freezes::new(), BTreeSet::new());
    for op in ops.values().filter(|op| derived.counts(op)) {
        match op.body {
            Body::Member(MemberOp::Freeze { node, seq, chain, forked }) if !derived.cuts.contains_key(&node) => {
                // Of several by one node the latest counts: it has taken more since.
                freezes.entry(node).or_default().insert(op.node, Freeze { upto: Cut { seq, chain }, forked });
            }
            Body::Member(MemberOp::Retire { node }) if derived.members.contains(&node) => drop(retired.insert(node)),
            _ => {}
        }
    }
    derived.frozen = freezes.keys().chain(&retired).copied().collect();
    derived.retired = retired;
    let frozen = &derived.frozen;
    let stay: BTreeSet<NodeId> = derived.members.difference(frozen).copied().collect();
    if frozen.is_empty() || stay.is_empty() {
        derived.possible = false;
        return None;
    }
    let members = derived.members.len();
    let majority = planted!(log::is_majority(2 * stay.len() > members));
    // The first member knows of all admissions, so with it half of the members is enough.
    let first = usize::from(derived.first().is_some_and(|first| stay.contains(&first)));
    let few = planted!(log::are_few(2 * derived.retired.len() < members + first));
    let all_retired = derived.retired.len() == frozen.len();
    derived.possible = majority || all_retired && few;
    let has_frozen = |node: &NodeId, by: &NodeId| freezes.get(node).is_some_and(|freezes| freezes.contains_key(by));
    let unanimous = frozen.iter().all(|node| stay.iter().all(|by| has_frozen(node, by)));
    (planted!(log::is_unanimous(unanimous)) && derived.possible).then(|| cuts(&freezes, derived, &stay))
}

/// The greatest freezes of those who stay; freezes by the frozen do not count, because what they froze may be nowhere else.
/// Where somebody knew of two continuations of a log, that one which was decided furthest; and among equals the first
/// member's, because whoever has another begins anew.
fn cuts(freezes: &Freezes, derived: &Derivation, stay: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Cut> {
    let first = derived.first();
    let cut = |node: &NodeId| {
        let by = freezes.get(node).into_iter().flatten();
        let by = by.filter(|(by, _)| planted!(log::freeze_counts(stay.contains(by))));
        let rank = |(by, freeze): (&NodeId, &Freeze)| {
            (freeze.forked, freeze.forked.is_some() && Some(*by) == first, freeze.upto)
        };
        let ranks: Vec<_> = by.map(rank).collect();
        planted!(log::chosen(ranks.iter().max().copied(), &ranks)).map(|(.., upto)| upto).unwrap_or_default()
    };
    derived.frozen.iter().map(|node| (*node, cut(node))).collect()
}
