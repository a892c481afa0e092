//! Streams what the tables are at one moment while the store goes on.

use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use std::{fmt, io, mem, thread};

use fjall::Snapshot;
use tokio::sync::mpsc;

use super::tables::Tables;
use crate::store::{SnapshotPart, Table, Write};

/// Bytes of keys and values in a part of a snapshot. A guess, well below any limit on frames.
const PART_BYTES: usize = 256 << 10;

/// What the tables are at one moment, which is when it is first used. Whoever has it can look at it again. It costs the
/// room on disk of what has changed since.
#[derive(Clone, Default)]
pub struct View(Arc<OnceLock<Snapshot>>);

impl View {
    /// Whether its moment has come.
    pub(super) fn is_taken(&self) -> bool {
        self.0.get().is_some()
    }

    /// Makes this its moment, unless it was before.
    pub(super) fn take(&self, tables: &Tables) {
        self.0.get_or_init(|| tables.snapshot());
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

/// What is to be streamed, and to whom.
#[derive(Debug)]
pub(super) struct Stream {
    /// Which tables.
    pub(super) which: fn(Table) -> bool,
    pub(super) view: View,
    /// Only what comes after this row.
    pub(super) after: Option<(Table, Vec<u8>)>,
    pub(super) parts: mpsc::Sender<SnapshotPart>,
}

impl Stream {
    /// Sends it from a thread of its own. The view's moment has come. `failed` is told where the tables cannot be read.
    pub(super) fn start(self, tables: Tables, failed: impl FnOnce(&fjall::Error) + Send + 'static) -> io::Result<()> {
        let sending = move || {
            if let Err(error) = self.send(&tables) {
                failed(&error);
            }
        };
        thread::Builder::new().name("store-snapshot".into()).spawn(sending)?;
        Ok(())
    }

    /// Sends the tables, and the end; stops where nobody listens.
    fn send(&self, tables: &Tables) -> fjall::Result<()> {
        let Some(snapshot) = self.view.0.get() else { return Ok(()) };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let first = self.after.as_ref().map(|(table, _)| *table);
        let is_wanted = |table: &Table| (self.which)(*table) && first.is_none_or(|first| *table >= first);
        for table in Table::ALL.into_iter().filter(is_wanted) {
            let after = self.after.as_ref().filter(|(first, _)| *first == table).map(|(_, key)| key.as_slice());
            let bounds = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            for row in tables.range(snapshot, table, bounds) {
                let (key, value) = row.into_inner()?;
                bytes += key.len() + value.len();
                rows.push(Write { table, key: key.to_vec(), value: Some(value.to_vec()) });
                if bytes >= PART_BYTES {
                    bytes = 0;
                    if self.parts.blocking_send(SnapshotPart::Rows(mem::take(&mut rows))).is_err() {
                        return Ok(());
                    }
                }
            }
        }
        let rest = (!rows.is_empty()).then_some(SnapshotPart::Rows(rows));
        for part in rest.into_iter().chain([SnapshotPart::End]) {
            if self.parts.blocking_send(part).is_err() {
                break;
            }
        }
        Ok(())
    }
}
