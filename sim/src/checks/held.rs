//! A registration that is reported as confirmed is durable on a majority of the members.
//!
//! A node decides by the acknowledgements of others. This check looks at their disks instead, so it notices where a
//! node believed an acknowledgement that was never sent, or counted one that it must not count.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{NodeId, Stamp};
use forename::log;
use forename::log::Seq;
use forename::model::Status;
use forename::replica::Output;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::ids::node_id;
use crate::world::{Seen, World};

/// The logs that nodes have ever had on their disks, and the memberships that hosts have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// By holder, the durable prefix of each log.
    durable: BTreeMap<NodeId, BTreeMap<NodeId, Seq>>,
    /// By host, the sets of members that it has announced, itself included.
    memberships: BTreeMap<Host, BTreeSet<BTreeSet<NodeId>>>,
}

impl Held {
    /// Notes that these prefixes of logs are on a node's disk.
    fn synced(&mut self, node: NodeId, logs: &BTreeMap<NodeId, Seq>) {
        let known = self.durable.entry(node).or_default();
        for (origin, seq) in logs {
            let held = known.entry(*origin).or_default();
            *held = (*held).max(*seq);
        }
    }

    /// Notes the members that a host has announced.
    fn members(&mut self, host: Host, members: BTreeSet<NodeId>) {
        self.memberships.entry(host).or_default().insert(members);
    }

    /// Returns true where more than half of the members hold an op, by the present membership or by another one that
    /// the host has seen, because the host does not say by which one it decided. Members that the op's origin had
    /// frozen before do not count.
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

    /// Checks a registration when it is reported as confirmed for the first time.
    fn is_held(&self, world: &World, host: Host, stamp: Stamp) -> Checked {
        let seq = world.books.ledger.op(stamp).map_or(Seq::MAX, |op| op.seq);
        let founders = (0..world.plan.founders).map(node_id);
        let members = world.books.ledger.members_at(host, founders);
        let frozen = world.books.roll.frozen_before(stamp.node, seq);
        if self.by_majority(host, &members, (stamp, seq), &frozen) {
            return Ok(());
        }
        broken("held", format!("host {host} tells that {stamp} is confirmed, and no majority has ever held its op"))
    }
}

impl Check for Held {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            Seen::Synced(host) => {
                let machine = &world.machines[*host];
                self.synced(machine.node, machine.disk.logs());
            }
            // Other outputs of the step may rest on the membership that it announces last.
            Seen::Says { host, outputs } => {
                for output in *outputs {
                    if let Output::Log(log::Output::Peers { members, .. }) = output {
                        let members = members.iter().map(|contact| contact.node);
                        self.members(*host, members.chain([world.machines[*host].node]).collect());
                    }
                }
            }
            Seen::Final { host, stamp, status: Status::Confirmed, first: true, .. } => {
                return self.is_held(world, *host, *stamp);
            }
            _ => {}
        }
        Ok(())
    }
}
