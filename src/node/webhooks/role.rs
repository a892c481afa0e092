//! Which events a node delivers: those of the registrations that it accepted, and some of nodes that are out.
//!
//! The first member takes over the nodes that are out for good. It has been a member for longest, so no other member's feed
//! goes back further: a newcomer gets no events of the time before it was let in. When a node goes out, the first member
//! reads its feed once more from the beginning for the events of that node, because it cannot know what was delivered of
//! them. Where the first member goes out, the next one does the same for it and for all nodes that are out.

use std::collections::BTreeSet;

use super::journal::{Pass, Place};
use crate::clock::{Millis, NodeId};
use crate::model::Cluster;

/// The members as a node sees them, from which follows for whom it delivers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Role {
    me: NodeId,
    /// True where this node is a member. Where it is not, others deliver for it.
    pub(super) member: bool,
    /// True where this node has been a member for longest.
    first: bool,
    /// The keys of all members.
    present: BTreeSet<u64>,
    /// The nodes that are out for good.
    out: BTreeSet<NodeId>,
    /// The earliest acceptance of a registration that is not decided here.
    pub(super) undecided: Option<Millis>,
}

impl Role {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let members = || cluster.members.iter().map(|member| member.node);
        Self {
            me: cluster.node,
            member: cluster.member && members().any(|node| node == cluster.node),
            first: cluster.first == Some(cluster.node),
            present: members().map(NodeId::key_part).collect(),
            out: cluster.evicted.iter().map(|cut| cut.node).collect(),
            undecided: cluster.undecided_since.map(|since| since.0),
        }
    }

    /// Takes over the nodes that are newly out. `read` is the number of the last event that was read.
    pub(super) fn take_over(&self, place: &mut Place, read: u64) -> bool {
        let mine = self.me.key_part();
        let new = self.out.difference(&place.taken).copied().filter(|node| node.key_part() != mine);
        let new: BTreeSet<_> = new.collect();
        if !self.member || !self.first || new.is_empty() {
            return false;
        }
        let keys = new.iter().map(|node| node.key_part()).collect();
        place.taken.extend(new);
        place.passes.push(Pass { keys, cursor: None, until: read });
        true
    }

    /// Returns true where this node delivers the events of a registration that `node` accepted. Where the key of a node
    /// that is out is back as a member, that one delivers for both of its incarnations.
    pub(super) fn delivers(&self, taken: &BTreeSet<NodeId>, node: NodeId) -> bool {
        let is_taken = || taken.contains(&node) && !self.present.contains(&node.key_part());
        node.key_part() == self.me.key_part() || is_taken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The role of `me`. The members are in the order of their admissions.
    fn role(me: u8, members: &[u8], out: &[u8]) -> Role {
        let node = |number: &u8| NodeId::new([*number; 6], 0);
        Role {
            me: node(&me),
            member: members.contains(&me),
            first: members.first() == Some(&me),
            present: members.iter().map(|number| node(number).key_part()).collect(),
            out: out.iter().map(node).collect(),
            undecided: None,
        }
    }

    #[test]
    fn the_first_member_takes_over_each_node_once() {
        let mut place = Place::default();
        assert!(!role(2, &[3, 2], &[9]).take_over(&mut place, 7), "a later member, though its id is lower");
        assert!(!role(1, &[2, 3], &[9]).take_over(&mut place, 7), "a node that is out itself");
        let first = role(2, &[2, 1], &[9]);
        assert!(first.take_over(&mut place, 7) && !first.take_over(&mut place, 8));
        let nine = NodeId::new([9; 6], 0);
        let pass = Pass { keys: BTreeSet::from([nine.key_part()]), cursor: None, until: 7 };
        assert_eq!((place.passes.as_slice(), first.delivers(&place.taken, nine)), (&[pass][..], true));
        let second = role(2, &[2, 1], &[8, 9]);
        assert!(second.take_over(&mut place, 20) && place.passes.len() == 2 && place.taken.len() == 2);
    }

    #[test]
    fn a_node_that_is_back_delivers_for_itself() {
        let (mut place, nine) = (Place::default(), NodeId::new([9; 6], 0));
        role(1, &[1, 2], &[9]).take_over(&mut place, 7);
        let back = role(1, &[1, 2, 9], &[9]);
        assert!(!back.delivers(&place.taken, nine));
        assert!(role(9, &[1, 2, 9], &[]).delivers(&BTreeSet::new(), nine.next_incarnation().unwrap()));
        assert!(!back.delivers(&place.taken, NodeId::new([2; 6], 0)));
    }
}
