//! Remembers rows of the tables that were looked up lately: those that were read there last. A look-up in the tables passes
//! the filters, indexes and blocks of several files, which takes longer than all else that a node does for somebody who asks
//! for a name.

use std::cell::RefCell;
use std::sync::Arc;

use super::hash::Hash;
use crate::store::Table;

/// The number of rows that are remembered, and the size in bytes of the largest one: 20 MiB at most, and half of that as a
/// rule. Guesses: what some ten thousand names need, which are asked for again and again.
const REMEMBERED: usize = 1 << 16;
const MOST_BYTES: usize = 256;
/// The number of rows that share a place. With fewer of them more rows would displace one another while other places are empty.
const SHARING: usize = 4;

/// Rows of the tables. A row here may be older than the last write to its key only while a generation in memory has that
/// write, so the generations must be asked first. When the store forgets a generation, all rows here become void.
#[derive(Default, Debug)]
pub(super) struct Recent {
    /// The rows of each place, the one that was noted last before the others.
    places: RefCell<Vec<[Option<Row>; SHARING]>>,
    /// The number of times that generations were forgotten.
    forgotten: u32,
}

/// A remembered row. It is valid as long as its `forgotten` is the same as that of [`Recent`].
#[derive(Clone, Debug)]
struct Row {
    hash: Hash,
    forgotten: u32,
    table: Table,
    /// The length of the key, which the value follows.
    key: u16,
    bytes: Arc<[u8]>,
}

impl Recent {
    /// Calls `visit` with the value of a key, where it is remembered. Returns false where it is not.
    pub(super) fn look(&self, hash: Hash, table: Table, key: &[u8], visit: impl FnOnce(&[u8])) -> bool {
        let places = self.places.borrow();
        let is_it = |row: &&Row| {
            let is_same = (row.hash, row.table, row.forgotten) == (hash, table, self.forgotten);
            is_same && row.bytes[..usize::from(row.key)] == *key
        };
        let Some(row) = places.get(place(hash)).into_iter().flatten().flatten().find(is_it) else { return false };
        let (start, bytes) = (usize::from(row.key), Arc::clone(&row.bytes));
        // Whoever visits a row may look up others.
        drop(places);
        visit(&bytes[start..]);
        true
    }

    /// Remembers a row of the tables.
    pub(super) fn note(&self, hash: Hash, table: Table, key: &[u8], value: &[u8]) {
        let bytes = key.len() + value.len();
        if bytes > MOST_BYTES {
            return;
        }
        let mut places = self.places.borrow_mut();
        if places.is_empty() {
            places.resize_with(REMEMBERED / SHARING, Default::default);
        }
        // A key is far shorter than the type allows.
        let (key_length, bytes) = (key.len() as u16, [key, value].concat().into());
        let rows = &mut places[place(hash)];
        rows.rotate_right(1);
        rows[0] = Some(Row { hash, forgotten: self.forgotten, table, key: key_length, bytes });
    }

    /// Notes that the tables have new rows which are in no generation any more.
    pub(super) fn forget(&mut self) {
        self.forgotten = self.forgotten.wrapping_add(1);
    }
}

fn place(hash: Hash) -> usize {
    hash.0 as usize % (REMEMBERED / SHARING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(recent: &Recent, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        let mut found = None;
        let is_there = recent.look(Hash::of(Table::Names, key), table, key, |value| found = Some(value.to_vec()));
        assert_eq!(is_there, found.is_some());
        found
    }

    fn note(recent: &Recent, key: &[u8], value: &[u8]) {
        recent.note(Hash::of(Table::Names, key), Table::Names, key, value);
    }

    #[test]
    fn a_row_is_remembered_until_the_tables_have_new_ones() {
        let mut recent = Recent::default();
        assert_eq!(look(&recent, Table::Names, b"alice"), None);
        note(&recent, b"alice", b"1");
        note(&recent, b"bob", b"");
        assert_eq!(look(&recent, Table::Names, b"alice").as_deref(), Some(&b"1"[..]));
        assert_eq!(look(&recent, Table::Names, b"bob").as_deref(), Some(&b""[..]));
        assert_eq!(look(&recent, Table::Registrations, b"alice"), None, "the same key of another table");
        assert_eq!(look(&recent, Table::Names, b"alice1"), None);
        recent.forget();
        assert_eq!(look(&recent, Table::Names, b"alice"), None);
        note(&recent, b"alice", b"2");
        assert_eq!(look(&recent, Table::Names, b"alice").as_deref(), Some(&b"2"[..]));
    }

    #[test]
    fn of_many_rows_for_one_place_the_last_ones_are_remembered() {
        let recent = Recent::default();
        let hash = Hash::of(Table::Names, b"1");
        for key in 0..=SHARING {
            recent.note(hash, Table::Names, &key.to_be_bytes(), b"");
        }
        let is_there = |key: usize| recent.look(hash, Table::Names, &key.to_be_bytes(), |_| {});
        assert!(!is_there(0) && (1..=SHARING).all(is_there));
    }

    #[test]
    fn large_rows_are_not_remembered() {
        let recent = Recent::default();
        note(&recent, b"key", &[1; MOST_BYTES - 3]);
        assert!(look(&recent, Table::Names, b"key").is_some());
        note(&recent, b"yek", &[1; MOST_BYTES - 2]);
        assert_eq!(look(&recent, Table::Names, b"yek"), None);
    }

    #[test]
    fn who_visits_a_row_may_look_up_others() {
        let recent = Recent::default();
        note(&recent, b"alice", b"1");
        let hash = Hash::of(Table::Names, b"alice");
        let is_there = recent.look(hash, Table::Names, b"alice", |_| note(&recent, b"alice", b"2"));
        assert!(is_there);
        assert_eq!(look(&recent, Table::Names, b"alice").as_deref(), Some(&b"2"[..]));
    }
}
