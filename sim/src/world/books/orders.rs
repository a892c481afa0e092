//! Orders of operators: the requests that carry them, and the orders given so far.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::NodeId;
use forename::replica::ClusterCommand;
use forename::replica::any::{Answered as Reply, Request, Token};

use crate::plan::Host;
use crate::world::net::Micros;

/// Returns the request to evict a member.
pub(crate) fn evict(node: NodeId) -> Request {
    ClusterCommand::Evict { node, force: false }.into()
}

/// Returns the request to leave the cluster.
pub(crate) fn leave() -> Request {
    ClusterCommand::Leave { cancel: false }.into()
}

/// Returns the request to stay after all.
pub(crate) fn stay() -> Request {
    ClusterCommand::Leave { cancel: true }.into()
}

/// The order that a request gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Evict this member.
    Evict(NodeId),
    /// This node, which receives the request, shall leave.
    Leave(NodeId),
    /// This node, which receives the request, shall stay after all.
    Stay(NodeId),
    /// The request is no order of an operator.
    None,
}

/// A request without a reply yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// When it was made, or when the process started, whichever was later.
    pub(crate) at: Micros,
    pub(crate) order: Order,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    open: BTreeMap<Token, (Host, Asked)>,
    /// Nodes that operators ordered to evict, whatever the answer was.
    evicted: BTreeSet<NodeId>,
    /// Nodes that operators ordered to leave, whatever the answer was.
    leaving: BTreeSet<NodeId>,
    /// Nodes that agreed to leave.
    agreed: BTreeSet<NodeId>,
}

impl Orders {
    /// Notes a request to a node.
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

    /// Notes the reply to a request. Returns the request.
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

    /// Forgets the requests to a process that is gone, because no reply will come.
    pub(crate) fn lost(&mut self, host: Host) {
        self.open.retain(|_, (at, _)| *at != host);
    }

    /// Notes that a node stays although it agreed to leave, because its directory was replaced by an older one, or all
    /// others are out.
    pub(crate) fn forgotten(&mut self, node: NodeId) {
        self.agreed.remove(&node);
        // The reply to an earlier request may still be on its way.
        let leave = |(_, asked): &&mut (Host, Asked)| asked.order == Order::Leave(node);
        self.open.values_mut().filter(leave).for_each(|(_, asked)| asked.order = Order::None);
    }

    /// Notes that a node agreed to leave, according to its directory that was restored.
    pub(crate) fn remembered(&mut self, node: NodeId) {
        self.agreed.insert(node);
    }

    /// Returns true where an operator ordered to evict a node.
    pub(crate) fn wanted_out(&self, node: NodeId) -> bool {
        self.evicted.contains(&node)
    }

    /// Returns true where an operator ordered a node to leave.
    pub(crate) fn wanted_to_leave(&self, node: NodeId) -> bool {
        self.leaving.contains(&node)
    }

    /// Returns true where an operator ordered any node to leave.
    pub(crate) fn anybody_wanted_to_leave(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Returns true where a node has agreed to leave.
    pub(crate) fn agreed_to_leave(&self, node: NodeId) -> bool {
        self.agreed.contains(&node)
    }
}
