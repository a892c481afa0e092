//! Who is a member, derived from the membership ops alone, so that all nodes derive the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Hlc, NodeId};
use crate::crdt::{Body, Op, Seq};

/// Who welcomed each newcomer, and when.
type Welcomes = BTreeMap<NodeId, BTreeMap<NodeId, Hlc>>;

/// The membership ops of all logs and what follows from them.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    founders: BTreeSet<NodeId>,
    /// In log order for each origin.
    ops: BTreeMap<(NodeId, Seq), Op>,
    /// The members, each with the floor of its ops: the timestamp of the latest welcome, which every op of it follows.
    /// Where several admissions of a newcomer are complete, it may have issued ops after the earliest of them.
    since: BTreeMap<NodeId, Hlc>,
    /// Newcomers that some members have yet to welcome.
    half_admitted: BTreeSet<NodeId>,
}

impl Membership {
    pub(super) fn new(founders: BTreeSet<NodeId>, ops: impl IntoIterator<Item = Op>) -> Self {
        let ops = ops.into_iter().map(|op| ((op.node, op.seq), op)).collect();
        let mut membership = Self { founders, ops, ..Self::default() };
        membership.derive();
        membership
    }

    /// Takes in one more membership op.
    pub(super) fn add(&mut self, op: Op) {
        self.ops.insert((op.node, op.seq), op);
        self.derive();
    }

    pub(super) fn is_member(&self, node: NodeId) -> bool {
        self.since.contains_key(&node)
    }

    /// Whether the node is a member or on its way to be one.
    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.is_member(node) || self.half_admitted.contains(&node)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.since.keys().copied()
    }

    pub(super) fn count(&self) -> usize {
        self.since.len()
    }

    pub(super) fn half_admitted(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.half_admitted.iter().copied()
    }

    /// A promise that stands for a member which has not spoken yet.
    pub(super) fn floor(&self, member: NodeId) -> Hlc {
        self.since.get(&member).copied().unwrap_or_default()
    }

    /// Newcomers that `me` is asked to welcome and has not.
    pub(super) fn to_welcome(&self, me: NodeId) -> Vec<NodeId> {
        let mut asked = BTreeSet::new();
        for op in self.ops.values().filter(|op| self.is_member(op.node)) {
            if let Body::Admit { node, by } = &op.body
                && by.contains(&me)
                && self.half_admitted.contains(node)
            {
                asked.insert(*node);
            }
        }
        for op in self.ops.values().filter(|op| op.node == me) {
            if let Body::Admit { node, .. } | Body::Welcome { node } = &op.body {
                asked.remove(node);
            }
        }
        asked.into_iter().collect()
    }

    /// A newcomer is a member once all of `by` have welcomed it; the ops of nodes that are no members count for
    /// nothing. Repeated until nothing more follows, because a new member's own ops may complete another's admission.
    fn derive(&mut self) {
        self.since = self.founders.iter().map(|node| (*node, Hlc::ZERO)).collect();
        loop {
            let (admits, welcomes) = self.admissions();
            let mut complete: BTreeMap<NodeId, Hlc> = BTreeMap::new();
            for (node, by) in admits {
                // Welcomes by others than those asked here do not raise the floor.
                let welcomed: Option<Vec<Hlc>> =
                    by.iter().map(|member| welcomes.get(&node)?.get(member).copied()).collect();
                if let Some(floor) = welcomed.and_then(|welcomed| welcomed.into_iter().max()) {
                    complete.entry(node).and_modify(|least| *least = floor.min(*least)).or_insert(floor);
                }
            }
            complete.retain(|node, floor| !self.founders.contains(node) && self.since.get(node) != Some(floor));
            if complete.is_empty() {
                self.half_admitted = welcomes.into_keys().filter(|node| !self.is_member(*node)).collect();
                return;
            }
            self.since.extend(complete);
        }
    }

    /// Who is asked to welcome whom, and who did when. A sponsor's admission is its welcome.
    fn admissions(&self) -> (Vec<(NodeId, &BTreeSet<NodeId>)>, Welcomes) {
        let mut admits = Vec::new();
        let mut welcomes = Welcomes::new();
        for op in self.ops.values().filter(|op| self.is_member(op.node)) {
            let node = match &op.body {
                Body::Admit { node, by } => {
                    admits.push((*node, by));
                    node
                }
                Body::Welcome { node } => node,
                _ => continue,
            };
            welcomes.entry(*node).or_default().entry(op.node).or_insert(op.hlc);
        }
        (admits, welcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(node: u64, seq: Seq, hlc: u64, body: Body) -> Op {
        Op { node: NodeId(node), seq, hlc: Hlc(hlc), body }
    }

    fn admit(node: u64, by: &[u64]) -> Body {
        Body::Admit { node: NodeId(node), by: by.iter().map(|node| NodeId(*node)).collect() }
    }

    fn founded(founders: &[u64], ops: Vec<Op>) -> Membership {
        Membership::new(founders.iter().map(|node| NodeId(*node)).collect(), ops)
    }

    #[test]
    fn a_newcomer_is_a_member_once_all_have_welcomed_it() {
        let mut membership = founded(&[1, 2], vec![op(1, 1, 10, admit(3, &[1, 2]))]);
        assert!(!membership.is_member(NodeId(3)) && membership.knows(NodeId(3)));
        assert_eq!(membership.to_welcome(NodeId(2)), vec![NodeId(3)]);
        assert_eq!(membership.to_welcome(NodeId(1)), vec![]);
        membership.add(op(2, 1, 12, Body::Welcome { node: NodeId(3) }));
        assert!(membership.is_member(NodeId(3)));
        assert_eq!(membership.floor(NodeId(3)), Hlc(12), "the latest welcome");
        assert_eq!(membership.to_welcome(NodeId(2)), vec![]);
    }

    #[test]
    fn what_a_node_says_before_it_is_a_member_counts_for_nothing() {
        let membership = founded(&[1], vec![op(9, 1, 10, admit(9, &[9]))]);
        assert!(!membership.knows(NodeId(9)));
    }

    #[test]
    fn a_second_admission_by_more_members_takes_nothing_back() {
        let first = vec![
            op(1, 1, 10, admit(9, &[1, 2])),
            op(2, 1, 12, Body::Welcome { node: NodeId(9) }),
            op(1, 2, 13, admit(3, &[1, 2])),
            op(2, 2, 14, Body::Welcome { node: NodeId(3) }),
        ];
        let mut membership = founded(&[1, 2], first);
        assert_eq!(membership.floor(NodeId(9)), Hlc(12));
        // Node 3 was asked by the newcomer as well before it heard of the first admission.
        membership.add(op(3, 1, 20, admit(9, &[1, 2, 3])));
        assert!(membership.is_member(NodeId(9)));
        assert_eq!(membership.floor(NodeId(9)), Hlc(12), "it may have issued an op at 13");
    }

    #[test]
    fn a_new_member_may_let_in_the_next() {
        let ops = vec![
            op(1, 1, 10, admit(2, &[1])),
            op(2, 1, 20, admit(3, &[1, 2])),
            op(1, 2, 30, Body::Welcome { node: NodeId(3) }),
        ];
        let membership = founded(&[1], ops);
        assert_eq!(membership.count(), 3);
        assert_eq!(membership.floor(NodeId(3)), Hlc(30));
    }
}
