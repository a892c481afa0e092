//! Rows in memory that the tables on disk do not hold yet, and their merge with the rows of the tables.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;

use fjall::{Guard, KvPair, Slice};
use smallvec::SmallVec;

use super::hash::Hash;
use super::rows::{Bounds, Range, Rows};
use crate::store::{Direction, Table};

/// The bounds of the keys in `from..to`.
pub(super) fn bounds<'a>(from: &'a [u8], to: Option<&'a [u8]>) -> Bounds<'a> {
    (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded))
}

/// The result of some consecutive batches: the last write to each key that they wrote.
#[derive(Debug)]
pub(super) struct Generation {
    tables: [Rows; Table::ALL.len()],
    /// The bytes that its rows took when they were written. Rows that were overwritten since still count.
    bytes: usize,
}

impl Default for Generation {
    fn default() -> Self {
        Self { tables: Table::ALL.map(Rows::of), bytes: 0 }
    }
}

impl Generation {
    /// Removes all rows. Most of their memory is kept.
    pub(super) fn clear(&mut self) {
        self.tables.iter_mut().for_each(Rows::clear);
        self.bytes = 0;
    }

    /// `hash` is that of the key.
    pub(super) fn write(&mut self, table: Table, key: &[u8], hash: Hash, value: Option<&[u8]>) {
        let rows = &mut self.tables[table as usize];
        self.bytes += rows.bytes_of(key, value);
        rows.insert(key, hash, value);
    }

    /// The last write to the key with this hash: `Some(None)` where it was deleted, and `None` where it was not written.
    pub(super) fn get(&self, table: Table, key: &[u8], hash: Hash) -> Option<Option<&[u8]>> {
        self.tables[table as usize].get(key, hash)
    }

    /// The rows of a table.
    pub(super) fn rows(&self, table: Table) -> &Rows {
        &self.tables[table as usize]
    }

    /// An estimate of the memory that the generation takes. It only grows until the generation is emptied.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A double-ended iterator that goes in one direction, which is chosen at run time.
struct Directed<I> {
    inner: I,
    direction: Direction,
}

impl<I: DoubleEndedIterator> Iterator for Directed<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        match self.direction {
            Direction::Up => self.inner.next(),
            Direction::Down => self.inner.next_back(),
        }
    }
}

/// A row of a merged scan.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A row from memory.
    Written(&'a [u8], &'a [u8]),
    /// A row from disk.
    Stored(Slice, Slice),
}

/// Merges the rows of a table within bounds: the writes of the generations, which are given newest first, override the
/// stored rows. `stored` must have the same bounds. The iterator must not be used after an error.
pub(super) fn merge<'a, I>(
    generations: impl Iterator<Item = &'a Generation>,
    table: Table,
    bounds: Bounds<'a>,
    stored: I,
    direction: Direction,
) -> Merge<'a, impl Iterator<Item = fjall::Result<KvPair>>>
where
    I: DoubleEndedIterator<Item = Guard>,
{
    let ranges = generations.flat_map(|generation| generation.rows(table).ranges(bounds));
    let written = ranges.map(|inner| Directed { inner, direction }.peekable());
    Merge {
        written: written.collect(),
        stored: Directed { inner: stored, direction }.map(Guard::into_inner).peekable(),
        direction,
    }
}

type Written<'a> = Peekable<Directed<Range<'a>>>;

/// See [`merge`].
pub(super) struct Merge<'a, S: Iterator<Item = fjall::Result<KvPair>>> {
    written: SmallVec<[Written<'a>; 4]>,
    stored: Peekable<S>,
    direction: Direction,
}

impl<'a, S: Iterator<Item = fjall::Result<KvPair>>> Merge<'a, S> {
    /// The next key that was written, with its last value.
    fn next_written(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let mut next: Option<(&'a [u8], Option<&'a [u8]>)> = None;
        for at in 0..self.written.len() {
            let Some((key, value)) = self.written[at].peek().copied() else { continue };
            let is_before = |(other, _): (&[u8], _)| match self.direction {
                Direction::Up => key < other,
                Direction::Down => key > other,
            };
            if next.is_none_or(is_before) {
                next = Some((key, value));
            }
        }
        next
    }

    /// Skips a key in all generations that have it.
    fn pass(&mut self, key: &[u8]) {
        for rows in &mut self.written {
            rows.next_if(|(written, _)| *written == key);
        }
    }
}

impl<'a, S: Iterator<Item = fjall::Result<KvPair>>> Iterator for Merge<'a, S> {
    type Item = fjall::Result<Step<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let written = self.next_written();
            let stored = match (self.stored.peek(), written) {
                (Some(Err(_)), _) | (Some(_), None) => true,
                (None, None) => return None,
                (None, Some(_)) => false,
                (Some(Ok((stored, _))), Some((key, _))) => match (stored[..].cmp(key), self.direction) {
                    (Ordering::Equal, _) => {
                        self.stored.next();
                        false
                    }
                    (order, Direction::Up) => order.is_lt(),
                    (order, Direction::Down) => order.is_gt(),
                },
            };
            if stored {
                return self.stored.next().map(|row| row.map(|(key, value)| Step::Stored(key, value)));
            }
            let (key, value) = written?;
            self.pass(key);
            if let Some(value) = value {
                return Some(Ok(Step::Written(key, value)));
            }
        }
    }
}
