//! The faults that a store may have, and what to do about each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::NodeId;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The state does not belong to the identity, or does not say to which cluster it belongs.
    Identity,
    /// A row cannot be read: this program does not write such a row.
    Unreadable,
    /// A log has a gap, its timestamps go back, or its hashes do not continue.
    Log,
    /// A log does not end where the state says that it was applied to.
    Frontier,
    /// A registration cannot be found by its id, its owner or its names.
    Registration,
    /// A row points to a registration that does not exist or says something else.
    Index,
    /// The tenures of a name are not in order, or a claim that does not exist leads one.
    Name,
    /// The rules of a namespace come from no op that counts, or are older than ones in the logs.
    Namespace,
    /// The state of a webhook comes from no op that counts, or is older than one in the logs.
    Webhook,
    /// The membership ops are not those of the logs.
    Membership,
    /// The event feed has a gap.
    Feed,
}

impl Fault {
    /// Returns what to do about the fault.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Identity => {
                "put back the identity and the state that belong together, or start a new node on an empty directory"
            }
            Self::Feed => {
                "the registrations are not touched by this; readers of the feed read the state anew. For a whole feed \
                 restore a backup"
            }
            _ => {
                "do not serve this directory: keep it aside, and restore the node's last backup, or evict the node and \
                 start a new one on an empty directory with --join-token-file; where it is all that is left, 'forename recover' on \
                 a copy of it saves what can be read"
            }
        }
    }
}

/// All findings of one kind of fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The kind of fault.
    pub fault: Fault,
    /// The number of findings.
    pub count: u64,
    /// The first findings.
    pub examples: Vec<String>,
}

/// The result of a check.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Verification {
    /// The node that the state belongs to, where that is known.
    pub node: Option<NodeId>,
    /// True where the store holds a whole state. Otherwise its node was joining a cluster, and will take the state
    /// anew.
    pub whole: bool,
    /// The number of ops in the logs.
    pub ops: u64,
    /// The number of events in the feed.
    pub events: u64,
    /// The number of rows by table.
    pub tables: BTreeMap<&'static str, u64>,
    /// The findings; none where all is well.
    pub findings: Vec<Finding>,
}
