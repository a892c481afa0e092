//! The simulator's knowledge of the nodes, recorded from outside, where no node can change it. The world writes these
//! books as things happen. The checks read them, and so does the world where it needs what no node can know.
//!
//! | module | what |
//! | --- | --- |
//! | [`ledger`] | the logs as they were issued, and the prefixes that each host has |
//! | [`outcomes`] | outcomes that nodes reported as final |
//! | [`feeds`] | events that readers of feeds received |
//! | [`roll`] | the members, as far as a host can know |
//! | [`orders`] | orders of operators |
//! | [`known`] | statements of nodes about themselves, and who received them |
//! | [`private`] | private names that clients asked for |
//! | [`conditions`] | faults of machines and links, and their times |

pub(crate) mod conditions;
pub(crate) mod feeds;
pub(crate) mod known;
pub(crate) mod ledger;
pub(crate) mod orders;
pub(crate) mod outcomes;
pub(crate) mod private;
pub(crate) mod roll;

use std::collections::BTreeSet;

use forename::clock::NodeId;
use uuid::Uuid;

use crate::plan::{Host, Plan};
use conditions::Conditions;
use feeds::Feeds;
use known::Known;
use ledger::Ledger;
use orders::Orders;
use outcomes::Outcomes;
use private::Private;
use roll::Roll;

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    pub(crate) ledger: Ledger,
    pub(crate) outcomes: Outcomes,
    pub(crate) feeds: Feeds,
    pub(crate) roll: Roll,
    pub(crate) orders: Orders,
    pub(crate) known: Known,
    pub(crate) private: Private,
    pub(crate) conditions: Conditions,
    /// By host, the members that it knows.
    members: Vec<BTreeSet<NodeId>>,
}

impl Books {
    pub(crate) fn new(plan: &Plan) -> Self {
        let hosts = plan.hosts();
        Self {
            ledger: Ledger::new(hosts, plan.founders),
            outcomes: Outcomes::default(),
            feeds: Feeds::new(hosts),
            roll: Roll::default(),
            orders: Orders::default(),
            known: Known::default(),
            private: Private::default(),
            conditions: Conditions::new(hosts),
            members: vec![BTreeSet::new(); hosts],
        }
    }

    /// Adds a machine.
    pub(crate) fn add(&mut self) {
        self.ledger.add();
        self.feeds.add();
        self.conditions.add();
        self.members.push(BTreeSet::new());
    }

    /// Returns the members that a host knows.
    pub(crate) fn members(&self, host: Host) -> &BTreeSet<NodeId> {
        &self.members[host]
    }

    /// Updates the members that a host knows. The host runs this node.
    pub(crate) fn members_changed(&mut self, host: Host, node: NodeId, founders: usize) {
        let members = self.roll.members(&self.ledger, host, founders);
        if members.len() == 1 && members.contains(&node) {
            // The last member stays, even where it agreed to leave.
            self.orders.forgotten(node);
        }
        self.members[host] = members;
    }

    /// Returns true for a registration that only its own node knows any more.
    pub(crate) fn rejected_in_the_void(&self, id: Uuid) -> bool {
        self.outcomes.rejected_in_the_void(&self.ledger, id)
    }
}
