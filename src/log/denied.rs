//! Why the membership is not changed as an operator asks.

use crate::clock::NodeId;

/// Why the membership is not changed as an operator asks. Nothing was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// This node is no member.
    NotMember,
    /// This node is about to leave.
    Leaving,
    /// This node has issued its last op already.
    Departed,
    /// This node is the only member.
    LastMember,
    /// This node has just started and compares its log with its peers'.
    Starts,
    /// A node does not evict itself.
    Itself,
    /// No such member is known.
    NoMember(NodeId),
    /// No majority would stay.
    NoMajority {
        /// Who was to be evicted.
        node: NodeId,
        /// Members now.
        members: usize,
        /// Those that would stay.
        staying: usize,
    },
    /// Too few of those who would stay are in contact.
    NotInContact {
        /// Who was to be evicted.
        node: NodeId,
        /// Members now.
        members: usize,
        /// How many of those who would stay are in contact.
        heard: usize,
        /// Those who are not.
        unheard: Vec<NodeId>,
    },
}

/// What a node says that compares its log with its peers'.
pub(crate) const STARTS: &str = "it has just started and compares its log with its peers'";
