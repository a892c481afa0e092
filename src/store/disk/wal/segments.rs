//! The files of the log, called segments. They are made beforehand, filled one after the other, and used again.
//!
//! A segment is filled with zeros, synced and only then given its final name. So a file with the name of a segment is
//! whole, and writes into it change no metadata of the file system. The first segments are small, so that a node with
//! little data takes little room. Each new one is as large as all earlier ones together, up to the size in the options.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{BLOCK, File, Files};
use super::frame::MAX_FRAME;
use crate::store::Batch;

/// The number of unused segments that are kept at most. A guess: one that was made beforehand, and one that was freed
/// meanwhile.
const MOST_SPARES: usize = 2;
/// The sizes of the parts of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The largest size in bytes of a frame.
    pub(crate) frame: usize,
    /// The size in bytes of the first segments.
    pub(crate) first_segment: u64,
    /// The largest size in bytes of a segment.
    pub(crate) segment: u64,
}

impl Sizes {
    /// Sizes for a log whose segments have at most this many bytes.
    pub(crate) fn new(segment: u64) -> Self {
        // A guess: such a segment is written in some 20 ms.
        let first_segment = 4 * MAX_FRAME as u64;
        Self { frame: MAX_FRAME, first_segment, segment: segment.max(first_segment) }
    }
}

/// The number of zeros that are written at once.
const FILL: usize = 1 << 20;
/// The suffix of a file until it is whole.
const UNFINISHED: &str = ".new";

/// A file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: Box<dyn File>,
    pub(super) bytes: u64,
}

impl Segment {
    pub(super) fn name(number: u64) -> String {
        format!("{number:08}.wal")
    }
}

#[derive(Debug, Default)]
struct State {
    /// Full segments, each with the last batch in it, oldest first.
    full: VecDeque<(Segment, Batch)>,
    spares: Vec<Segment>,
    next_number: u64,
    /// The size in bytes of all segments.
    bytes: u64,
}

/// All segments except the one that the log writes into. They are shared by the thread that writes the log, the thread
/// that makes segments, and the thread that frees them.
#[derive(Debug)]
pub(crate) struct Segments {
    files: Arc<dyn Files>,
    sizes: Sizes,
    state: Mutex<State>,
    stopping: AtomicBool,
}

impl Segments {
    /// Opens the segments of a directory. Returns those that were found separately, and removes unfinished files.
    pub(super) fn open(files: Arc<dyn Files>, sizes: Sizes) -> io::Result<(Self, Vec<Segment>)> {
        let (mut found, mut state) = (Vec::new(), State::default());
        for name in files.list()? {
            if name.ends_with(UNFINISHED) {
                files.remove(&name)?;
                continue;
            }
            let Some(number) = name.strip_suffix(".wal").and_then(|number| number.parse().ok()) else { continue };
            let file = files.open(&name)?;
            let bytes = file.bytes()? / BLOCK as u64 * BLOCK as u64;
            state.next_number = state.next_number.max(number + 1);
            state.bytes += bytes;
            found.push(Segment { number, file, bytes });
        }
        found.sort_by_key(|segment| segment.number);
        // A power cut may have come after a segment was renamed and before the new name was durable.
        files.sync_names()?;
        Ok((Self { files, sizes, state: Mutex::new(state), stopping: AtomicBool::new(false) }, found))
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The size in bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an unused segment. Makes one where there is none.
    pub(super) fn take(&self) -> io::Result<Segment> {
        if let Some(segment) = self.take_spare() {
            return Ok(segment);
        }
        self.make()
    }

    fn take_spare(&self) -> Option<Segment> {
        let mut state = self.state();
        let largest = state.spares.iter().enumerate().max_by_key(|(_, segment)| segment.bytes)?.0;
        Some(state.spares.swap_remove(largest))
    }

    /// Takes back a full segment; `last` is the last batch that has bytes in it.
    pub(super) fn keep(&self, segment: Segment, last: Batch) {
        self.state().full.push_back((segment, last));
    }

    /// Takes back a segment whose contents are not needed. A segment that is shorter than a frame is of no use and is
    /// not kept.
    pub(super) fn spare(&self, segment: Segment) {
        if segment.bytes >= self.sizes.frame as u64 {
            self.state().spares.push(segment);
        }
    }

    /// Frees the segments whose batches are all durable in the tables.
    ///
    /// # Errors
    /// A segment beyond the number of those that are kept could not be removed.
    pub(crate) fn release(&self, applied: Batch) -> io::Result<()> {
        let mut state = self.state();
        while state.full.front().is_some_and(|(_, last)| *last <= applied) {
            let freed = state.full.pop_front();
            state.spares.extend(freed.map(|(segment, _)| segment));
        }
        state.spares.sort_by_key(|segment| Reverse(segment.bytes));
        let kept = state.spares.len().min(MOST_SPARES);
        let removed = state.spares.split_off(kept);
        state.bytes -= removed.iter().map(|segment| segment.bytes).sum::<u64>();
        drop(state);
        for segment in removed {
            let name = Segment::name(segment.number);
            drop(segment);
            self.files.remove(&name)?;
        }
        Ok(())
    }

    /// Makes an unused segment where there is none.
    ///
    /// # Errors
    /// The disk is full or fails. Segments with data are not affected.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if !self.state().spares.is_empty() {
            return Ok(());
        }
        let segment = self.make()?;
        self.spare(segment);
        Ok(())
    }

    /// Stops the making of a segment. No segment can be made afterwards.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn make(&self) -> io::Result<Segment> {
        let mut state = self.state();
        let bytes = state.bytes.clamp(self.sizes.first_segment, self.sizes.segment) / BLOCK as u64 * BLOCK as u64;
        let number = state.next_number;
        state.next_number += 1;
        drop(state);
        let name = Segment::name(number);
        let unfinished = format!("{name}{UNFINISHED}");
        let made = self.fill(&unfinished, bytes).and_then(|()| {
            self.files.rename(&unfinished, &name)?;
            self.files.sync_names()?;
            self.files.open(&name)
        });
        match made {
            Ok(file) => {
                self.state().bytes += bytes;
                Ok(Segment { number, file, bytes })
            }
            Err(error) => {
                // Where this fails, the next start removes the file.
                let _ = self.files.remove(&unfinished);
                Err(error)
            }
        }
    }

    fn fill(&self, name: &str, bytes: u64) -> io::Result<()> {
        let mut file = self.files.create(name)?;
        let zeros = vec![0; FILL];
        let mut at = 0;
        while at < bytes {
            if self.stopping.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let piece = zeros.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
            file.write_at(at, &zeros[..piece])?;
            at += piece as u64;
        }
        file.sync()
    }
}
