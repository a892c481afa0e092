//! The rows of one table in memory: in a tree, or in a hash map where the table has a row for each registration. The bytes of
//! the rows of a hash map lie one after the other in a few large pieces of memory, so that a row costs no allocation, and
//! its keys are sorted when they are scanned: a tree of many keys that come in no order takes several times as long for each.

use std::collections::{BTreeMap, btree_map};
use std::ops::{self, Bound};
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
            Table::Names | Table::Registrations | Table::Ids | Table::Owners => Self::Hashed(Hashed::default()),
            _ => Self::Tree(BTreeMap::new()),
        }
    }

    /// Removes all rows. Most of the memory that they had in a hash map is kept.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Tree(rows) => rows.clear(),
            Self::Hashed(rows) => rows.clear(),
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

    /// The rows within bounds: one or several ranges, each in the order of its keys. No key is in two of them.
    pub(super) fn ranges(&self, bounds: Bounds<'_>) -> SmallVec<[Range<'_>; 2]> {
        match self {
            Self::Tree(rows) => SmallVec::from_iter([Range::Tree(rows.range::<[u8], _>(bounds))]),
            Self::Hashed(rows) => {
                let Sorted { most, latest } = rows.sorted();
                SmallVec::from([rows.range(most, bounds), rows.range(latest, bounds)])
            }
        }
    }

    /// Returns true where no key within bounds was written.
    pub(super) fn has_none(&self, bounds: Bounds<'_>) -> bool {
        self.is_empty() || self.ranges(bounds).into_iter().all(|mut range| range.next().is_none())
    }

    /// All rows, in the order of their keys.
    pub(super) fn iter(&self) -> Range<'_> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        match self {
            Self::Tree(rows) => Range::Tree(rows.range::<[u8], _>(all)),
            Self::Hashed(rows) => rows.range(rows.all_sorted(), all),
        }
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
    /// Empty pieces of the greatest size.
    spare: Vec<Vec<u8>>,
}

impl Arena {
    /// The least and the greatest size of a piece, unless one row is larger. Guesses: a table with few rows takes little memory,
    /// and one with many has few pieces.
    const PIECE: (usize, usize) = (4 << 10, 1 << 20);

    /// Adds a key and a value.
    fn add(&mut self, key: &[u8], value: &[u8]) -> Place {
        let length = key.len() + value.len();
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < length) {
            // A fresh piece is as large as all before it.
            let fresh = || Vec::with_capacity(self.bytes.clamp(Self::PIECE.0, Self::PIECE.1).max(length));
            self.pieces.push(self.spare.pop_if(|spare| spare.capacity() >= length).unwrap_or_else(fresh));
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

    /// Removes all bytes. Only the memory that they had is kept for others.
    fn clear(&mut self) {
        self.spare.clear();
        let large = self.pieces.drain(..).filter(|piece| piece.capacity() == Self::PIECE.1);
        self.spare.extend(large.map(|mut piece| {
            piece.clear();
            piece
        }));
        self.bytes = 0;
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
    sorted: Mutex<Sorted>,
}

/// The places of entries by their keys, in two parts, so that a scan after a few more rows were written sorts them into the
/// smaller part only.
#[derive(Clone, Default, Debug)]
struct Sorted {
    most: Arc<Vec<u32>>,
    latest: Arc<Vec<u32>>,
}

impl Sorted {
    fn len(&self) -> usize {
        self.most.len() + self.latest.len()
    }

    /// Returns true where the latest part is large enough to be merged with the other one. A guess.
    fn is_due(&self) -> bool {
        self.latest.len() > 1024.max(self.most.len() / 16)
    }
}

impl Hashed {
    fn clear(&mut self) {
        // Room is kept for twice as many rows as there were this time, and not for as many as there were at any time before.
        let room = 2 * self.entries.len();
        self.entries.clear();
        self.entries.shrink_to(room);
        self.arena.clear();
        self.places.clear();
        self.places.shrink_to(room, |at| self.entries[*at as usize].hash.0);
        *self.sorted.get_mut().unwrap_or_else(PoisonError::into_inner) = Sorted::default();
    }

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
            // The bytes of the row before stay in the arena until all rows are removed.
            self.entries[at] = entry;
            return;
        }
        // A generation is full long before it has as many rows as the type allows.
        let at = self.entries.len() as u32;
        self.entries.push(entry);
        self.places.insert_unique(hash.0, at, |at| self.entries[*at as usize].hash.0);
    }

    /// The places of all entries, by their keys.
    fn sorted(&self) -> Sorted {
        let mut sorted = self.sorted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if sorted.len() == self.entries.len() {
            return sorted;
        }
        // Sorted without the lock, so that no reader waits for another thread. Two may do it at the same time.
        let fresh = self.in_order(sorted.len() as u32..self.entries.len() as u32);
        sorted.latest = Arc::new(self.merged(&sorted.latest, &fresh));
        if sorted.is_due() {
            let most = Arc::new(self.merged(&sorted.most, &sorted.latest));
            sorted = Sorted { most, latest: Arc::default() };
        }
        *self.sorted.lock().unwrap_or_else(PoisonError::into_inner) = sorted.clone();
        sorted
    }

    /// Sorts these places by their keys. Most comparisons need not read the keys in the arena: the eight bytes that follow the
    /// common beginning of all keys decide them.
    fn in_order(&self, places: ops::Range<u32>) -> Vec<u32> {
        let first = self.key(places.start);
        let is_common =
            |length: usize, at| first.iter().zip(self.key(at)).take(length).take_while(|(a, b)| a == b).count();
        let common = places.clone().fold(first.len(), is_common);
        let head = |at| {
            let mut head = [0; 8];
            let rest = &self.key(at)[common..];
            let length = rest.len().min(head.len());
            head[..length].copy_from_slice(&rest[..length]);
            (u64::from_be_bytes(head), at)
        };
        let mut heads: Vec<_> = places.map(head).collect();
        heads.sort_unstable_by(|(one, at), (other, with)| {
            one.cmp(other).then_with(|| self.key(*at).cmp(self.key(*with)))
        });
        heads.into_iter().map(|(_, at)| at).collect()
    }

    /// The places of all entries by their keys, as [`Hashed::sorted`] returns them, but merged into one part.
    fn all_sorted(&self) -> Arc<Vec<u32>> {
        let Sorted { most, latest } = self.sorted();
        if latest.is_empty() { most } else { Arc::new(self.merged(&most, &latest)) }
    }

    /// Merges the places of two parts. It is fastest where the second one is the smaller.
    fn merged(&self, mut most: &[u32], few: &[u32]) -> Vec<u32> {
        let mut all = Vec::with_capacity(most.len() + few.len());
        for at in few {
            let (smaller, larger) = most.split_at(most.partition_point(|known| self.key(*known) < self.key(*at)));
            all.extend_from_slice(smaller);
            all.push(*at);
            most = larger;
        }
        all.extend_from_slice(most);
        all
    }

    fn key(&self, at: u32) -> &[u8] {
        let Entry { place, key, .. } = self.entries[at as usize];
        &self.arena.from(place)[..key as usize]
    }

    /// The rows at those places of `order` whose keys are within bounds. `order` must be sorted by key.
    fn range(&self, order: Arc<Vec<u32>>, (from, to): Bounds<'_>) -> Range<'_> {
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
#[derive(Debug)]
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
        Clear,
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
            1 => Just(Deed::Clear),
        ]
    }

    /// The rows within bounds in order, from both parts. Each part must be in order too, whichever way it is read.
    fn all_in<'a>(rows: &'a Rows, bounds: Bounds<'a>, is_back: bool) -> Vec<Row<'a>> {
        let mut all = Vec::new();
        for part in rows.ranges(bounds) {
            let mut part: Vec<_> = if is_back { part.rev().collect() } else { part.collect() };
            if is_back {
                part.reverse();
            }
            assert!(part.is_sorted());
            all.append(&mut part);
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn rows_are_sorted_into_the_smaller_part_until_that_is_large() {
        let (mut tree, mut hashed) = (Rows::of(Table::Claims), Rows::of(Table::Owners));
        let mut parts = Vec::new();
        for number in 0..6000_u32 {
            let key = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
            let hash = Hash::of(Table::Owners, &key);
            tree.insert(&key, hash, Some(&[]));
            hashed.insert(&key, hash, Some(&[]));
            if number % 500 == 0 {
                let bounds = (Bound::Included(&[70][..]), Bound::Excluded(&[200][..]));
                assert_eq!(all_in(&hashed, bounds, number % 1000 == 0), all_in(&tree, bounds, false));
                let Rows::Hashed(rows) = &hashed else { panic!("owners are hashed") };
                let Sorted { most, latest } = rows.sorted();
                parts.push((most.len(), latest.len()));
            }
        }
        assert!(tree.iter().eq(hashed.iter()));
        assert!(parts.iter().any(|(most, latest)| *most > 0 && *latest > 0), "{parts:?}");
        assert!(parts.iter().all(|(_, latest)| *latest <= 1024), "{parts:?}");
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
        let pieces = |rows: &Rows| {
            let Rows::Hashed(rows) = rows else { panic!("names are hashed") };
            (rows.arena.pieces.len(), rows.arena.spare.len())
        };
        let (used, spare) = pieces(&rows);
        assert!((10..40).contains(&used) && spare == 0, "{used} pieces, {spare} spare ones");
        // The memory is used again.
        rows.clear();
        assert!(rows.is_empty() && rows.get(&key(7), Hash::of(Table::Names, &key(7))).is_none());
        let (used, spare) = pieces(&rows);
        assert!(used == 0 && spare >= 2, "{used} pieces, {spare} spare ones");
        rows.insert(&key(7), Hash::of(Table::Names, &key(7)), Some(&value(7)));
        assert_eq!(pieces(&rows), (1, spare - 1));
        assert_eq!(rows.iter().next(), Some((&key(7)[..], Some(&value(7)[..]))));
        // The piece that was in use since the last time is kept, and the spare ones are freed.
        rows.clear();
        assert_eq!(pieces(&rows), (0, 1));
    }

    proptest! {
        /// Whatever is written, looked up and scanned in whichever order, a hash map is to its reader what a tree is.
        #[test]
        fn a_hash_map_reads_like_a_tree(deeds in proptest::collection::vec(deed(), 0..60)) {
            let (mut tree, mut hashed) = (Rows::of(Table::Claims), Rows::of(Table::Names));
            prop_assert!(matches!((&tree, &hashed), (Rows::Tree(_), Rows::Hashed(_))));
            let hash = |key: &[u8]| Hash::of(Table::Names, key);
            for deed in deeds {
                match deed {
                    Deed::Write(key, value) => {
                        tree.insert(&key, hash(&key), value.as_deref());
                        hashed.insert(&key, hash(&key), value.as_deref());
                    }
                    Deed::Clear => {
                        tree.clear();
                        hashed.clear();
                    }
                    Deed::Look(key) => prop_assert_eq!(tree.get(&key, hash(&key)), hashed.get(&key, hash(&key))),
                    Deed::Scan(from, to) if to.as_ref().is_none_or(|to| *to > from) => {
                        let bounds = (Bound::Included(&from[..]), to.as_ref().map_or(Bound::Unbounded, |to| Bound::Excluded(&to[..])));
                        prop_assert_eq!(all_in(&hashed, bounds, false), all_in(&tree, bounds, false));
                        prop_assert_eq!(all_in(&hashed, bounds, true), all_in(&tree, bounds, true));
                    }
                    Deed::Scan(..) => {}
                }
            }
            prop_assert!(tree.iter().eq(hashed.iter()));
            prop_assert_eq!(tree.is_empty(), hashed.is_empty());
        }
    }
}
