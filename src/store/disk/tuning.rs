//! How fjall is set up.
//!
//! The numbers come from `examples/store_load.rs`, on two shared cores and a disk that writes 270 MB/s; they are guesses
//! elsewhere. What they trade: each flush and compaction makes fjall sync some five small files while it keeps readers
//! and writers of that table waiting, and the journal's fdatasync then waits behind the table's bytes. Small memtables
//! make these waits short, though more frequent; they also fit the processor's cache, where most of the time of an
//! insert goes.

use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::FilterPolicy;
use fjall::{Database, KeyspaceCreateOptions};

use super::{DiskOptions, Tables};
use crate::store::Table;

/// Bytes of a table in memory before they are flushed, for the tables that each registration writes. With 64 MiB,
/// fjall's default, waits for durability reached a second; with 8 MiB 0.1 to 0.2 s, and 0.4 s where others kept the
/// machine busy.
const BUSY_MEMTABLE_BYTES: u64 = 8 << 20;

/// The same for the other tables. Small, for their memtables keep old journals alive.
const QUIET_MEMTABLE_BYTES: u64 = 2 << 20;

/// Bytes of a file of a compacted table: each is synced on its own, so this bounds what the journal waits for.
const FILE_BYTES: u64 = 4 << 20;

/// Bytes of journals, at which fjall flushes whatever keeps the oldest. Opening the store replays them, at some 5 to 15
/// ms a megabyte. 64 MiB, the least that fjall takes, showed no clear difference but in that.
const JOURNAL_BYTES: u64 = 256 << 20;

/// Threads that flush and compact. With a second, the first busily passes compactions on to it.
const WORKERS: usize = 1;

/// Opens fjall with one keyspace a table, made where they are missing. A keyspace keeps the settings it was made with.
pub(super) fn open(path: &Path, options: &DiskOptions) -> fjall::Result<Tables> {
    let database = Database::builder(path)
        .cache_size(options.cache_bytes)
        // The committer syncs, once a group.
        .manual_journal_persist(true)
        .worker_threads(WORKERS)
        .max_journaling_size(JOURNAL_BYTES)
        .open()?;
    let keyspaces = Table::ALL.into_iter().map(|table| database.keyspace(table.name(), || settings(table)));
    let keyspaces = keyspaces.collect::<fjall::Result<_>>()?;
    Ok(Tables { database, keyspaces })
}

fn settings(table: Table) -> KeyspaceCreateOptions {
    let memtable = match table {
        Table::Log | Table::Names | Table::Registrations | Table::Ids | Table::Owners | Table::Events => {
            BUSY_MEMTABLE_BYTES
        }
        _ => QUIET_MEMTABLE_BYTES,
    };
    let settings = KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(memtable)
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
