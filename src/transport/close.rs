//! The reasons for closing a connection, as the other side receives them.

use quinn::{Connection, VarInt};

use super::wire::WireVersion;
use crate::clock::NodeId;
use crate::model::ClusterId;

/// The reason why this node closes a connection. The number is sent as the QUIC application error code, the sentence as
/// the reason. A number has the same meaning in all versions, also of another major.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CloseReason {
    #[error("the node is stopping")]
    Stopping,
    #[error("this key belongs to no member of the cluster that I know of")]
    Stranger,
    #[error(
        "this node belongs to cluster {ours} and the one that it was called by to cluster {theirs}, or holds a join token of it; \
         nothing was exchanged. Check the address, and that no data directory or token of another cluster was taken by mistake"
    )]
    OtherCluster { ours: ClusterId, theirs: ClusterId },
    #[error("the join token is not one of this cluster; make a new one with `forename member token` on a member")]
    TokenWrong,
    #[error("the join token has expired; make a new one with `forename member token` on a member")]
    TokenExpired,
    #[error(
        "the join token has let in as many nodes as it was made for; make a new one with `forename member token` on a member"
    )]
    TokenUsed,
    #[error("this node's key is banned from the cluster; `forename member unban {0}` at a member lets it in again")]
    Banned(NodeId),
    #[error("I cannot let anybody in yet; ask again, or ask another member")]
    NotReady,
    #[error(
        "no version in common: the node that dialed speaks wire version {dialer} and the node that was dialed {dialed}, \
         and only nodes of the same major version understand each other; nothing was exchanged, and each goes on without \
         the other. Upgrade forename on {older}", older = older(*.dialer, *.dialed)
    )]
    Version { dialer: WireVersion, dialed: WireVersion },
    #[error("the node id does not follow from the key, or is taken by another key")]
    Identity,
    #[error("the two of us have a connection already")]
    Duplicate,
    #[error("a new connection takes the place of this one")]
    Replaced,
    #[error(
        "a later incarnation of this node is connected, and a member; two processes must not run under one identity"
    )]
    Outlived,
    #[error("a later incarnation of this node asks to be let in; two processes must not run under one identity")]
    Overtaken,
    #[error("you are no longer among those that this node talks to")]
    Removed,
    #[error("you could not prove that you know the join token; is the address that of a member?")]
    Impostor,
    #[error("protocol violation: {0}")]
    Violation(String),
}

impl CloseReason {
    /// Returns the application error code.
    pub(super) fn code(&self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Stopping => 1,
            Self::Stranger => 2,
            Self::OtherCluster { .. } => CLUSTER,
            Self::TokenWrong | Self::TokenExpired | Self::TokenUsed => TOKEN,
            Self::NotReady => 5,
            Self::Version { .. } => VERSION,
            Self::Identity => IDENTITY,
            Self::Duplicate => DUPLICATE,
            Self::Replaced => 9,
            Self::Removed => 10,
            Self::Impostor => 11,
            Self::Violation(_) => 12,
            Self::Outlived => OUTLIVED,
            Self::Banned(_) => BANNED,
            Self::Overtaken => 15,
        })
    }

    /// Closes `connection` for this reason. A connection that has ended for another reason keeps that one.
    pub(super) fn close(&self, connection: &Connection) {
        if connection.close_reason().is_none() {
            connection.close(self.code(), self.to_string().as_bytes());
        }
    }
}

/// Says which of two nodes must be upgraded, in the same words on both sides.
fn older(dialer: WireVersion, dialed: WireVersion) -> &'static str {
    if dialer < dialed { "the node that dialed" } else { "the node that was dialed" }
}

const CLUSTER: u32 = 3;
const TOKEN: u32 = 4;
const VERSION: u32 = 6;
const IDENTITY: u32 = 7;
const DUPLICATE: u32 = 8;
const OUTLIVED: u32 = 13;
const BANNED: u32 = 14;

/// Returns true where a newcomer that is refused with this code need not ask again.
pub(super) fn is_final_for_a_newcomer(code: VarInt) -> bool {
    [CLUSTER, TOKEN, IDENTITY, BANNED, OUTLIVED].contains(&u32::try_from(code.into_inner()).unwrap_or(0))
}

/// Returns true where the code means that the two sides have no version in common.
pub(super) fn is_version(code: VarInt) -> bool {
    code == VarInt::from_u32(VERSION)
}

/// Returns true where the code means that a later incarnation of the refused node is connected and a member.
pub(super) fn is_outlived(code: VarInt) -> bool {
    code == VarInt::from_u32(OUTLIVED)
}

/// Returns true where the code means that the peers have another connection, which is as good.
pub(super) fn is_duplicate(code: VarInt) -> bool {
    code == VarInt::from_u32(DUPLICATE)
}
