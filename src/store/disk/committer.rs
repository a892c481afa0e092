//! The thread that makes batches durable.

use std::fmt;
use std::ops::Bound;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use fjall::{Keyspace, PersistMode, Readable, Slice, Snapshot};
use tokio::sync::mpsc;

use super::{DiskEvent, Poison, SnapshotPart, Tables};
use crate::store::{Batch, Table, Write};

/// The committer syncs when it has written so much, also where more waits: the first batch of a long queue should not
/// wait for the last. A guess; a disk writes so much in a few milliseconds.
const GROUP_BYTES: usize = 4 << 20;

/// Memtables of a table that wait to be flushed, at which the committer waits too. One less than where fjall makes its
/// writer sleep in steps of 100 ms, and that for ever if its flushing thread has died meanwhile.
const MOST_SEALED_MEMTABLES: usize = 3;

/// How often the committer then looks again. A guess: small beside a flush, large beside a look.
const FLUSH_POLL: Duration = Duration::from_millis(1);

/// Bytes of keys and values in a part of a snapshot. A guess, well below any limit on frames.
const SNAPSHOT_PART_BYTES: usize = 256 << 10;

/// A change of one key.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) table: Table,
    pub(super) key: Slice,
    /// None deletes it.
    pub(super) value: Option<Slice>,
}

impl Change {
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// A committed batch: at most one change a key.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) batch: Batch,
    pub(super) changes: Vec<Change>,
    pub(super) bytes: usize,
}

/// What the tables are at one moment, which is when it is first used. Whoever has it can look at it again. It costs the
/// room on disk of what has changed since.
#[derive(Clone, Default)]
pub struct View(Arc<OnceLock<Snapshot>>);

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

/// What is to be streamed.
pub(super) struct Streamed {
    /// Which tables.
    pub(super) which: fn(Table) -> bool,
    pub(super) view: View,
    /// Only what comes after this row.
    pub(super) after: Option<(Table, Vec<u8>)>,
}

/// What the committer is asked to do, in order.
pub(super) enum Work {
    /// Make a batch durable.
    Commit(Arc<Changes>),
    /// Send what is durable of these tables.
    Snapshot(Streamed, mpsc::Sender<SnapshotPart>),
    /// The store was poisoned elsewhere: say so.
    Failed,
    /// Finish what came before and end.
    Stop,
}

/// The store's handle of its committer. Stops it when dropped.
pub(super) struct Committer {
    queue: Sender<Work>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(tables: Tables, poison: Poison, on_event: Box<dyn Fn(DiskEvent) + Send>) -> io::Result<Self> {
        let (queue, work) = channel();
        let worker = Worker { tables, poison, on_event, failer: queue.clone(), told: false };
        let thread = thread::Builder::new().name("store-commit".into()).spawn(move || worker.run(&work))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Whether the thread still took it.
    pub(super) fn send(&self, work: Work) -> bool {
        self.queue.send(work).is_ok()
    }

    /// Waits until all is done that was sent before.
    pub(super) fn stop(&mut self) {
        self.send(Work::Stop);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported as a failure where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What waits for the next sync.
#[derive(Default)]
struct Group {
    last: Option<Batch>,
    bytes: usize,
    snapshots: Vec<(Streamed, mpsc::Sender<SnapshotPart>)>,
    stop: bool,
}

struct Worker {
    tables: Tables,
    poison: Poison,
    on_event: Box<dyn Fn(DiskEvent) + Send>,
    /// For the threads that send snapshots.
    failer: Sender<Work>,
    told: bool,
}

impl Worker {
    fn run(mut self, work: &Receiver<Work>) {
        while let Ok(first) = work.recv() {
            let done = self.commit_group(first, work);
            if self.poison.get().is_some() {
                return self.tell_failure();
            }
            match done {
                Ok(false) => {}
                Ok(true) => return,
                Err(error) => {
                    self.poison.set("writing to disk", &error);
                    return self.tell_failure();
                }
            }
        }
    }

    /// Writes what waits, syncs once, reports it. Whether the committer was told to stop.
    fn commit_group(&mut self, first: Work, work: &Receiver<Work>) -> fjall::Result<bool> {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(work_item) = next {
            self.take(work_item, &mut group)?;
            let full = group.stop || group.bytes >= GROUP_BYTES;
            next = if full { None } else { work.try_recv().ok() };
        }
        if let Some(last) = group.last {
            // The data alone: the journal is made at its full size and synced whole, with its directory, before the
            // first batch goes in, and what fdatasync leaves out is the time stamps.
            self.tables.database.persist(PersistMode::SyncData)?;
            if self.poison.get().is_none() {
                (self.on_event)(DiskEvent::Persisted(last));
            }
        }
        for (what, parts) in group.snapshots {
            // Nobody else writes, so what fjall shows now is what was just synced.
            what.view.0.get_or_init(|| self.tables.database.snapshot());
            self.send_snapshot(what, parts)?;
        }
        Ok(group.stop)
    }

    fn take(&self, work: Work, group: &mut Group) -> fjall::Result<()> {
        match work {
            Work::Commit(changes) => {
                self.await_flushes()?;
                self.write(&changes)?;
                group.last = Some(changes.batch);
                group.bytes += changes.bytes;
            }
            Work::Snapshot(what, parts) => group.snapshots.push((what, parts)),
            // `run` looks for it after the group.
            Work::Failed => {}
            Work::Stop => group.stop = true,
        }
        Ok(())
    }

    /// Waits while flushes lag behind; fails where they have failed.
    fn await_flushes(&self) -> fjall::Result<()> {
        let lags = |keyspace: &Keyspace| keyspace.sealed_memtable_count() >= MOST_SEALED_MEMTABLES;
        while self.tables.keyspaces.iter().any(lags) {
            // Writes little or nothing; asks fjall whether its threads are well.
            self.tables.database.persist(PersistMode::Buffer)?;
            thread::sleep(FLUSH_POLL);
        }
        Ok(())
    }

    /// Writes one batch as one of fjall's. A group is not merged into one: telling which write of a key is the last
    /// costs more than the few bytes of a second batch.
    fn write(&self, changes: &Changes) -> fjall::Result<()> {
        let database = &self.tables.database;
        let mut batch = fjall::OwnedWriteBatch::with_capacity(database.clone(), changes.changes.len());
        for change in &changes.changes {
            let keyspace = self.tables.keyspace(change.table);
            match &change.value {
                Some(value) => batch.insert(keyspace, change.key.clone(), value.clone()),
                None => batch.remove(keyspace, change.key.clone()),
            }
        }
        batch.commit()
    }

    fn send_snapshot(&self, what: Streamed, parts: mpsc::Sender<SnapshotPart>) -> fjall::Result<()> {
        let (tables, poison, failer) = (self.tables.clone(), self.poison.clone(), self.failer.clone());
        let sending = move || {
            if let Err(error) = send_rows(&tables, &what, &parts) {
                poison.set("reading a snapshot", &error);
                let _ = failer.send(Work::Failed);
            }
        };
        thread::Builder::new().name("store-snapshot".into()).spawn(sending)?;
        Ok(())
    }

    fn tell_failure(&mut self) {
        if let Some(failure) = self.poison.get()
            && !mem::replace(&mut self.told, true)
        {
            (self.on_event)(DiskEvent::Failed(failure.clone()));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.poison.set("the committer", &"it panicked");
            self.tell_failure();
        }
    }
}

/// Sends the tables of a snapshot, and its end; stops where nobody listens.
fn send_rows(tables: &Tables, what: &Streamed, parts: &mpsc::Sender<SnapshotPart>) -> fjall::Result<()> {
    let Some(snapshot) = what.view.0.get() else { return Ok(()) };
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let first = what.after.as_ref().map(|(table, _)| *table);
    let is_wanted = |table: &Table| (what.which)(*table) && first.is_none_or(|first| *table >= first);
    for table in Table::ALL.into_iter().filter(is_wanted) {
        let after = what.after.as_ref().filter(|(first, _)| *first == table).map(|(_, key)| key.as_slice());
        let bounds = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        for row in snapshot.range::<&[u8], _>(tables.keyspace(table), bounds) {
            let (key, value) = row.into_inner()?;
            bytes += key.len() + value.len();
            rows.push(Write { table, key: key.to_vec(), value: Some(value.to_vec()) });
            if bytes >= SNAPSHOT_PART_BYTES {
                bytes = 0;
                if parts.blocking_send(SnapshotPart::Rows(mem::take(&mut rows))).is_err() {
                    return Ok(());
                }
            }
        }
    }
    let rest = (!rows.is_empty()).then_some(SnapshotPart::Rows(rows));
    for part in rest.into_iter().chain([SnapshotPart::End]) {
        if parts.blocking_send(part).is_err() {
            break;
        }
    }
    Ok(())
}
