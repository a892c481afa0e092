//! The durable store: fjall, with group commit.
//!
//! What a replica writes lands in an overlay in memory, where it reads it back at once. [`Store::commit`] hands the
//! batch to a committer thread, which takes all the batches that wait, writes them to fjall's journal, syncs it once
//! and says so ([`DiskEvent::Persisted`]). The overlay forgets a batch when its owner passes that word on with
//! [`DiskStore::persisted`]: until then it answers for the batch, so a read never depends on how far the committer is.
//!
//! fjall recovers a batch whole or not at all and keeps their order, so after a crash the store is what some prefix of
//! the committed batches made of it, and every batch reported durable is in it.

mod committer;
mod layout;
mod overlay;
mod tuning;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use fjall::{Database, Keyspace, Readable, Slice};
use tokio::sync::mpsc;

pub use self::committer::View;
use self::committer::{Change, Changes, Committer, Streamed, Work};
#[cfg(feature = "cli")]
pub(crate) use self::layout::format_version;
pub(crate) use self::layout::{format_record, is_readable};
use self::overlay::{Overlay, Step};
use super::{Batch, Direction, SnapshotPart, Store, StoreFailure, Table, Visit};

/// Parts of a snapshot that wait for a slow reader: with 256 KiB each, a megabyte. A guess.
const SNAPSHOT_PARTS_AHEAD: usize = 4;

/// What the committer has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskEvent {
    /// All batches up to this one survive a crash. Numbers rise; some are skipped.
    Persisted(Batch),
    /// The store stopped. This is its last event.
    Failed(StoreFailure),
}

/// How many bytes a store takes on disk.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// The log of batches, which is synced, before they are in the tables.
    pub log: u64,
    /// Each table.
    pub tables: Vec<(Table, u64)>,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Bytes of blocks of tables kept in memory. The memtables come on top, up to some 200 MiB under full load.
    pub cache_bytes: u64,
}

impl Default for DiskOptions {
    fn default() -> Self {
        // A guess: it holds the filters and indexes of some ten million names.
        Self { cache_bytes: 64 << 20 }
    }
}

/// Why a store could not be opened. Nothing in the directory was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the store in {} is in use by another process; stop that one, or use another data directory", .0.display())]
    InUse(PathBuf),
    /// Another version of forename made it.
    #[error(
        "the store in {} has format {found:?}, and this version of forename reads {readable}; nothing was changed. Use \
         the version that wrote it, or a later one, or start on an empty directory and join again",
        path.display()
    )]
    Format {
        /// The store.
        path: PathBuf,
        /// What its format record says.
        found: String,
        /// What it would have to say.
        readable: String,
    },
    /// There is a database without the record that says what it is.
    #[error("{} holds a database that forename did not make; use another data directory", .0.display())]
    Foreign(PathBuf),
    /// A file could not be made, read or locked.
    #[error("{}: {error}; check that the directory exists, is writable and has space", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// fjall could not open or recover its files.
    #[error(
        "the database in {} cannot be opened: {error}; if the disk is well, restore the node or let it join again",
        path.display()
    )]
    Database {
        /// Where it is.
        path: PathBuf,
        /// What fjall said.
        error: fjall::Error,
    },
}

/// The first failure of a store, known to all its threads.
#[derive(Clone, Default, Debug)]
pub(crate) struct Poison(Arc<OnceLock<StoreFailure>>);

impl Poison {
    fn set(&self, doing: &str, error: &dyn std::fmt::Display) {
        // A later failure is a consequence of the first.
        let _ = self.0.set(StoreFailure(format!("{doing}: {error}")));
    }

    fn get(&self) -> Option<&StoreFailure> {
        self.0.get()
    }
}

/// fjall and the handles of its keyspaces, one a table.
#[derive(Clone)]
pub(crate) struct Tables {
    database: Database,
    keyspaces: Vec<Keyspace>,
}

impl Tables {
    fn keyspace(&self, table: Table) -> &Keyspace {
        // `Tables` is made with one keyspace for each of `Table::ALL`, which is in the order of the enum.
        &self.keyspaces[table as usize]
    }
}

/// A store on disk. See the module's text; the trait's text says how it fails.
pub struct DiskStore {
    tables: Tables,
    overlay: Overlay,
    current: Vec<Change>,
    current_bytes: usize,
    /// Committed batches that the overlay still answers for, oldest first.
    waiting: VecDeque<Arc<Changes>>,
    waiting_bytes: usize,
    last: Batch,
    poison: Poison,
    committer: Committer,
    /// Let go of after the database is.
    _lock: std::fs::File,
}

impl DiskStore {
    /// Opens the store in `dir`, made where there is none, and starts its committer.
    ///
    /// `on_event` is called on the committer's thread, in order; it must not block.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where another process uses it, its format is another, or the disk refuses.
    pub fn open(
        dir: &Path,
        options: &DiskOptions,
        on_event: impl Fn(DiskEvent) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let lock = layout::lock(dir)?;
        let path = layout::database(dir, options)?;
        let tables = tuning::open(&path, options).map_err(|error| match error {
            fjall::Error::Locked => OpenError::InUse(dir.to_owned()),
            error => OpenError::Database { path, error },
        })?;
        let poison = Poison::default();
        let committer = Committer::start(tables.clone(), poison.clone(), Box::new(on_event))
            .map_err(|error| OpenError::Io { path: dir.to_owned(), error })?;
        Ok(Self {
            tables,
            overlay: Overlay::default(),
            current: Vec::new(),
            current_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            last: 0,
            poison,
            committer,
            _lock: lock,
        })
    }

    /// Forgets what is on disk by now: call it with the number of each [`DiskEvent::Persisted`].
    pub fn persisted(&mut self, batch: Batch) {
        let durable = self.waiting.partition_point(|changes| changes.batch <= batch);
        for changes in self.waiting.drain(..durable) {
            self.waiting_bytes -= changes.bytes;
            for change in &changes.changes {
                self.overlay.forget(change.table, &change.key, batch);
            }
        }
    }

    /// Bytes of keys and values that were written and not yet reported durable to [`DiskStore::persisted`].
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.waiting_bytes + self.current_bytes
    }

    /// The number of the last batch that was committed; 0 before the first.
    #[must_use]
    pub fn committed(&self) -> Batch {
        self.last
    }

    /// How many bytes it takes on disk.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let of = |table: Table| (table, self.tables.keyspace(table).disk_space());
        // Files that cannot be looked at now can be the next time.
        let log = self.tables.database.journal_disk_space().unwrap_or_default();
        Sizes { log, tables: Table::ALL.into_iter().map(of).collect() }
    }

    /// Streams all tables that a newcomer takes over, as they are on disk at some moment after the first call with this
    /// view, in the order of the tables and their keys; those after a row, where one is given. The store goes on
    /// meanwhile. Drop the receiver to stop it, and both before the directory is opened again: until then they keep the
    /// database open.
    #[must_use]
    pub fn snapshot(&self, view: &View, after: Option<(Table, Vec<u8>)>) -> mpsc::Receiver<SnapshotPart> {
        self.stream(Streamed { which: Table::in_snapshot, view: view.clone(), after })
    }

    /// The same of all tables.
    #[must_use]
    pub fn backup(&self) -> mpsc::Receiver<SnapshotPart> {
        self.stream(Streamed { which: |_| true, view: View::default(), after: None })
    }

    fn stream(&self, what: Streamed) -> mpsc::Receiver<SnapshotPart> {
        let (sender, receiver) = mpsc::channel(SNAPSHOT_PARTS_AHEAD);
        self.hand_over(Work::Snapshot(what, sender));
        receiver
    }

    /// Makes all committed batches durable and closes the files. Writes after the last commit are dropped.
    ///
    /// # Errors
    ///
    /// The failure that stopped the store, where one did.
    pub fn close(mut self) -> Result<(), StoreFailure> {
        self.committer.stop();
        self.poison.get().cloned().map_or(Ok(()), Err)
    }

    fn write(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        let bytes = key.len() + value.map_or(0, <[u8]>::len);
        let (key, value) = (Slice::from(key), value.map(Slice::from));
        // A key has one change a batch: fjall numbers the changes of a batch alike, so it could not tell which is last.
        match self.overlay.write(table, &key, value.as_ref(), self.last + 1, self.current.len()) {
            Some(earlier) => {
                let change = &mut self.current[earlier];
                self.current_bytes -= change.bytes();
                change.value = value;
            }
            None => self.current.push(Change { table, key, value }),
        }
        self.current_bytes += bytes;
    }

    fn hand_over(&self, work: Work) {
        if !self.committer.send(work) && self.poison.get().is_none() {
            self.poison.set("the committer", &"its thread has ended");
        }
    }

    /// Poisons the store because a read failed, and has the owner told.
    fn fail(&self, table: Table, error: &fjall::Error) {
        self.poison.set(&format!("reading table {}", table.name()), error);
        self.committer.send(Work::Failed);
    }
}

impl Store for DiskStore {
    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        if self.poison.get().is_some() {
            return None;
        }
        if let Some(written) = self.overlay.get(table, key) {
            return written.map(|value| value.to_vec());
        }
        match self.tables.keyspace(table).get(key) {
            Ok(value) => value.map(|value| value.to_vec()),
            Err(error) => {
                self.fail(table, &error);
                None
            }
        }
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, visit: &mut Visit<'_>) {
        if self.poison.get().is_some() || to.is_some_and(|to| to <= from) {
            return;
        }
        let bounds = overlay::bounds(from, to);
        // Through a snapshot: without, an iterator can meet a batch that the committer is just writing.
        let rows = self.tables.database.snapshot().range::<&[u8], _>(self.tables.keyspace(table), bounds);
        for step in self.overlay.merge(table, bounds, rows, direction) {
            let flow = match &step {
                Ok(Step::Written(key, value)) => visit(key, value),
                Ok(Step::Stored(key, value)) => visit(key, value),
                Err(error) => {
                    self.fail(table, error);
                    return;
                }
            };
            if flow.is_break() {
                return;
            }
        }
    }

    fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.write(table, &key, Some(&value));
    }

    fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.write(table, &key, None);
    }

    fn commit(&mut self) -> Batch {
        if self.current.is_empty() {
            return self.last;
        }
        self.last += 1;
        let changes = std::mem::take(&mut self.current);
        let bytes = std::mem::take(&mut self.current_bytes);
        // The next batch is likely as large.
        self.current.reserve(changes.len());
        let changes = Arc::new(Changes { batch: self.last, changes, bytes });
        self.waiting_bytes += bytes;
        self.waiting.push_back(changes.clone());
        self.hand_over(Work::Commit(changes));
        self.last
    }

    fn failure(&self) -> Option<StoreFailure> {
        self.poison.get().cloned()
    }
}

#[cfg(test)]
mod tests;
