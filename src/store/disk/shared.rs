//! The state that the threads of a store share: how far each of them is, and whether one has failed.

use std::fmt::Display;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::generation::Generation;
use crate::store::{Batch, StoreFailure};

/// The assumed rate of the hand-over to the tables, in bytes per second, before the first generation was measured. A
/// guess, on the low side.
const FIRST_PACE: u64 = 50 << 20;

/// The number of syncs whose times are kept for the owner. Where it takes none of them, later ones are not kept.
const MOST_SYNCS: usize = 4096;

/// The number of empty buffers that are kept, and the most memory that they may take together. Guesses: while a node catches
/// up, some batches of a few mebibytes are on their way to the log.
const MAX_SPARE: usize = 8;
const MAX_SPARE_BYTES: usize = 16 << 20;

/// How far the log is durable.
#[derive(Debug)]
struct Durable {
    /// The last batch that is.
    batch: Batch,
    /// The number of threads that wait for a later one.
    waiting: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Shared {
    /// The first failure.
    failure: OnceLock<StoreFailure>,
    durable: Mutex<Durable>,
    changed: Condvar,
    /// All batches up to this one are in the tables.
    applied: AtomicU64,
    /// The size in bytes of the rows that were written since the start, and of those of them that are in the tables.
    written: AtomicU64,
    taken_over: AtomicU64,
    /// The measured rate of the hand-over, in bytes of rows per second.
    pace: AtomicU64,
    /// The number of bytes that were written to the log.
    logged: AtomicU64,
    /// How long the latest syncs of the log took, those that the owner has not taken yet.
    syncs: Mutex<Vec<Duration>>,
    /// How many microseconds the last sync took.
    last_sync: AtomicU64,
    /// Buffers of batches that are in the log, to be filled again.
    spare: Mutex<Vec<Vec<u8>>>,
    /// An empty generation, to be filled again.
    emptied: Mutex<Option<Generation>>,
}

impl Shared {
    pub(super) fn new(durable: Batch, applied: Batch) -> Self {
        Self {
            failure: OnceLock::new(),
            durable: Mutex::new(Durable { batch: durable, waiting: 0 }),
            changed: Condvar::new(),
            applied: AtomicU64::new(applied),
            written: AtomicU64::new(0),
            taken_over: AtomicU64::new(0),
            pace: AtomicU64::new(FIRST_PACE),
            logged: AtomicU64::new(0),
            syncs: Mutex::default(),
            last_sync: AtomicU64::new(0),
            spare: Mutex::default(),
            emptied: Mutex::default(),
        }
    }

    /// Takes an empty buffer for the rows of a batch. Memory that was used before is mapped already, and fresh memory costs
    /// several times what it takes to fill it.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives buffers back that were taken.
    pub(super) fn give_back(&self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        // Buffers for which there is no room are freed after the lock.
        let mut buffers = buffers.into_iter();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = spare.iter().map(Vec::capacity).sum::<usize>();
        while spare.len() < MAX_SPARE
            && let Some(mut buffer) = buffers.next()
        {
            if bytes + buffer.capacity() <= MAX_SPARE_BYTES {
                bytes += buffer.capacity();
                buffer.clear();
                spare.push(buffer);
            }
        }
    }

    /// Takes an empty generation, in memory that was used before where there is some.
    pub(super) fn generation(&self) -> Generation {
        self.emptied.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Empties a generation and keeps its memory for the next one that is taken.
    pub(super) fn empty(&self, mut generation: Generation) {
        generation.clear();
        let before = self.emptied.lock().unwrap_or_else(PoisonError::into_inner).replace(generation);
        // The memory of the one before is freed without the lock, for which the owner of the store may wait.
        drop(before);
    }

    /// Stops the store. A later failure is a consequence of the first and is not recorded.
    pub(super) fn fail(&self, doing: &str, error: &dyn Display) {
        let _ = self.failure.set(StoreFailure(format!("{doing}: {error}")));
        drop(self.durable.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    pub(super) fn failure(&self) -> Option<&StoreFailure> {
        self.failure.get()
    }

    pub(super) fn set_durable(&self, batch: Batch) {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        durable.batch = batch;
        // It takes a call to the system, and hardly ever is there anybody.
        if durable.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits until a batch is durable. Returns false where the store has failed.
    pub(super) fn await_durable(&self, batch: Batch) -> bool {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        durable.waiting += 1;
        while durable.batch < batch && self.failure().is_none() {
            durable = self.changed.wait(durable).unwrap_or_else(PoisonError::into_inner);
        }
        durable.waiting -= 1;
        self.failure().is_none()
    }

    pub(super) fn set_applied(&self, batch: Batch) {
        self.applied.store(batch, Release);
    }

    pub(super) fn applied(&self) -> Batch {
        self.applied.load(Acquire)
    }

    /// Adds rows that were written. Returns the size of all rows since the start.
    pub(super) fn add_written(&self, bytes: usize) -> u64 {
        self.written.fetch_add(bytes as u64, Relaxed) + bytes as u64
    }

    /// Adds rows that are in the tables.
    pub(super) fn add_taken_over(&self, bytes: usize) {
        self.taken_over.fetch_add(bytes as u64, Relaxed);
    }

    /// Records that all rows up to a total of `bytes` are in the tables, and that the newest ones, `newest` bytes, took
    /// this time.
    pub(super) fn set_taken_over(&self, bytes: u64, newest: usize, took: Duration) {
        self.taken_over.store(bytes, Relaxed);
        let pace = newest as f64 / took.as_secs_f64().max(1e-6);
        // The newest rate counts for one half, so that one slow disk access does not count for long. Small generations
        // say little about the rate.
        if newest >= 1 << 20 {
            self.pace.store((self.pace.load(Relaxed) as f64 / 2.0 + pace / 2.0) as u64, Relaxed);
        }
    }

    pub(super) fn add_logged(&self, bytes: u64) {
        self.logged.fetch_add(bytes, Relaxed);
    }

    pub(super) fn logged(&self) -> u64 {
        self.logged.load(Relaxed)
    }

    /// Records how long the log took to write a group of batches and to sync it.
    pub(super) fn add_sync(&self, took: Duration) {
        self.last_sync.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        let mut syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        if syncs.len() < MOST_SYNCS {
            syncs.push(took);
        }
    }

    /// How long the last group of batches took.
    pub(super) fn last_sync(&self) -> Duration {
        Duration::from_micros(self.last_sync.load(Relaxed))
    }

    pub(super) fn take_syncs(&self) -> Vec<Duration> {
        std::mem::take(&mut self.syncs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns how long a write of so many bytes is to be delayed, where the generations may take `most` bytes.
    pub(super) fn pause(&self, bytes: usize, most: usize) -> Duration {
        let lag = self.written.load(Relaxed).saturating_sub(self.taken_over.load(Relaxed));
        pause(bytes, lag, most as u64, self.pace.load(Relaxed))
    }
}

/// The pause grows with the lag of the tables. There is none up to half of what the generations may take; at three
/// quarters writing is as fast as the tables are, and at the full amount half as fast. So a writer that is faster than
/// the tables settles in between, without a jump.
fn pause(bytes: usize, lag: u64, most: u64, pace: u64) -> Duration {
    let half = (most / 2).max(1);
    let over = lag.saturating_sub(half) as f64 / half as f64;
    Duration::from_secs_f64((bytes as f64 / pace.max(1) as f64 * over * 2.0).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_the_lag_from_half_of_what_is_allowed() {
        let at = |lag| pause(1_000_000, lag, 100, 1_000_000);
        assert_eq!((at(0), at(50)), (Duration::ZERO, Duration::ZERO));
        assert_eq!((at(75), at(100)), (Duration::from_secs(1), Duration::from_secs(1)), "at most a second");
        let small = |lag| pause(1000, lag, 100, 1_000_000);
        assert_eq!((small(75), small(100)), (Duration::from_millis(1), Duration::from_millis(2)));
        assert!((50..200).all(|lag| small(lag) < small(lag + 1)));
    }
}
