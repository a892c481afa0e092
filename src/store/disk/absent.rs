//! Remembers keys that were just not found, because a registration looks each up twice.

use std::cell::RefCell;

use super::hash::Hash;
use super::rows::Key;
use crate::store::Table;

/// The number of keys that [`Absent`] remembers. A guess: what the requests of some steps look up more than once.
const REMEMBERED: usize = 256;

/// Keys that were looked up lately and were not there. A registration looks up its id and its names when it is checked, and
/// again when it is applied.
#[derive(Default, Debug)]
pub(super) struct Absent(RefCell<Vec<Option<(Table, Key)>>>);

impl Absent {
    /// Returns true where the key is known not to be there.
    pub(super) fn knows(&self, hash: Hash, table: Table, key: &[u8]) -> bool {
        let known = self.0.borrow();
        let slot = known.get(slot(hash)).and_then(Option::as_ref);
        slot.is_some_and(|(of, known)| *of == table && known.as_slice() == key)
    }

    pub(super) fn note(&self, hash: Hash, table: Table, key: &[u8]) {
        let mut known = self.0.borrow_mut();
        known.resize(REMEMBERED, None);
        known[slot(hash)] = Some((table, Key::from_slice(key)));
    }

    /// Forgets a key, because it is written.
    pub(super) fn forget(&mut self, hash: Hash) {
        if let Some(slot) = self.0.get_mut().get_mut(slot(hash)) {
            *slot = None;
        }
    }
}

fn slot(hash: Hash) -> usize {
    hash.0 as usize % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_absent_until_it_is_written() {
        let mut absent = Absent::default();
        let hash = Hash::of(Table::Names, b"alice");
        assert!(!absent.knows(hash, Table::Names, b"alice"));
        absent.note(hash, Table::Names, b"alice");
        assert!(absent.knows(hash, Table::Names, b"alice"));
        assert!(!absent.knows(hash, Table::Registrations, b"alice"), "the same key of another table");
        assert!(!absent.knows(hash, Table::Names, b"bob"));
        absent.forget(hash);
        assert!(!absent.knows(hash, Table::Names, b"alice"));
    }
}
