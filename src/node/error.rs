//! Why a node does not run.

use std::path::PathBuf;

use crate::store::disk;
use crate::transport::{IdentityError, JoinError, TokenError, TransportError};

/// What a node rests on is not to be had, whether it is to run or something is to be done to its directory.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The identity cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] disk::OpenError),
    /// The store does not fit the node.
    #[error(transparent)]
    Open(#[from] crate::replica::OpenError),
    /// No thread or random number to be had.
    #[error("the system refuses what the node needs: {0}; nothing was started or changed")]
    System(String),
}

impl<E> From<E> for NodeError
where
    ResourceError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Resource(error.into())
    }
}

/// Why a node does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory cannot be made.
    #[error("cannot make the data directory {path}: {error}")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The directory holds no cluster, and the node was not told what to do about that.
    #[error(
        "{} holds no cluster, and a node founds none by itself; nothing was started or made. If there was one, its disk is \
         lost or not mounted there: see to that first. To found a new cluster, once: `forename init --data-dir {}`. To join \
         one: `forename serve` with --join-token-file, a file with what `forename member token` prints at a member, and --join, its \
         address, where that is not the one in the token",
        .0.display(),
        .0.display()
    )]
    NoCluster(PathBuf),
    /// What a node rests on is not to be had.
    #[error(transparent)]
    Resource(ResourceError),
    /// The transport cannot start.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The join token cannot be read.
    #[error("{0}; nothing was started")]
    Token(#[from] TokenError),
    /// Nobody to join is named.
    #[error("the join token names no address of a member; nothing was started. Give one with --join")]
    NoAddress,
    /// The sponsor does not let the newcomer in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// It halted.
    #[error("the node has halted: {0}")]
    Halted(String),
}
