//! How a store is opened.

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Bytes of blocks of tables kept in memory.
    pub cache_bytes: u64,
    /// Bytes of memory that rows may take which the tables on disk do not hold yet. A quarter of it is handed over at once.
    /// Where the tables lag behind, writing is slowed down from half of it on, so that it is not passed for long.
    pub memory_bytes: usize,
    /// Bytes of a file of the log at most. Half a dozen of them are in use under full load.
    pub segment_bytes: u64,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            // A guess: it holds the filters and indexes of some ten million names.
            cache_bytes: 64 << 20,
            // A guess: some 200,000 registrations, whose tables are written in a second or two.
            memory_bytes: 192 << 20,
            // Read again at a start in some 0.3 s.
            segment_bytes: 64 << 20,
        }
    }
}
