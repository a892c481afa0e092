//! The durable store: a log that is synced, rows in memory, and fjall behind them.
//!
//! A write of a replica goes into a generation in memory, from which the replica can read it at once, and into the
//! batch that [`Store::commit`] hands to the committer thread. That thread takes all batches that wait, writes them to
//! the log (see `wal`), syncs the log once and reports it ([`DiskEvent::Persisted`]). Small batches that come one by one are
//! made durable without the thread, see [`DiskStore::set_unhurried`]. A generation that has grown to
//! its full size is frozen. A second thread hands it over to the tables on disk, sorted, and no claim waits for that
//! (see `tables`). Then the log forgets the batches of the generation, and the store forgets its rows.
//!
//! A read looks into the current generation, the frozen ones, and the tables, in this order, so its result does not
//! depend on how far the threads are. A filter in memory over the keys of the tables spares most reads of keys that the
//! tables do not have. After a start a thread learns these keys; until it has them all, the tables are read (see `known`).
//! Rows of the tables that were looked up lately are remembered (see `recent`).
//!
//! A start reads the log into memory from the batch on at which the tables end. So after a crash the store is the result
//! of some prefix of the committed batches, each of them whole, and the prefix includes every batch that was reported
//! durable.

mod absent;
mod committer;
mod error;
mod event;
mod failer;
mod generation;
mod hash;
mod ingester;
mod known;
mod layout;
mod options;
mod recent;
mod rows;
mod shared;
mod snapshots;
mod tables;
mod wal;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::absent::Absent;
use self::committer::{Committer, Written};
pub use self::error::OpenError;
pub use self::event::DiskEvent;
use self::failer::{Failer, Owner};
use self::generation::{Generation, Step};
use self::hash::Hash;
use self::ingester::Ingester;
#[cfg(feature = "cli")]
pub(crate) use self::layout::format_version;
pub(crate) use self::layout::{format_record, is_readable};
pub use self::options::DiskOptions;
use self::recent::Recent;
use self::shared::Shared;
use self::snapshots::Stream;
pub use self::snapshots::View;
use self::tables::{Learning, Tables};
use self::wal::{Directory, Log, Segments};
use super::{Batch, Direction, SnapshotPart, Store, StoreFailure, Table, Visit, prefix_end};

/// The number of parts of a snapshot that may wait for a slow reader. With 256 KiB each that is a megabyte. A guess.
const SNAPSHOT_PARTS_AHEAD: usize = 4;

/// The sizes of a store on disk, in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// The size of the files of the log of batches, those that were made beforehand too. A batch is synced there before it
    /// is in the tables.
    pub log: u64,
    /// The size of each table.
    pub tables: Vec<(Table, u64)>,
}

/// A generation to which nothing is added any more.
struct Frozen {
    generation: Arc<Generation>,
    /// The number of its last batch in the log.
    last: Batch,
}

/// A store on disk. See the module's documentation; [`Store`] says how it fails.
pub struct DiskStore {
    /// The generation that takes new writes.
    current: Generation,
    /// Generations that the tables may not hold yet, oldest first.
    frozen: VecDeque<Frozen>,
    tables: Tables,
    absent: Absent,
    recent: Recent,
    segments: Arc<Segments>,
    /// The rows of the batch that is not committed yet, in the encoding of the log.
    rows: Vec<u8>,
    /// The memory that the current generation took when the last batch was committed.
    committed_memory: usize,
    /// The number of the last committed batch. The first batch after the start has number 1.
    last: Batch,
    /// The last batch that the log held at the start.
    first: Batch,
    /// Committed batches that were not reported durable yet, with their sizes in bytes.
    waiting: VecDeque<(Batch, usize)>,
    waiting_bytes: usize,
    /// True where nobody else waits for the owner of the store.
    is_unhurried: bool,
    /// Snapshots that were asked for within a batch.
    asked: Vec<Stream>,
    /// Bytes in the log when the current generation began.
    logged: u64,
    /// A generation is frozen when it takes this much memory, or when `segment_bytes` were written to the log since it
    /// began.
    generation_bytes: usize,
    segment_bytes: u64,
    shared: Arc<Shared>,
    failer: Failer,
    // Fields are dropped in the order of their declaration, so the committer stops before the ingester.
    committer: Committer,
    ingester: Ingester,
    /// It has a handle of the database too, so it ends before the lock is released.
    _learning: Learning,
    /// The lock is released after the database is closed.
    _lock: std::fs::File,
}

impl DiskStore {
    /// Opens the store in `dir`, or makes one where there is none, and starts its threads.
    ///
    /// `on_event` is called in the order of the events, on any thread. It must not block.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where another process uses the store, its format is unknown, it is damaged, or the disk fails.
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
        let log = Log::open(files, wal::Sizes::new(options.segment_bytes), state.seed, state.applied, visit)?;
        let shared = Arc::new(Shared::new(log.last(), state.applied));
        let (first, segments) = (log.last(), log.segments().clone());
        let threads = |error| OpenError::io(dir, error);
        let learning = tables.learn().map_err(threads)?;
        let failer = Failer { shared: shared.clone(), owner: Arc::new(Owner::new(on_event)) };
        let committer = Committer::start(log, failer.clone(), options).map_err(threads)?;
        let ingester =
            Ingester::start(tables.clone(), segments.clone(), shared.clone(), failer.clone()).map_err(threads)?;
        let mut store = Self {
            current: Generation::default(),
            frozen: VecDeque::new(),
            tables,
            absent: Absent::default(),
            recent: Recent::default(),
            segments,
            rows: Vec::new(),
            committed_memory: 0,
            last: 0,
            first,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_unhurried: false,
            asked: Vec::new(),
            logged: 0,
            generation_bytes,
            segment_bytes: options.segment_bytes,
            shared,
            failer,
            committer,
            ingester,
            _learning: learning,
            _lock: lock,
        };
        store.take_replayed(replayed);
        Ok(store)
    }

    /// Notes that a batch is durable. Call it with the number of each [`DiskEvent::Persisted`].
    pub fn persisted(&mut self, batch: Batch) {
        let durable = self.waiting.partition_point(|(waiting, _)| *waiting <= batch);
        self.waiting_bytes -= self.waiting.drain(..durable).map(|(_, bytes)| bytes).sum::<usize>();
    }

    /// The size in bytes of the rows that were written and not yet reported durable to [`DiskStore::persisted`].
    /// Batches take longer to become durable while the tables lag behind.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.waiting_bytes + self.rows.len()
    }

    /// Says whether the caller has nothing else to do until the next batch is durable. Where that is so for a while, small
    /// batches are made durable within [`Store::commit`], which is quicker for one caller and holds up several.
    pub fn set_unhurried(&mut self, is_unhurried: bool) {
        self.is_unhurried = is_unhurried;
    }

    /// How long the log took for each of the latest groups of batches, to write it and to sync it, since the last call.
    #[must_use]
    pub fn take_syncs(&self) -> Vec<Duration> {
        self.shared.take_syncs()
    }

    /// The sizes of the store on disk.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let of = |table: Table| (table, self.tables.bytes(table));
        Sizes { log: self.segments.bytes(), tables: Table::ALL.into_iter().map(of).collect() }
    }

    /// Streams all tables that a newcomer takes over, in the order of the tables and their keys, as they are on disk at
    /// some moment after the first call with this view. With `after` the stream begins after that row. The store goes
    /// on meanwhile. Drop the receiver to stop the stream. Drop the receiver and the view before the directory is
    /// opened again, because until then they keep the database open.
    #[must_use]
    pub fn snapshot(&mut self, view: &View, after: Option<(Table, Vec<u8>)>) -> mpsc::Receiver<SnapshotPart> {
        self.stream(Table::in_snapshot, view.clone(), after)
    }

    /// Streams all tables, as [`DiskStore::snapshot`] does.
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
        // A view must contain whole batches only, so the stream waits for the end of an open batch.
        if self.rows.is_empty() {
            self.start_streams();
        }
        receiver
    }

    /// Hands all committed rows over to the tables, and then sends the streams that were asked for. It must be called
    /// between two batches.
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

    fn write(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        wal::push(&mut self.rows, table, key, value);
        let hash = Hash::of(table, key);
        self.absent.forget(hash);
        self.current.write(table, key, hash, value);
    }

    /// Takes the batches that the log held at the start. Full generations are handed over to the tables, and the rest
    /// becomes the current generation.
    fn take_replayed(&mut self, replayed: Replayed) {
        for (generation, last) in replayed.full {
            let written = self.shared.add_written(generation.bytes());
            self.hand_over(Arc::new(generation), last, written);
        }
        self.committed_memory = replayed.current.bytes();
        self.current = replayed.current;
        self.shared.add_written(self.committed_memory);
    }

    /// Freezes the current generation and hands it over to the tables. It must be called between two batches.
    fn freeze(&mut self) {
        if self.current.bytes() == 0 {
            return;
        }
        let generation = Arc::new(std::mem::replace(&mut self.current, self.shared.generation()));
        self.committed_memory = 0;
        self.logged = self.shared.logged();
        let written = self.shared.add_written(0);
        self.hand_over(generation, self.first + self.last, written);
    }

    fn hand_over(&mut self, generation: Arc<Generation>, last: Batch, written: u64) {
        self.frozen.push_back(Frozen { generation: generation.clone(), last });
        self.ingester.send(ingester::Work::TakeOver { generation, last, written });
    }

    /// Forgets the generations that the tables hold by now.
    fn forget(&mut self) {
        let applied = self.shared.applied();
        while let Some(frozen) = self.frozen.pop_front_if(|frozen| frozen.last <= applied) {
            self.recent.forget();
            self.ingester.send(ingester::Work::Forget(frozen.generation));
        }
    }

    /// All generations, newest first.
    fn generations(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.current).chain(self.frozen.iter().rev().map(|frozen| frozen.generation.as_ref()))
    }

    /// Calls `visit` with the value of a key, where there is one.
    fn find(&self, table: Table, key: &[u8], mut visit: impl FnMut(&[u8])) {
        if self.shared.failure().is_some() {
            return;
        }
        let hash = Hash::of(table, key);
        if self.absent.knows(hash, table, key) {
            return;
        }
        if let Some(written) = self.generations().find_map(|generation| generation.get(table, key, hash)) {
            if let Some(value) = written {
                visit(value);
            }
            return;
        }
        if self.tables.denies(table, hash) {
            return self.absent.note(hash, table, key);
        }
        if self.recent.look(hash, table, key, &mut visit) {
            return;
        }
        match self.tables.get(table, key) {
            Ok(Some(value)) => {
                self.recent.note(hash, table, key, &value);
                visit(&value);
            }
            Ok(None) => self.absent.note(hash, table, key),
            Err(error) => self.fail(table, &error),
        }
    }

    /// Stops the store because a read failed. The owner gets an event.
    fn fail(&self, table: Table, error: &fjall::Error) {
        self.failer.fail(&format!("reading table {}", table.name()), error);
    }
}

/// The batches that a start reads from the log.
struct Replayed {
    current: Generation,
    /// Full generations, each with the number of its last batch.
    full: Vec<(Generation, Batch)>,
    generation_bytes: usize,
}

impl Replayed {
    fn take(&mut self, batch: Batch, rows: &[u8]) -> bool {
        let is_whole = wal::read(rows, |table, key, value| {
            self.current.write(table, key, Hash::of(table, key), value);
        });
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
        let snapshot = (!self.tables.is_unused(table)).then(|| self.tables.snapshot());
        let stored = snapshot.iter().flat_map(|snapshot| self.tables.range(snapshot, table, bounds));
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

    fn lacks_tenure(&self, tenure: &[u8]) -> bool {
        let end = prefix_end(tenure);
        let bounds = generation::bounds(tenure, end.as_deref());
        self.tables.lacks_tenure(tenure)
            && self.generations().all(|generation| generation.rows(Table::Claims).has_none(bounds))
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.write(table, key, Some(value));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.write(table, key, None);
    }

    fn catch_up(&mut self) {
        if self.shared.await_durable(self.first + self.last) {
            self.persisted(self.last);
        }
    }

    fn commit(&mut self) -> Batch {
        if self.rows.is_empty() {
            return self.last;
        }
        self.last += 1;
        let rows = std::mem::replace(&mut self.rows, self.shared.buffer());
        let alone = self.is_unhurried && self.waiting.is_empty();
        self.waiting_bytes += rows.len();
        self.waiting.push_back((self.last, rows.len()));
        let memory = self.current.bytes() - self.committed_memory;
        self.committed_memory = self.current.bytes();
        self.shared.add_written(memory);
        if !self.committer.commit(Written { rows, memory }, alone) && self.shared.failure().is_none() {
            self.failer.fail("the committer", &"its thread has ended");
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
