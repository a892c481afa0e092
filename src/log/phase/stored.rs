//! The stored record of a node's phase.

use serde::{Deserialize, Serialize};

use crate::clock::NodeId;
use crate::log::config::Founding;
use crate::log::message::Contact;

/// The phase of a node as it is stored. A store without the record is empty, or holds the beginning of a first
/// snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StoredPhase {
    /// An earlier incarnation is over, and the next one asks the cluster for its state.
    Joining {
        /// What the node needs to find the cluster again.
        back: Return,
        /// True where the whole state of the earlier incarnation is still in the store.
        set_aside: bool,
    },
    /// The store holds a whole state.
    Whole {
        /// True where an operator has asked the node to leave and it has not departed.
        leaving: bool,
    },
    /// The node has left its cluster. The store holds the state that it had then.
    Left,
}

impl StoredPhase {
    /// Returns true where the tables hold a whole state, of this incarnation or an earlier one.
    #[must_use]
    pub fn holds_state(&self) -> bool {
        !matches!(self, Self::Joining { set_aside: false, .. })
    }

    /// Returns what a later incarnation needs to find the cluster again.
    #[must_use]
    pub fn returning(self) -> Option<Return> {
        match self {
            Self::Joining { back, .. } => Some(back),
            Self::Whole { .. } | Self::Left => None,
        }
    }
}

/// What the next incarnation of a node needs to find its cluster again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Return {
    /// The id of the earlier incarnation.
    pub was: NodeId,
    /// The founding of the cluster.
    pub founding: Founding,
    /// The cluster's secret, which lets the node join; none where the node did not have it yet.
    pub secret: Option<[u8; 32]>,
    /// The nodes that it knew there.
    pub contacts: Vec<Contact>,
}
