//! What is told to be confirmed is durable on a majority of the members.
//!
//! A node decides by what others say that they hold. This check looks at their disks instead, so it notices where a node
//! believed a word that was never said, or counted one that it must not count.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{NodeId, Stamp};
use forename::crdt::Seq;

use crate::checks::ledger::{Checked, broken};
use crate::plan::Host;
use crate::world::World;
use crate::world::machine::node_id;

/// What nodes have ever had on their disks, and who they took for members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// By holder, the prefix of each log.
    durable: BTreeMap<NodeId, BTreeMap<NodeId, Seq>>,
    /// By host, the memberships that it has seen, itself included.
    memberships: BTreeMap<Host, BTreeSet<BTreeSet<NodeId>>>,
}

impl Held {
    /// An fsync is done: these prefixes of logs are on a node's disk.
    pub(crate) fn synced(&mut self, node: NodeId, logs: &BTreeMap<NodeId, Seq>) {
        let known = self.durable.entry(node).or_default();
        for (origin, seq) in logs {
            let held = known.entry(*origin).or_default();
            *held = (*held).max(*seq);
        }
    }

    /// A node says whom it takes for members.
    pub(crate) fn members(&mut self, host: Host, members: BTreeSet<NodeId>) {
        self.memberships.entry(host).or_default().insert(members);
    }

    /// Whether more than half of the members hold an op, by the membership as it is now or by some other that the host has
    /// seen: by which one it decided is not told. Those whom the origin of the op had frozen before do not count.
    fn by_majority(&self, host: Host, now: &BTreeSet<NodeId>, op: (Stamp, Seq), frozen: &BTreeSet<NodeId>) -> bool {
        let (stamp, seq) = op;
        let holds = |node: &NodeId| {
            let held = self.durable.get(node).and_then(|logs| logs.get(&stamp.node)).copied();
            held.is_some_and(|held| held >= seq) && !frozen.contains(node)
        };
        let majority =
            |members: &BTreeSet<NodeId>| 2 * members.iter().filter(|node| holds(node)).count() > members.len();
        majority(now) || self.memberships.get(&host).is_some_and(|seen| seen.iter().any(majority))
    }
}

impl World {
    /// Looks at every registration that was told to be confirmed for the first time.
    pub(crate) fn check_held(&mut self) -> Checked {
        for (host, stamp) in self.ledger.take_confirmed() {
            let seq = self.ledger.op(stamp).map_or(Seq::MAX, |op| op.seq);
            let founders = (0..self.plan.founders).map(node_id);
            let members = self.ledger.members_at(host, founders);
            let frozen = self.roll.frozen_before(stamp.node, seq);
            if !self.held.by_majority(host, &members, (stamp, seq), &frozen) {
                let text = format!("host {host} tells that {stamp} is confirmed, and no majority has ever held its op");
                return broken("held", text);
            }
        }
        Ok(())
    }
}
