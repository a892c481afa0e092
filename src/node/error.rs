//! The reasons why a node does not run.

use std::path::PathBuf;

use crate::model::ClusterId;
use crate::store::disk;
use crate::transport::{IdentityError, JoinError, TokenError, TransportError};

/// A resource that a node needs cannot be had, to run it or to work on its directory.
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
    /// The system gives no thread or no random number.
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

/// The reasons why a node does not start, or has stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory cannot be made.
    #[error("cannot make the data directory {path}: {error}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The error of the system.
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
    /// The directory has a node's state and not its key.
    #[error(
        "{} has a node's state, and its key is missing: the file identity.key. Nothing was started or made. Put the file back from \
         a copy of the directory; `forename restore` makes a directory of a backup, which has the key too. Where there is no copy \
         of it, join again as a new node on an empty directory, and have a member evict the lost one",
        .0.display()
    )]
    NoIdentity(PathBuf),
    /// A resource that a node needs cannot be had.
    #[error(transparent)]
    Resource(ResourceError),
    /// The transport cannot start.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The join token cannot be read.
    #[error("{0}; nothing was started")]
    Token(#[from] TokenError),
    /// A reader has no reader's token.
    #[error(
        "a reader shows a reader's token whenever it connects; nothing was started. Give one with --join-token-file, a file with what \
         `forename member token --reader` prints at a member"
    )]
    NoReaderToken,
    /// The token is a reader's, and the node is not to be one.
    #[error(
        "the token is a reader's, with which nobody becomes a member; nothing was started. Start the node with --reader, or give it \
         what `forename member token` prints at a member"
    )]
    ReaderToken,
    /// The token is of another cluster than the directory.
    #[error(
        "{} is the directory of a node of cluster {ours}, and the join token is one of cluster {theirs}; nothing was started or \
         changed. {}",
        dir.display(),
        match reads {
            true => "Start the reader on an empty directory, which it fills with what the cluster has".to_owned(),
            false => format!(
                "To go on in cluster {ours}, leave the token away. Where cluster {theirs} was made of what was left of {ours} \
                 (`forename recover`), `forename rejoin --data-dir {}` first, and the start with this token brings the node in: \
                 what only this directory has is registered again. For a new node give another, empty directory",
                dir.display()
            ),
        }
    )]
    OtherCluster {
        /// The directory.
        dir: PathBuf,
        /// The cluster of the directory.
        ours: ClusterId,
        /// The cluster of the token.
        theirs: ClusterId,
        /// True for a reader.
        reads: bool,
    },
    /// No address of a member is given.
    #[error("the join token names no address of a member; nothing was started. Give one with --join")]
    NoAddress,
    /// The sponsor does not let the newcomer in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The node has halted.
    #[error("the node has halted: {0}")]
    Halted(String),
}
