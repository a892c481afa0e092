//! Several logs of one node: those of a data directory and of copies of it that ran in its place.
//!
//! The ledger's log of a node is the one that counts. Beside it there are ops that a copy issued, possibly under
//! numbers that the log uses as well, and ops that are in no directory any more because a copy replaced it. The chain
//! hashes tell which op continues which.

use forename::clock::{NodeId, Stamp};
use forename::log::{Chain, Op, Seq};

use super::Ledger;
use crate::world::ids::host_of;

impl Ledger {
    /// Sets an op beside the log: it was issued by a copy, or lost with its directory.
    pub(super) fn set_beside(&mut self, op: Op) {
        let beside = self.beside.entry(op.node).or_default();
        if !beside.contains(&op) {
            beside.push(op);
        }
    }

    /// Returns true where some directory of the node issued this op.
    pub(crate) fn was_issued(&self, op: &Op) -> bool {
        let index = usize::try_from(op.seq).unwrap_or(0).wrapping_sub(1);
        self.ops.get(&op.node).and_then(|log| log.get(index)) == Some(op) || self.is_beside(op)
    }

    /// Returns true where a node has ops beside its log.
    pub(crate) fn has_beside(&self, node: NodeId) -> bool {
        self.beside.contains_key(&node)
    }

    fn is_beside(&self, op: &Op) -> bool {
        self.beside.get(&op.node).is_some_and(|beside| beside.contains(op))
    }

    /// Returns the op with a stamp that is beside the logs.
    pub(super) fn beside(&self, stamp: Stamp) -> Option<&Op> {
        self.beside.get(&stamp.node)?.iter().find(|op| op.hlc == stamp.hlc)
    }

    /// Ends a node's log at this number. Ops after it are set beside the log.
    pub(super) fn shorten(&mut self, node: NodeId, seq: Seq) {
        let Some(log) = self.ops.get_mut(&node) else { return };
        let keep = usize::try_from(seq).unwrap_or(usize::MAX).min(log.len());
        for op in log.split_off(keep) {
            self.set_beside(op);
        }
    }

    /// Replaces the directory that had a node's log by another one, whose log ends with this op. `elsewhere` is the
    /// prefix of the log that other disks have; later ops are lost, unless they are on their way to some node.
    pub(crate) fn replaced(&mut self, node: NodeId, (seq, chain): (Seq, Chain), elsewhere: Seq) {
        let index = usize::try_from(seq).unwrap_or(0).wrapping_sub(1);
        let on_it = self.ops.get(&node).and_then(|log| log.get(index)).is_some_and(|op| op.chain == chain);
        let own = if on_it { seq } else { 0 };
        let others = self.books.iter().enumerate().filter(|(host, _)| *host != host_of(node));
        let taken = others.filter_map(|(_, book)| book.applied.get(&node).copied()).max().unwrap_or(0);
        self.shorten(node, taken.max(own));
        self.forget_answers(node, elsewhere.max(own));
        let kept = self.kept.entry(node).or_insert(own);
        *kept = own.min(*kept);
    }

    /// Forgets answers about void ops of replaced directories: a node issues its void registrations anew from its
    /// directory, so these are gone with the directory, even where other nodes hold the ops.
    pub(crate) fn forget_the_void(&mut self) {
        let gone = |(node, own): (&NodeId, &Seq)| Some((*node, self.cuts.get(node)?.seq.max(*own)));
        let gone: Vec<_> = self.kept.iter().filter_map(gone).collect();
        gone.into_iter().for_each(|(node, kept)| self.forget_answers(node, kept));
    }

    /// Moves an op from beside the log back into it, where a node receives the op and it continues the log.
    pub(super) fn revive(&mut self, op: &Op) {
        let (seq, chain) = self.head(op.node);
        if op.seq == seq + 1
            && op.continues(chain)
            && let Some(beside) = self.beside.get_mut(&op.node)
            && let Some(index) = beside.iter().position(|other| other == op)
        {
            self.ops.entry(op.node).or_default().push(beside.remove(index));
        }
    }

    /// Makes the log that ends with this op the one that counts: the log of a directory that runs again or has caught
    /// up with the latest, or a log that an eviction cut.
    pub(crate) fn follow(&mut self, node: NodeId, seq: Seq, chain: Chain) {
        let at = |log: &[Op]| usize::try_from(seq).ok().and_then(|seq| log.get(seq.checked_sub(1)?)).map(|op| op.chain);
        let known = self.ops.get(&node).and_then(|log| at(log));
        if seq == 0 || known == Some(chain) {
            return;
        }
        let Some(path) = self.path(node, seq, chain) else { return };
        self.shorten(node, 0);
        if let Some(beside) = self.beside.get_mut(&node) {
            beside.retain(|op| !path.contains(op));
        }
        self.ops.insert(node, path);
    }

    /// Returns the ops of a node from its first up to one.
    fn path(&self, node: NodeId, seq: Seq, chain: Chain) -> Option<Vec<Op>> {
        let all = self.ops.get(&node).into_iter().flatten().chain(self.beside.get(&node).into_iter().flatten());
        let all: Vec<_> = all.collect();
        let mut path = vec![(*all.iter().find(|op| op.seq == seq && op.chain == chain)?).clone()];
        while let Some(next) = path.last().filter(|next| next.seq > 1) {
            let before = all.iter().find(|op| op.seq + 1 == next.seq && next.continues(op.chain))?;
            path.push((**before).clone());
        }
        path.reverse();
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use forename::clock::Hlc;
    use forename::crdt::NameOp;
    use forename::log::Body;

    use super::*;

    const NODE: NodeId = NodeId(1 << 16);

    /// A log that continues `from` with ops that have consecutive timestamps, starting at `hlc`.
    fn log(from: &[Op], hlc: u64, count: u64) -> Vec<Op> {
        let mut log = from.to_vec();
        for hlc in hlc..hlc + count {
            let after = log.last().map(|op| op.chain).unwrap_or_default();
            let body = Body::Name(NameOp::Activate { registration: Stamp::default() });
            log.push(Op::new(NODE, log.len() as Seq + 1, Hlc(hlc), after, body));
        }
        log
    }

    #[test]
    fn the_log_that_counts_changes_with_the_directory() {
        let common = log(&[], 1, 2);
        let (first, second) = (log(&common, 10, 3), log(&common, 20, 1));
        let mut ledger = Ledger { ops: BTreeMap::from([(NODE, first.clone())]), ..Ledger::default() };
        ledger.shorten(NODE, 2);
        assert_eq!(ledger.ops[&NODE], common);
        assert!(first.iter().all(|op| ledger.was_issued(op)));
        assert!(!ledger.was_issued(&second[2]));
        ledger.ops.insert(NODE, second.clone());
        for wanted in [&first, &second, &first] {
            let last = &wanted[wanted.len() - 1];
            ledger.follow(NODE, last.seq, last.chain);
            assert_eq!(ledger.ops[&NODE], *wanted);
            assert!(first.iter().chain(&second).all(|op| ledger.was_issued(op)));
        }
        ledger.follow(NODE, 4, first[3].chain);
        assert_eq!(ledger.ops[&NODE], first, "it goes on to its end");
    }
}
