//! How far each log is known: what is here of it, what is promised, what others hold, and what is decided.
//!
//! For each origin the ops that are both at or below the watermark and held by a majority are a prefix of its log,
//! because timestamps rise with `seq` and knowledge of a log is always of a prefix. That prefix, `decided`, only
//! grows. This file keeps what is known; `decide` draws the conclusions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::config::Now;
use super::membership::EMPTY_LOG;
use super::message::Promise;
use super::ops;
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::log::chain::{Chain, Cut};
use crate::log::op::{Op, Seq};
use crate::store::Store;
use crate::store::schema::{self, Cell, Rows, Span};

/// How far a log is known, as it is stored.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Frontier {
    /// The prefix that is here.
    pub applied: Seq,
    /// Its hash.
    pub chain: Chain,
    /// The prefix that is decided.
    pub decided: Seq,
    /// The latest promise that is believed.
    pub hlc: Hlc,
}

/// Words of others about one log beyond what is here that are kept at most. A guess: what is left out is said again.
const MOST_AHEAD: usize = 4096;

/// What a node knows of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The hash of the prefix that is here.
    chain: Chain,
    /// The latest promise that may be believed: the prefix it speaks of is here.
    pub(super) promise: Promise,
    /// A promise whose prefix is not here yet.
    heard: Option<Promise>,
    /// The greatest promise that was ever heard, also one too far ahead of cluster time to be believed.
    greatest: Promise,
    /// What others say that they hold of it beyond what is here, with the hash: it counts once that is here and the same.
    ahead: BTreeMap<(Seq, NodeId), Chain>,
    /// The hash of the prefix that is decided, where it was decided since the start.
    pub(super) decided_chain: Option<Chain>,
    /// Somebody holds another op under a number of this log.
    pub(super) fork: Option<Fork>,
    /// Its origin is out.
    is_over: bool,
    /// When the believed promise last moved, by the wall clock.
    pub(super) heard_at: Option<Millis>,
    /// The same, in time that does not jump.
    moved_at: Option<Millis>,
    /// The prefix that a majority holds.
    pub(super) majority: Seq,
    /// The prefix that is decided.
    pub(super) decided: Seq,
    /// The applied ops after it.
    pub(super) undecided: VecDeque<Undecided>,
}

/// Two nodes hold different ops under one number: its origin's data directory was put back, or ran twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fork {
    /// Who holds, or is said to hold, something else than this node.
    pub(crate) by: NodeId,
    /// The number, or a later one.
    pub(crate) seq: Seq,
}

/// What a member holds of a log, as it said itself, where that is the same as what is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Held {
    pub(super) seq: Seq,
    pub(super) chain: Chain,
}

impl Origin {
    /// The hash of a prefix that is here; none where it was decided long ago.
    fn chain_at(&self, seq: Seq) -> Option<Chain> {
        if seq == self.promise.seq {
            return Some(self.chain);
        }
        if seq == self.decided {
            return self.decided_chain;
        }
        let first = self.undecided.front()?.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.undecided.get(index).map(|op| op.chain)
    }
}

/// An applied op that is not decided.
#[derive(Clone, Debug)]
pub(super) struct Undecided {
    pub(super) seq: Seq,
    pub(super) hlc: Hlc,
    pub(super) chain: Chain,
}

impl Undecided {
    fn new(op: &Op) -> Self {
        Self { seq: op.seq, hlc: op.hlc, chain: op.chain }
    }
}

/// The believed promises, what members hold, and what is still open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frontiers {
    watermark: Hlc,
    /// The member whose promise held the watermark back when it was last worked out.
    laggard: Option<NodeId>,
    origins: BTreeMap<NodeId, Origin>,
    /// What each other member says it holds of each log that is not empty.
    rows: BTreeMap<NodeId, BTreeMap<NodeId, Held>>,
    /// Logs that were found to be forked in this step.
    new_forks: BTreeSet<NodeId>,
    /// Origins whose majority prefix may have moved.
    stale: BTreeSet<NodeId>,
    all_stale: bool,
    /// Origins whose stored row is out of date.
    unsaved: BTreeSet<NodeId>,
}

impl Frontiers {
    pub(crate) fn watermark(&self) -> Hlc {
        self.watermark
    }

    /// The member whose promise held the watermark back when it was last worked out.
    pub(super) fn laggard(&self) -> Option<NodeId> {
        self.laggard
    }

    /// Raises the watermark to the least promise of all members, which is this one's. True where it has risen.
    pub(super) fn raise_watermark(&mut self, least: Hlc, laggard: NodeId) -> bool {
        let before = self.watermark;
        self.watermark = least.max(before);
        self.laggard = Some(laggard);
        self.watermark > before
    }

    /// The logs of which a majority may hold more, or less, since this was last asked.
    pub(super) fn take_stale(&mut self) -> Vec<NodeId> {
        let stale = std::mem::take(&mut self.stale);
        if std::mem::take(&mut self.all_stale) {
            self.logs().collect()
        } else {
            // While the members stay the same, a majority that holds all that is here cannot come to hold more.
            stale.into_iter().filter(|node| self.majority(*node) < self.seq(*node)).collect()
        }
    }

    /// Takes the ops that are at or below the watermark and held by a majority off their queues, in stamp order.
    pub(super) fn decide(&mut self) -> Vec<Stamp> {
        let mut decided = Vec::new();
        for (node, origin) in &mut self.origins {
            let before = decided.len();
            // Of a log with two continuations nobody can tell what others have decided.
            let forked = origin.fork.is_some();
            let (majority, watermark) = (origin.majority, self.watermark);
            let is_due = |op: &mut Undecided| !forked && op.seq <= majority && op.hlc <= watermark;
            while let Some(op) = origin.undecided.pop_front_if(is_due) {
                (origin.decided, origin.decided_chain) = (op.seq, Some(op.chain));
                decided.push(Stamp { hlc: op.hlc, node: *node });
            }
            if decided.len() > before {
                self.unsaved.insert(*node);
            }
        }
        decided.sort_unstable();
        decided
    }

    pub(crate) fn promise(&self, origin: NodeId) -> Promise {
        self.origins.get(&origin).map(|origin| origin.promise).unwrap_or_default()
    }

    /// The greatest promise that was heard, believed or not: to its origin this says what it has said itself.
    pub(super) fn greatest_heard(&self, origin: NodeId) -> Promise {
        let greatest = |origin: &Origin| {
            let heard = origin.heard.unwrap_or(origin.promise);
            if origin.greatest.hlc > heard.hlc { origin.greatest } else { heard }
        };
        self.origins.get(&origin).map(greatest).unwrap_or_default()
    }

    /// Remembers a promise for its origin, whatever of it is believed. A process that has not made it runs on an old copy of
    /// the origin's directory.
    pub(super) fn remember(&mut self, node: NodeId, promise: Promise) {
        let greatest = &mut self.origins.entry(node).or_default().greatest;
        if promise.hlc > greatest.hlc {
            *greatest = promise;
        }
    }

    pub(crate) fn heard_at(&self, origin: NodeId) -> Option<Millis> {
        self.origins.get(&origin)?.heard_at
    }

    /// When a member's believed promise last moved, or it became a member here, in `elapsed` time.
    pub(super) fn moved_at(&self, member: NodeId) -> Millis {
        self.origins.get(&member).and_then(|origin| origin.moved_at).unwrap_or_default()
    }

    /// Whether an op that was applied is decided.
    pub(crate) fn is_decided(&self, op: Stamp) -> bool {
        let undecided = self.origins.get(&op.node).and_then(|origin| origin.undecided.front());
        undecided.is_none_or(|first| first.hlc > op.hlc)
    }

    /// How much of a log is here, with its hash.
    pub(crate) fn here(&self, origin: NodeId) -> Cut {
        self.origins.get(&origin).map_or(EMPTY_LOG, |origin| Cut { seq: origin.promise.seq, chain: origin.chain })
    }

    /// The prefix of a log that is here.
    pub(crate) fn seq(&self, origin: NodeId) -> Seq {
        self.here(origin).seq
    }

    /// The logs of which something is here.
    pub(crate) fn logs(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.origins.iter().filter(|(_, origin)| origin.promise.seq > 0).map(|(node, _)| *node)
    }

    /// The prefix of a log that a majority holds.
    pub(crate) fn majority(&self, origin: NodeId) -> Seq {
        self.origins.get(&origin).map_or(0, |origin| origin.majority)
    }

    /// Takes note of what a majority holds of a log; returns what it was before.
    pub(super) fn set_majority(&mut self, node: NodeId, majority: Seq) -> Option<Seq> {
        let origin = self.origins.get_mut(&node)?;
        // Where the membership has changed it may be less than before; what is decided stays so.
        Some(std::mem::replace(&mut origin.majority, majority.max(origin.decided)))
    }

    /// The hash of a prefix of a log, where it is known without looking into the store.
    pub(super) fn chain_at(&self, origin: NodeId, seq: Seq) -> Option<Chain> {
        self.origins.get(&origin)?.chain_at(seq)
    }

    /// The hash of what is here of a log.
    pub(crate) fn chain(&self, origin: NodeId) -> Chain {
        self.origins.get(&origin).map(|origin| origin.chain).unwrap_or_default()
    }

    /// The prefix of a log that is decided.
    pub(crate) fn decided(&self, origin: NodeId) -> Seq {
        self.origins.get(&origin).map_or(0, |origin| origin.decided)
    }

    /// What a member says it holds of a log.
    pub(crate) fn held(&self, by: NodeId, origin: NodeId) -> Seq {
        self.rows.get(&by).and_then(|row| row.get(&origin)).map_or(0, |held| held.seq)
    }

    pub(super) fn rows(&self) -> &BTreeMap<NodeId, BTreeMap<NodeId, Held>> {
        &self.rows
    }

    /// What a member is known to hold is not asked any more once it is out.
    pub(super) fn forget_rows(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.rows.retain(|by, _| is_member(*by));
        for origin in self.origins.values_mut() {
            origin.ahead.retain(|(_, by), _| is_member(*by));
        }
    }

    /// Logs of which somebody holds another continuation than this node.
    pub(crate) fn forks(&self) -> impl Iterator<Item = (NodeId, Fork)> + '_ {
        self.origins.iter().filter_map(|(node, origin)| Some((*node, origin.fork?)))
    }

    pub(super) fn fork(&self, origin: NodeId) -> Option<Fork> {
        self.origins.get(&origin)?.fork
    }

    /// Logs that were found to be forked since this was last asked.
    pub(super) fn take_new_forks(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.new_forks)
    }

    /// Nothing more of a log is decided: somebody holds something else under one of its numbers.
    pub(super) fn note_fork(&mut self, node: NodeId, fork: Fork) {
        let origin = self.origins.entry(node).or_default();
        if origin.fork.is_none() && !origin.is_over && !planted!(ForkIgnored) {
            origin.fork = Some(fork);
            self.new_forks.insert(node);
        }
    }

    /// The log of one that is out ends at its cut, whoever holds something else.
    pub(super) fn end_fork(&mut self, node: NodeId) {
        let origin = self.origins.entry(node).or_default();
        (origin.fork, origin.is_over) = (None, true);
    }

    /// Whether an op waits for others to speak.
    pub(super) fn has_undecided(&self) -> bool {
        self.origins.values().any(|origin| !origin.undecided.is_empty())
    }

    /// What ends by the watermark must not be known for longer than the watermark is.
    pub(crate) fn keep_watermark(&mut self, by: NodeId) {
        self.unsaved.insert(by);
    }

    /// The earliest undecided op.
    pub(crate) fn oldest(&self) -> Option<(Stamp, Seq)> {
        let first = |(node, origin): (&NodeId, &Origin)| {
            origin.undecided.front().map(|op| (Stamp { hlc: op.hlc, node: *node }, op.seq))
        };
        self.origins.iter().filter_map(first).min()
    }

    /// What this node counts for has changed.
    pub(super) fn recount(&mut self) {
        self.all_stale = true;
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
        (origin.promise.seq, origin.promise.chain) = (op.seq, op.chain);
        origin.promise.hlc = origin.promise.hlc.max(op.hlc);
        if !origin.ahead.is_empty() {
            self.catch_up(op.node, op.seq, op.chain);
        }
        self.stale.insert(op.node);
        self.unsaved.insert(op.node);
    }

    /// Takes note of what a member says it holds of a log, with the hash of that.
    pub(super) fn hold(&mut self, by: NodeId, node: NodeId, seq: Seq, chain: Chain) {
        // A row for every empty log would make memory grow with the square of the members.
        if seq == 0 || self.held(by, node) >= seq {
            return;
        }
        let origin = self.origins.entry(node).or_default();
        if seq > origin.promise.seq {
            if origin.ahead.len() < MOST_AHEAD {
                origin.ahead.insert((seq, by), chain);
            }
        } else if origin.chain_at(seq).is_some_and(|ours| ours != chain) && !planted!(HoldsOfForksCount) {
            self.note_fork(node, Fork { by, seq });
        } else {
            self.rows.entry(by).or_default().insert(node, Held { seq, chain });
            self.stale.insert(node);
        }
    }

    /// All that a node has said to hold: also of what is not here, and so does not count yet.
    pub(super) fn word_of(&self, by: NodeId) -> Vec<(NodeId, Seq, Chain)> {
        let mut word = self.rows.get(&by).cloned().unwrap_or_default();
        for (node, origin) in &self.origins {
            let said = origin.ahead.iter().filter(|((_, who), _)| *who == by);
            for ((seq, _), chain) in said {
                word.insert(*node, Held { seq: *seq, chain: *chain });
            }
        }
        word.into_iter().map(|(node, held)| (node, held.seq, held.chain)).collect()
    }

    /// Counts what others were ahead with, now that it is here.
    fn catch_up(&mut self, node: NodeId, seq: Seq, chain: Chain) {
        let Some(origin) = self.origins.get_mut(&node) else { return };
        while let Some(entry) = origin.ahead.first_entry().filter(|entry| entry.key().0 <= seq) {
            let ((at, by), theirs) = entry.remove_entry();
            if at < seq {
                continue;
            }
            if theirs == chain || planted!(HoldsOfForksCount) {
                let held = self.rows.entry(by).or_default().entry(node).or_default();
                if held.seq < seq {
                    *held = Held { seq, chain };
                }
            } else if origin.fork.is_none() && !origin.is_over && !planted!(ForkIgnored) {
                origin.fork = Some(Fork { by, seq });
                self.new_forks.insert(node);
            }
        }
    }

    /// Whoever has more of a log than is here has ops above what its origin has promised here; otherwise the promise is
    /// another continuation's.
    pub(super) fn check_promise(&mut self, node: NodeId, promise: Promise, by: NodeId) {
        let here = self.promise(node);
        if promise.seq > here.seq && promise.hlc < here.hlc {
            self.note_fork(node, Fork { by, seq: here.seq + 1 });
        }
    }

    /// Takes note of a promise that `by` passes on: believed once the prefix that it speaks of is here, kept until then.
    /// Returns the latest that is believed.
    pub(super) fn hear(&mut self, node: NodeId, promise: Promise, by: NodeId, now: Now) -> Hlc {
        let origin = self.origins.entry(node).or_default();
        let news = promise.hlc > origin.promise.hlc;
        if promise.seq > origin.promise.seq && !planted!(PromiseWithoutPrefix) {
            origin.heard = Some(origin.heard.filter(|heard| heard.hlc >= promise.hlc).unwrap_or(promise));
        } else if news && promise.seq < origin.promise.seq && !planted!(PromiseWithoutPrefix) {
            // The next op of that log is here, with an earlier timestamp: the promise belongs to another continuation.
            self.note_fork(node, Fork { by, seq: promise.seq + 1 });
        } else if news && promise.chain != origin.chain && !planted!(PromiseWithoutPrefix) {
            self.note_fork(node, Fork { by, seq: promise.seq });
        } else if news {
            origin.promise.hlc = promise.hlc;
            (origin.heard_at, origin.moved_at) = (Some(now.wall), Some(now.elapsed));
        }
        self.promise(node).hlc
    }

    /// Believes what was heard before its prefix arrived, now that the log is here up to `applied`.
    pub(super) fn believe(&mut self, node: NodeId, now: Now) {
        let Some(origin) = self.origins.get_mut(&node) else { return };
        (origin.heard_at, origin.moved_at) = (Some(now.wall), Some(now.elapsed));
        let applied = origin.promise.seq;
        if let Some(heard) = origin.heard.take_if(|heard| heard.seq <= applied) {
            // With more of the log than the promise spoke of its ops say more.
            if heard.seq == applied && heard.chain == origin.chain {
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

    /// Reads how far each log has come, and the ops after what is decided of it.
    pub(super) fn load(store: &impl Store) -> Self {
        let mut frontiers = Self { watermark: schema::Watermark::load(store).unwrap_or_default(), ..Self::default() };
        schema::Frontiers::each(store, &Span::all(), |found| {
            let Some(node) = found.key() else { return };
            let Frontier { applied, chain, decided, hlc } = found.row();
            let promise = Promise { seq: applied, hlc, chain };
            let origin = Origin { chain, decided, promise, majority: decided, ..Origin::default() };
            frontiers.origins.insert(node, origin);
        });
        for (node, origin) in &mut frontiers.origins {
            ops::read(store, *node, origin.decided + 1, &mut |op| {
                origin.undecided.push_back(Undecided::new(&op));
                ControlFlow::Continue(())
            });
        }
        frontiers
    }

    /// Writes what this step moved. The watermark alone is not worth a write: others will say it again.
    pub(super) fn save(&mut self, store: &mut impl Store) {
        if self.unsaved.is_empty() {
            return;
        }
        schema::Watermark::save(store, &self.watermark);
        for node in std::mem::take(&mut self.unsaved) {
            let Some(origin) = self.origins.get(&node) else { continue };
            let decided = if planted!(DecidedNotStored) { 0 } else { origin.decided };
            let frontier =
                Frontier { applied: origin.promise.seq, chain: origin.chain, decided, hlc: origin.promise.hlc };
            schema::Frontiers::put(store, node, &frontier);
        }
    }
}
