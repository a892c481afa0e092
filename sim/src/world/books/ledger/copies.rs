//! Logs of which there is more than one: of a data directory and of copies of it that ran in its place.
//!
//! The ledger's log of a node is the one that counts. Beside it stand ops that a copy issued, under numbers that may be used
//! in the log as well, and ops that are in no directory any more since a copy took its place. Which op continues which is
//! told by their hashes.

use forename::clock::{NodeId, Stamp};
use forename::log::{Chain, Op, Seq};

use super::Ledger;
use crate::world::ids::host_of;

impl Ledger {
    /// An op that was issued by a copy, or lost with the directory that it was in.
    pub(super) fn set_beside(&mut self, op: Op) {
        let beside = self.beside.entry(op.node).or_default();
        if !beside.contains(&op) {
            beside.push(op);
        }
    }

    /// Whether some directory of the node issued this op.
    pub(crate) fn was_issued(&self, op: &Op) -> bool {
        let index = usize::try_from(op.seq).unwrap_or(0).wrapping_sub(1);
        self.ops.get(&op.node).and_then(|log| log.get(index)) == Some(op) || self.is_beside(op)
    }

    /// Whether a node has ops beside its log.
    pub(crate) fn has_beside(&self, node: NodeId) -> bool {
        self.beside.contains_key(&node)
    }

    fn is_beside(&self, op: &Op) -> bool {
        self.beside.get(&op.node).is_some_and(|beside| beside.contains(op))
    }

    /// The op of a stamp that stands beside the logs.
    pub(super) fn beside(&self, stamp: Stamp) -> Option<&Op> {
        self.beside.get(&stamp.node)?.iter().find(|op| op.hlc == stamp.hlc)
    }

    /// A node's log ends here from now on; what it had beyond is kept beside it.
    pub(super) fn shorten(&mut self, node: NodeId, seq: Seq) {
        let Some(log) = self.ops.get_mut(&node) else { return };
        let keep = usize::try_from(seq).unwrap_or(usize::MAX).min(log.len());
        for op in log.split_off(keep) {
            self.set_beside(op);
        }
    }

    /// Another directory, whose log ends with this op, takes the place of the one that had the log. So much of the log is
    /// on other disks; the rest is lost, unless it is on its way to somebody.
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

    /// What is void is registered again by the node that has it in its directory; with the directory it is gone, whoever else
    /// holds it.
    pub(crate) fn forget_the_void(&mut self) {
        let gone = |(node, own): (&NodeId, &Seq)| Some((*node, self.cuts.get(node)?.seq.max(*own)));
        let gone: Vec<_> = self.kept.iter().filter_map(gone).collect();
        gone.into_iter().for_each(|(node, kept)| self.forget_answers(node, kept));
    }

    /// Somebody takes an op that stands beside the log: it is not lost, where it continues the log.
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

    /// The log that counts is the one which ends with this op: of a directory that runs again or has caught up with the
    /// latest, or that an eviction cut.
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

    /// The ops of a node, from its first up to one.
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

    /// A log whose ops have timestamps from this one on.
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
