//! The options of a store on disk.

use std::time::Duration;

/// Options of a store on disk.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The size in bytes of the cache for blocks of the tables.
    pub cache_bytes: u64,
    /// The memory in bytes that rows may take before they are in the tables on disk. A quarter of it is handed over at
    /// once. Where the tables lag behind, writes are slowed down once half of it is in use, so that the limit is not
    /// passed for long. The memory of one generation that is empty is kept beside that, for the next one.
    pub memory_bytes: usize,
    /// The largest size in bytes of a file of the log. Half a dozen files are in use under full load.
    pub segment_bytes: u64,
    /// The owner of the store makes a small batch durable itself only where the last sync took no longer than this. See
    /// [`DiskStore::set_unhurried`](super::DiskStore::set_unhurried).
    pub quick_sync: Duration,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            // A guess: it holds the filters and indexes of some ten million names.
            cache_bytes: 64 << 20,
            // A guess: some 400,000 registrations, which are written to the tables in a few seconds.
            memory_bytes: 192 << 20,
            // A start reads a file of this size in some 0.3 s.
            segment_bytes: 64 << 20,
            // A guess: several times what a good disk takes.
            quick_sync: Duration::from_millis(1),
        }
    }
}
