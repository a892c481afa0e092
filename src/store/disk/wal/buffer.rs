//! The memory in which a frame is built.

use super::files::BLOCK;
use super::frame::{self, HEADER, Head, MAX_FRAME};

/// The bytes of a frame, aligned so that the disk can read them without a copy.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// The offset of the frame in `bytes`.
    start: usize,
    /// The size in bytes of the header and of the payload so far.
    filled: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        // There is more room than the largest frame needs, so that the frame can begin at a multiple of a block.
        let bytes = vec![0; MAX_FRAME + 2 * BLOCK];
        let start = bytes.as_ptr().align_offset(BLOCK);
        // Where the alignment is not known, the disk refuses the bytes, and they go through the page cache.
        let start = if start <= BLOCK { start } else { 0 };
        Self { bytes, start, filled: HEADER }
    }

    pub(super) fn clear(&mut self) {
        self.filled = HEADER;
    }

    pub(super) fn payload(&self) -> usize {
        self.filled - HEADER
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let at = self.start + self.filled;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// The first block.
    pub(super) fn block(&self) -> &[u8] {
        &self.bytes[self.start..self.start + BLOCK]
    }

    /// The first bytes, for the caller to fill.
    pub(super) fn whole(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + bytes]
    }

    /// The frame with its header and padding.
    pub(super) fn sealed(&mut self, head: Head, seed: u64) -> &[u8] {
        let frame = &mut self.bytes[self.start..self.start + head.padded()];
        frame[self.filled..].fill(0);
        frame::seal(frame, head, seed);
        frame
    }
}
