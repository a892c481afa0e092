//! After a start: is this node's log still what its peers have seen of it?
//!
//! A data directory that was put back from a copy, or that runs twice, would issue ops under numbers that are used, and
//! forget what it had promised. So a node that opens what it left issues nothing, promises nothing and decides nothing
//! before a majority of the members, itself included, has shown it their copies of its log, or nobody came within
//! `start_grace`. Requests that would issue an op wait meanwhile. Later, too, each new connection begins with a
//! comparison, because a node that had to serve alone may meet peers that know better.
//!
//! An old copy betrays itself also where its node had issued nothing since: a peer shows a promise of it that is above
//! what it had stored, or remembers its word that it held more of some log than it holds.

use std::ops::ControlFlow;

use super::message::{Entry, HeldRow};
use super::{Log, ops};
use crate::clock::{Hlc, Millis, NodeId};
use crate::crdt::{Chain, Seq};
use crate::store::Store;

impl Log {
    /// When a node that nobody has compared logs with goes on alone.
    pub(super) fn serves_alone_at(&self) -> Option<Millis> {
        self.phase.comparing().map(|check| check.since.plus(self.config.start_grace))
    }

    /// Ends the start once a majority has compared logs, or has had the time to. True where it ends now.
    pub(crate) fn end_start(&mut self) -> bool {
        let Some(check) = self.phase.comparing() else { return false };
        let compared = check.compared.iter().filter(|node| self.membership.is_member(**node)).count();
        let alone = self.serves_alone_at().is_some_and(|at| self.now.elapsed >= at);
        if !alone && (2 * (compared + 1) <= self.membership.count() || self.is_time_open()) {
            return false;
        }
        if 2 * (compared + 1) <= self.membership.count() {
            tracing::warn!(compared, "serving without a majority that has compared logs with this node");
        }
        self.phase.settle()
    }

    /// Compares a peer's copy of this node's log with the log; false where they differ, and the node stops.
    pub(super) fn compare_own(&mut self, store: &impl Store, from: NodeId, entry: &Entry) -> bool {
        let applied = self.frontiers.seq(self.me);
        if planted!(NothingCompared) {
            return true;
        }
        let seen = entry.has.max(entry.promise.seq);
        if seen > applied {
            self.halt_behind(seen);
            return false;
        }
        if self.has_not_promised(entry.promise.hlc) && !planted!(OldPromiseIgnored) {
            self.halt_promised(entry.promise.hlc);
            return false;
        }
        // What a peer takes after that continues what it had.
        if self.peers.connected.get(&from).is_some_and(|peer| peer.compared) {
            return true;
        }
        let same = self.stored_chain(store, self.me, entry.holds).is_none_or(|chain| chain == entry.chain);
        if !same {
            self.halt_forked(entry.holds);
        }
        same
    }

    /// Compares what a peer remembers that this node has said to hold with what it holds; false where it is less, and the
    /// node stops.
    pub(super) fn compare_own_word(&mut self, from: NodeId, row: &HeldRow) -> bool {
        let ignored = (planted!(NothingCompared), planted!(OldWordIgnored));
        if ignored != (false, false) {
            return true;
        }
        let lacks = |(origin, seq, _): &&(NodeId, Seq, Chain)| *seq > self.frontiers.seq(*origin);
        let Some((origin, seq, _)) = row.held.iter().find(lacks).copied() else { return true };
        let applied = self.frontiers.seq(origin);
        let (from, origin) = (self.label(from), self.label(origin));
        self.halt(format!(
            "this data directory is older than what peers have seen of this node: it holds op {applied} of {origin:?}'s log, \
             and {from:?} remembers its word that it held op {seq}. It was restored from a copy, or its disk lost acknowledged \
             writes. {REJOIN}"
        ));
        false
    }

    /// A peer has shown its copies of all logs.
    pub(super) fn compared_with(&mut self, from: NodeId) {
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.compared = true;
        }
        if let Some(check) = self.phase.comparing_mut() {
            check.compared.insert(from);
        }
    }

    /// The hash of a prefix of a log; none where that has left the log, and so is the same everywhere.
    pub(super) fn stored_chain(&self, store: &impl Store, origin: NodeId, seq: Seq) -> Option<Chain> {
        if seq == 0 {
            return Some(Chain::default());
        }
        if let Some(chain) = self.frontiers.chain_at(origin, seq) {
            return Some(chain);
        }
        let mut chain = None;
        ops::read(store, origin, seq, &mut |op| {
            chain = (op.seq == seq).then_some(op.chain);
            ControlFlow::Break(())
        });
        chain
    }

    /// A peer has ops of this node that it does not have itself: going on would issue their numbers again.
    pub(super) fn halt_behind(&mut self, seq: Seq) {
        let applied = self.frontiers.seq(self.me);
        self.halt(format!(
            "this data directory is older than what peers have seen of this node: it ends at op {applied}, they hold or have \
             heard of op {seq}. It was restored from a copy, or its disk lost acknowledged writes. Nothing was issued under a \
             used number, and what peers hold is safe. {REJOIN}"
        ));
    }

    /// Whether a promise of this node is none of this directory's: those of earlier processes lie at or below the ceiling that
    /// was stored, and those of this one are at most its last word.
    fn has_not_promised(&self, promise: Hlc) -> bool {
        promise > self.opened_at && (!self.has_promised || promise > self.clock.last())
    }

    /// A peer has heard this node promise more than it had stored that it might.
    fn halt_promised(&mut self, promise: Hlc) {
        let ceiling = self.opened_at;
        self.halt(format!(
            "this data directory is older than what peers have seen of this node: it had promised nothing above {ceiling}, and \
             they were promised {promise}. It was restored from a copy, or its disk lost acknowledged writes. Nothing was \
             issued below a promise, and what peers hold is safe. {REJOIN}"
        ));
    }

    /// A peer holds another op under a number of this node's.
    pub(super) fn halt_forked(&mut self, seq: Seq) {
        self.halt(format!(
            "peers hold another op {seq} of this node than its data directory does: the directory is a copy that was \
             put back, or that runs elsewhere as well, and both were used. What peers hold is safe, and they take \
             nothing more of this copy. {REJOIN}"
        ));
    }
}

/// What to do where a data directory is not the node's latest.
const REJOIN: &str = "If no other process runs on a copy of this directory, `forename rejoin --data-dir DIR` on it and a \
                      start bring this node back under a new id, and what only this directory has is registered again";
