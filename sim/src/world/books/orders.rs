//! What operators order: the requests as the library takes them, and what was ordered so far.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::NodeId;
use forename::replica::ClusterCommand;
use forename::replica::any::{Answered as Reply, Request, Token};

use crate::plan::Host;
use crate::world::net::Micros;

/// The request that puts a member out.
pub(crate) fn evict(node: NodeId) -> Request {
    ClusterCommand::Evict { node, force: false }.into()
}

/// The request that has a node leave.
pub(crate) fn leave() -> Request {
    ClusterCommand::Leave { cancel: false }.into()
}

/// The request that has a node stay after all.
pub(crate) fn stay() -> Request {
    ClusterCommand::Leave { cancel: true }.into()
}

/// What a request orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// A member is to be put out.
    Evict(NodeId),
    /// The node that is asked is to leave.
    Leave(NodeId),
    /// It is to stay after all.
    Stay(NodeId),
    /// Anything else: no order of an operator's.
    None,
}

/// A request that has no reply yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// When it was made, or its process started, whichever came last.
    pub(crate) at: Micros,
    pub(crate) order: Order,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    open: BTreeMap<Token, (Host, Asked)>,
    /// Nodes that operators wanted out, whatever the answer was.
    evicted: BTreeSet<NodeId>,
    /// Nodes that operators wanted to leave, whatever the answer was.
    leaving: BTreeSet<NodeId>,
    /// Nodes that agreed to leave.
    agreed: BTreeSet<NodeId>,
}

impl Orders {
    /// A request is made to a node.
    pub(crate) fn asked(&mut self, token: Token, host: Host, node: NodeId, request: &Request, at: Micros) {
        let order = match request {
            Request::Cluster(ClusterCommand::Evict { node: whom, .. }) => Order::Evict(*whom),
            Request::Cluster(ClusterCommand::Leave { cancel: false }) => Order::Leave(node),
            Request::Cluster(ClusterCommand::Leave { cancel: true }) => Order::Stay(node),
            _ => Order::None,
        };
        match order {
            Order::Evict(whom) => drop(self.evicted.insert(whom)),
            Order::Leave(node) => drop(self.leaving.insert(node)),
            Order::Stay(_) | Order::None => {}
        }
        self.open.insert(token, (host, Asked { at, order }));
    }

    /// It is answered. Returns what was asked.
    pub(crate) fn answered(&mut self, token: Token, reply: &Reply) -> Option<Asked> {
        let (_, asked) = self.open.remove(&token)?;
        match (asked.order, reply) {
            (Order::Leave(node), Ok(_)) => drop(self.agreed.insert(node)),
            (Order::Stay(node), Ok(_)) => {
                self.agreed.remove(&node);
                self.leaving.remove(&node);
            }
            _ => {}
        }
        Some(asked)
    }

    /// A process is gone, and no reply will come from it.
    pub(crate) fn lost(&mut self, host: Host) {
        self.open.retain(|_, (at, _)| *at != host);
    }

    /// A node stays although it agreed to leave: its directory was replaced by an older one, or all others are out.
    pub(crate) fn forgotten(&mut self, node: NodeId) {
        self.agreed.remove(&node);
        // Its answer may still be on the way.
        let leave = |(_, asked): &&mut (Host, Asked)| asked.order == Order::Leave(node);
        self.open.values_mut().filter(leave).for_each(|(_, asked)| asked.order = Order::None);
    }

    /// A node's directory, which was put back, says that it agreed to leave.
    pub(crate) fn remembered(&mut self, node: NodeId) {
        self.agreed.insert(node);
    }

    /// Whether an operator wanted a node out.
    pub(crate) fn wanted_out(&self, node: NodeId) -> bool {
        self.evicted.contains(&node)
    }

    /// Whether an operator wanted a node to leave.
    pub(crate) fn wanted_to_leave(&self, node: NodeId) -> bool {
        self.leaving.contains(&node)
    }

    /// Whether an operator wanted any node to leave.
    pub(crate) fn anybody_wanted_to_leave(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Whether a node has agreed to leave.
    pub(crate) fn agreed_to_leave(&self, node: NodeId) -> bool {
        self.agreed.contains(&node)
    }
}
