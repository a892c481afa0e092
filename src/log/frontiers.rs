//! How far each log is known: the prefix on this node, the promises, what others hold, and what is decided.
//!
//! For each origin the ops that are both at or below the watermark and held by a majority are a prefix of its log,
//! because timestamps rise with `seq` and a node always knows a prefix of a log. That prefix, `decided`, only grows.
//! This file keeps what is known; `decide` draws the conclusions.

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

/// The stored state of what is known of a log.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Frontier {
    /// The last op of the prefix that this node has.
    pub applied: Seq,
    /// Its hash.
    pub chain: Chain,
    /// The last op that is decided.
    pub decided: Seq,
    /// The latest promise that is believed.
    pub hlc: Hlc,
}

/// The most acknowledgements of one log that are kept while they are ahead of this node's prefix. A guess: an
/// acknowledgement that is left out is sent again.
const MOST_AHEAD: usize = 4096;

/// What a node knows of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The hash of the prefix that this node has.
    chain: Chain,
    /// The latest promise that may be believed. Its `seq` is the last op that this node has.
    pub(super) promise: Promise,
    /// A promise about a prefix that this node does not have yet.
    heard: Option<Promise>,
    /// The greatest promise that has ever arrived, also where it is too far ahead of cluster time to be believed.
    greatest: Promise,
    /// Acknowledgements by others of ops that this node does not have yet, with their hashes. One counts once this node
    /// has these ops and the hash is the same.
    ahead: BTreeMap<(Seq, NodeId), Chain>,
    /// The hash of the decided prefix, where something was decided since the start.
    pub(super) decided_chain: Option<Chain>,
    /// Set where somebody holds another op under a number of this log.
    pub(super) fork: Option<Fork>,
    /// True where the origin is out.
    is_over: bool,
    /// The wall clock when the believed promise last moved.
    pub(super) heard_at: Option<Millis>,
    /// The same in `elapsed` time, which does not jump.
    moved_at: Option<Millis>,
    /// The last op that a majority holds.
    pub(super) majority: Seq,
    /// The last op that is decided.
    pub(super) decided: Seq,
    /// The applied ops after the decided prefix.
    pub(super) undecided: VecDeque<Undecided>,
}

/// A fork of a log: two nodes hold different ops under one number, because its origin's data directory was put back or
/// ran twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fork {
    /// The node that holds another continuation than this one, or is said to hold it.
    pub(crate) by: NodeId,
    /// The number of the first different op, or a later one.
    pub(crate) seq: Seq,
}

/// What a member has acknowledged of a log, where it agrees with the prefix on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Held {
    pub(super) seq: Seq,
    pub(super) chain: Chain,
}

impl Origin {
    /// Compares a promise with the prefix on this node.
    fn word(&self, promise: Promise) -> Word {
        let news = promise.hlc > self.promise.hlc;
        match promise.seq.cmp(&self.promise.seq) {
            Ordering::Greater => Word::Early,
            // This node has the next op of that log, and its timestamp is below the promise.
            Ordering::Less if news => Word::Other(promise.seq + 1),
            Ordering::Equal if news && promise.chain != self.chain => Word::Other(promise.seq),
            _ if news => Word::News,
            _ => Word::Old,
        }
    }

    /// Returns the state to be stored.
    fn stored(&self) -> Frontier {
        Frontier { applied: self.promise.seq, chain: self.chain, decided: self.decided, hlc: self.promise.hlc }
    }

    /// Returns the hash of a prefix that this node has; none where it was decided long ago.
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

/// How a promise relates to the prefix of its log that this node has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    /// This node does not have the prefix that the promise is about.
    Early,
    /// The promise belongs to another continuation, which has another op under this number.
    Other(Seq),
    /// The promise is later than the believed one.
    News,
    /// The promise is not later than the believed one.
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

/// The believed promises, what members hold, and what is undecided.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frontiers {
    watermark: Hlc,
    /// The member whose promise held the watermark back when the watermark was last computed.
    laggard: Option<NodeId>,
    origins: BTreeMap<NodeId, Origin>,
    /// The acknowledgements of each other member, by log. Empty logs have no entry.
    rows: BTreeMap<NodeId, BTreeMap<NodeId, Held>>,
    /// Logs that were found to be forked in this step.
    new_forks: BTreeSet<NodeId>,
    /// Origins for which the prefix that a majority holds may have changed.
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

    /// Returns the prefix of a log that this node has, with its hash.
    pub(crate) fn here(&self, origin: NodeId) -> Cut {
        self.origins.get(&origin).map_or(EMPTY_LOG, |origin| Cut { seq: origin.promise.seq, chain: origin.chain })
    }

    /// Returns the last op of a log that this node has.
    pub(crate) fn seq(&self, origin: NodeId) -> Seq {
        self.here(origin).seq
    }

    /// Returns the logs of which this node has ops.
    pub(crate) fn logs(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.origins.iter().filter(|(_, origin)| origin.promise.seq > 0).map(|(node, _)| *node)
    }

    /// Returns the last op of a log that a majority holds.
    pub(crate) fn majority(&self, origin: NodeId) -> Seq {
        self.origins.get(&origin).map_or(0, |origin| origin.majority)
    }

    /// Returns the hash of a prefix of a log, where it is known without reading the store.
    pub(super) fn chain_at(&self, origin: NodeId, seq: Seq) -> Option<Chain> {
        self.origins.get(&origin)?.chain_at(seq)
    }

    /// Returns the hash of the prefix of a log that this node has.
    pub(crate) fn chain(&self, origin: NodeId) -> Chain {
        self.origins.get(&origin).map(|origin| origin.chain).unwrap_or_default()
    }

    /// Returns the last op of a log that is decided.
    pub(crate) fn decided(&self, origin: NodeId) -> Seq {
        self.origins.get(&origin).map_or(0, |origin| origin.decided)
    }

    /// Returns the last op of a log that a member has acknowledged.
    pub(crate) fn held(&self, by: NodeId, origin: NodeId) -> Seq {
        self.rows.get(&by).and_then(|row| row.get(&origin)).map_or(0, |held| held.seq)
    }

    pub(super) fn rows(&self) -> &BTreeMap<NodeId, BTreeMap<NodeId, Held>> {
        &self.rows
    }

    /// Forgets the acknowledgements of nodes that are no longer members.
    pub(super) fn forget_rows(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.rows.retain(|by, _| is_member(*by));
        for origin in self.origins.values_mut() {
            origin.ahead.retain(|(_, by), _| is_member(*by));
        }
    }

    /// Returns the logs of which somebody holds another continuation than this node.
    pub(crate) fn forks(&self) -> impl Iterator<Item = (NodeId, Fork)> + '_ {
        self.origins.iter().filter_map(|(node, origin)| Some((*node, origin.fork?)))
    }

    pub(super) fn fork(&self, origin: NodeId) -> Option<Fork> {
        self.origins.get(&origin)?.fork
    }

    /// Takes the logs that were found to be forked since this was last called.
    pub(super) fn take_new_forks(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.new_forks)
    }

    /// Notes that somebody holds another op under a number of a log. Nothing more of this log is decided.
    pub(super) fn note_fork(&mut self, node: NodeId, fork: Fork) {
        let origin = self.origins.entry(node).or_default();
        if planted!(log::is_fork(origin.fork.is_none() && !origin.is_over)) {
            origin.fork = Some(fork);
            self.new_forks.insert(node);
        }
    }

    /// Ends the fork of a log whose origin is out: the log ends at its cut, whatever others hold.
    pub(super) fn end_fork(&mut self, node: NodeId) {
        let origin = self.origins.entry(node).or_default();
        (origin.fork, origin.is_over) = (None, true);
    }

    /// Returns true where an op is not decided yet.
    pub(super) fn has_undecided(&self) -> bool {
        self.origins.values().any(|origin| !origin.undecided.is_empty())
    }

    /// Has this step store the watermark. The end of a reservation that the watermark has passed must not be stored
    /// without the watermark.
    pub(crate) fn keep_watermark(&mut self, by: NodeId) {
        self.unsaved.insert(by);
    }

    /// Returns the earliest undecided op: its stamp, and its number in the log.
    pub(crate) fn oldest(&self) -> Option<(Stamp, Seq)> {
        let first = |(node, origin): (&NodeId, &Origin)| {
            origin.undecided.front().map(|op| (Stamp { hlc: op.hlc, node: *node }, op.seq))
        };
        self.origins.iter().filter_map(first).min()
    }

    /// Takes note of changed members. The silence of a new member is counted from now on.
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

    /// Takes note of a member's acknowledgement of a log up to an op, with the hash.
    pub(super) fn hold(&mut self, by: NodeId, node: NodeId, seq: Seq, chain: Chain) {
        // With a row for every empty log, memory would grow with the square of the number of members.
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

    /// Returns all that a node has acknowledged, also of ops that this node does not have, so that they do not count
    /// yet.
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

    /// Counts the acknowledgements that were ahead of this node, now that it has the ops.
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

    /// Returns the latest timestamp among all ops and believed promises.
    pub(super) fn latest(&self) -> Hlc {
        self.origins.values().map(|origin| origin.promise.hlc).max().unwrap_or_default()
    }

    /// Loads how far each log has come, and the ops after its decided prefix.
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

    /// Stores what this step has changed. A watermark alone is not worth a write, because others send their promises
    /// again.
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
