//! Deriving admissions, freezes and cuts from the membership ops.

use std::collections::{BTreeMap, BTreeSet};

use super::Logs;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::log::chain::Cut;
use crate::log::op::{Body, MemberOp, Op, Seq};

/// Membership ops by origin and number.
type Ops = BTreeMap<(NodeId, Seq), Op>;

/// The members, the nodes that are out, and those that are being evicted.
#[derive(Clone, Debug, Default)]
pub(super) struct Derivation {
    /// All nodes that were ever admitted, each with the timestamp of its earliest admission. All ops of the node have
    /// later timestamps.
    pub(super) since: BTreeMap<NodeId, Hlc>,
    /// The nodes that are out, each with the prefix of its log that counts.
    pub(super) cuts: BTreeMap<NodeId, Cut>,
    /// The nodes that were admitted and are not out.
    pub(super) members: BTreeSet<NodeId>,
    /// The stamp of the `Admit` of each newcomer.
    admitted: BTreeMap<NodeId, Stamp>,
    /// The nodes that are frozen or retired, and not out yet.
    pub(super) frozen: BTreeSet<NodeId>,
    /// Those of them whose keys have returned under later incarnations.
    pub(super) retired: BTreeSet<NodeId>,
    /// True where the members that stay are enough for an eviction of the frozen nodes.
    pub(super) possible: bool,
    /// Cuts that all members that stay agree on, or that some member declared, where this node lacks ops up to the
    /// cuts.
    pub(super) agreed: BTreeMap<NodeId, Cut>,
    /// Cuts that all members that stay agree on and nobody has declared yet, where this node has all ops up to the
    /// cuts.
    pub(super) decided: BTreeMap<NodeId, Cut>,
}

impl Derivation {
    /// Returns true where an op counts: its origin was admitted, and the op is not beyond the origin's cut.
    pub(super) fn counts(&self, op: &Op) -> bool {
        self.since.contains_key(&op.node) && self.cuts.get(&op.node).is_none_or(|cut| op.seq <= cut.seq)
    }

    /// Returns the first member: the one that was admitted earliest, and of the founders the one with the least id.
    pub(super) fn first(&self) -> Option<NodeId> {
        let rank = |node: &NodeId| (self.admitted.get(node).copied().unwrap_or_default(), *node);
        self.members.iter().copied().min_by_key(rank)
    }
}

/// Derives everything, starting with the founders. Members of the cluster that this one was recovered from are out from
/// the beginning. The derivation is repeated until nothing changes, because a finished eviction makes ops void.
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

/// Admits newcomers. An `Admit` counts where its origin was admitted itself, and up to the origin's cut where the
/// origin is out.
fn admit(derived: &mut Derivation, ops: &Ops) {
    loop {
        let mut admitted: BTreeMap<NodeId, Stamp> = BTreeMap::new();
        for op in ops.values().filter(|op| derived.counts(op)) {
            if let Body::Member(MemberOp::Admit { node }) = op.body() {
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

/// Applies departures, and evictions that some member has declared. An eviction is applied once this node has all ops
/// up to its cuts, because until then the watermark must still wait for the evicted nodes. Returns false where there
/// was nothing to apply.
///
/// The declarations of one member are applied in the order of its log. The later one may rest on the earlier: whoever
/// applied it alone, and declared that, would let others compute a cut without a freeze that was counted before.
///
/// Of two declared cuts of a node the lesser counts: a node whose own `Admit` is void may have computed a greater cut
/// than the members that stay.
fn adopt(derived: &mut Derivation, ops: &Ops, logs: Logs<'_>) -> bool {
    let (mut ready, mut agreed): (BTreeMap<NodeId, Cut>, BTreeMap<NodeId, Cut>) = Default::default();
    // The last member of which a declaration waits for ops. The ops are in the order of the members and of their logs.
    let mut waits = None;
    for op in ops.values().filter(|op| derived.counts(op)) {
        match op.body() {
            Body::Member(MemberOp::Evict { cuts }) => {
                let counts = |(node, cut): &(&NodeId, &Cut)| {
                    let known = derived.cuts.get(node);
                    planted!(log::replaces(known.is_none_or(|known| *cut < known), known))
                };
                let cuts: Vec<_> = cuts.iter().filter(counts).collect();
                let here = cuts.iter().all(|(node, cut)| logs(**node).seq >= cut.seq);
                let in_order = waits != Some(op.node);
                if !here {
                    waits = Some(op.node);
                }
                let place = if here && in_order { &mut ready } else { &mut agreed };
                for (node, cut) in cuts {
                    place.entry(*node).and_modify(|least| *least = (*least).min(*cut)).or_insert(*cut);
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

/// A freeze of a log at a prefix: how much of that a majority was known to hold, and whether its issuer knew of two
/// continuations of the log.
#[derive(Clone, Copy)]
struct Freeze {
    upto: Cut,
    held: Seq,
    forked: bool,
}

/// The freezes, by frozen node and then by issuer.
type Freezes = BTreeMap<NodeId, BTreeMap<NodeId, Freeze>>;

/// Returns the cuts of the frozen nodes, where all members that stay have frozen them and are enough.
fn evict(derived: &mut Derivation, ops: &Ops) -> Option<BTreeMap<NodeId, Cut>> {
    let (mut freezes, mut retired) = (Freezes::new(), BTreeSet::new());
    for op in ops.values().filter(|op| derived.counts(op)) {
        match *op.body() {
            Body::Member(MemberOp::Freeze { node, seq, chain, held, forked }) if !derived.cuts.contains_key(&node) => {
                // Of several freezes by one node the latest counts, because the node has taken more ops since.
                freezes.entry(node).or_default().insert(op.node, Freeze { upto: Cut { seq, chain }, held, forked });
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
    // The first member knows of all admissions, so half of the members are enough where it stays.
    let first = usize::from(derived.first().is_some_and(|first| stay.contains(&first)));
    let few = planted!(log::are_few(2 * derived.retired.len() < members + first));
    let all_retired = derived.retired.len() == frozen.len();
    derived.possible = majority || all_retired && few;
    let has_frozen = |node: &NodeId, by: &NodeId| freezes.get(node).is_some_and(|freezes| freezes.contains_key(by));
    let unanimous = frozen.iter().all(|node| stay.iter().all(|by| has_frozen(node, by)));
    (planted!(log::is_unanimous(unanimous)) && derived.possible).then(|| cuts(&freezes, derived, &stay))
}

/// Returns the greatest freezes by members that stay. Freezes by frozen nodes do not count, because the ops that they
/// allow may exist nowhere else. Where one of these members knew of two continuations of a log, the continuation counts of
/// which a majority was known to hold most: all that was decided is on it, because a member that has frozen a log decides no
/// more of it. Among equals the freeze of a member that knew of both counts, then the first member's; nodes with another
/// continuation start again from a snapshot.
fn cuts(freezes: &Freezes, derived: &Derivation, stay: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Cut> {
    let first = derived.first();
    let cut = |node: &NodeId| {
        let by = freezes.get(node).into_iter().flatten();
        let by: Vec<_> = by.filter(|(by, _)| planted!(log::freeze_counts(stay.contains(by)))).collect();
        let forks = by.iter().any(|(_, freeze)| freeze.forked);
        let rank = |(by, freeze): &(&NodeId, &Freeze)| {
            let known = forks.then(|| (freeze.held, freeze.forked, freeze.forked && Some(**by) == first));
            (known, freeze.upto)
        };
        let ranks: Vec<_> = by.iter().map(rank).collect();
        planted!(log::chosen(ranks.iter().max().copied(), &ranks)).map(|(_, upto)| upto).unwrap_or_default()
    };
    derived.frozen.iter().map(|node| (*node, cut(node))).collect()
}
