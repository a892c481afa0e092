//! The rows of one table in memory: in a tree, or in a hash map where the table has a row for each registration and most
//! look-ups are for one key.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::hash::Hash;
use crate::store::Table;

/// Most keys are shorter than this, so they are stored in the map itself and a look-up follows no pointer.
pub(super) type Key = SmallVec<[u8; 36]>;

/// The bounds of a scan, in the shape that `range` takes.
pub(super) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A key and the last write to it; none where it was deleted.
pub(super) type Row<'a> = (&'a [u8], Option<&'a [u8]>);

/// The last writes to the keys of a table.
#[derive(Debug)]
pub(super) enum Rows {
    Tree(BTreeMap<Key, Option<Vec<u8>>>),
    Hashed(Hashed),
}

impl Rows {
    /// Returns the rows of a table that has none.
    pub(super) fn of(table: Table) -> Self {
        match table {
            Table::Names | Table::Registrations | Table::Ids => Self::Hashed(Hashed::default()),
            _ => Self::Tree(BTreeMap::new()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Tree(rows) => rows.is_empty(),
            Self::Hashed(rows) => rows.entries.is_empty(),
        }
    }

    /// `hash` is that of the key.
    pub(super) fn insert(&mut self, key: &[u8], hash: Hash, value: Option<Vec<u8>>) {
        match self {
            Self::Tree(rows) => drop(rows.insert(Key::from_slice(key), value)),
            Self::Hashed(rows) => rows.insert(key, hash, value),
        }
    }

    /// The last write to the key with this hash: `Some(None)` where it was deleted, and `None` where it was not written.
    pub(super) fn get(&self, key: &[u8], hash: Hash) -> Option<Option<&[u8]>> {
        match self {
            Self::Tree(rows) => rows.get(key).map(Option::as_deref),
            Self::Hashed(rows) => rows.find(key, hash).map(|at| rows.entries[at].value.as_deref()),
        }
    }

    /// The rows within bounds, in the order of their keys.
    pub(super) fn range(&self, bounds: Bounds<'_>) -> Range<'_> {
        match self {
            Self::Tree(rows) => Range::Tree(rows.range::<[u8], _>(bounds)),
            Self::Hashed(rows) => rows.range(bounds),
        }
    }

    /// All rows, in the order of their keys.
    pub(super) fn iter(&self) -> Range<'_> {
        self.range((Bound::Unbounded, Bound::Unbounded))
    }
}

#[derive(Debug)]
struct Entry {
    hash: Hash,
    key: Key,
    value: Option<Vec<u8>>,
}

/// Rows in the order in which their keys were first written.
#[derive(Default, Debug)]
pub(super) struct Hashed {
    entries: Vec<Entry>,
    /// The places of the entries, by the hashes of their keys.
    places: HashTable<u32>,
    /// The places of those entries that were there at the last scan, by their keys.
    sorted: Mutex<Arc<Vec<u32>>>,
}

impl Hashed {
    fn find(&self, key: &[u8], hash: Hash) -> Option<usize> {
        let is_it = |at: &u32| self.entries[*at as usize].key.as_slice() == key;
        self.places.find(hash.0, is_it).map(|at| *at as usize)
    }

    fn insert(&mut self, key: &[u8], hash: Hash, value: Option<Vec<u8>>) {
        if let Some(at) = self.find(key, hash) {
            self.entries[at].value = value;
            return;
        }
        // A generation is full long before it has as many rows as the type allows.
        let at = self.entries.len() as u32;
        self.entries.push(Entry { hash, key: Key::from_slice(key), value });
        self.places.insert_unique(hash.0, at, |at| self.entries[*at as usize].hash.0);
    }

    /// The places of all entries, by their keys.
    fn sorted(&self) -> Arc<Vec<u32>> {
        let before = Arc::clone(&self.sorted.lock().unwrap_or_else(PoisonError::into_inner));
        if before.len() == self.entries.len() {
            return before;
        }
        // Sorted without the lock, so that no reader waits for another thread. Two may do it at the same time.
        let mut fresh: Vec<_> = (before.len() as u32..self.entries.len() as u32).collect();
        fresh.sort_unstable_by(|one, other| self.key(*one).cmp(self.key(*other)));
        let (mut all, mut rest) = (Vec::with_capacity(self.entries.len()), &before[..]);
        for at in fresh {
            let (smaller, larger) = rest.split_at(rest.partition_point(|known| self.key(*known) < self.key(at)));
            all.extend_from_slice(smaller);
            all.push(at);
            rest = larger;
        }
        all.extend_from_slice(rest);
        let all = Arc::new(all);
        *self.sorted.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&all);
        all
    }

    fn key(&self, place: u32) -> &[u8] {
        &self.entries[place as usize].key
    }

    fn range(&self, (from, to): Bounds<'_>) -> Range<'_> {
        let order = self.sorted();
        let first = order.partition_point(|at| match from {
            Bound::Included(from) => self.key(*at) < from,
            Bound::Excluded(from) => self.key(*at) <= from,
            Bound::Unbounded => false,
        });
        let end = order.partition_point(|at| match to {
            Bound::Included(to) => self.key(*at) <= to,
            Bound::Excluded(to) => self.key(*at) < to,
            Bound::Unbounded => true,
        });
        Range::Hashed { rows: self, order, next: first, end: end.max(first) }
    }
}

/// Rows in the order of their keys, from both ends.
pub(super) enum Range<'a> {
    Tree(btree_map::Range<'a, Key, Option<Vec<u8>>>),
    Hashed { rows: &'a Hashed, order: Arc<Vec<u32>>, next: usize, end: usize },
}

impl<'a> Range<'a> {
    fn step(&mut self, is_back: bool) -> Option<Row<'a>> {
        match self {
            Self::Tree(rows) => {
                let row = if is_back { rows.next_back() } else { rows.next() };
                row.map(|(key, value)| (key.as_slice(), value.as_deref()))
            }
            Self::Hashed { rows, order, next, end } => {
                let at = match (*next < *end, is_back) {
                    (false, _) => return None,
                    (true, false) => {
                        *next += 1;
                        *next - 1
                    }
                    (true, true) => {
                        *end -= 1;
                        *end
                    }
                };
                let entry = &rows.entries[order[at] as usize];
                Some((entry.key.as_slice(), entry.value.as_deref()))
            }
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        self.step(false)
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Deed {
        Write(Vec<u8>, Option<Vec<u8>>),
        Scan(Vec<u8>, Option<Vec<u8>>),
        Look(Vec<u8>),
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(0_u8..3, 0..4)
    }

    fn deed() -> impl Strategy<Value = Deed> {
        let value = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3));
        prop_oneof![
            4 => (key(), value()).prop_map(|(key, value)| Deed::Write(key, value)),
            1 => (key(), proptest::option::of(key())).prop_map(|(from, to)| Deed::Scan(from, to)),
            1 => key().prop_map(Deed::Look),
        ]
    }

    proptest! {
        /// Whatever is written, looked up and scanned in whichever order, a hash map is to its reader what a tree is.
        #[test]
        fn a_hash_map_reads_like_a_tree(deeds in proptest::collection::vec(deed(), 0..60)) {
            let (mut tree, mut hashed) = (Rows::of(Table::Owners), Rows::of(Table::Names));
            prop_assert!(matches!((&tree, &hashed), (Rows::Tree(_), Rows::Hashed(_))));
            let hash = |key: &[u8]| Hash::of(Table::Names, key);
            for deed in deeds {
                match deed {
                    Deed::Write(key, value) => {
                        tree.insert(&key, hash(&key), value.clone());
                        hashed.insert(&key, hash(&key), value);
                    }
                    Deed::Look(key) => prop_assert_eq!(tree.get(&key, hash(&key)), hashed.get(&key, hash(&key))),
                    Deed::Scan(from, to) if to.as_ref().is_none_or(|to| *to > from) => {
                        let bounds = (Bound::Included(&from[..]), to.as_ref().map_or(Bound::Unbounded, |to| Bound::Excluded(&to[..])));
                        prop_assert!(tree.range(bounds).eq(hashed.range(bounds)));
                        prop_assert!(tree.range(bounds).rev().eq(hashed.range(bounds).rev()));
                    }
                    Deed::Scan(..) => {}
                }
            }
            prop_assert!(tree.iter().eq(hashed.iter()));
            prop_assert_eq!(tree.is_empty(), hashed.is_empty());
        }
    }
}
