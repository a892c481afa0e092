//! What an operator does to the directory of a stopped node.
//!
//! Each of these takes the directory's lock, so that none meets a running node, and either comes to its end or leaves the
//! directory as it was: what changes, changes in one batch.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::driver::{self, Clocks};
use super::error::ResourceError;
use crate::backup::{BackupError, Head, Reader};
use crate::clock::{Millis, NodeId};
use crate::files;
use crate::model::ClusterId;
use crate::replica::{
    self, Config, Contact, Holdings, RecoverError, RejoinError, Replica, Return, Verification, lay_open, node_in,
};
use crate::store::disk::{DiskEvent, DiskOptions, DiskStore, is_readable};
use crate::store::{Store, StoreFailure, Write};
use crate::transport::Identity;

/// Bytes of a backup that wait for the disk before more is read. A guess.
const MAX_BACKLOG: usize = 16 << 20;

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
    /// What the node rests on is not to be had: it runs, as a rule.
    #[error(transparent)]
    Resource(ResourceError),
    /// It cannot be that of the next incarnation.
    #[error(transparent)]
    Rejoin(#[from] RejoinError),
    /// No cluster can be made of it.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The disk failed. The directory is as it was, or all is done; the command can be given again.
    #[error("{0}; give the command again then")]
    Failed(#[from] StoreFailure),
    /// A backup is not to be written over what is there.
    #[error("{} is not empty and is left as it is; nothing was restored, give a directory that is not there", .0.display())]
    NotEmpty(PathBuf),
    /// The backup is not whole, or none.
    #[error("{} is not restored from: {error}; nothing was changed", file.display())]
    Backup {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: BackupError,
    },
    /// The directory cannot be written. What was begun is removed again.
    #[error("{}: {error}; nothing was restored", path.display())]
    Write {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl<E> From<E> for OfflineError
where
    ResourceError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Resource(error.into())
    }
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
/// only its feed is from then on that of a copy, whose next life may have begun elsewhere.
///
/// # Errors
/// See [`OfflineError`].
pub fn rejoin(dir: &Path) -> Result<NextLife, OfflineError> {
    let (identity, store) = open(dir, &DiskOptions::default())?;
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
    let replica = laid_open(dir, &look_only())?;
    let holdings = replica.holdings();
    replica.into_store().close()?;
    Ok(holdings)
}

/// Checks all that the directory holds. Changes nothing.
///
/// # Errors
/// See [`OfflineError`]; not where something is wrong with what the store holds.
pub fn verify(dir: &Path) -> Result<Verification, OfflineError> {
    let (identity, store) = open(dir, &look_only())?;
    let found = replica::verify(&store, identity.node_id(0));
    store.close()?;
    Ok(found)
}

/// Makes a new cluster of one member of what the directory holds; returns that member and what it begins with.
///
/// # Errors
/// See [`OfflineError`].
pub fn recover(dir: &Path) -> Result<(NodeId, Holdings), OfflineError> {
    let (secret, id) = (driver::random()?, driver::random()?);
    let replica = laid_open(dir, &DiskOptions::default())?;
    let holdings = replica.holdings();
    let (store, node) = replica.recover(ClusterId::from_random(id), secret)?;
    store.close()?;
    Ok((node, holdings))
}

/// A backup that has become a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Whose backup it was.
    pub was: NodeId,
    /// Whose directory it is.
    pub node: NodeId,
    /// When the backup was taken.
    pub time: Millis,
    /// Rows that it had.
    pub rows: u64,
    /// Its node knew of no other: the directory is for a recovery, or for a node that is told whom to join.
    pub alone: bool,
}

/// Makes a directory of a backup, for the next incarnation of its node. The directory gets its name when it is whole.
///
/// # Errors
/// See [`OfflineError`].
pub fn restore(file: &Path, dir: &Path) -> Result<Restored, OfflineError> {
    let write = |error| OfflineError::Write { path: dir.to_owned(), error };
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Ok(true) => return Err(OfflineError::NotEmpty(dir.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(write(error)),
    }
    let broken = |error| OfflineError::Backup { file: file.to_owned(), error };
    // Read twice: nothing is written before all of it is known to be whole.
    let rows = open_backup(file).and_then(|(reader, _)| reader.check()).map_err(broken)?;
    let mut name = dir.file_name().ok_or_else(|| write(io::ErrorKind::InvalidInput.into()))?.to_owned();
    name.push(".restoring");
    let making = dir.with_file_name(name);
    match std::fs::remove_dir_all(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(error)),
        _ => {}
    }
    let restored = fill(file, &making, rows).and_then(|restored| {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let named = std::fs::rename(&making, dir).and_then(|()| files::sync_dir(parent));
        named.map(|()| restored).map_err(write)
    });
    if restored.is_err() {
        // It may have its name already, or not have been made.
        let _ = std::fs::remove_dir_all(&making);
    }
    restored
}

fn open_backup(file: &Path) -> Result<(Reader<BufReader<File>>, Head), BackupError> {
    Reader::open(BufReader::new(File::open(file)?))
}

/// Fills a new directory with what is in a backup.
fn fill(file: &Path, dir: &Path, rows: u64) -> Result<Restored, OfflineError> {
    let broken = |error| OfflineError::Backup { file: file.to_owned(), error };
    let damaged = |why: &str| broken(BackupError::Damaged(why.to_owned()));
    let (mut reader, head) = open_backup(file).map_err(broken)?;
    let Head { node: was, time, store: format, key } = head;
    if !is_readable(&format) {
        return Err(damaged(&format!("its tables have format {format:?}, which this version does not read")));
    }
    let identity = Identity::from_backup(key).filter(|identity| identity.node_id(was.incarnation()) == was);
    let identity = identity.ok_or_else(|| damaged("its key is not that of its node"))?;
    identity.write_to(dir)?;
    let (told, events) = std::sync::mpsc::channel();
    // The store is gone only when nobody waits for it any more.
    let mut store = DiskStore::open(dir, &DiskOptions::default(), move |event| drop(told.send(event)))?;
    while let Some(rows) = reader.rows().map_err(broken)? {
        for Write { table, key, value } in rows {
            value.into_iter().for_each(|value| store.put(table, key.clone(), value));
        }
        store.commit();
        while store.backlog() > MAX_BACKLOG
            && let Ok(DiskEvent::Persisted(batch)) = events.recv()
        {
            store.persisted(batch);
        }
    }
    if let Some(failure) = store.failure() {
        return Err(failure.into());
    }
    let replica = replica(&identity, store)?;
    let alone = !replica.knows_others();
    let (store, node) = replica.restored()?;
    store.close()?;
    Ok(Restored { was, node, time, rows, alone })
}

fn laid_open(dir: &Path, options: &DiskOptions) -> Result<Replica<DiskStore>, OfflineError> {
    let (identity, mut store) = open(dir, options)?;
    lay_open(&mut store)?;
    replica(&identity, store)
}

/// For whoever changes nothing, the version of the format included.
fn look_only() -> DiskOptions {
    DiskOptions::default()
}

/// Opens what is there, and makes nothing.
fn open(dir: &Path, options: &DiskOptions) -> Result<(Identity, DiskStore), OfflineError> {
    let no_node = |missing| OfflineError::NoNode { dir: dir.to_owned(), missing };
    if !dir.join("db").is_dir() {
        return Err(no_node("store"));
    }
    let identity = Identity::load(dir)?.ok_or(no_node("identity"))?;
    // Closing it makes durable what was committed; nothing waits for a batch.
    Ok((identity, DiskStore::open(dir, options, |_| {})?))
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
