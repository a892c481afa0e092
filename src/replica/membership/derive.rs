//! What follows from the membership ops: admissions, freezes, cuts.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Hlc, NodeId, Stamp};
use crate::crdt::{Body, Op, Seq};

/// Membership ops by origin and seq.
type Ops = BTreeMap<(NodeId, Seq), Op>;
/// The admissions of newcomers, each with who must have welcomed it.
type Admits<'a> = Vec<(NodeId, &'a BTreeSet<NodeId>)>;
/// Who welcomed each newcomer first, and when.
type Welcomes = BTreeMap<NodeId, BTreeMap<NodeId, Hlc>>;

/// Who is in, who is out, and who is on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Derivation {
    /// All who were ever admitted, each with the floor of its ops: the timestamp of the latest welcome, which every op
    /// of it follows. Where several admissions of a newcomer are complete, it may have issued ops after the earliest.
    pub(super) since: BTreeMap<NodeId, Hlc>,
    /// The evicted, each with the prefix of its log that counts.
    pub(super) cuts: BTreeMap<NodeId, Seq>,
    /// Who was admitted and is not evicted.
    pub(super) members: BTreeSet<NodeId>,
    /// The stamps of the ops that let newcomers in.
    pub(super) admitted: BTreeMap<NodeId, Stamp>,
    /// Newcomers that some members have yet to welcome.
    pub(super) half_admitted: BTreeSet<NodeId>,
    /// By each member those of them that it was asked to welcome.
    pub(super) asked: BTreeMap<NodeId, BTreeSet<NodeId>>,
    /// Those who are frozen or leave, and are not out yet.
    pub(super) frozen: BTreeSet<NodeId>,
    /// Of them, those who said that they leave, with the seq of that op.
    pub(super) departing: BTreeMap<NodeId, Seq>,
    /// Those who stay are enough for an eviction of the frozen, or none are needed.
    pub(super) possible: bool,
    /// Cuts that all who stay agree upon, where ops up to them are missing here.
    pub(super) agreed: BTreeMap<NodeId, Seq>,
    /// Cuts that all who stay agree upon, all ops up to them being here, and that nobody has declared yet.
    pub(super) decided: BTreeMap<NodeId, Seq>,
}

impl Derivation {
    /// Whether a node is a member or on its way to be one.
    fn knows(&self, node: NodeId) -> bool {
        self.members.contains(&node) || self.half_admitted.contains(&node)
    }

    /// The members, and the newcomers that are half-way in.
    pub(super) fn electorate(&self) -> usize {
        let newcomers = if planted!(NewcomersNotCounted) { 0 } else { self.half_admitted.len() };
        self.members.len() + newcomers
    }

    /// Whether an op says anything: its origin was admitted, and it lies within its cut.
    pub(super) fn counts(&self, op: &Op) -> bool {
        self.since.contains_key(&op.node) && self.cuts.get(&op.node).is_none_or(|cut| op.seq <= *cut)
    }
}

/// Derives everything from the founders on; those who were in the cluster that this one was recovered from are out from the
/// beginning. Repeated until nothing more follows: a new member's own ops may complete
/// another's admission, and a finished eviction lets welcomes count that came after its freezes.
pub(super) fn derive(
    founders: &BTreeSet<NodeId>,
    former: &BTreeMap<NodeId, Seq>,
    ops: &Ops,
    applied: &dyn Fn(NodeId) -> Seq,
) -> Derivation {
    let since = founders.iter().chain(former.keys()).map(|node| (*node, Hlc::ZERO)).collect();
    let mut derived = Derivation { since, cuts: former.clone(), ..Derivation::default() };
    loop {
        admit(&mut derived, founders, ops);
        // Also where a welcome does not count yet: it may one day.
        let unknown = |node: &NodeId| !derived.since.contains_key(node) && !derived.cuts.contains_key(node);
        let asked = ops.values().filter(|op| derived.counts(op)).filter_map(newcomer);
        derived.half_admitted = asked.filter(unknown).collect();
        let stays = |node: &NodeId| !derived.cuts.contains_key(node);
        derived.members = derived.since.keys().copied().filter(stays).collect();
        derived.admitted = admitted(&derived, ops);
        if !adopt(&mut derived, ops, applied) {
            break;
        }
    }
    derived.asked = asked(&derived, ops);
    let declared = !derived.agreed.is_empty();
    if let Some(cuts) = evict(&mut derived, ops).filter(|_| !declared) {
        let here = cuts.iter().all(|(node, cut)| applied(*node) >= *cut);
        let place = if here { &mut derived.decided } else { &mut derived.agreed };
        place.extend(cuts);
    }
    derived
}

/// Takes over evictions that somebody has found to be done, once all ops up to their cuts are here: before that the
/// watermark still waits for the evicted. False where there is none.
fn adopt(derived: &mut Derivation, ops: &Ops, applied: &dyn Fn(NodeId) -> Seq) -> bool {
    let (mut ready, mut agreed) = (BTreeMap::new(), BTreeMap::new());
    for op in ops.values().filter(|op| derived.counts(op)) {
        let Body::Evict { cuts } = &op.body else { continue };
        let new = cuts.iter().filter(|(node, _)| !derived.cuts.contains_key(node));
        let here = cuts.iter().all(|(node, cut)| applied(*node) >= *cut);
        let place = if here { &mut ready } else { &mut agreed };
        place.extend(new.map(|(node, cut)| (*node, *cut)));
    }
    derived.agreed = agreed;
    derived.cuts.extend(ready.iter().map(|(node, cut)| (*node, *cut)));
    !ready.is_empty()
}

fn admitted(derived: &Derivation, ops: &Ops) -> BTreeMap<NodeId, Stamp> {
    let mut admitted: BTreeMap<NodeId, Stamp> = BTreeMap::new();
    for op in ops.values().filter(|op| derived.counts(op)) {
        if let Body::Admit { node, .. } = &op.body {
            let stamp = op.stamp();
            admitted.entry(*node).and_modify(|first| *first = stamp.min(*first)).or_insert(stamp);
        }
    }
    admitted
}

fn asked(derived: &Derivation, ops: &Ops) -> BTreeMap<NodeId, BTreeSet<NodeId>> {
    let mut asked: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
    for op in ops.values().filter(|op| derived.counts(op)) {
        if let Body::Admit { node, by } = &op.body
            && derived.half_admitted.contains(node)
        {
            for member in by {
                asked.entry(*member).or_default().insert(*node);
            }
        }
    }
    asked
}

fn newcomer(op: &Op) -> Option<NodeId> {
    match &op.body {
        Body::Admit { node, .. } | Body::Welcome { node } => Some(*node),
        _ => None,
    }
}

/// A newcomer is a member once all of `by`, less the evicted, have welcomed it; the ops of nodes that are no members
/// count for nothing.
fn admit(derived: &mut Derivation, founders: &BTreeSet<NodeId>, ops: &Ops) {
    loop {
        let (admits, welcomes) = admissions(derived, ops);
        let mut complete: BTreeMap<NodeId, Hlc> = BTreeMap::new();
        // Also of the evicted: their ops up to the cut count where they had been members.
        for (node, by) in admits {
            // Welcomes by others than those asked here do not raise the floor.
            let welcome = |member: &NodeId| welcomes.get(&node).and_then(|by| by.get(member)).copied();
            let all = by.iter().all(|member| derived.cuts.contains_key(member) || welcome(member).is_some());
            if let Some(floor) = by.iter().filter_map(welcome).max().filter(|_| all) {
                complete.entry(node).and_modify(|least| *least = floor.min(*least)).or_insert(floor);
            }
        }
        complete.retain(|node, floor| {
            !founders.contains(node) && derived.since.get(node).is_none_or(|since| *since > *floor)
        });
        if complete.is_empty() {
            return;
        }
        derived.since.extend(complete);
    }
}

/// Who is asked to welcome whom, and who did when. A sponsor's admission is its welcome. A welcome after a freeze counts
/// once that is a finished eviction: until then it might count where the freeze is not known, and a majority that
/// includes the newcomer might form there.
fn admissions<'a>(derived: &Derivation, ops: &'a Ops) -> (Admits<'a>, Welcomes) {
    let (mut admits, mut welcomes) = (Admits::new(), Welcomes::new());
    let mut closed = None;
    for op in ops.values().filter(|op| derived.counts(op)) {
        if closed == Some(op.node) {
            continue;
        }
        let node = match &op.body {
            Body::Admit { node, by } => {
                admits.push((*node, by));
                node
            }
            Body::Welcome { node } => node,
            Body::Freeze { node, .. } => {
                if !derived.cuts.contains_key(node) && !planted!(WelcomeAfterFreeze) {
                    closed = Some(op.node);
                }
                continue;
            }
            _ => continue,
        };
        welcomes.entry(*node).or_default().entry(op.node).or_insert(op.hlc);
    }
    (admits, welcomes)
}

/// A freeze: its seq in the log of whoever made it, and the prefix that it allows.
#[derive(Clone, Copy)]
struct Freeze {
    at: Seq,
    upto: Seq,
}

/// Who freezes whom, then by whom.
type Freezes = BTreeMap<NodeId, BTreeMap<NodeId, Freeze>>;

/// The cuts of those who are frozen now, where all who stay have agreed.
fn evict(derived: &mut Derivation, ops: &Ops) -> Option<BTreeMap<NodeId, Seq>> {
    let (mut freezes, mut departing) = (Freezes::new(), BTreeMap::new());
    for op in ops.values().filter(|op| derived.counts(op)) {
        match op.body {
            Body::Freeze { node, seq } if !derived.cuts.contains_key(&node) => {
                freezes.entry(node).or_default().insert(op.node, Freeze { at: op.seq, upto: seq });
            }
            Body::Depart if derived.members.contains(&op.node) => drop(departing.insert(op.node, op.seq)),
            // Where its log ends nobody knows: at whatever those who stay have of it.
            Body::Retire { node } if !derived.cuts.contains_key(&node) && derived.knows(node) => {
                departing.entry(node).or_insert(0);
            }
            _ => {}
        }
    }
    derived.departing = departing;
    derived.frozen = freezes.keys().chain(derived.departing.keys()).copied().collect();
    let frozen = &derived.frozen;
    let survivors: BTreeSet<NodeId> = derived.members.difference(frozen).copied().collect();
    if frozen.is_empty() || survivors.is_empty() {
        derived.possible = false;
        return None;
    }
    let upto = |node: &NodeId, by: &NodeId| freezes.get(node).and_then(|freezes| freezes.get(by)).map(|f| f.upto);
    let unanimous = frozen.iter().all(|node| survivors.iter().all(|by| upto(node, by).is_some()));
    let covered = |node: &NodeId, last: Seq| survivors.iter().all(|by| upto(node, by).is_some_and(|upto| upto >= last));
    let voluntary = frozen.iter().all(|node| derived.departing.get(node).is_some_and(|last| covered(node, *last)));
    let may_cover =
        |node: &NodeId, last: Seq| survivors.iter().all(|by| upto(node, by).is_none_or(|upto| upto >= last));
    let all_leave = frozen.iter().all(|node| derived.departing.get(node).is_some_and(|last| may_cover(node, *last)));
    let majority = 2 * survivors.len() > derived.electorate() || planted!(NoMajorityNeeded);
    let done = unanimous && (voluntary || majority);
    // Of those who went before only what lies within their cuts is here.
    let heard: BTreeSet<NodeId> = survivors.iter().chain(derived.cuts.keys()).copied().collect();
    let cuts = done.then(|| cuts(&freezes, frozen, &heard));
    derived.possible = all_leave || majority;
    cuts
}

/// The greatest freeze of those who are heard, and of the frozen where it lies within their own cuts.
fn cuts(freezes: &Freezes, frozen: &BTreeSet<NodeId>, heard: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Seq> {
    let by = |node: &NodeId| freezes.get(node).into_iter().flatten();
    let greatest = |node: &NodeId| {
        let freezes = by(node).filter(|(by, _)| heard.contains(by)).map(|(_, freeze)| freeze.upto);
        if planted!(CutTooLow) { freezes.min() } else { freezes.max() }
    };
    let mut cuts: BTreeMap<NodeId, Seq> = frozen.iter().map(|node| (*node, greatest(node).unwrap_or(0))).collect();
    loop {
        let before = cuts.clone();
        for node in frozen {
            let within = |(by, f): &(&NodeId, &Freeze)| before.get(by).is_some_and(|cut| f.at <= *cut);
            let more = by(node).filter(within).map(|(_, freeze)| freeze.upto).max();
            cuts.entry(*node).and_modify(|cut| *cut = more.unwrap_or(0).max(*cut));
        }
        if cuts == before {
            return cuts;
        }
    }
}
