//! The files of the log: made beforehand, filled one after the other, used again.
//!
//! A segment is written through with zeros, synced and only then given its name, so a file with the name of a segment is
//! whole, and writing into it changes no metadata of the file system. The first ones are small, so that a node with little
//! to keep takes little room; each new one is as large as all before it together, up to the size that was asked for.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{BLOCK, File, Files};
use super::frame::MAX_FRAME;
use crate::store::Batch;

/// Segments that are kept for later use at most. A guess: one in hand, one that came back meanwhile.
const MOST_SPARES: usize = 2;
/// The sizes of a log's parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of a frame at most.
    pub(crate) frame: usize,
    /// Bytes of the first segments.
    pub(crate) first_segment: u64,
    /// Bytes of a segment at most.
    pub(crate) segment: u64,
}

impl Sizes {
    /// With segments of so many bytes at most.
    pub(crate) fn new(segment: u64) -> Self {
        // A guess: written in some 20 ms.
        let first_segment = 4 * MAX_FRAME as u64;
        Self { frame: MAX_FRAME, first_segment, segment: segment.max(first_segment) }
    }
}

/// Bytes of zeros that are written at once.
const FILL: usize = 1 << 20;
/// How a file is called until it is whole.
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
    /// Segments that are written, each with the last batch in it, oldest first.
    full: VecDeque<(Segment, Batch)>,
    spares: Vec<Segment>,
    next_number: u64,
    /// Bytes of all segments.
    bytes: u64,
}

/// The segments that the log does not write into just now. Shared by the thread that writes the log, the one that makes
/// segments and the one that frees them.
#[derive(Debug)]
pub(crate) struct Segments {
    files: Arc<dyn Files>,
    sizes: Sizes,
    state: Mutex<State>,
    stopping: AtomicBool,
}

impl Segments {
    /// Those of a directory, as files that were found there. What was not finished is removed.
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
        // One may have got its name and lost power before the name was durable.
        files.sync_names()?;
        Ok((Self { files, sizes, state: Mutex::new(state), stopping: AtomicBool::new(false) }, found))
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty segment; made now where none is in hand.
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

    /// Takes back a segment that is full; `last` is the last batch that has bytes in it.
    pub(super) fn keep(&self, segment: Segment, last: Batch) {
        self.state().full.push_back((segment, last));
    }

    /// Takes back a segment whose bytes nobody needs. One that was cut shorter than a frame is of no use.
    pub(super) fn spare(&self, segment: Segment) {
        if segment.bytes >= self.sizes.frame as u64 {
            self.state().spares.push(segment);
        }
    }

    /// Frees the segments whose batches are all in the tables, durably.
    ///
    /// # Errors
    /// Those that are too many could not be removed.
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

    /// Makes a segment for later where none is in hand.
    ///
    /// # Errors
    /// The disk is full or fails. Nothing that was written is touched by that.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if !self.state().spares.is_empty() {
            return Ok(());
        }
        let segment = self.make()?;
        self.spare(segment);
        Ok(())
    }

    /// Has a segment that is being made given up. None can be made any more.
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
                // The next start removes it otherwise.
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
