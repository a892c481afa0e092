//! Says cheaply that a key is in none of the tables, however many millions of keys these have.
//!
//! Most names and ids that are looked up are new, and each of fjall's files has to say so, from a filter of its own: a
//! dozen reads of memory far apart for each file. Here all keys that the tables got are in one Bloom filter, so the answer
//! is a read or a few. Of the claims their tenures are here, because the registry asks whether a tenure has any. Keys that were
//! deleted stay in it, which costs a look-up in the tables and nothing else. Of every table it also says whether it had rows at
//! the start or got some since: some are used by few clusters, and looked into by each registration.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use super::hash::Hash;
use crate::store::Table;

/// The blocks of the first part, as a power of two: 1 MiB. Each further part has four times as many, so that some
/// hundred million keys take five parts, and a look-up five reads of memory at most. A guess.
const FIRST_PART: u32 = 14;
const PARTS: usize = 5;
/// The number of keys of a block after which the next part begins. With 64 bytes a block these are 13 bits a key, and about
/// one look-up of a hundred in a full part goes on to the tables.
const KEYS_OF_A_BLOCK: u64 = 40;

/// The bytes of the stamp at the end of a claim's key.
const STAMP: usize = 16;

/// A block: what a look-up reads, as one cache line.
type Block = [AtomicU64; 8];

/// The keys of the tables. The threads that read the tables at the start and that write them add keys, others only look.
#[derive(Default, Debug)]
pub(super) struct Known {
    parts: [OnceLock<Box<[Block]>>; PARTS],
    /// The part that takes new keys, and the number of keys that it has.
    part: AtomicUsize,
    keys: AtomicU64,
    /// True once all keys that were in the tables at the start are here.
    complete: AtomicBool,
    /// True for each table that may have rows.
    used: [AtomicBool; Table::ALL.len()],
}

impl Known {
    /// Returns true for a table whose keys are here. Those of the others are mostly looked up where they exist, or scanned.
    pub(super) fn covers(table: Table) -> bool {
        matches!(table, Table::Names | Table::Ids | Table::Followed)
    }

    /// Returns true for a table of whose keys at least a part is here.
    pub(super) fn learns(table: Table) -> bool {
        Self::covers(table) || table == Table::Claims
    }

    /// Adds a key of a table that [`Known::learns`], before the table gets it.
    pub(super) fn learn(&self, table: Table, key: &[u8]) {
        let known = if Self::covers(table) { key } else { &key[..key.len().saturating_sub(STAMP)] };
        self.insert(Hash::of(table, known));
    }

    /// Returns true where the tables have no claim to a tenure; see [`Store::lacks_tenure`](crate::store::Store::lacks_tenure).
    pub(super) fn denies_tenure(&self, tenure: &[u8]) -> bool {
        let may_have = || self.may_have(Hash::of(Table::Claims, tenure));
        self.is_unused(Table::Claims) || self.complete.load(Acquire) && !may_have()
    }

    /// Notes that a table has rows, or is about to get some.
    pub(super) fn use_table(&self, table: Table) {
        self.used[table as usize].store(true, Release);
    }

    /// Returns true where the table on disk has had no row since the start, and had none then.
    pub(super) fn is_unused(&self, table: Table) -> bool {
        !self.used[table as usize].load(Acquire)
    }

    /// Adds a key. One that seems to be here already takes no room. Threads that add keys at the same time may fill a part a
    /// little further.
    fn insert(&self, hash: Hash) {
        if self.may_have(hash) {
            return;
        }
        let mut part = self.part.load(Relaxed);
        if self.keys.fetch_add(1, Relaxed) >= KEYS_OF_A_BLOCK << exponent(part) && part + 1 < PARTS {
            part += 1;
            self.part.store(part, Relaxed);
            self.keys.store(1, Relaxed);
        }
        let blocks = self.parts[part].get_or_init(|| blocks(part));
        let block = &blocks[hash.place(exponent(part))];
        for (word, mask) in hash.bits() {
            block[word].fetch_or(mask, Relaxed);
        }
    }

    /// Notes that all keys that were in the tables at the start are here.
    pub(super) fn completed(&self) {
        self.complete.store(true, Release);
    }

    /// Returns true where the table has not the key.
    pub(super) fn denies(&self, table: Table, hash: Hash) -> bool {
        self.is_unused(table) || Self::covers(table) && self.complete.load(Acquire) && !self.may_have(hash)
    }

    fn may_have(&self, hash: Hash) -> bool {
        self.parts.iter().map_while(OnceLock::get).enumerate().any(|(part, blocks)| {
            let block = &blocks[hash.place(exponent(part))];
            hash.bits().all(|(word, mask)| block[word].load(Relaxed) & mask != 0)
        })
    }
}

/// The number of a part's blocks, as a power of two.
fn exponent(part: usize) -> u32 {
    // The number of a part is small enough for the cast.
    FIRST_PART + 2 * part as u32
}

fn blocks(part: usize) -> Box<[Block]> {
    (0..1_usize << exponent(part)).map(|_| Block::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> Hash {
        Hash::of(Table::Names, &number.to_be_bytes())
    }

    #[test]
    fn a_table_without_rows_has_no_key() {
        let known = Known::default();
        assert!(known.is_unused(Table::Early) && known.denies(Table::Early, hash(1)));
        known.use_table(Table::Early);
        assert!(!known.is_unused(Table::Early) && !known.denies(Table::Early, hash(1)));
        assert!(known.is_unused(Table::Log));
    }

    #[test]
    fn no_key_is_denied_while_some_may_be_missing() {
        let known = Known::default();
        Table::ALL.into_iter().for_each(|table| known.use_table(table));
        assert!(!known.denies(Table::Names, hash(1)));
        known.completed();
        assert!(known.denies(Table::Names, hash(1)));
        known.insert(hash(1));
        assert!(!known.denies(Table::Names, hash(1)));
        assert!(!known.denies(Table::Log, hash(2)), "its keys are not here");
    }

    /// Two parts are full, and the third has begun.
    #[test]
    fn keys_of_all_parts_are_known_and_few_others_are_taken_for_them() {
        let known = Known::default();
        known.use_table(Table::Names);
        known.completed();
        let count = (KEYS_OF_A_BLOCK << exponent(0)) + (KEYS_OF_A_BLOCK << exponent(1)) + 100_000;
        (0..count).for_each(|number| known.insert(hash(number)));
        assert_eq!(known.part.load(Relaxed), 2);
        assert!((0..count).all(|number| !known.denies(Table::Names, hash(number))));
        let before = known.keys.load(Relaxed);
        (0..count).for_each(|number| known.insert(hash(number)));
        assert_eq!(known.keys.load(Relaxed), before, "they were here");
        let wrong = (count..count + 100_000).filter(|number| !known.denies(Table::Names, hash(*number))).count();
        assert!(wrong < 4000, "{wrong} of 100,000");
    }
}
