//! The reasons why the membership is not changed as an operator asks.

use crate::clock::NodeId;

/// The reason why the membership is not changed as an operator asks. Nothing was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// This node is no member.
    NotMember,
    /// This node is a reader, which changes nothing.
    Reader,
    /// This node leaves.
    Leaving,
    /// This node has issued its last op already.
    Departed,
    /// This node is the only member.
    LastMember,
    /// This node has just started and compares its log with its peers'.
    Starts,
    /// A node does not evict itself.
    Itself,
    /// No member has this id.
    NoMember(NodeId),
    /// Too few members would stay for a majority.
    NoMajority {
        /// The node to be evicted.
        node: NodeId,
        /// The number of members now.
        members: usize,
        /// The number of members that would stay.
        staying: usize,
    },
    /// Too few of the members that would stay are in contact.
    NotInContact {
        /// The node to be evicted.
        node: NodeId,
        /// The number of members now.
        members: usize,
        /// The number of members that would stay and are in contact.
        heard: usize,
        /// The members that would stay and are not in contact.
        unheard: Vec<NodeId>,
    },
}

/// The message of a node that compares its log with its peers'.
pub(crate) const STARTS: &str = "it has just started and compares its log with its peers'";
