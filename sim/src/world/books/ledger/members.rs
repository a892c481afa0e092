//! Membership according to the ops of the logs, and ops that a later incarnation issued again.

use std::collections::BTreeSet;

use forename::clock::{NodeId, Stamp};
use forename::crdt::NameOp;
use forename::log::{Body, MemberOp, Op};

use super::Ledger;
use crate::plan::Host;
use crate::world::disk::Disk;
use crate::world::ids::{host_of, node_id};

impl Ledger {
    /// Returns the members according to the ops that a host has: the founders and all admitted nodes, without those
    /// that are out.
    pub(crate) fn members_at(&self, host: Host, founders: impl Iterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let book = &self.books[host];
        let here = |op: &&Op| book.applied.get(&op.node).is_some_and(|seq| op.seq <= *seq);
        let admits = self.ops.values().flatten().filter(here).filter_map(|op| match op.body() {
            Body::Member(MemberOp::Admit { node, .. }) => Some(*node),
            _ => None,
        });
        founders.chain(admits).filter(|node| !book.cuts.contains_key(node)).collect()
    }

    /// Returns true for a founder, and for a node that was admitted by any op.
    pub(crate) fn was_ever_let_in(&self, node: NodeId, founders: usize) -> bool {
        let founder = host_of(node) < founders && node.incarnation() == 0;
        // An admission that became void later counted at the time.
        founder
            || self.all_ops().any(
                |op| matches!(op.body(), Body::Member(MemberOp::Admit { node: admitted, .. }) if *admitted == node),
            )
    }

    /// Returns all nodes that were ever members, according to the ops on a disk.
    pub(crate) fn known_by(&self, disk: &Disk, founders: usize) -> BTreeSet<NodeId> {
        let here = self.ops().filter(|op| op.seq <= disk.log(op.node));
        let admitted = here.filter_map(|op| match op.body() {
            Body::Member(MemberOp::Admit { node, .. }) => Some(*node),
            _ => None,
        });
        admitted.chain((0..founders).map(node_id)).collect()
    }

    /// Returns the members, according to the ops on a disk.
    pub(crate) fn members_on(&self, disk: &Disk, founders: usize) -> BTreeSet<NodeId> {
        let mut members = self.known_by(disk, founders);
        for op in self.all_ops().filter(|op| op.seq <= disk.log(op.node)) {
            match op.body() {
                Body::Member(MemberOp::Evict { cuts }) => members.retain(|node| !cuts.contains_key(node)),
                Body::Member(MemberOp::Depart) => drop(members.remove(&op.node)),
                _ => {}
            }
        }
        members
    }

    /// Returns true where void rules were set again by a later incarnation of their node. They may have a lower
    /// timestamp, because the node's clock may have been ahead.
    pub(crate) fn set_again(&self, namespace: &str, void: Stamp) -> bool {
        let again = |op: &Op| {
            op.node.key_part() == void.node.key_part()
                && op.node > void.node
                && matches!(op.body(), Body::Name(NameOp::Namespace { namespace: of, .. }) if of == namespace)
        };
        self.op(void).is_some_and(|op| self.is_void(op)) && self.ops().any(again)
    }
}
