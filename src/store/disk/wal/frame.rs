//! The layout of a frame, the unit in which the log is written and synced.
//!
//! ```text
//!  0  checksum of all that follows, up to the end of the payload (XXH3, seeded with the log's seed)
//!  8  the mark "fnw1"
//! 12  bytes of the payload
//! 16  the first batch that has bytes in it
//! 24  how many batches end in it
//! 28  which part of its batch it is: 0 but for a batch that is too large for one frame
//! 32  1 where the batch goes on in the next frame
//! 36  0
//! 40  payload, and zeros up to the next block
//! ```
//!
//! A frame holds whole batches, or one part of a large batch. The checksum covers the frame's place in the log, which
//! is the batch and the part that it begins with, and no two whole frames ever have the same place. So the contents of
//! a segment from an earlier use are not taken for a part of the log. The seed is random and secret, so nobody can make
//! a row that looks like a frame.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::files::BLOCK;
use crate::store::Batch;

/// The number of bytes before the payload.
pub(super) const HEADER: usize = 40;
/// The largest size in bytes of a frame. A guess: large enough that its sync costs little compared with its write, and
/// small enough that it takes a few milliseconds.
pub(crate) const MAX_FRAME: usize = 1 << 20;
/// The largest size in bytes of a payload.
pub(super) const MAX_PAYLOAD: usize = MAX_FRAME - HEADER;

const MARK: [u8; 4] = *b"fnw1";

/// The place of a frame in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) batch: Batch,
    pub(super) part: u32,
}

impl Place {
    /// The place of the frame that begins with a batch.
    pub(super) fn of(batch: Batch) -> Self {
        Self { batch, part: 0 }
    }
}

/// The contents of the header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) place: Place,
    /// The number of batches that end in the frame.
    pub(super) batches: u32,
    /// True where the batch goes on in the next frame.
    pub(super) goes_on: bool,
    /// The size in bytes of the payload.
    pub(super) payload: usize,
}

impl Head {
    /// Reads a header without checking the checksum; none where the bytes are no header.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEADER)?;
        if head[8..12] != MARK || number(&head[36..40]) != 0 {
            return None;
        }
        let payload = usize::try_from(number(&head[12..16])).ok()?;
        let place = Place { batch: number(&head[16..24]), part: u32::try_from(number(&head[28..32])).ok()? };
        let batches = u32::try_from(number(&head[24..28])).ok()?;
        let goes_on = number(&head[32..36]) == 1;
        (payload <= MAX_PAYLOAD).then_some(Self { place, batches, goes_on, payload })
    }

    /// The size in bytes of the frame with its padding.
    pub(super) fn padded(self) -> usize {
        padded(self.payload)
    }

    /// The place of the next frame; none where the number would overflow, which no log reaches.
    pub(super) fn next(self) -> Option<Place> {
        if self.goes_on {
            return Some(Place { part: self.place.part.checked_add(1)?, ..self.place });
        }
        Some(Place::of(self.place.batch.checked_add(u64::from(self.batches))?))
    }

    /// The last batch that has bytes in the frame.
    pub(super) fn last(self) -> Batch {
        self.place.batch.saturating_add(u64::from(self.batches).saturating_sub(1))
    }
}

/// The size in bytes of a frame with a payload of this size and its padding.
pub(super) fn padded(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(BLOCK)
}

/// Returns true where the checksum is right.
pub(super) fn is_whole(frame: &[u8], head: Head, seed: u64) -> bool {
    let end = HEADER + head.payload;
    frame.len() >= end && number(&frame[..8]) == xxh3_64_with_seed(&frame[8..end], seed)
}

/// Writes the header of a frame that already has its payload.
pub(super) fn seal(frame: &mut [u8], head: Head, seed: u64) {
    let fields: [(Range<usize>, u64); 5] = [
        (12..16, head.payload as u64),
        (16..24, head.place.batch),
        (24..28, u64::from(head.batches)),
        (28..32, u64::from(head.place.part)),
        (32..36, u64::from(head.goes_on)),
    ];
    frame[..HEADER].fill(0);
    frame[8..12].copy_from_slice(&MARK);
    for (range, value) in fields {
        let bytes = range.len();
        frame[range].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
    let checksum = xxh3_64_with_seed(&frame[8..HEADER + head.payload], seed);
    frame[..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads a little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_sealed_and_a_changed_bit_is_found(
            (batch, part, batches) in (any::<u64>(), any::<u32>(), any::<u32>()),
            goes_on in any::<bool>(),
            payload in proptest::collection::vec(any::<u8>(), 0..600),
            (byte, bit) in (any::<proptest::sample::Index>(), 0..8_u8),
            seed in any::<u64>(),
        ) {
            let head = Head { place: Place { batch, part }, batches, goes_on, payload: payload.len() };
            let mut frame = [vec![0; HEADER], payload].concat();
            seal(&mut frame, head, seed);
            prop_assert_eq!(Head::read(&frame), Some(head));
            prop_assert!(is_whole(&frame, head, seed));
            prop_assert!(!is_whole(&frame, head, seed.wrapping_add(1)));
            let changed = byte.index(frame.len());
            frame[changed] ^= 1 << bit;
            let found = Head::read(&frame);
            prop_assert!(found.is_none_or(|head| !is_whole(&frame, head, seed)));
        }
    }
}
