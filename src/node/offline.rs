//! What an operator does to the directory of a stopped node.
//!
//! Each of these takes the directory's lock, so that none meets a running node, and either comes to its end or leaves the
//! directory as it was: what changes, changes in one batch.

use std::path::{Path, PathBuf};

use super::driver::{self, Clocks};
use crate::clock::NodeId;
use crate::replica::{self, Config, Contact, Holdings, RecoverError, RejoinError, Replica, Return, lay_open, node_in};
use crate::store::StoreFailure;
use crate::store::disk::{self, DiskOptions, DiskStore};
use crate::transport::{Identity, IdentityError};

/// Why nothing was done to a directory.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// There is no node in it.
    #[error(
        "{} is not the data directory of a node: it has no {missing}; nothing was changed. Give the directory that the \
         node was served from",
        dir.display()
    )]
    NoNode {
        /// Where.
        dir: PathBuf,
        /// What a node's directory has.
        missing: &'static str,
    },
    /// Its identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its store cannot be opened: the node runs, as a rule.
    #[error(transparent)]
    Store(#[from] disk::OpenError),
    /// The store does not fit the node.
    #[error(transparent)]
    Open(#[from] replica::OpenError),
    /// It cannot be that of the next incarnation.
    #[error(transparent)]
    Rejoin(#[from] RejoinError),
    /// No cluster can be made of it.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The disk failed. The directory is as it was, or all is done; the command can be given again.
    #[error("{0}; give the command again then")]
    Failed(#[from] StoreFailure),
    /// No random number to be had.
    #[error("the system refuses what is needed: {0}; nothing was changed")]
    System(String),
}

/// A directory that will come up as another node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextLife {
    /// Whose it was.
    pub was: NodeId,
    /// Whose it is now.
    pub node: NodeId,
}

/// Makes the directory, which is not the node's latest, the beginning of its next incarnation. Where it is that already,
/// nothing changes.
///
/// # Errors
/// See [`OfflineError`].
pub fn rejoin(dir: &Path) -> Result<NextLife, OfflineError> {
    let (identity, store) = open(dir)?;
    let replica = replica(&identity, store)?;
    let was = replica.returning().map_or(replica.node(), |Return { was, .. }| was);
    let (store, node) = replica.rejoin()?;
    store.close()?;
    Ok(NextLife { was, node })
}

/// What the directory holds, also where it was set aside for the next incarnation. Changes nothing.
///
/// # Errors
/// See [`OfflineError`].
pub fn look(dir: &Path) -> Result<Holdings, OfflineError> {
    let replica = laid_open(dir)?;
    let holdings = replica.holdings();
    replica.into_store().close()?;
    Ok(holdings)
}

/// Makes a new cluster of one member of what the directory holds; returns that member and what it begins with.
///
/// # Errors
/// See [`OfflineError`].
pub fn recover(dir: &Path) -> Result<(NodeId, Holdings), OfflineError> {
    let secret = driver::random().map_err(|error| OfflineError::System(error.to_string()))?;
    let replica = laid_open(dir)?;
    let holdings = replica.holdings();
    let (store, node) = replica.recover(secret)?;
    store.close()?;
    Ok((node, holdings))
}

fn laid_open(dir: &Path) -> Result<Replica<DiskStore>, OfflineError> {
    let (identity, mut store) = open(dir)?;
    lay_open(&mut store)?;
    replica(&identity, store)
}

/// Opens what is there, and makes nothing.
fn open(dir: &Path) -> Result<(Identity, DiskStore), OfflineError> {
    let no_node = |missing| OfflineError::NoNode { dir: dir.to_owned(), missing };
    if !dir.join("db").is_dir() {
        return Err(no_node("store"));
    }
    let identity = Identity::load(dir)?.ok_or(no_node("identity"))?;
    // Closing it makes durable what was committed; nothing waits for a batch.
    Ok((identity, DiskStore::open(dir, &DiskOptions::default(), |_| {})?))
}

fn replica(identity: &Identity, store: DiskStore) -> Result<Replica<DiskStore>, OfflineError> {
    let now = Clocks::start().now();
    let contact = Contact {
        node: node_in(&store, identity.node_id(0)),
        public_key: identity.public_key().to_vec(),
        address: String::new(),
        label: String::new(),
        as_of: now.wall,
    };
    Ok(Replica::open(Config::new(contact, 0), store, None, now)?)
}
