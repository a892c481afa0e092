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

use super::message::{Entry, HeldRow, Vector};
use super::view::View;
use super::{Log, ops};
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::chain::Chain;
use crate::log::op::Seq;
use crate::store::Store;

impl Log {
    /// Ends the start once a majority has compared logs, or has had the time to. True where it ends now.
    pub(crate) fn end_start(&mut self) -> bool {
        let Some(check) = self.phase.comparing() else { return false };
        let compared = check.compared.iter().filter(|node| self.membership.is_member(**node)).count();
        let alone = self.view().serves_alone_at().is_some_and(|at| self.now.elapsed >= at);
        if !alone && (2 * (compared + 1) <= self.membership.count() || self.view().is_time_open()) {
            return false;
        }
        if 2 * (compared + 1) <= self.membership.count() {
            tracing::warn!(compared, "serving without a majority that has compared logs with this node");
        }
        self.phase.settle()
    }

    /// The directory is not the node's latest: the node stops.
    pub(super) fn halt_as_copy(&mut self, contradiction: &Contradiction) {
        let reason = self.view().explain(contradiction);
        self.halt(reason);
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
}

impl View<'_> {
    /// When a node that nobody has compared logs with goes on alone.
    pub(super) fn serves_alone_at(&self) -> Option<Millis> {
        self.phase.comparing().map(|check| check.since.plus(self.config.start_grace))
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

    /// Compares what a peer has seen of this node with what this node's directory has. A newcomer that waits for its `Admit`
    /// compares too, since its directory may be a copy from before it was let in.
    pub(super) fn contradicts_directory(
        &self,
        store: &impl Store,
        from: NodeId,
        vector: &Vector,
    ) -> Option<Contradiction> {
        if !self.phase.has_state() {
            return None;
        }
        let own = vector.entries.iter().filter(|entry| entry.origin == self.me);
        let mut of_log =
            own.filter_map(|entry| planted!(log::contradicts_log(self.contradicts_log(store, from, entry))));
        let of_rows = |row: &HeldRow| {
            let own = Some(row).filter(|row| row.by == self.me);
            let word = planted!(log::contradicts_word(own.and_then(|row| self.contradicts_word(from, row))));
            word.or_else(|| {
                let held = row.held.iter().filter(|(origin, ..)| *origin == self.me).map(|(_, seq, _)| *seq).max();
                held.filter(|held| *held > self.frontiers.seq(self.me)).map(Contradiction::Behind)
            })
        };
        of_log.next().or_else(|| vector.rows.iter().find_map(of_rows))
    }

    /// Compares a peer's copy of this node's log with the log, and what it was promised with what this node may have.
    fn contradicts_log(&self, store: &impl Store, from: NodeId, entry: &Entry) -> Option<Contradiction> {
        let seen = entry.has.max(entry.promise.seq);
        if seen > self.frontiers.seq(self.me) {
            return Some(Contradiction::Behind(seen));
        }
        if self.own.has_not_promised(entry.promise.hlc) {
            return Some(Contradiction::Promised(entry.promise.hlc));
        }
        // What a peer takes after that continues what it had.
        if self.peers.connected.get(&from).is_some_and(|peer| peer.compared) {
            return None;
        }
        let same = self.stored_chain(store, self.me, entry.holds).is_none_or(|chain| chain == entry.chain);
        (!same).then_some(Contradiction::Forked(entry.holds))
    }

    /// Compares what a peer remembers that this node has said to hold with what it holds.
    fn contradicts_word(&self, from: NodeId, row: &HeldRow) -> Option<Contradiction> {
        let lacks = |(origin, seq, _): &&(NodeId, Seq, Chain)| *seq > self.frontiers.seq(*origin);
        let (origin, seq, _) = row.held.iter().find(lacks).copied()?;
        Some(Contradiction::Held { by: from, origin, seq })
    }

    /// What a contradiction means, and what to do.
    fn explain(&self, contradiction: &Contradiction) -> String {
        match *contradiction {
            Contradiction::Behind(seq) => format!(
                "this data directory is older than what peers have seen of this node: it ends at op {}, they hold or have \
                 heard of op {seq}. It was restored from a copy, or its disk lost acknowledged writes. Nothing was issued under a \
                 used number, and what peers hold is safe. {REJOIN}",
                self.frontiers.seq(self.me)
            ),
            Contradiction::Promised(promise) => format!(
                "this data directory is older than what peers have seen of this node: it had promised nothing above {}, and \
                 they were promised {promise}. It was restored from a copy, or its disk lost acknowledged writes. Nothing was \
                 issued below a promise, and what peers hold is safe. {REJOIN}",
                self.own.opened_at()
            ),
            Contradiction::Held { by, origin, seq } => format!(
                "this data directory is older than what peers have seen of this node: it holds op {} of {:?}'s log, \
                 and {:?} remembers its word that it held op {seq}. It was restored from a copy, or its disk lost acknowledged \
                 writes. {REJOIN}",
                self.frontiers.seq(origin),
                self.contacts.label(origin),
                self.contacts.label(by)
            ),
            Contradiction::Forked(seq) => format!(
                "peers hold another op {seq} of this node than its data directory does: the directory is a copy that was \
                 put back, or that runs elsewhere as well, and both were used. What peers hold is safe, and they take \
                 nothing more of this copy. {REJOIN}"
            ),
        }
    }
}

/// What peers have seen of this node that its data directory knows nothing of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Contradiction {
    /// An op under a number beyond the log's end: going on would issue that number again.
    Behind(Seq),
    /// A promise above what this node had stored that it might promise.
    Promised(Hlc),
    /// A member remembers this node's word that it held an op which it does not hold.
    Held {
        /// Who remembers it.
        by: NodeId,
        /// Whose op.
        origin: NodeId,
        /// Its number.
        seq: Seq,
    },
    /// Another op under a number of its log.
    Forked(Seq),
}

/// What to do where a data directory is not the node's latest.
const REJOIN: &str = "If no other process runs on a copy of this directory, `forename rejoin --data-dir DIR` on it and a \
                      start bring this node back under a new id, and what only this directory has is registered again";
