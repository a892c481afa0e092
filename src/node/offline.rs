//! The operations of an operator on the directory of a stopped node.
//!
//! Each operation takes the directory's lock, so none of them runs beside a node. Each one completes or leaves the
//! directory as it was: a store that exists is changed in one batch, and a restored directory gets its name, or its store, once
//! all of it is there.

use std::ffi::OsString;
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

/// The number of bytes of a backup that may wait for the disk before more is read. A guess.
const MAX_BACKLOG: usize = 16 << 20;

/// The reasons why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The directory is not that of a node.
    #[error(
        "{} is not the data directory of a node: it has no {missing}; nothing was changed. Give the directory that the \
         node was served from",
        dir.display()
    )]
    NoNode {
        /// The directory.
        dir: PathBuf,
        /// The part of a node's directory that is missing.
        missing: &'static str,
    },
    /// A resource that the node needs cannot be had. As a rule the node is running.
    #[error(transparent)]
    Resource(ResourceError),
    /// The directory cannot become that of the next incarnation.
    #[error(transparent)]
    Rejoin(#[from] RejoinError),
    /// No cluster can be made from the directory.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The disk failed. The operation is done as a whole or not at all, and can be tried again.
    #[error("{0}; give the command again then")]
    Failed(#[from] StoreFailure),
    /// The directory is not empty, and a backup is not written over its contents.
    #[error("{} is not empty and is left as it is; nothing was restored, give a directory that is not there", .0.display())]
    NotEmpty(PathBuf),
    /// The file is no backup, or is not whole.
    #[error("{} is not restored from: {error}; nothing was changed", file.display())]
    Backup {
        /// The file of the backup.
        file: PathBuf,
        /// The defect.
        error: BackupError,
    },
    /// The directory cannot be written. The part that was written is removed again.
    #[error("{}: {error}; nothing was restored", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
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

/// The result of making a directory that of the next incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextLife {
    /// The node that it belonged to.
    pub was: NodeId,
    /// The node that it belongs to now.
    pub node: NodeId,
}

/// Makes a directory that is not the node's latest one the beginning of its next incarnation. Where it is that already,
/// only its feed changes: it counts as the feed of a copy from then on, because the next incarnation may have begun
/// with another copy.
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

/// Returns what the directory holds, also where it is kept for the next incarnation. Changes nothing.
///
/// # Errors
/// See [`OfflineError`].
pub fn look(dir: &Path) -> Result<Holdings, OfflineError> {
    let replica = laid_open(dir, &look_only())?;
    let holdings = replica.holdings();
    replica.into_store().close()?;
    Ok(holdings)
}

/// Checks everything in the directory. Changes nothing.
///
/// # Errors
/// See [`OfflineError`]. Defects in the rows of the store are in the result and are no error.
pub fn verify(dir: &Path) -> Result<Verification, OfflineError> {
    let (identity, store) = open(dir, &look_only())?;
    let found = replica::verify(&store, identity.node_id(0));
    store.close()?;
    Ok(found)
}

/// Makes a new cluster of one member from the contents of the directory. Returns that member and what it begins with.
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

/// The result of restoring a backup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// The node whose backup it was.
    pub was: NodeId,
    /// The node that the directory belongs to.
    pub node: NodeId,
    /// The time at which the backup was begun.
    pub time: Millis,
    /// The number of rows in it.
    pub rows: u64,
    /// True where the node knew of no other node. The directory is then for a recovery, or for a node that is given an
    /// address to join.
    pub alone: bool,
}

/// The directory in which a restored one is made, inside of an existing directory, which may be a mount point.
const RESTORING: &str = ".forename-restoring";

/// What is moved out of that directory before the store is. So where a restoration broke off, these files may lie in the directory
/// that was to be filled, and there is no store beside them.
const LEFT: [&str; 2] = ["identity.key", "LOCK"];

/// Returns true where a directory exists. It has to be empty, but for what a file system puts there itself and what a
/// restoration that broke off has left.
fn is_there(dir: &Path) -> Result<bool, OfflineError> {
    let write = |error| OfflineError::Write { path: dir.to_owned(), error };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.file_name())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(write(error)),
    };
    let names = entries.collect::<io::Result<Vec<_>>>().map_err(write)?;
    let broke_off = names.iter().any(|name| name == RESTORING);
    let may_be_there = |name: &OsString| {
        name == "lost+found" || name == RESTORING || broke_off && LEFT.iter().any(|left| name == left)
    };
    if names.iter().all(may_be_there) { Ok(true) } else { Err(OfflineError::NotEmpty(dir.to_owned())) }
}

/// Moves what was made into its directory, the store last.
fn move_in(making: &Path, dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(making)? {
        let name = entry?.file_name();
        if name != "db" {
            files::rename(&making.join(&name), &dir.join(&name))?;
        }
    }
    files::rename(&making.join("db"), &dir.join("db"))?;
    std::fs::remove_dir(making)
}

/// Makes a directory from a backup, for the next incarnation of its node. One that does not exist gets its name once it is
/// whole; one that does is filled once all is there.
///
/// # Errors
/// See [`OfflineError`].
pub fn restore(file: &Path, dir: &Path) -> Result<Restored, OfflineError> {
    let write = |error| OfflineError::Write { path: dir.to_owned(), error };
    let is_there = is_there(dir)?;
    let broken = |error| OfflineError::Backup { file: file.to_owned(), error };
    // The file is read twice, so that nothing is written before all of it is known to be whole.
    let rows = open_backup(file).and_then(|(reader, _)| reader.check()).map_err(broken)?;
    let making = if is_there {
        dir.join(RESTORING)
    } else {
        let mut name = dir.file_name().ok_or_else(|| write(io::ErrorKind::InvalidInput.into()))?.to_owned();
        name.push(".restoring");
        dir.with_file_name(name)
    };
    match std::fs::remove_dir_all(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(error)),
        _ => {}
    }
    let restored = fill(file, &making, rows).inspect_err(|_| {
        // The removal fails where the directory was never made.
        let _ = std::fs::remove_dir_all(&making);
    })?;
    // Where this fails, the next restoration begins anew with what is left.
    let moved = if is_there { move_in(&making, dir) } else { files::rename(&making, dir) };
    moved.map(|()| restored).map_err(write)
}

fn open_backup(file: &Path) -> Result<(Reader<BufReader<File>>, Head), BackupError> {
    Reader::open(BufReader::new(File::open(file)?))
}

/// Fills a new directory with the contents of a backup.
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
    // Sending fails only where this function has ended, and then nobody waits for the store any more.
    let mut store = DiskStore::open(dir, &DiskOptions::default(), move |event| drop(told.send(event)))?;
    while let Some(rows) = reader.rows().map_err(broken)? {
        for Write { table, key, value } in rows {
            value.into_iter().for_each(|value| store.put(table, &key, &value));
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

/// Options for calls that change nothing.
fn look_only() -> DiskOptions {
    DiskOptions::default()
}

/// Opens an existing directory, and makes nothing.
fn open(dir: &Path, options: &DiskOptions) -> Result<(Identity, DiskStore), OfflineError> {
    let no_node = |missing| OfflineError::NoNode { dir: dir.to_owned(), missing };
    if !dir.join("db").is_dir() {
        return Err(no_node("store"));
    }
    let identity = Identity::load(dir)?.ok_or(no_node("identity"))?;
    // Events of the store are ignored: closing it makes committed writes durable, and nothing here waits for a batch.
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
    let mut config = Config::new(contact, 0);
    // Whoever only looks at a directory leaves a state that was set aside in it.
    config.log.wipes_in_batches = false;
    Ok(Replica::open(config, store, None, now)?)
}
