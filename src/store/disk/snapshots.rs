//! Streams the tables as they are at one moment, while the store goes on.

use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use std::{fmt, io, mem, thread};

use fjall::Snapshot;
use tokio::sync::mpsc;

use super::tables::Tables;
use crate::store::{SnapshotPart, Table, Write};

/// Bytes of keys and values in a part of a snapshot. A guess, well below any limit on frames.
const PART_BYTES: usize = 256 << 10;

/// The tables as they are at one moment: the moment of the first use of the view. The view can be read more than once.
/// It takes as much room on disk as the rows that have changed since.
#[derive(Clone, Default)]
pub struct View(Arc<OnceLock<Snapshot>>);

impl View {
    /// Returns true once the view was taken.
    pub(super) fn is_taken(&self) -> bool {
        self.0.get().is_some()
    }

    /// Takes the view now, unless it was taken before.
    pub(super) fn take(&self, tables: &Tables) {
        self.0.get_or_init(|| tables.snapshot());
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

/// A stream of tables to a receiver.
#[derive(Debug)]
pub(super) struct Stream {
    /// Returns true for the tables that are streamed.
    pub(super) which: fn(Table) -> bool,
    pub(super) view: View,
    /// The row after which the stream begins; none for the beginning.
    pub(super) after: Option<(Table, Vec<u8>)>,
    pub(super) parts: mpsc::Sender<SnapshotPart>,
}

impl Stream {
    /// Sends the stream from a thread of its own. The view must have been taken. `failed` is called where the tables
    /// cannot be read.
    pub(super) fn start(self, tables: Tables, failed: impl FnOnce(&fjall::Error) + Send + 'static) -> io::Result<()> {
        let sending = move || {
            if let Err(error) = self.send(&tables) {
                failed(&error);
            }
        };
        thread::Builder::new().name("store-snapshot".into()).spawn(sending)?;
        Ok(())
    }

    /// Sends the tables and then the end. Stops where the receiver is gone.
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
