//! The tables on disk: fjall, filled by sorted ingestion alone.
//!
//! fjall gets whole generations, each table's rows in their order, and never a single write: its journal and its memtables
//! stay empty. What it is given is durable when the call returns, table by table. That a power cut can leave some tables of
//! a generation ahead of the others does no harm: the log is read again from the batch on that fjall says it has all of,
//! and rows say what a key is, not what is done to it.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::config::FilterPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Slice, Snapshot};

use super::generation::{Bounds, Generation, Rows, row_bytes};
use crate::store::{Batch, Table};

/// Bytes of a file of a compacted table: each is synced on its own while the log is synced too. A guess.
const FILE_BYTES: u64 = 16 << 20;

/// Threads that compact.
const WORKERS: usize = 1;

/// Files of a table that wait to be compacted, at which nothing more is ingested: each one more costs every look-up. Four
/// begin a compaction. A guess.
const MOST_WAITING_FILES: usize = 12;

/// How often is looked again then. A guess: small beside a compaction, large beside a look.
const COMPACTION_POLL: Duration = Duration::from_millis(2);

/// The keyspace that says what the others hold, and its keys.
const STATE: &str = "state";
const APPLIED: &[u8] = b"applied";
const SEED: &[u8] = b"seed";

/// What is below the generations and takes them over.
pub(super) trait Below {
    type Error;

    /// Makes the rows of a table durable. `done` hears of the bytes of each.
    fn ingest(&self, table: Table, rows: &Rows, done: &dyn Fn(usize)) -> Result<(), Self::Error>;

    /// Notes durably that all batches up to this one are in the tables.
    fn note_applied(&self, batch: Batch) -> Result<(), Self::Error>;
}

/// Takes a generation over. All its batches, up to `last`, are durable in the log.
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

/// fjall and the handles of its keyspaces, one a table.
#[derive(Clone)]
pub(super) struct Tables {
    database: Database,
    keyspaces: Vec<Keyspace>,
    state: Keyspace,
}

/// What the tables say about themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// All batches up to it are in them.
    pub(super) applied: Batch,
    /// What the checksums of the log begin with.
    pub(super) seed: u64,
}

impl Tables {
    /// Opens fjall with one keyspace a table, made where they are missing. A keyspace keeps the settings it was made with.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .manual_journal_persist(true)
            .worker_threads(WORKERS)
            .open()?;
        let keyspaces = Table::ALL.into_iter().map(|table| database.keyspace(table.name(), || settings(table)));
        let keyspaces = keyspaces.collect::<fjall::Result<_>>()?;
        let state = database.keyspace(STATE, || settings(Table::Meta))?;
        Ok(Self { database, keyspaces, state })
    }

    /// Notes in new tables that they hold nothing.
    pub(super) fn begin(&self, seed: u64) -> fjall::Result<()> {
        let mut ingestion = self.state.start_ingestion()?;
        ingestion.write(APPLIED, 0_u64.to_be_bytes())?;
        ingestion.write(SEED, seed.to_be_bytes())?;
        ingestion.finish()?;
        self.database.persist(PersistMode::SyncAll)
    }

    /// What they say about themselves; none where they do not.
    pub(super) fn state(&self) -> fjall::Result<Option<State>> {
        let number = |key| {
            let value: Option<Slice> = self.state.get(key)?;
            Ok::<_, fjall::Error>(value.and_then(|value| Some(u64::from_be_bytes(value[..].try_into().ok()?))))
        };
        let (applied, seed) = (number(APPLIED)?, number(SEED)?);
        Ok(applied.zip(seed).map(|(applied, seed)| State { applied, seed }))
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> fjall::Result<Option<Slice>> {
        self.keyspace(table).get(key)
    }

    /// What they hold now. It stays as it is while more is ingested.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// The rows of a table in a snapshot.
    pub(super) fn range(&self, snapshot: &Snapshot, table: Table, bounds: Bounds<'_>) -> fjall::Iter {
        snapshot.range::<&[u8], _>(self.keyspace(table), bounds)
    }

    /// Waits while compactions lag behind; fails where they have failed.
    pub(super) fn await_compactions(&self) -> fjall::Result<()> {
        while self.keyspaces.iter().any(|keyspace| keyspace.l0_table_count() >= MOST_WAITING_FILES) {
            // Writes little or nothing; asks fjall whether its threads are well.
            self.database.persist(PersistMode::Buffer)?;
            thread::sleep(COMPACTION_POLL);
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
        let mut ingestion = self.keyspace(table).start_ingestion()?;
        for (key, value) in rows {
            match value {
                Some(value) => ingestion.write(key.as_slice(), value.as_slice())?,
                None => ingestion.write_tombstone(key.as_slice())?,
            }
            done(row_bytes(key, value.as_deref()));
        }
        ingestion.finish()
    }

    fn note_applied(&self, batch: Batch) -> fjall::Result<()> {
        let mut ingestion = self.state.start_ingestion()?;
        ingestion.write(APPLIED, batch.to_be_bytes())?;
        ingestion.finish()
    }
}

fn settings(table: Table) -> KeyspaceCreateOptions {
    let settings = KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(FILE_BYTES)));
    match table {
        // Most names and ids asked for are new: their filters, fjall's default of 10 bits a key, say so without a read.
        Table::Names | Table::Ids | Table::Followed => settings,
        // These are scanned, which no filter helps.
        Table::Log | Table::Owners | Table::Expiries | Table::Events | Table::Claims => {
            settings.filter_policy(FilterPolicy::disabled())
        }
        // What is asked for is mostly there.
        _ => settings.expect_point_read_hits(true),
    }
}
