//! Says cheaply that a key is not there, which most keys of a new registration are not.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::Table;

/// The number of blocks of a filter, as a power of two. With 512 KiB the largest generation, of some 200,000 keys, has 20 bits
/// a key.
const BLOCKS: u32 = 13;
/// The number of bits that a key sets in its block.
const BITS: u32 = 4;

/// The hash of a key of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hash(pub(super) u64);

impl Hash {
    pub(super) fn of(table: Table, key: &[u8]) -> Self {
        Self(xxh3_64_with_seed(key, table as u64))
    }

    /// The place of the key's block among two to this power: its first bits.
    pub(super) fn place(self, exponent: u32) -> usize {
        (self.0 >> (64 - exponent)) as usize
    }

    /// The bits that the key sets in its block, each as a word and a mask.
    pub(super) fn bits(self) -> impl Iterator<Item = (usize, u64)> {
        (0..BITS).map(move |bit| {
            let at = self.0 >> (9 * bit);
            ((at >> 6) as usize % 8, 1 << (at % 64))
        })
    }
}

/// A Bloom filter of keys, in which a look-up touches one cache line (F. Putze, P. Sanders, J. Singler: Cache-, Hash- and
/// Space-Efficient Bloom Filters, 2007). Its memory is taken with the first key.
#[derive(Default, Debug)]
pub(super) struct Filter(Vec<[u64; 8]>);

impl Filter {
    pub(super) fn insert(&mut self, hash: Hash) {
        if self.0.is_empty() {
            self.0.resize(1 << BLOCKS, [0; 8]);
        }
        let block = &mut self.0[hash.place(BLOCKS)];
        hash.bits().for_each(|(word, mask)| block[word] |= mask);
    }

    /// Returns false where the key was never inserted.
    pub(super) fn may_have(&self, hash: Hash) -> bool {
        self.0.get(hash.place(BLOCKS)).is_some_and(|block| hash.bits().all(|(word, mask)| block[word] & mask != 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..40)
    }

    proptest! {
        #[test]
        fn what_was_inserted_is_never_denied(keys in proptest::collection::vec((proptest::sample::select(&Table::ALL[..]), key()), 1..200)) {
            let mut filter = Filter::default();
            let hash = |(table, key): &(Table, Vec<u8>)| Hash::of(*table, key);
            prop_assert!(!keys.iter().any(|key| filter.may_have(hash(key))));
            keys.iter().for_each(|key| filter.insert(hash(key)));
            prop_assert!(keys.iter().all(|key| filter.may_have(hash(key))));
        }
    }

    #[test]
    fn few_of_the_others_are_taken_for_keys_of_a_full_generation() {
        let mut filter = Filter::default();
        let hash = |number: u64| Hash::of(Table::Names, &number.to_be_bytes());
        (0..200_000).for_each(|number| filter.insert(hash(number)));
        let wrong = (200_000..300_000).filter(|number| filter.may_have(hash(*number))).count();
        assert!(wrong < 1000, "{wrong} of 100,000");
    }
}
