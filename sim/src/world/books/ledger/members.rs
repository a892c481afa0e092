//! Who is or was a member by the ops of the logs, and what a later incarnation did again.

use std::collections::BTreeSet;

use forename::clock::{NodeId, Stamp};
use forename::crdt::NameOp;
use forename::log::{Body, MemberOp, Op};

use super::Ledger;
use crate::plan::Host;
use crate::world::disk::Disk;
use crate::world::ids::{host_of, node_id};

impl Ledger {
    /// Who is in by what a host has: the founders and all who were admitted, without those who are out.
    pub(crate) fn members_at(&self, host: Host, founders: impl Iterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let book = &self.books[host];
        let here = |op: &&Op| book.applied.get(&op.node).is_some_and(|seq| op.seq <= *seq);
        let admits = self.ops.values().flatten().filter(here).filter_map(|op| match &op.body {
            Body::Member(MemberOp::Admit { node, .. }) => Some(*node),
            _ => None,
        });
        founders.chain(admits).filter(|node| !book.cuts.contains_key(node)).collect()
    }

    /// Whether a node was let in by any op, or is a founder.
    pub(crate) fn was_ever_let_in(&self, node: NodeId, founders: usize) -> bool {
        let founder = host_of(node) < founders && node.incarnation() == 0;
        // An admission that was void later counted then.
        founder
            || self
                .all_ops()
                .any(|op| matches!(&op.body, Body::Member(MemberOp::Admit { node: admitted, .. }) if *admitted == node))
    }

    /// Who was ever in, by what a disk has.
    pub(crate) fn known_by(&self, disk: &Disk, founders: usize) -> BTreeSet<NodeId> {
        let here = self.ops().filter(|op| op.seq <= disk.log(op.node));
        let admitted = here.filter_map(|op| match &op.body {
            Body::Member(MemberOp::Admit { node, .. }) => Some(*node),
            _ => None,
        });
        admitted.chain((0..founders).map(node_id)).collect()
    }

    /// Who is a member, by what a disk has.
    pub(crate) fn members_on(&self, disk: &Disk, founders: usize) -> BTreeSet<NodeId> {
        let mut members = self.known_by(disk, founders);
        for op in self.all_ops().filter(|op| op.seq <= disk.log(op.node)) {
            match &op.body {
                Body::Member(MemberOp::Evict { cuts }) => members.retain(|node| !cuts.contains_key(node)),
                Body::Member(MemberOp::Depart) => drop(members.remove(&op.node)),
                _ => {}
            }
        }
        members
    }

    /// Whether rules that an eviction has made void were set again by a later life of their node, be it under a lower
    /// timestamp: its clock may have been ahead.
    pub(crate) fn set_again(&self, namespace: &str, void: Stamp) -> bool {
        let again = |op: &Op| {
            op.node.key_part() == void.node.key_part()
                && op.node > void.node
                && matches!(&op.body, Body::Name(NameOp::Namespace { namespace: of, .. }) if of == namespace)
        };
        self.op(void).is_some_and(|op| self.is_void(op)) && self.ops().any(again)
    }
}
