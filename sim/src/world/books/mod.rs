//! What is known of the nodes from outside, kept where no node can change it. The world writes it down as it happens; the
//! checks read in it, and so does the world where it needs what no node in it can know.
//!
//! | module | what |
//! | --- | --- |
//! | [`ledger`] | the logs as they were issued, and what each host has of them |
//! | [`outcomes`] | what was told to be final |
//! | [`feeds`] | what feeds told their readers |
//! | [`roll`] | who is a member, as far as a host can know |
//! | [`orders`] | what operators ordered |
//! | [`known`] | what nodes said of themselves, and who heard it |
//! | [`private`] | the private names that clients asked for |
//! | [`conditions`] | what befell machines and links, and when |

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
    /// By host, the members that it knows of.
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

    /// One more machine.
    pub(crate) fn add(&mut self) {
        self.ledger.add();
        self.feeds.add();
        self.conditions.add();
        self.members.push(BTreeSet::new());
    }

    /// Members that a host knows of.
    pub(crate) fn members(&self, host: Host) -> &BTreeSet<NodeId> {
        &self.members[host]
    }

    /// Who is a member may have changed for a host, which runs this node.
    pub(crate) fn members_changed(&mut self, host: Host, node: NodeId, founders: usize) {
        let members = self.roll.members(&self.ledger, host, founders);
        if members.len() == 1 && members.contains(&node) {
            // The last one stays, whatever it was asked.
            self.orders.forgotten(node);
        }
        self.members[host] = members;
    }

    /// A registration that only its own node knows any more.
    pub(crate) fn rejected_in_the_void(&self, id: Uuid) -> bool {
        self.outcomes.rejected_in_the_void(&self.ledger, id)
    }
}
