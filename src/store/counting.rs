//! A store that counts reads and writes, for tests of the cost of an operation.

use std::cell::Cell;

use super::memory::MemoryStore;
use super::{Batch, Direction, Store, StoreFailure, Table, Visit};

/// A store in memory that counts the rows that are read and the bytes that are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    store: MemoryStore,
    rows_read: Cell<usize>,
    bytes_written: usize,
}

impl Counting {
    /// The number of rows that were read.
    pub(crate) fn rows_read(&self) -> usize {
        self.rows_read.get()
    }

    /// The number of bytes that were written.
    pub(crate) fn bytes_written(&self) -> usize {
        self.bytes_written
    }
}

impl Store for Counting {
    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.rows_read.set(self.rows_read.get() + 1);
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, visit: &mut Visit<'_>) {
        self.store.scan(table, from, to, direction, &mut |key, value| {
            self.rows_read.set(self.rows_read.get() + 1);
            visit(key, value)
        });
    }

    fn lacks_tenure(&self, tenure: &[u8]) -> bool {
        self.store.lacks_tenure(tenure)
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.bytes_written += key.len() + value.len();
        self.store.put(table, key, value);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.bytes_written += key.len();
        self.store.delete(table, key);
    }

    fn commit(&mut self) -> Batch {
        self.store.commit()
    }

    fn failure(&self) -> Option<StoreFailure> {
        self.store.failure()
    }
}
