//! Opens a log: finds its frames, hands out their batches, and drops a torn end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::buffer::Buffer;
use super::files::{BLOCK, Files};
use super::frame::{self, HEADER, Head, Place};
use super::log::Log;
use super::rows;
use super::segments::{Segment, Segments, Sizes};
use crate::store::Batch;

/// The reasons why a log cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// Bytes that were durable are missing or changed.
    #[error("{}: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
}

/// A frame that was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// The index of the segment, and the offset in it.
    segment: usize,
    at: u64,
    head: Head,
}

impl Log {
    /// Opens the log in a directory. The tables hold all batches up to `applied`. `visit` is called with those after
    /// it, in order.
    ///
    /// # Errors
    /// The disk fails, or bytes that were durable are missing or damaged.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        sizes: Sizes,
        seed: u64,
        applied: Batch,
        visit: impl FnMut(Batch, &[u8]) -> bool,
    ) -> Result<Self, LogError> {
        let dir = files.path().to_owned();
        let failed = |error| LogError::Io { path: dir.clone(), error };
        let (segments, found) = Segments::open(files, sizes).map_err(failed)?;
        if found.is_empty() {
            return Err(LogError::Damaged { path: dir, what: "the log has no files".to_owned() });
        }
        let mut reader = Reader {
            dir: &dir,
            segments: found,
            seed,
            frame_bytes: sizes.frame as u64,
            firsts: Vec::new(),
            buffer: Vec::new(),
        };
        reader.find_firsts()?;
        let mut walk = Walk { visit, applied, last: applied, pending: Vec::new(), payload: Vec::new() };
        let frames = reader.walk(applied, &mut walk)?;
        reader.drop_unfinished(&walk.pending).map_err(failed)?;
        if let Some(last) = frames.last() {
            reader.write_again(*last).map_err(failed)?;
        }
        Ok(reader.into_log(segments, &frames, walk.last))
    }
}

/// The segments of a log that is being opened.
struct Reader<'a> {
    dir: &'a Path,
    segments: Vec<Segment>,
    seed: u64,
    /// The largest size in bytes of a frame.
    frame_bytes: u64,
    /// The place of the frame at the beginning of each segment; none where there is no whole frame.
    firsts: Vec<Option<Place>>,
    buffer: Vec<u8>,
}

/// The state of a walk through the batches of a log.
struct Walk<V> {
    visit: V,
    applied: Batch,
    /// The last whole batch.
    last: Batch,
    /// The frames of a batch whose end has not come yet.
    pending: Vec<Found>,
    payload: Vec<u8>,
}

impl<V: FnMut(Batch, &[u8]) -> bool> Walk<V> {
    /// Takes the next frame. Returns false where its payload cannot be split into batches.
    fn take(&mut self, found: Found, payload: &[u8]) -> bool {
        let Head { place, batches, goes_on, .. } = found.head;
        if place.part > 0 && self.pending.is_empty() {
            // The walk begins in the middle of a batch that the tables hold.
            return place.batch <= self.applied;
        }
        self.payload.extend_from_slice(payload);
        if goes_on {
            self.pending.push(found);
            return true;
        }
        self.pending.clear();
        let payload = std::mem::take(&mut self.payload);
        let mut bytes = payload.as_slice();
        for batch in place.batch..place.batch.saturating_add(u64::from(batches)) {
            let Some((rows, rest)) = rows::split_batch(bytes) else { return false };
            bytes = rest;
            if batch > self.applied && !(self.visit)(batch, rows) {
                return false;
            }
            self.last = self.last.max(batch);
        }
        bytes.is_empty()
    }
}

impl Reader<'_> {
    fn find_firsts(&mut self) -> Result<(), LogError> {
        for segment in 0..self.segments.len() {
            let first = self.frame(segment, 0)?.map(|head| head.place);
            self.firsts.push(first);
        }
        Ok(())
    }

    /// Reads the frame at an offset into the buffer; none where there is no whole frame.
    fn frame(&mut self, segment: usize, at: u64) -> Result<Option<Head>, LogError> {
        let Some(head) = self.head(segment, at)? else { return Ok(None) };
        let Segment { number, file, bytes } = &self.segments[segment];
        if at + head.padded() as u64 > *bytes {
            return Ok(None);
        }
        self.buffer.resize(head.padded(), 0);
        let read = file.read_at(at, &mut self.buffer);
        let read = read.map_err(|error| LogError::Io { path: self.dir.join(Segment::name(*number)), error })?;
        Ok((read == self.buffer.len() && frame::is_whole(&self.buffer, head, self.seed)).then_some(head))
    }

    /// Reads the header of a frame without checking its checksum.
    fn head(&self, segment: usize, at: u64) -> Result<Option<Head>, LogError> {
        let Segment { number, file, bytes } = &self.segments[segment];
        if at + BLOCK as u64 > *bytes {
            return Ok(None);
        }
        let mut head = [0; HEADER];
        let read = file.read_at(at, &mut head);
        let read = read.map_err(|error| LogError::Io { path: self.dir.join(Segment::name(*number)), error })?;
        Ok(Head::read(&head[..read]))
    }

    fn damaged(&self, segment: usize, what: String) -> LogError {
        LogError::Damaged { path: self.dir.join(Segment::name(self.segments[segment].number)), what }
    }

    /// Goes through the frames. It begins with the last segment whose first frame is at or before the first batch that
    /// the tables lack. Returns the frames of whole batches, in order.
    fn walk<V>(&mut self, applied: Batch, walk: &mut Walk<V>) -> Result<Vec<Found>, LogError>
    where
        V: FnMut(Batch, &[u8]) -> bool,
    {
        let first_needed = Place::of(applied.saturating_add(1));
        let starts = self.firsts.iter().enumerate().filter_map(|(segment, first)| Some((segment, (*first)?)));
        let start = starts.filter(|(_, first)| *first <= first_needed).max_by_key(|(_, first)| *first);
        let (mut segment, mut expected) = start.unwrap_or((0, first_needed));
        let (mut frames, mut at) = (Vec::new(), 0);
        loop {
            if let Some(head) = self.frame(segment, at)?.filter(|head| head.place == expected) {
                let found = Found { segment, at, head };
                let payload = &self.buffer[HEADER..HEADER + head.payload];
                let Some(next) = head.next().filter(|_| walk.take(found, payload)) else {
                    return Err(self.damaged(segment, format!("the rows of batch {} cannot be read", expected.batch)));
                };
                frames.push(found);
                at += head.padded() as u64;
                expected = next;
            } else if let Some(next) = self.firsts.iter().position(|first| *first == Some(expected))
                && (next, 0) != (segment, at)
            {
                (segment, at) = (next, 0);
            } else {
                self.refuse_damage(segment, at, expected)?;
                break;
            }
        }
        frames.truncate(frames.len() - walk.pending.len());
        if expected.batch <= applied {
            // An earlier start dropped everything that the log held beyond the tables, and these frames are in older
            // segments.
            frames.clear();
        }
        Ok(frames)
    }

    /// Returns an error where a frame that was written later is whole, because the bytes at the offset were durable by
    /// then.
    fn refuse_damage(&mut self, segment: usize, at: u64, expected: Place) -> Result<(), LogError> {
        for other in 0..self.segments.len() {
            let mut looked = match self.firsts[other] {
                _ if other == segment => at,
                // An earlier whole frame: the segment is not in use, or was read to its end.
                Some(first) if first < expected => continue,
                _ => 0,
            };
            // The broken frame may have had the greatest possible length.
            let end = (looked + 2 * self.frame_bytes).min(self.segments[other].bytes);
            while looked < end {
                let later = self.head(other, looked)?.is_some_and(|head| head.place > expected);
                if later && self.frame(other, looked)?.is_some() {
                    let found = Segment::name(self.segments[other].number);
                    let Place { batch, part } = expected;
                    let what = format!(
                        "the bytes from {at} on are not batch {batch}, part {part}, which was durable: what was written after \
                         it is at {looked} in {found}"
                    );
                    return Err(self.damaged(segment, what));
                }
                looked += BLOCK as u64;
            }
        }
        Ok(())
    }

    /// Overwrites the whole frames of a batch whose end was torn, the last one first. Otherwise a later start could
    /// find them behind the frames that are written in their place.
    fn drop_unfinished(&mut self, frames: &[Found]) -> io::Result<()> {
        let zeros = Buffer::new();
        for Found { segment, at, .. } in frames.iter().rev() {
            let file = &mut self.segments[*segment].file;
            file.write_at(*at, zeros.block())?;
            file.sync()?;
        }
        Ok(())
    }

    /// Writes the last frame once more. It could be read, but where its sync failed or did not happen it may not be
    /// durable, and after a failed sync another sync alone may write nothing.
    fn write_again(&mut self, Found { segment, at, head }: Found) -> io::Result<()> {
        let file = &mut self.segments[segment].file;
        let mut copy = Buffer::new();
        let frame = copy.whole(head.padded());
        if file.read_at(at, frame)? != frame.len() || !frame::is_whole(frame, head, self.seed) {
            return Err(io::Error::other("the end of the log reads differently each time"));
        }
        file.write_at(at, frame)?;
        file.sync()
    }

    /// Makes the open log that goes on behind these frames.
    fn into_log(self, segments: Segments, frames: &[Found], last: Batch) -> Log {
        let end = frames.last().map_or((0, 0), |found| (found.segment, found.at + found.head.padded() as u64));
        // For each segment, the last batch that has bytes in it.
        let mut full = vec![None; self.segments.len()];
        for found in frames {
            full[found.segment] = Some(found.head.last());
        }
        let order: Vec<usize> = frames.iter().map(|found| found.segment).collect();
        let mut current = None;
        let mut all: Vec<Option<Segment>> = self.segments.into_iter().map(Some).collect();
        for segment in order {
            if segment != end.0
                && let (Some(segment), Some(last)) = (all[segment].take(), full[segment])
            {
                segments.keep(segment, last);
            }
        }
        for (number, segment) in all.into_iter().enumerate() {
            match segment {
                Some(segment) if number == end.0 => current = Some(segment),
                Some(segment) => segments.spare(segment),
                None => {}
            }
        }
        let Some(segment) = current else { unreachable!("the segment at the end is not one of those before it") };
        Log {
            segments: Arc::new(segments),
            seed: self.seed,
            segment,
            at: end.1,
            last,
            buffer: Buffer::new(),
            has_failed: false,
        }
    }
}
