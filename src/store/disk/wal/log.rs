//! The end of the log, where batches are added.

use std::io;
use std::sync::Arc;

use super::buffer::Buffer;
use super::files::Files;
use super::frame::{HEADER, Head, Place};
use super::segments::{Segment, Segments, Sizes};
use crate::store::Batch;

/// An open log. [`Log::open`] is in `recovery`.
#[derive(Debug)]
pub(crate) struct Log {
    pub(super) segments: Arc<Segments>,
    pub(super) seed: u64,
    /// The segment that takes the next frames, and the offset of the next frame in it.
    pub(super) segment: Segment,
    pub(super) at: u64,
    /// The last batch that is whole and durable.
    pub(super) last: Batch,
    pub(super) buffer: Buffer,
    /// True after a write or a sync has failed. The contents of the disk are unknown then, so nothing is written behind
    /// them.
    pub(super) has_failed: bool,
}

impl Log {
    /// Makes the first segment of a new log.
    pub(crate) fn create(files: Arc<dyn Files>, sizes: Sizes) -> io::Result<()> {
        let (segments, _) = Segments::open(files, sizes)?;
        segments.prepare()
    }

    /// The last batch that is durable.
    pub(crate) fn last(&self) -> Batch {
        self.last
    }

    /// The segments.
    pub(crate) fn segments(&self) -> &Arc<Segments> {
        &self.segments
    }

    /// Returns true once more than half of the segment is written, so that the next one should be made.
    pub(crate) fn wants_segment(&self) -> bool {
        self.at * 2 > self.segment.bytes
    }

    /// Adds batches and makes them durable. Returns the number of bytes that were written. One call is one sync where
    /// the batches fit into one frame.
    ///
    /// # Errors
    /// The error of the disk. Some prefix of the batches may be durable, and nothing can be added any more.
    pub(crate) fn append(&mut self, batches: &[Vec<u8>]) -> io::Result<u64> {
        if self.has_failed {
            return Err(io::Error::other("an earlier write to the log failed"));
        }
        self.has_failed = true;
        let written = self.write_batches(batches)?;
        self.has_failed = false;
        Ok(written)
    }

    fn write_batches(&mut self, batches: &[Vec<u8>]) -> io::Result<u64> {
        let most = self.segments.sizes().frame - HEADER;
        let (mut written, mut whole) = (0, 0);
        self.buffer.clear();
        for rows in batches {
            let length = (rows.len() as u64).to_le_bytes();
            if whole > 0 && self.buffer.payload() + length.len() + rows.len() > most {
                written += self.write_frame(Place::of(self.last + 1), std::mem::take(&mut whole), false)?;
            }
            let mut part = 0;
            for mut bytes in [length.as_slice(), rows] {
                while self.buffer.payload() + bytes.len() > most {
                    let (piece, rest) = bytes.split_at(most - self.buffer.payload());
                    self.buffer.push(piece);
                    bytes = rest;
                    written += self.write_frame(Place { batch: self.last + 1, part }, 0, true)?;
                    part += 1;
                }
                self.buffer.push(bytes);
            }
            whole += 1;
            if part > 0 {
                written += self.write_frame(Place { batch: self.last + 1, part }, std::mem::take(&mut whole), false)?;
            }
        }
        if whole > 0 {
            written += self.write_frame(Place::of(self.last + 1), whole, false)?;
        }
        Ok(written)
    }

    /// Writes the contents of the buffer as a frame, and empties the buffer.
    fn write_frame(&mut self, place: Place, batches: u32, goes_on: bool) -> io::Result<u64> {
        let head = Head { place, batches, goes_on, payload: self.buffer.payload() };
        let bytes = head.padded() as u64;
        let mut left = None;
        if self.at + bytes > self.segment.bytes {
            left = Some(std::mem::replace(&mut self.segment, self.segments.take()?));
            self.at = 0;
        }
        let frame = self.buffer.sealed(head, self.seed);
        self.segment.file.write_at(self.at, frame)?;
        self.segment.file.sync()?;
        // This comes after the sync, because a start begins at the full segment until the next one holds a frame.
        if let Some(segment) = left {
            let last = if place.part == 0 { place.batch - 1 } else { place.batch };
            self.segments.keep(segment, last);
        }
        self.at += bytes;
        self.last += u64::from(batches);
        self.buffer.clear();
        Ok(bytes)
    }
}
