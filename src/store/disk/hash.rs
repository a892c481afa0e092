//! The hash of a key. A key is hashed once for each call, for all that looks it up.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::Table;

/// The number of bits that a key sets in its block.
const BITS: u32 = 4;

/// Another one in each process, so that nobody can choose ids or names that all have the same hash. No hash is stored.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u64));

/// The hash of a key of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hash(pub(super) u64);

impl Hash {
    pub(super) fn of(table: Table, key: &[u8]) -> Self {
        Self(xxh3_64_with_seed(key, *SEED ^ table as u64))
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
