//! A store in memory, for tests, benchmarks and the simulator.

use std::collections::BTreeMap;
use std::ops::Bound;

use smallvec::SmallVec;

use super::{Batch, Direction, Store, StoreFailure, Table, Visit, Write};

/// Most keys are shorter than this, so they are stored in the map itself and a look-up follows no pointer.
type Key = SmallVec<[u8; 36]>;
type Rows = BTreeMap<Key, Vec<u8>>;

/// One ordered map for each table. The store records the writes of each batch where that is asked for, for a simulated
/// disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: [Rows; Table::ALL.len()],
    batch: Batch,
    dirty: bool,
    journal: Option<Journal>,
    failure: Option<StoreFailure>,
}

/// The writes, in order.
#[derive(Clone, Debug, Default)]
struct Journal {
    /// Writes since the last commit.
    open: Vec<Write>,
    /// Committed writes that nobody has taken yet.
    committed: Vec<Write>,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty store that records its writes for [`MemoryStore::take_writes`].
    #[must_use]
    pub fn recording() -> Self {
        Self { journal: Some(Journal::default()), ..Self::default() }
    }

    /// Copies the rows into a store that records its writes from now on. The rows count as written, so the first commit
    /// is a batch.
    #[must_use]
    pub fn recorded(&self) -> Self {
        Self { tables: self.tables.clone(), dirty: true, ..Self::recording() }
    }

    /// Returns the writes that were committed since the last call, in order. Returns nothing where the store does not
    /// record.
    pub fn take_writes(&mut self) -> Vec<Write> {
        self.journal.as_mut().map(|journal| std::mem::take(&mut journal.committed)).unwrap_or_default()
    }

    /// The last batch that was committed.
    #[must_use]
    pub fn last_batch(&self) -> Batch {
        self.batch
    }

    /// Applies writes taken from another store.
    pub fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            match &write.value {
                Some(value) => self.put(write.table, &write.key, value),
                None => self.delete(write.table, &write.key),
            }
        }
    }

    /// Makes the store fail from now on.
    pub fn poison(&mut self, reason: &str) {
        self.failure = Some(StoreFailure(reason.to_owned()));
    }

    /// The rows of a table in key order.
    pub fn rows(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.tables[table as usize].iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    fn record(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        self.dirty = true;
        if let Some(journal) = &mut self.journal {
            journal.open.push(Write { table, key: key.to_vec(), value: value.map(<[u8]>::to_vec) });
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        if self.failure.is_some() {
            return None;
        }
        self.tables[table as usize].get(key).cloned()
    }

    fn look(&self, table: Table, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.tables[table as usize].get(key).filter(|_| self.failure.is_none()) {
            visit(value);
        }
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, visit: &mut Visit<'_>) {
        if self.failure.is_some() || to.is_some_and(|to| to <= from) {
            return;
        }
        let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = self.tables[table as usize].range::<[u8], _>((Bound::Included(from), upper));
        loop {
            let row = match direction {
                Direction::Up => rows.next(),
                Direction::Down => rows.next_back(),
            };
            let Some((key, value)) = row else { return };
            if visit(key, value).is_break() {
                return;
            }
        }
    }

    fn lacks_tenure(&self, tenure: &[u8]) -> bool {
        let onward = (Bound::Included(tenure), Bound::Unbounded);
        let first = self.tables[Table::Claims as usize].range::<[u8], _>(onward).next();
        first.is_none_or(|(key, _)| !key.starts_with(tenure))
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.record(table, key, Some(value));
        self.tables[table as usize].insert(Key::from_slice(key), value.to_vec());
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.record(table, key, None);
        self.tables[table as usize].remove(key);
    }

    fn commit(&mut self) -> Batch {
        if std::mem::take(&mut self.dirty) {
            self.batch += 1;
        }
        if let Some(journal) = &mut self.journal {
            journal.committed.append(&mut journal.open);
        }
        self.batch
    }

    fn failure(&self) -> Option<StoreFailure> {
        self.failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::store::{DELETED_AT_ONCE, empty, prefix_end};

    #[test]
    fn scans_go_both_ways_within_their_bounds() {
        let mut store = MemoryStore::new();
        for key in [b"a".as_slice(), b"b", b"c", b"d"] {
            store.put(Table::Names, key, key);
        }
        let keys = |direction| {
            let mut keys = String::new();
            store.scan(Table::Names, b"b", Some(b"d"), direction, &mut |key, _| {
                keys.push(char::from(key[0]));
                ControlFlow::Continue(())
            });
            keys
        };
        assert_eq!((keys(Direction::Up), keys(Direction::Down)), ("bc".to_owned(), "cb".to_owned()));
    }

    #[test]
    fn a_batch_without_writes_is_the_last_one() {
        let mut store = MemoryStore::new();
        assert_eq!(store.commit(), 0);
        store.put(Table::Meta, &[1], &[]);
        assert_eq!((store.commit(), store.commit()), (1, 1));
    }

    #[test]
    fn a_large_table_is_emptied_in_several_batches() {
        for (in_batches, batches) in [(false, 0), (true, 2)] {
            let mut store = MemoryStore::new();
            for number in 0..2 * DELETED_AT_ONCE as u64 + 1 {
                store.put(Table::Names, &number.to_be_bytes(), &[]);
            }
            let before = store.commit();
            empty(&mut store, Table::Names, in_batches);
            assert_eq!((store.rows(Table::Names).count(), store.last_batch()), (0, before + batches));
        }
    }

    #[test]
    fn a_poisoned_store_finds_nothing() {
        let mut store = MemoryStore::new();
        store.put(Table::Meta, &[1], &[2]);
        store.poison("disk on fire");
        assert_eq!(store.get(Table::Meta, &[1]), None);
        assert!(store.failure().is_some());
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(&[1, 0xff]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xff]), None);
    }
}
