//! How fjall is set up.

use std::path::Path;

use fjall::{Database, KeyspaceCreateOptions};

use super::{DiskOptions, Tables};
use crate::store::Table;

/// Opens fjall with one keyspace a table, made where they are missing.
pub(super) fn open(path: &Path, options: &DiskOptions) -> fjall::Result<Tables> {
    let env = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let database = Database::builder(path)
        .cache_size(options.cache_bytes)
        // The committer syncs, once a group.
        .manual_journal_persist(true)
        .worker_threads(env("W", 1) as usize)
        .max_journaling_size(env("J", 512) << 20)
        .open()?;
    let keyspaces = Table::ALL.into_iter().map(|table| database.keyspace(table.name(), || keyspace(table)));
    let keyspaces = keyspaces.collect::<fjall::Result<_>>()?;
    Ok(Tables { database, keyspaces })
}

fn keyspace(_table: Table) -> KeyspaceCreateOptions {
    let env = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    KeyspaceCreateOptions::default().manual_journal_persist(true).max_memtable_size(env("M", 64) << 20)
}
