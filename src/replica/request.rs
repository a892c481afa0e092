//! What is asked of a replica, each with where the answer goes.

use uuid::Uuid;

use crate::clock::NodeId;
use crate::model::{Cluster, ClusterSettingsBody, Namespace, Registration};
use crate::registry::{Asked, AwaitFinal, Caller, ClusterSecret, Command, Reply, SetRules};

/// Something asked of a node. There is one answer to each.
#[derive(Debug)]
pub enum Request {
    /// A client wants to change something.
    Command(Box<Command>, Caller, Reply<Registration>),
    /// What became of a registration.
    Outcome {
        /// Its id.
        id: Uuid,
        /// Answer when it is final, or when the wait ends with what is known then; none: at once.
        wait: Option<AwaitFinal>,
        /// Who asks.
        caller: Caller,
        /// Where the answer goes.
        reply: Reply<Registration>,
    },
    /// Rules for a namespace.
    SetRules(SetRules, Caller, Reply<Namespace>),
    /// Something that only reads.
    Query(Asked),
    /// Something about the cluster.
    Cluster(ClusterCommand, Reply<Cluster>),
}

/// What operators ask. Each is answered with the cluster as it is then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterCommand {
    /// Members, promises, what the watermark waits for.
    Show,
    /// Put a member out of the cluster for good. Answered once it has begun, or where it is done already; it is done when all
    /// who stay have joined in.
    Evict {
        /// The member.
        node: NodeId,
        /// Also where no majority is in contact that would stay: the eviction is carried out once one is.
        force: bool,
    },
    /// Change settings of the cluster, which are in force here at once.
    Configure(ClusterSettingsBody),
    /// Keep the key of a member, or of one who was a member, out of the cluster from when it is out on; or let it in again.
    Ban {
        /// Any incarnation of the key.
        node: NodeId,
        /// Whether it is kept out.
        banned: bool,
    },
    /// Give the cluster another secret.
    RotateSecret(ClusterSecret),
    /// Leave the cluster. Answered once it has begun; the node is out when it has handed over what it holds.
    Leave {
        /// Stay after all, where the last op has not been issued.
        cancel: bool,
    },
}

impl Request {
    /// Whether it may have the node issue an op, and so waits for the end of a start. To evict a member, or to leave, may be
    /// done later than anybody waits for, so these do not.
    pub(super) fn issues_ops(&self) -> bool {
        matches!(self, Self::Command(..) | Self::SetRules(..) | Self::Cluster(ClusterCommand::Configure(_), _))
    }
}
