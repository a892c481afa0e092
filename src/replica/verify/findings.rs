//! What may be wrong with a store, and what to do about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::NodeId;

/// What may be wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The state is not that of the identity, or does not say of which cluster it is.
    Identity,
    /// A row is not what this program writes.
    Unreadable,
    /// A log has a gap, goes back in time, or its hashes do not continue.
    Log,
    /// A log does not end where the state says that it was applied up to.
    Frontier,
    /// A registration cannot be found by its id, its owner or its names.
    Registration,
    /// A row points to a registration that does not exist, or says otherwise.
    Index,
    /// The tenures of a name are not in order, or led by a claim that does not exist.
    Name,
    /// The rules of a namespace are of no op that counts, or older than ones in the logs.
    Namespace,
    /// Membership ops are not those of the logs.
    Membership,
    /// The event feed has a gap.
    Feed,
}

impl Fault {
    /// What to do about it.
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
                 start a new one on an empty directory with --join; where it is all that is left, 'forename recover' on \
                 a copy of it saves what can be read"
            }
        }
    }
}

/// All findings of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The kind.
    pub fault: Fault,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Verification {
    /// Whose state it is, where that can be told.
    pub node: Option<NodeId>,
    /// It holds a whole state; otherwise its node was on its way into a cluster, and will take the state anew.
    pub whole: bool,
    /// Ops in the logs.
    pub ops: u64,
    /// Events in the feed.
    pub events: u64,
    /// Rows by table.
    pub tables: BTreeMap<&'static str, u64>,
    /// What is wrong; nothing where all is well.
    pub findings: Vec<Finding>,
}
