//! The requests to a replica, each with the function that takes its answer.

use uuid::Uuid;

use crate::clock::NodeId;
use crate::model::{Cluster, ClusterSettingsBody, Namespace, Registration};
use crate::registry::{Asked, AwaitFinal, Caller, ClusterSecret, Command, KnownWebhook, Reply, SetRules, SetWebhook};

/// A request to a node. Each gets one answer.
#[derive(Debug)]
pub enum Request {
    /// A client changes registrations or names.
    Command(Box<Command>, Caller, Reply<Registration>),
    /// A client asks for the outcome of a registration.
    Outcome {
        /// The registration's id.
        id: Uuid,
        /// Answer when the outcome is final, or when the wait ends with what is known then; none: answer at once.
        wait: Option<AwaitFinal>,
        /// The caller.
        caller: Caller,
        /// Takes the answer.
        reply: Reply<Registration>,
    },
    /// Sets the rules of a namespace.
    SetRules(SetRules, Caller, Reply<Namespace>),
    /// Makes, changes or removes a webhook.
    SetWebhook(SetWebhook, Reply<KnownWebhook>),
    /// A query, which only reads.
    Query(Asked),
    /// A command about the cluster.
    Cluster(ClusterCommand, Reply<Cluster>),
}

/// An operator's command about the cluster. Its answer is the state of the cluster after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterCommand {
    /// Shows the members, their promises, and what the watermark waits for.
    Show,
    /// Evicts a member for good. It is answered once the eviction has begun, or where it is done already. The eviction
    /// is done when all members that stay have joined in.
    Evict {
        /// The member.
        node: NodeId,
        /// True to begin also where no majority that would stay is in contact. The eviction is carried out once one is.
        force: bool,
    },
    /// Changes settings of the cluster. They are in force on this node at once.
    Configure(ClusterSettingsBody),
    /// Bans the key of a present or former member from joining, or lifts the ban. A present member stays until it is
    /// evicted.
    Ban {
        /// Any incarnation of the key.
        node: NodeId,
        /// True for a ban, false to lift it.
        banned: bool,
    },
    /// Replaces the cluster's secret.
    RotateSecret(ClusterSecret),
    /// Leaves the cluster. It is answered once the leave has begun. The node is out when it has handed over what it
    /// holds.
    Leave {
        /// True to stay after all, where the last op has not been issued.
        cancel: bool,
    },
}

impl Request {
    /// Returns true for every request but those that only read.
    pub(super) fn changes_something(&self) -> bool {
        match self {
            Self::Command(..) | Self::SetRules(..) | Self::SetWebhook(..) => true,
            Self::Cluster(command, _) => *command != ClusterCommand::Show,
            Self::Outcome { .. } | Self::Query(_) => false,
        }
    }

    /// Returns true where the request may have the node issue an op, so that it waits for the end of a start. An
    /// eviction or a leave is carried out later than anybody waits for, so these do not wait.
    pub(super) fn issues_ops(&self) -> bool {
        let sets = matches!(self, Self::SetRules(..) | Self::SetWebhook(..));
        sets || matches!(self, Self::Command(..) | Self::Cluster(ClusterCommand::Configure(_), _))
    }
}
