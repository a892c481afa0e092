//! What cannot be undone any more: the watermark, what a majority holds, and the verdicts that follow.
//!
//! For each origin the ops that are both at or below the watermark and held by a majority are a prefix of its log,
//! because timestamps rise with `seq` and knowledge of a log is always of a prefix. That prefix, `decided`, only
//! grows. Walking it once, in stamp order, gives every verdict but the rejections, which wait for the op that
//! displaced to be held. This file keeps what is known; `verdicts` draws the conclusions.

mod verdicts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::message::Promise;
use super::{CLUSTER_WATERMARK, Now};
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::codec;
use crate::crdt::{Body, Chain, ClaimRef, Op, Registry, Seq, read_record};
use crate::store::{Direction, Store, Table};

/// Rows of [`Table::Cluster`] that begin with this say how far each log is applied and decided.
pub(super) const ORIGIN_ROW: &[u8] = b"o";

/// How far a log is known, as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Frontier {
    /// The prefix that is here.
    pub(crate) applied: Seq,
    /// Its hash.
    pub(crate) chain: Chain,
    /// The prefix that is decided.
    pub(crate) decided: Seq,
    /// The latest promise that is believed.
    pub(crate) hlc: Hlc,
}

/// What a node knows of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The hash of the prefix that is here.
    chain: Chain,
    /// The latest promise that may be believed: the prefix it speaks of is here.
    pub(super) promise: Promise,
    /// A promise whose prefix is not here yet.
    heard: Option<Promise>,
    /// When the believed promise last moved, by the wall clock.
    pub(super) heard_at: Option<Millis>,
    /// The same, in time that does not jump.
    moved_at: Option<Millis>,
    /// The prefix that a majority holds.
    majority: Seq,
    /// The prefix that is decided.
    decided: Seq,
    /// The applied ops after it.
    undecided: VecDeque<Undecided>,
}

/// An applied op whose time has not come.
#[derive(Clone, Debug)]
struct Undecided {
    seq: Seq,
    hlc: Hlc,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Register {
        replaces: bool,
    },
    Activate(Stamp),
    Release(Box<ClaimRef>),
    Extend(Stamp),
    Erase(Stamp),
    /// Nothing follows from its being decided.
    Other,
}

impl Undecided {
    fn new(op: &Op) -> Self {
        let what = match &op.body {
            Body::Register(register) => What::Register { replaces: register.replaces.is_some() },
            Body::Activate { registration } => What::Activate(*registration),
            Body::Release(claim) => What::Release(Box::new(claim.clone())),
            Body::Extend { registration, .. } => What::Extend(*registration),
            Body::Erase { registration } => What::Erase(*registration),
            _ => What::Other,
        };
        Self { seq: op.seq, hlc: op.hlc, what }
    }
}

/// A registration that lost, until its rejection and the end of its claims are final.
#[derive(Clone, Debug)]
struct Contest {
    /// The client chose the id: an earlier twin may yet be on its way until its own op is decided.
    chosen: bool,
    /// Its own op is decided.
    decided: bool,
    rejected: bool,
}

/// The believed promises, what members hold, and what is still open.
#[derive(Clone, Debug, Default)]
pub(super) struct Finality {
    watermark: Hlc,
    /// The member whose promise held the watermark back when it was last worked out.
    laggard: Option<NodeId>,
    origins: BTreeMap<NodeId, Origin>,
    /// What each other member says it holds of each log that is not empty.
    rows: BTreeMap<NodeId, BTreeMap<NodeId, Seq>>,
    /// Origins whose majority prefix may have moved.
    stale: BTreeSet<NodeId>,
    all_stale: bool,
    contests: BTreeMap<Stamp, Contest>,
    /// Contests by the op that must be held before they are over: (origin, seq, contest).
    watches: BTreeSet<(NodeId, Seq, Stamp)>,
    /// Contests that something happened to in this step.
    check: BTreeSet<Stamp>,
    /// Registrations that lost in this step.
    news: Vec<Stamp>,
    /// Some registration lost or was rejected in this step.
    fates_changed: bool,
    /// The earliest end of a reservation that has not been dealt with.
    next_expiry: Option<Hlc>,
    /// Registrations among the undecided ops.
    pending: u64,
    /// Origins whose stored row is out of date.
    unsaved: BTreeSet<NodeId>,
}

impl Finality {
    pub(super) fn watermark(&self) -> Hlc {
        self.watermark
    }

    pub(super) fn promise(&self, origin: NodeId) -> Promise {
        self.origins.get(&origin).map(|origin| origin.promise).unwrap_or_default()
    }

    pub(super) fn heard_at(&self, origin: NodeId) -> Option<Millis> {
        self.origins.get(&origin)?.heard_at
    }

    /// When a member's believed promise last moved, or it became a member here, in `elapsed` time.
    pub(super) fn moved_at(&self, member: NodeId) -> Millis {
        self.origins.get(&member).and_then(|origin| origin.moved_at).unwrap_or_default()
    }

    /// Whether an op that was applied is decided.
    pub(super) fn is_decided(&self, op: Stamp) -> bool {
        let undecided = self.origins.get(&op.node).and_then(|origin| origin.undecided.front());
        undecided.is_none_or(|first| first.hlc > op.hlc)
    }

    /// The hash of what is here of a log.
    pub(super) fn chain(&self, origin: NodeId) -> Chain {
        self.origins.get(&origin).map(|origin| origin.chain).unwrap_or_default()
    }

    /// The prefix of a log that is decided.
    pub(super) fn decided(&self, origin: NodeId) -> Seq {
        self.origins.get(&origin).map_or(0, |origin| origin.decided)
    }

    /// What a member says it holds of a log.
    pub(super) fn held(&self, by: NodeId, origin: NodeId) -> Seq {
        self.rows.get(&by).and_then(|row| row.get(&origin)).copied().unwrap_or(0)
    }

    pub(super) fn rows(&self) -> &BTreeMap<NodeId, BTreeMap<NodeId, Seq>> {
        &self.rows
    }

    /// Whether something waits for others to speak.
    pub(super) fn busy(&self) -> bool {
        !self.contests.is_empty() || self.origins.values().any(|origin| !origin.undecided.is_empty())
    }

    /// The registrations whose ops are not decided, or that lost and are not rejected.
    pub(super) fn undecided_registrations(&self) -> Vec<Stamp> {
        let mut stamps: Vec<_> = self.contests.keys().copied().collect();
        for (node, origin) in &self.origins {
            let registers = origin.undecided.iter().filter(|op| matches!(op.what, What::Register { .. }));
            stamps.extend(registers.map(|op| Stamp { hlc: op.hlc, node: *node }));
        }
        stamps
    }

    /// Registrations that are not final.
    pub(super) fn pending(&self) -> u64 {
        let waiting = self.contests.values().filter(|contest| contest.decided && !contest.rejected).count();
        self.pending + waiting as u64
    }

    /// The earliest undecided op.
    pub(super) fn oldest(&self) -> Option<(Stamp, Seq)> {
        let first = |(node, origin): (&NodeId, &Origin)| {
            origin.undecided.front().map(|op| (Stamp { hlc: op.hlc, node: *node }, op.seq))
        };
        self.origins.iter().filter_map(first).min()
    }

    /// Whether records of registrations have changed in this step by more than their own requests.
    pub(super) fn take_fates_changed(&mut self) -> bool {
        std::mem::take(&mut self.fates_changed)
    }

    pub(super) fn is_contested(&self, registration: Stamp) -> bool {
        self.contests.contains_key(&registration)
    }

    /// Who counts has changed. A new member is heard of from now on.
    pub(super) fn membership_changed(&mut self, members: impl Iterator<Item = NodeId>, now: Millis) {
        self.all_stale = true;
        for member in members {
            self.origins.entry(member).or_default().moved_at.get_or_insert(now);
        }
    }

    /// Takes note of an op that was just applied.
    pub(super) fn applied(&mut self, op: &Op) {
        let origin = self.origins.entry(op.node).or_default();
        origin.undecided.push_back(Undecided::new(op));
        origin.chain = op.chain;
        origin.promise.seq = op.seq;
        origin.promise.hlc = origin.promise.hlc.max(op.hlc);
        self.stale.insert(op.node);
        self.unsaved.insert(op.node);
        if let Body::Register(register) = &op.body {
            self.pending += 1;
            if let Some(expires) = register.expires {
                self.next_expiry = Some(self.next_expiry.map_or(expires, |next| next.min(expires)));
            }
        }
    }

    /// Takes note of what a member says it holds.
    pub(super) fn hold(&mut self, by: NodeId, held: impl IntoIterator<Item = (NodeId, Seq)>) {
        // A row for every empty log would make memory grow with the square of the members.
        let mut held = held.into_iter().filter(|(_, seq)| *seq > 0).peekable();
        if held.peek().is_none() {
            return;
        }
        let row = self.rows.entry(by).or_default();
        for (origin, seq) in held {
            let known = row.entry(origin).or_default();
            if *known < seq {
                *known = seq;
                self.stale.insert(origin);
            }
        }
    }

    /// Takes note of a promise: believed once the prefix that it speaks of is here, kept until then. Returns the latest
    /// that is believed.
    pub(super) fn hear(&mut self, node: NodeId, promise: Promise, applied: Seq, now: Now) -> Hlc {
        let origin = self.origins.entry(node).or_default();
        if promise.seq > applied && !planted!(PromiseWithoutPrefix) {
            origin.heard = Some(origin.heard.filter(|heard| heard.hlc >= promise.hlc).unwrap_or(promise));
        } else if promise.hlc > origin.promise.hlc {
            origin.promise.hlc = promise.hlc;
            (origin.heard_at, origin.moved_at) = (Some(now.wall), Some(now.elapsed));
        }
        origin.promise.hlc
    }

    /// Believes what was heard before its prefix arrived.
    pub(super) fn believe(&mut self, node: NodeId, applied: Seq, now: Now) {
        if let Some(origin) = self.origins.get_mut(&node) {
            (origin.heard_at, origin.moved_at) = (Some(now.wall), Some(now.elapsed));
            if let Some(heard) = origin.heard.take_if(|heard| heard.seq <= applied) {
                origin.promise.hlc = origin.promise.hlc.max(heard.hlc);
            }
        }
    }

    /// The latest timestamp among all ops and believed promises.
    pub(super) fn latest(&self) -> Hlc {
        self.origins.values().map(|origin| origin.promise.hlc).max().unwrap_or_default()
    }

    /// After a restart: the stored watermark is a promise of every member that it counted, and its prefix is here. What
    /// of their promises was not stored may be lost for good with them, but others must still be able to follow this
    /// node's verdicts.
    pub(super) fn recall(&mut self, members: impl IntoIterator<Item = NodeId>) {
        for member in members {
            let promise = &mut self.origins.entry(member).or_default().promise;
            promise.hlc = promise.hlc.max(self.watermark);
        }
    }

    /// Reads what is decided; returns the applied prefixes. The contests and undecided ops are read by the replica.
    pub(super) fn load(&mut self, store: &impl Store) -> BTreeMap<NodeId, Seq> {
        let mut prefixes = BTreeMap::new();
        if let Some(bytes) = store.get(Table::Cluster, CLUSTER_WATERMARK) {
            self.watermark = read_record(&bytes, "watermark");
        }
        store.scan(Table::Cluster, ORIGIN_ROW, Some(b"p"), Direction::Up, &mut |key, value| {
            let node = key[1..].try_into().map(u64::from_be_bytes).unwrap_or_default();
            let Frontier { applied, chain, decided, hlc } = read_record(value, "frontier");
            let promise = Promise { seq: applied, hlc };
            let origin = Origin { chain, decided, promise, majority: decided, ..Origin::default() };
            self.origins.insert(NodeId(node), origin);
            prefixes.insert(NodeId(node), applied);
            ControlFlow::Continue(())
        });
        store.scan(Table::Expiries, &[], None, Direction::Up, &mut |key, _| {
            self.next_expiry = key.first_chunk().map(|hlc| Hlc(u64::from_be_bytes(*hlc)));
            ControlFlow::Break(())
        });
        prefixes
    }

    /// Writes what this step moved. The watermark alone is not worth a write: others will say it again.
    pub(super) fn save<S: Store>(&mut self, registry: &mut Registry<S>) {
        if self.unsaved.is_empty() {
            return;
        }
        registry.store.put(Table::Cluster, CLUSTER_WATERMARK.to_vec(), codec::encode(&self.watermark));
        for node in std::mem::take(&mut self.unsaved) {
            let applied = registry.applied_of(node);
            let Some(origin) = self.origins.get(&node) else { continue };
            let decided = if planted!(DecidedNotStored) { 0 } else { origin.decided };
            let key = [ORIGIN_ROW, &node.0.to_be_bytes()].concat();
            let frontier = Frontier { applied, chain: origin.chain, decided, hlc: origin.promise.hlc };
            registry.store.put(Table::Cluster, key, codec::encode(&frontier));
        }
    }
}
