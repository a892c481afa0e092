//! The tables on disk: fjall, which is filled by sorted ingestion only.
//!
//! fjall gets whole generations, with the rows of each table in order, and never a single write, so its journal and its
//! memtables stay empty. The rows of a table are durable when the call that ingests them returns. A power cut can leave
//! some tables of a generation ahead of the others. This does no harm: the log is read again from the batch up to which
//! fjall says that it has all of them, and a row gives the new value of a key and not a change of it.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::config::FilterPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Slice, Snapshot};

use super::generation::Generation;
use super::hash::Hash;
use super::known::Known;
use super::rows::{Bounds, Rows};
use crate::store::{Batch, Table};

/// The size in bytes of a file of a compacted table. Each file is synced on its own, while the log is synced too. A
/// guess.
const FILE_BYTES: u64 = 16 << 20;

/// The number of threads that compact.
const WORKERS: usize = 1;

/// The number of a table's files at which a compaction begins. Each compaction writes the first level anew, so with twice as
/// many files half as much is written, and a look-up asks twice as many. A guess: with eight in place of four a node that
/// catches up spends half the time on compactions, and no difference was measured in look-ups.
const FILES_AT_ONCE: u8 = 8;

/// The number of a table's files that wait for compaction at which nothing more is ingested, because each further file
/// makes every look-up slower. A guess.
const MOST_WAITING_FILES: usize = 16;

/// The time between two checks of whether compaction has caught up. A guess: short compared with a compaction, long
/// compared with a check.
const COMPACTION_POLL: Duration = Duration::from_millis(2);

/// The number of checks after which a compaction is asked for once more. A guess: a fifth of a second, longer than most take.
const ASK_AGAIN: u32 = 100;

/// The number of keys that are learnt at a start before the thread rests for as long as that took, so that it takes half of a
/// core. A guess.
const LEARNT_AT_ONCE: usize = 4096;

/// The keyspace that says which batches the others hold, and its keys.
const STATE: &str = "state";
const APPLIED: &[u8] = b"applied";
const SEED: &[u8] = b"seed";

/// The layer below the generations, which takes them over.
pub(super) trait Below {
    type Error;

    /// Makes the rows of a table durable. `done` is called with the size of each row.
    fn ingest(&self, table: Table, rows: &Rows, done: &dyn Fn(usize)) -> Result<(), Self::Error>;

    /// Records durably that all batches up to this one are in the tables.
    fn note_applied(&self, batch: Batch) -> Result<(), Self::Error>;
}

/// Hands a generation over. All its batches, up to `last`, must be durable in the log.
pub(super) fn take_over<B: Below>(
    below: &B,
    generation: &Generation,
    last: Batch,
    done: &dyn Fn(usize),
) -> Result<(), B::Error> {
    for table in Table::ALL {
        let rows = generation.rows(table);
        if !rows.is_empty() {
            below.ingest(table, rows, done)?;
        }
    }
    below.note_applied(last)
}

/// fjall and the handles of its keyspaces, one for each table.
#[derive(Clone)]
pub(super) struct Tables {
    database: Database,
    keyspaces: Vec<Keyspace>,
    state: Keyspace,
    known: Arc<Known>,
}

/// The thread that learns the keys of the tables. Dropping it stops the thread.
pub(super) struct Learning {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Learning {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Where the thread has panicked, keys are looked up in the tables.
            let _ = thread.join();
        }
    }
}

/// The state that the tables record about themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// All batches up to this one are in the tables.
    pub(super) applied: Batch,
    /// The seed of the log's checksums.
    pub(super) seed: u64,
}

impl Tables {
    /// Opens fjall with one keyspace for each table, and makes those that are missing. A keyspace keeps the settings
    /// that it was made with.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        Self::open_with(path, cache_bytes, FILE_BYTES)
    }

    /// Opens it with files of compacted tables of this size.
    fn open_with(path: &Path, cache_bytes: u64, file_bytes: u64) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .manual_journal_persist(true)
            .worker_threads(WORKERS)
            .open()?;
        let keyspaces =
            Table::ALL.into_iter().map(|table| database.keyspace(table.name(), || settings(table, file_bytes)));
        let keyspaces = keyspaces.collect::<fjall::Result<_>>()?;
        let state = database.keyspace(STATE, || settings(Table::Meta, file_bytes))?;
        let this = Self { database, keyspaces, state, known: Arc::default() };
        let is_used = |table: &Table| this.keyspace(*table).table_count() > 0;
        Table::ALL.into_iter().filter(is_used).for_each(|table| this.known.use_table(table));
        Ok(this)
    }

    /// Learns the keys that the tables have, in a thread of its own. It must begin before anything is ingested.
    pub(super) fn learn(&self) -> io::Result<Learning> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tables, snapshot, stopped) = (self.clone(), self.snapshot(), stop.clone());
        let learn = move || tables.learn_from(&snapshot, &stopped);
        let thread = thread::Builder::new().name("store-keys".into()).spawn(learn)?;
        Ok(Learning { stop, thread: Some(thread) })
    }

    #[expect(clippy::disallowed_methods, reason = "how long it works decides how long it rests")]
    fn learn_from(&self, snapshot: &Snapshot, stop: &AtomicBool) {
        let all = (Bound::Unbounded, Bound::Unbounded);
        for table in Table::ALL.into_iter().filter(|table| Known::learns(*table)) {
            let mut began = Instant::now();
            for (count, row) in self.range(snapshot, table, all).enumerate() {
                // Where a key cannot be read, whoever needs it will say so.
                let Ok(key) = row.key() else { return };
                self.known.learn(table, &key);
                if count % LEARNT_AT_ONCE == 0 {
                    if stop.load(Relaxed) {
                        return;
                    }
                    thread::sleep(began.elapsed());
                    began = Instant::now();
                }
            }
        }
        self.known.completed();
    }

    /// Records in new tables that they hold no batch.
    pub(super) fn begin(&self, seed: u64) -> fjall::Result<()> {
        let mut ingestion = self.state.start_ingestion()?;
        ingestion.write(APPLIED, 0_u64.to_be_bytes())?;
        ingestion.write(SEED, seed.to_be_bytes())?;
        ingestion.finish()?;
        self.database.persist(PersistMode::SyncAll)
    }

    /// Reads the state of the tables; none where they have none.
    pub(super) fn state(&self) -> fjall::Result<Option<State>> {
        let number = |key| {
            let value: Option<Slice> = self.state.get(key)?;
            Ok::<_, fjall::Error>(value.and_then(|value| Some(u64::from_be_bytes(value[..].try_into().ok()?))))
        };
        let (applied, seed) = (number(APPLIED)?, number(SEED)?);
        Ok(applied.zip(seed).map(|(applied, seed)| State { applied, seed }))
    }

    /// Reads the row of a key.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> fjall::Result<Option<Slice>> {
        self.keyspace(table).get(key)
    }

    /// Returns true where the table does not have the key with this hash; false where that needs a look.
    pub(super) fn denies(&self, table: Table, hash: Hash) -> bool {
        self.known.denies(table, hash)
    }

    /// Returns true where the tables have no claim to a tenure; false where that needs a look.
    pub(super) fn lacks_tenure(&self, tenure: &[u8]) -> bool {
        self.known.denies_tenure(tenure)
    }

    /// The size in bytes of a table on disk.
    pub(super) fn bytes(&self, table: Table) -> u64 {
        self.keyspace(table).disk_space()
    }

    /// A snapshot of the tables as they are now. Later ingestion does not change it.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// Returns true where a table has had no row since the start, and had none then.
    pub(super) fn is_unused(&self, table: Table) -> bool {
        self.known.is_unused(table)
    }

    /// The rows of a table in a snapshot.
    pub(super) fn range(&self, snapshot: &Snapshot, table: Table, bounds: Bounds<'_>) -> fjall::Iter {
        snapshot.range::<&[u8], _>(self.keyspace(table), bounds)
    }

    /// Waits while compactions lag behind. Returns an error where they have failed.
    ///
    /// fjall compacts once for each ingestion, and may choose another level than the first one. So where nothing changes for
    /// some time it is asked again, since nothing else would ever end the wait.
    pub(super) fn await_compactions(&self) -> fjall::Result<()> {
        for keyspace in &self.keyspaces {
            let mut polls = 0;
            while keyspace.l0_table_count() >= MOST_WAITING_FILES {
                // This writes little or nothing. It returns an error where a thread of fjall has failed.
                self.database.persist(PersistMode::Buffer)?;
                thread::sleep(COMPACTION_POLL);
                polls += 1;
                if polls % ASK_AGAIN == 0 {
                    tracing::debug!(files = keyspace.l0_table_count(), "asking for another compaction");
                    // An ingestion without rows asks for a compaction. It leaves an empty file, which fjall removes at its next
                    // start.
                    keyspace.start_ingestion()?.finish()?;
                }
            }
        }
        Ok(())
    }

    fn keyspace(&self, table: Table) -> &Keyspace {
        // `Tables` is made with one keyspace for each of `Table::ALL`, which is in the order of the enum.
        &self.keyspaces[table as usize]
    }
}

impl Below for Tables {
    type Error = fjall::Error;

    fn ingest(&self, table: Table, rows: &Rows, done: &dyn Fn(usize)) -> fjall::Result<()> {
        self.known.use_table(table);
        let mut ingestion = self.keyspace(table).start_ingestion()?;
        let learns = Known::learns(table);
        for (key, value) in rows.iter() {
            match value {
                Some(value) => {
                    if learns {
                        self.known.learn(table, key);
                    }
                    ingestion.write(key, value)?;
                }
                None => ingestion.write_tombstone(key)?,
            }
            done(rows.bytes_of(key, value));
        }
        ingestion.finish()
    }

    fn note_applied(&self, batch: Batch) -> fjall::Result<()> {
        let mut ingestion = self.state.start_ingestion()?;
        ingestion.write(APPLIED, batch.to_be_bytes())?;
        ingestion.finish()
    }
}

fn settings(table: Table, file_bytes: u64) -> KeyspaceCreateOptions {
    let strategy = Leveled::default().with_l0_threshold(FILES_AT_ONCE).with_table_target_size(file_bytes);
    let settings =
        KeyspaceCreateOptions::default().manual_journal_persist(true).compaction_strategy(Arc::new(strategy));
    match table {
        // Most names and ids that are looked up are new. Their filters, with fjall's default of 10 bits for each key,
        // answer that without a read.
        Table::Names | Table::Ids | Table::Followed => settings,
        // These are scanned, and a filter does not help a scan.
        Table::Log | Table::Owners | Table::Expiries | Table::Events | Table::Claims => {
            settings.filter_policy(FilterPolicy::disabled())
        }
        // Most keys that are looked up here exist.
        _ => settings.expect_point_read_hits(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many rows overlap with the second level that fjall prefers to compact that one, each time that it is asked.
    #[test]
    fn compactions_catch_up_whatever_level_is_compacted_first() {
        let dir = tempfile::tempdir().unwrap();
        let tables = Tables::open_with(dir.path(), 1 << 20, 8 << 10).unwrap();
        let keyspace = tables.keyspace(Table::Names);
        for round in 0..150_u64 {
            let scattered = |n: u64| (round * 400 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            let mut keys: Vec<_> = (0..400).map(scattered).collect();
            keys.sort_unstable();
            let mut ingestion = keyspace.start_ingestion().unwrap();
            keys.iter().for_each(|key| ingestion.write(key, [7_u8; 40]).unwrap());
            ingestion.finish().unwrap();
            tables.await_compactions().unwrap();
        }
        assert_eq!(tables.keyspace(Table::Names).len().unwrap(), 150 * 400);
    }
}
