//! How far each log is known: what is here of it, what is promised, what others hold, and what is decided.
//!
//! For each origin the ops that are both at or below the watermark and held by a majority are a prefix of its log,
//! because timestamps rise with `seq` and knowledge of a log is always of a prefix. That prefix, `decided`, only
//! grows. This file keeps what is known; `decide` draws the conclusions.

mod decided;
mod promises;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

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
    /// What a promise is to what is here.
    fn word(&self, promise: Promise) -> Word {
        let news = promise.hlc > self.promise.hlc;
        match promise.seq.cmp(&self.promise.seq) {
            Ordering::Greater => Word::Early,
            // The next op of that log is here, with an earlier timestamp.
            Ordering::Less if news => Word::Other(promise.seq + 1),
            Ordering::Equal if news && promise.chain != self.chain => Word::Other(promise.seq),
            _ if news => Word::News,
            _ => Word::Old,
        }
    }

    /// How far it is known, as it is stored.
    fn stored(&self) -> Frontier {
        Frontier { applied: self.promise.seq, chain: self.chain, decided: self.decided, hlc: self.promise.hlc }
    }

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

/// What a promise is to what is here of its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// The prefix that it speaks of is not here.
    Early,
    /// Another continuation's, which has another op under this number.
    Other(Seq),
    /// More than was believed.
    News,
    /// Nothing new.
    Old,
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

    pub(crate) fn promise(&self, origin: NodeId) -> Promise {
        self.origins.get(&origin).map(|origin| origin.promise).unwrap_or_default()
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
        if planted!(log::is_fork(origin.fork.is_none() && !origin.is_over)) {
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
        } else if planted!(log::is_same(origin.chain_at(seq).is_none_or(|ours| ours == chain))) {
            self.rows.entry(by).or_default().insert(node, Held { seq, chain });
            self.stale.insert(node);
        } else {
            self.note_fork(node, Fork { by, seq });
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
        let mut others = Vec::new();
        while let Some(entry) = origin.ahead.first_entry().filter(|entry| entry.key().0 <= seq) {
            let ((at, by), theirs) = entry.remove_entry();
            if at < seq {
                continue;
            }
            if planted!(log::is_same(theirs == chain)) {
                let held = self.rows.entry(by).or_default().entry(node).or_default();
                if held.seq < seq {
                    *held = Held { seq, chain };
                }
            } else {
                others.push(by);
            }
        }
        others.into_iter().for_each(|by| self.note_fork(node, Fork { by, seq }));
    }

    /// The latest timestamp among all ops and believed promises.
    pub(super) fn latest(&self) -> Hlc {
        self.origins.values().map(|origin| origin.promise.hlc).max().unwrap_or_default()
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
            schema::Frontiers::put(store, node, &planted!(log::stored(origin.stored())));
        }
    }
}
