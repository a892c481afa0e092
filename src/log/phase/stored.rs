//! The one record that says where a node stands.

use serde::{Deserialize, Serialize};

use crate::clock::NodeId;
use crate::log::config::Founding;
use crate::log::message::Contact;

/// Where a node stands, as it is stored. A store without the record holds nothing yet, or the beginning of a first snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StoredPhase {
    /// An earlier incarnation is over, and the next one asks the cluster for its state.
    Joining {
        /// How to find the cluster again.
        back: Return,
        /// The state of the earlier incarnation is still here, whole.
        set_aside: bool,
    },
    /// The store holds a whole state.
    Whole {
        /// An operator has asked the node to leave, and it has not departed.
        leaving: bool,
    },
    /// The node has left its cluster. The store holds the state that it had then.
    Left,
}

impl StoredPhase {
    /// Whether the tables hold a whole state, of whichever incarnation.
    #[must_use]
    pub fn holds_state(&self) -> bool {
        !matches!(self, Self::Joining { set_aside: false, .. })
    }

    /// How to find the cluster again that an earlier incarnation was in.
    #[must_use]
    pub fn returning(self) -> Option<Return> {
        match self {
            Self::Joining { back, .. } => Some(back),
            Self::Whole { .. } | Self::Left => None,
        }
    }
}

/// What a node that was evicted needs to find its cluster again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Return {
    /// Who it was.
    pub was: NodeId,
    /// The cluster.
    pub founding: Founding,
    /// Its secret, which lets the node in; none where it was not told yet.
    pub secret: Option<[u8; 32]>,
    /// Whom it knew there.
    pub contacts: Vec<Contact>,
}
