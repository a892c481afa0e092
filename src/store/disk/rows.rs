//! The rows of one table in memory: in a tree, or in a hash map where the table has a row for each registration and most
//! look-ups are for one key. The bytes of the rows of a hash map lie one after the other in a few large pieces of memory, so
//! that a row costs no allocation.

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
    pub(super) fn insert(&mut self, key: &[u8], hash: Hash, value: Option<&[u8]>) {
        match self {
            Self::Tree(rows) => drop(rows.insert(Key::from_slice(key), value.map(<[u8]>::to_vec))),
            Self::Hashed(rows) => rows.insert(key, hash, value),
        }
    }

    /// The bytes that a row takes: its key and value, its place in the map, and the overhead of the allocator. An estimate.
    pub(super) fn bytes_of(&self, key: &[u8], value: Option<&[u8]>) -> usize {
        let place = match self {
            Self::Tree(_) => 128,
            Self::Hashed(_) => 48,
        };
        place + key.len() + value.map_or(0, <[u8]>::len)
    }

    /// The last write to the key with this hash: `Some(None)` where it was deleted, and `None` where it was not written.
    pub(super) fn get(&self, key: &[u8], hash: Hash) -> Option<Option<&[u8]>> {
        match self {
            Self::Tree(rows) => rows.get(key).map(Option::as_deref),
            Self::Hashed(rows) => rows.find(key, hash).map(|at| rows.value(at)),
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

/// The length of the value of a key that was deleted.
const DELETED: u32 = u32::MAX;

/// The hash of a key, and where the key and its value are. Keys and values are far smaller than 4 GiB.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: Hash,
    place: Place,
    key: u32,
    /// The length of the value, which follows the key.
    value: u32,
}

/// A place in an [`Arena`].
#[derive(Clone, Copy, Debug)]
struct Place {
    piece: u32,
    at: u32,
}

/// Bytes one after the other in pieces of memory that stay where they are.
#[derive(Default, Debug)]
struct Arena {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Arena {
    /// The least and the greatest size of a piece. Guesses: a table with few rows takes little memory, and one with many has
    /// few pieces.
    const PIECE: (usize, usize) = (4 << 10, 1 << 20);

    /// Adds a key and a value.
    fn add(&mut self, key: &[u8], value: &[u8]) -> Place {
        let length = key.len() + value.len();
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < length) {
            // A piece is as large as all before it.
            let size = self.bytes.clamp(Self::PIECE.0, Self::PIECE.1).max(length);
            self.pieces.push(Vec::with_capacity(size));
        }
        self.bytes += length;
        // There is a piece now. A generation is full long before it has as many pieces as the type allows.
        let at = self.pieces.len() - 1;
        let piece = &mut self.pieces[at];
        let place = Place { piece: at as u32, at: piece.len() as u32 };
        piece.extend_from_slice(key);
        piece.extend_from_slice(value);
        place
    }

    /// The bytes from a place on.
    fn from(&self, Place { piece, at }: Place) -> &[u8] {
        &self.pieces[piece as usize][at as usize..]
    }
}

/// Rows in the order in which their keys were first written.
#[derive(Default, Debug)]
pub(super) struct Hashed {
    entries: Vec<Entry>,
    arena: Arena,
    /// The places of the entries, by the hashes of their keys.
    places: HashTable<u32>,
    /// The places of those entries that were there at the last scan, by their keys.
    sorted: Mutex<Arc<Vec<u32>>>,
}

impl Hashed {
    fn find(&self, key: &[u8], hash: Hash) -> Option<usize> {
        let is_it = |at: &u32| self.entries[*at as usize].hash == hash && self.key(*at) == key;
        self.places.find(hash.0, is_it).map(|at| *at as usize)
    }

    /// The value of an entry; none where the key was deleted.
    fn value(&self, at: usize) -> Option<&[u8]> {
        let Entry { place, key, value, .. } = self.entries[at];
        (value != DELETED).then(|| &self.arena.from(place)[key as usize..][..value as usize])
    }

    fn insert(&mut self, key: &[u8], hash: Hash, value: Option<&[u8]>) {
        let place = self.arena.add(key, value.unwrap_or_default());
        let length = value.map_or(DELETED, |value| value.len() as u32);
        let entry = Entry { hash, place, key: key.len() as u32, value: length };
        if let Some(at) = self.find(key, hash) {
            // The bytes of the value before stay in the arena, which is dropped with the generation.
            self.entries[at] = entry;
            return;
        }
        // A generation is full long before it has as many rows as the type allows.
        let at = self.entries.len() as u32;
        self.entries.push(entry);
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

    fn key(&self, at: u32) -> &[u8] {
        let Entry { place, key, .. } = self.entries[at as usize];
        &self.arena.from(place)[..key as usize]
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
                Some((rows.key(order[at]), rows.value(order[at] as usize)))
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

    #[test]
    fn the_bytes_of_rows_fill_one_piece_after_the_other() {
        let mut rows = Rows::of(Table::Names);
        let key = |number: usize| format!("{number}").into_bytes();
        let value = |number: usize| vec![7_u8; number * 100];
        // Every third one is written twice, and one is larger than any piece.
        for number in (0..200).chain((0..200).step_by(3)).chain([30_000]) {
            rows.insert(&key(number), Hash::of(Table::Names, &key(number)), Some(&value(number)));
        }
        rows.insert(&key(5), Hash::of(Table::Names, &key(5)), None);
        let get = |number| rows.get(&key(number), Hash::of(Table::Names, &key(number)));
        assert!(
            (0..200)
                .chain([30_000])
                .filter(|number| *number != 5)
                .all(|number| get(number) == Some(Some(&value(number))))
        );
        assert_eq!((get(5), get(200)), (Some(None), None));
        assert_eq!(rows.iter().count(), 201);
        let Rows::Hashed(rows) = rows else { panic!("names are looked up") };
        assert!((10..40).contains(&rows.arena.pieces.len()), "{} pieces", rows.arena.pieces.len());
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
                        tree.insert(&key, hash(&key), value.as_deref());
                        hashed.insert(&key, hash(&key), value.as_deref());
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
