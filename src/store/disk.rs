//! The durable store: a log that is synced, rows in memory, and fjall behind them.
//!
//! What a replica writes lands in a generation in memory, where it reads it back at once, and in the batch that
//! [`Store::commit`] hands to the committer thread. That takes all the batches that wait, writes them to the log (see
//! `wal`), syncs it once and says so ([`DiskEvent::Persisted`]). When a generation has grown to its size it is frozen, and
//! a second thread hands it over to the tables on disk, sorted, off the way of any claim (see `tables`); then the log
//! forgets its batches, and the store its rows.
//!
//! A read looks into the generation that is written, those that are frozen, and the tables, in this order, so it never
//! depends on how far the threads are. A start reads the log from where the tables end into memory. So after a crash the
//! store is what some prefix of the committed batches made of it, each whole or not at all, and every batch that was
//! reported durable is in it.

mod committer;
mod error;
mod event;
mod failer;
mod generation;
mod ingester;
mod layout;
mod options;
mod shared;
mod snapshots;
mod tables;
mod wal;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use self::committer::Committer;
pub use self::error::OpenError;
pub use self::event::DiskEvent;
use self::failer::Failer;
use self::generation::{Generation, Step};
use self::ingester::Ingester;
#[cfg(feature = "cli")]
pub(crate) use self::layout::format_version;
pub(crate) use self::layout::{format_record, is_readable};
pub use self::options::DiskOptions;
use self::shared::Shared;
use self::snapshots::Stream;
pub use self::snapshots::View;
use self::tables::Tables;
use self::wal::{Directory, Log, Sizes};
use super::{Batch, Direction, SnapshotPart, Store, StoreFailure, Table, Visit};

/// Parts of a snapshot that wait for a slow reader: with 256 KiB each, a megabyte. A guess.
const SNAPSHOT_PARTS_AHEAD: usize = 4;

/// A generation that nothing is added to any more.
struct Frozen {
    generation: Arc<Generation>,
    /// Its last batch, as the log numbers them.
    last: Batch,
}

/// A store on disk. See the module's text; the trait's text says how it fails.
pub struct DiskStore {
    /// The generation that is written.
    current: Generation,
    /// Generations that the tables may not hold yet, oldest first.
    frozen: VecDeque<Frozen>,
    tables: Tables,
    /// The rows of the batch that is not committed yet, as they are in the log.
    rows: Vec<u8>,
    /// The memory of the current generation when the last batch was committed.
    committed_memory: usize,
    /// The last batch that was committed, counted from the start.
    last: Batch,
    /// The last batch that the log held at the start.
    first: Batch,
    /// Committed batches that were not reported durable, with their bytes.
    waiting: VecDeque<(Batch, usize)>,
    waiting_bytes: usize,
    /// Snapshots that were asked for within a batch.
    asked: Vec<Stream>,
    /// Bytes in the log when the current generation began.
    logged: u64,
    /// At which a generation is frozen: so much memory, or so many bytes in the log.
    generation_bytes: usize,
    segment_bytes: u64,
    shared: Arc<Shared>,
    failer: Failer,
    // Stopped in this order.
    committer: Committer,
    ingester: Ingester,
    /// Let go of after the database is.
    _lock: std::fs::File,
}

impl DiskStore {
    /// Opens the store in `dir`, made where there is none, and starts its threads.
    ///
    /// `on_event` is called on the committer's thread, in order; it must not block.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where another process uses it, its format is another, it is damaged, or the disk refuses.
    pub fn open(
        dir: &Path,
        options: &DiskOptions,
        on_event: impl Fn(DiskEvent) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let lock = layout::lock(dir)?;
        let path = layout::database(dir, options)?;
        let database = |error| match error {
            fjall::Error::Locked => OpenError::InUse(dir.to_owned()),
            error => OpenError::Database { path: path.clone(), error },
        };
        let tables = Tables::open(&path, options.cache_bytes).map_err(database)?;
        let Some(state) = tables.state().map_err(database)? else { return Err(OpenError::Foreign(path)) };
        let generation_bytes = options.memory_bytes / 4;
        let mut replayed = Replayed { current: Generation::default(), full: Vec::new(), generation_bytes };
        let files = Arc::new(Directory::new(layout::log(&path)));
        let visit = |batch, rows: &[u8]| replayed.take(batch, rows);
        let log = Log::open(files, Sizes::new(options.segment_bytes), state.seed, state.applied, visit)?;
        let shared = Arc::new(Shared::new(log.last(), state.applied));
        let (first, segments) = (log.last(), log.segments().clone());
        let threads = |error| OpenError::io(dir, error);
        let committer =
            Committer::start(log, shared.clone(), options.memory_bytes, Box::new(on_event)).map_err(threads)?;
        let failer = Failer { shared: shared.clone(), committer: committer.queue() };
        let ingester = Ingester::start(tables.clone(), segments, shared.clone(), failer.clone()).map_err(threads)?;
        let mut store = Self {
            current: Generation::default(),
            frozen: VecDeque::new(),
            tables,
            rows: Vec::new(),
            committed_memory: 0,
            last: 0,
            first,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            asked: Vec::new(),
            logged: 0,
            generation_bytes,
            segment_bytes: options.segment_bytes,
            shared,
            failer,
            committer,
            ingester,
            _lock: lock,
        };
        store.take_replayed(replayed);
        Ok(store)
    }

    /// Takes note of what is durable: call it with the number of each [`DiskEvent::Persisted`].
    pub fn persisted(&mut self, batch: Batch) {
        let durable = self.waiting.partition_point(|(waiting, _)| *waiting <= batch);
        self.waiting_bytes -= self.waiting.drain(..durable).map(|(_, bytes)| bytes).sum::<usize>();
    }

    /// Bytes of rows that were written and not yet reported durable to [`DiskStore::persisted`]. Where the tables lag
    /// behind, becoming durable takes longer.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.waiting_bytes + self.rows.len()
    }

    /// Streams all tables that a newcomer takes over, as they are on disk at some moment after the first call with this
    /// view, in the order of the tables and their keys; those after a row, where one is given. The store goes on
    /// meanwhile. Drop the receiver to stop it, and both before the directory is opened again: until then they keep the
    /// database open.
    #[must_use]
    pub fn snapshot(&mut self, view: &View, after: Option<(Table, Vec<u8>)>) -> mpsc::Receiver<SnapshotPart> {
        self.stream(Table::in_snapshot, view.clone(), after)
    }

    /// The same of all tables.
    #[must_use]
    pub fn backup(&mut self) -> mpsc::Receiver<SnapshotPart> {
        self.stream(|_| true, View::default(), None)
    }

    fn stream(
        &mut self,
        which: fn(Table) -> bool,
        view: View,
        after: Option<(Table, Vec<u8>)>,
    ) -> mpsc::Receiver<SnapshotPart> {
        let (parts, receiver) = mpsc::channel(SNAPSHOT_PARTS_AHEAD);
        let stream = Stream { which, view, after, parts };
        if stream.view.is_taken() {
            self.ingester.send(ingester::Work::Send(stream));
            return receiver;
        }
        self.asked.push(stream);
        // A view is of whole batches.
        if self.rows.is_empty() {
            self.start_streams();
        }
        receiver
    }

    /// Has the tables take over all that is committed, and then send what was asked for. Called between two batches.
    fn start_streams(&mut self) {
        self.freeze();
        for stream in std::mem::take(&mut self.asked) {
            self.ingester.send(ingester::Work::Send(stream));
        }
    }

    /// Makes all committed batches durable and closes the files. Writes after the last commit are dropped.
    ///
    /// # Errors
    ///
    /// The failure that stopped the store, where one did.
    pub fn close(mut self) -> Result<(), StoreFailure> {
        self.committer.stop();
        self.shared.failure().cloned().map_or(Ok(()), Err)
    }

    fn write(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        wal::push(&mut self.rows, table, key, value.as_deref());
        self.current.write(table, key, value);
    }

    /// Takes what the log held at the start: the tables get what fills generations, the rest is the current one.
    fn take_replayed(&mut self, replayed: Replayed) {
        for (generation, last) in replayed.full {
            let written = self.shared.add_written(generation.bytes());
            self.hand_over(Arc::new(generation), last, written);
        }
        self.committed_memory = replayed.current.bytes();
        self.current = replayed.current;
        self.shared.add_written(self.committed_memory);
    }

    /// Has the tables take over the current generation. Called between two batches.
    fn freeze(&mut self) {
        if self.current.bytes() == 0 {
            return;
        }
        let generation = Arc::new(std::mem::take(&mut self.current));
        self.committed_memory = 0;
        self.logged = self.shared.logged();
        let written = self.shared.add_written(0);
        self.hand_over(generation, self.first + self.last, written);
    }

    fn hand_over(&mut self, generation: Arc<Generation>, last: Batch, written: u64) {
        self.frozen.push_back(Frozen { generation: generation.clone(), last });
        self.ingester.send(ingester::Work::TakeOver { generation, last, written });
    }

    /// Forgets the generations that the tables hold.
    fn forget(&mut self) {
        let applied = self.shared.applied();
        while self.frozen.front().is_some_and(|frozen| frozen.last <= applied) {
            if let Some(Frozen { generation, .. }) = self.frozen.pop_front() {
                self.ingester.send(ingester::Work::Forget(generation));
            }
        }
    }

    /// All generations, the newest first.
    fn generations(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.current).chain(self.frozen.iter().rev().map(|frozen| frozen.generation.as_ref()))
    }

    /// Shows the value of a key where there is one.
    fn find(&self, table: Table, key: &[u8], visit: impl FnOnce(&[u8])) {
        if self.shared.failure().is_some() {
            return;
        }
        if let Some(written) = self.generations().find_map(|generation| generation.get(table, key)) {
            if let Some(value) = written {
                visit(value);
            }
            return;
        }
        match self.tables.get(table, key) {
            Ok(Some(value)) => visit(&value),
            Ok(None) => {}
            Err(error) => self.fail(table, &error),
        }
    }

    /// Stops the store because a read failed, and has the owner told.
    fn fail(&self, table: Table, error: &fjall::Error) {
        self.failer.fail(&format!("reading table {}", table.name()), error);
    }
}

/// What a start reads from the log.
struct Replayed {
    current: Generation,
    /// Generations that are full, with their last batches.
    full: Vec<(Generation, Batch)>,
    generation_bytes: usize,
}

impl Replayed {
    fn take(&mut self, batch: Batch, rows: &[u8]) -> bool {
        let is_whole = wal::read(rows, |table, key, value| self.current.write(table, key, value.map(<[u8]>::to_vec)));
        if self.current.bytes() >= self.generation_bytes {
            self.full.push((std::mem::take(&mut self.current), batch));
        }
        is_whole
    }
}

impl Store for DiskStore {
    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        let mut found = None;
        self.find(table, key, |value| found = Some(value.to_vec()));
        found
    }

    fn look(&self, table: Table, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        self.find(table, key, visit);
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, visit: &mut Visit<'_>) {
        if self.shared.failure().is_some() || to.is_some_and(|to| to <= from) {
            return;
        }
        let bounds = generation::bounds(from, to);
        let snapshot = self.tables.snapshot();
        let stored = self.tables.range(&snapshot, table, bounds);
        for step in generation::merge(self.generations(), table, bounds, stored, direction) {
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
        self.write(table, &key, Some(value));
    }

    fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.write(table, &key, None);
    }

    fn commit(&mut self) -> Batch {
        if self.rows.is_empty() {
            return self.last;
        }
        self.last += 1;
        // The next batch is likely as large.
        let next = Vec::with_capacity(self.rows.len());
        let rows = std::mem::replace(&mut self.rows, next);
        self.waiting_bytes += rows.len();
        self.waiting.push_back((self.last, rows.len()));
        let memory = self.current.bytes() - self.committed_memory;
        self.committed_memory = self.current.bytes();
        self.shared.add_written(memory);
        if !self.committer.send(committer::Work::Commit { rows, memory }) && self.shared.failure().is_none() {
            self.shared.fail("the committer", &"its thread has ended");
        }
        self.forget();
        let logged = self.shared.logged() - self.logged;
        if self.current.bytes() >= self.generation_bytes || logged >= self.segment_bytes {
            self.freeze();
        }
        if !self.asked.is_empty() {
            self.start_streams();
        }
        self.last
    }

    fn failure(&self) -> Option<StoreFailure> {
        self.shared.failure().cloned()
    }
}

#[cfg(test)]
mod tests;
