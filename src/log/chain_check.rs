//! The comparison of logs after a start: it finds data directories that are older than what peers have seen of this
//! node.
//!
//! A data directory that was put back from a copy, or that runs twice, would issue ops under used numbers and break its
//! promises. So a node that starts with a state issues, promises and decides nothing until a majority of the members,
//! itself counted, and every member that it reaches have shown it their copies of its log, or until `start_grace` is
//! over. Requests that would issue an op wait meanwhile. Every later connection begins with a comparison as well,
//! because a node that had to serve alone may meet peers that know more.
//!
//! An old copy is found out also where the node had issued no op since: a peer shows a promise of it that is above the
//! stored ceiling, or that an op of the copy breaks, or remembers that the node acknowledged more of some log than it has.

use std::ops::ControlFlow;

use super::message::{Entry, HeldRow, Vector};
use super::phase::ChainCheck;
use super::view::View;
use super::{Log, ops};
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::chain::Chain;
use crate::log::op::Seq;
use crate::store::Store;

impl Log {
    /// Ends the start once logs were compared with enough members, or the time for it is over. Returns true where it ends
    /// now.
    pub(crate) fn end_start(&mut self) -> bool {
        if let Some(check) = self.phase.comparing_mut() {
            check.since.get_or_insert(self.now.elapsed);
        }
        let Some(check) = self.phase.comparing() else { return false };
        let majority = self.view().majority_has_compared(check);
        let alone = self.view().serves_alone_at().is_some_and(|at| self.now.elapsed >= at);
        if !alone && !self.view().has_compared(check) {
            return false;
        }
        if !majority {
            tracing::warn!(
                compared = check.compared.len(),
                "serving without a majority that has compared logs with this node"
            );
        }
        self.phase.settle()
    }

    /// Stops the node because its directory is not the latest one.
    pub(super) fn halt_as_copy(&mut self, contradiction: &Contradiction) {
        let reason = self.view().explain(contradiction);
        self.halt(reason);
    }

    /// Notes that a peer has shown its copies of all logs.
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
    /// Returns true where all members have compared logs with this node; or a majority has, itself counted, and so has every
    /// member that is connected, and the others have had time to connect. Of a majority each may know less of this node than
    /// one who is about to answer: what a copy of its directory lacks may be held by the node itself and that one alone.
    fn has_compared(&self, check: &ChainCheck) -> bool {
        let others = self.membership.members().filter(|member| *member != self.me);
        let mut missing = others.filter(|member| !check.compared.contains(member)).peekable();
        if missing.peek().is_none() {
            return true;
        }
        let enough = self.majority_has_compared(check) && !self.is_time_open();
        let connected = missing.any(|node| self.peers.is_connected(node));
        enough && !connected && self.majority_suffices_at(check).is_some_and(|at| self.now.elapsed >= at)
    }

    /// Returns true where a majority of the members, itself counted, has compared logs with this node.
    fn majority_has_compared(&self, check: &ChainCheck) -> bool {
        let compared = check.compared.iter().filter(|node| self.membership.is_member(**node)).count();
        2 * (compared + 1) > self.membership.count()
    }

    /// Returns when a majority suffices, if all that are connected have answered.
    fn majority_suffices_at(&self, check: &ChainCheck) -> Option<Millis> {
        Some(check.since?.plus(self.heartbeat()))
    }

    /// Returns when the start of a node may end without anything that happens.
    pub(super) fn start_may_end_at(&self) -> Option<Millis> {
        let check = self.phase.comparing()?;
        let suffices = self.majority_suffices_at(check).filter(|at| *at > self.now.elapsed);
        suffices.or_else(|| self.serves_alone_at())
    }

    /// Returns when a node that starts goes on without a majority that has compared logs.
    pub(super) fn serves_alone_at(&self) -> Option<Millis> {
        Some(self.phase.comparing()?.since?.plus(self.config.start_grace))
    }

    /// Returns the hash of a prefix of a log; none where its ops were truncated, which means that all members held the
    /// same.
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

    /// Compares a peer's copy of this node's log with the log, and the peer's promise of this node with what this node
    /// may have promised.
    fn contradicts_log(&self, store: &impl Store, from: NodeId, entry: &Entry) -> Option<Contradiction> {
        let seen = entry.has.max(entry.promise.seq);
        if seen > self.frontiers.seq(self.me) {
            return Some(Contradiction::Behind(seen));
        }
        if self.own.has_not_promised(entry.promise.hlc) {
            return Some(Contradiction::Promised(entry.promise.hlc));
        }
        // After one comparison, what the peer takes continues what it had.
        if self.peers.connected.get(&from).is_some_and(|peer| peer.compared) {
            return None;
        }
        let same = self.stored_chain(store, self.me, entry.holds).is_none_or(|chain| chain == entry.chain);
        if !same {
            return Some(Contradiction::Forked(entry.holds));
        }
        // The promise leaves no room for the next op of this directory's log, so the process that gave it had another
        // directory.
        let next = entry.promise.seq + 1;
        let hlc = self.stamp_of_own(store, next).filter(|hlc| *hlc <= entry.promise.hlc)?;
        Some(Contradiction::Denied { seq: next, hlc, promise: entry.promise.hlc })
    }

    /// Returns the timestamp of an op of this node; none where there is no such op, or it was truncated because all members
    /// held it.
    fn stamp_of_own(&self, store: &impl Store, seq: Seq) -> Option<Hlc> {
        if seq > self.frontiers.seq(self.me) {
            return None;
        }
        let mut hlc = None;
        ops::read(store, self.me, seq, &mut |op| {
            hlc = (op.seq == seq).then_some(op.hlc);
            ControlFlow::Break(())
        });
        hlc
    }

    /// Compares the acknowledgements of this node that a peer remembers with what this node has.
    fn contradicts_word(&self, from: NodeId, row: &HeldRow) -> Option<Contradiction> {
        let lacks = |(origin, seq, _): &&(NodeId, Seq, Chain)| *seq > self.frontiers.seq(*origin);
        let (origin, seq, _) = row.held.iter().find(lacks).copied()?;
        Some(Contradiction::Held { by: from, origin, seq })
    }

    /// Returns what a contradiction means and what the operator has to do.
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
            Contradiction::Denied { seq, hlc, promise } => format!(
                "op {seq} in this data directory is of {hlc}, and peers were promised that nothing follows op {} up to {promise}: \
                 the directory is a copy that was put back, or that runs elsewhere as well, and both were used. What peers hold \
                 is safe, and they take nothing more of this copy. {REJOIN}",
                seq - 1
            ),
            Contradiction::Forked(seq) => format!(
                "peers hold another op {seq} of this node than its data directory does: the directory is a copy that was \
                 put back, or that runs elsewhere as well, and both were used. What peers hold is safe, and they take \
                 nothing more of this copy. {REJOIN}"
            ),
        }
    }
}

/// Something that peers have seen of this node and that is not in its data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Contradiction {
    /// An op beyond the end of this node's log. If the node went on it would issue that number again.
    Behind(Seq),
    /// A promise above the ceiling that this node had stored.
    Promised(Hlc),
    /// An acknowledgement, remembered by a member, of an op that this node does not have.
    Held {
        /// The member that remembers it.
        by: NodeId,
        /// The origin of the op.
        origin: NodeId,
        /// The number of the op.
        seq: Seq,
    },
    /// Another op under this number of the node's log.
    Forked(Seq),
    /// A promise that this op would break.
    Denied {
        /// The number of the op.
        seq: Seq,
        /// Its timestamp.
        hlc: Hlc,
        /// The promise.
        promise: Hlc,
    },
}

/// What to do where a data directory is not the node's latest one.
const REJOIN: &str = "If no other process runs on a copy of this directory, `forename rejoin --data-dir DIR` on it and a \
                      start bring this node back under a new id, and what only this directory has is registered again";
