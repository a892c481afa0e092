//! What was written and is not yet known to be on disk, and its merge with what is.

use std::collections::BTreeMap;
use std::collections::btree_map::{self, Entry};
use std::iter::Peekable;
use std::ops::Bound;

use fjall::{Guard, KvPair, Slice};

use crate::store::{Batch, Direction, Table};

/// The bounds of a scan, in the shape that `range` takes.
pub(super) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys in `from..to`.
pub(super) fn bounds<'a>(from: &'a [u8], to: Option<&'a [u8]>) -> Bounds<'a> {
    (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded))
}

/// The last write to a key.
#[derive(Debug)]
struct Written {
    batch: Batch,
    /// Its place among the changes of its batch.
    place: usize,
    /// None where it was deleted.
    value: Option<Slice>,
}

/// The last writes by table and key.
#[derive(Default, Debug)]
pub(super) struct Overlay {
    tables: [BTreeMap<Slice, Written>; Table::ALL.len()],
}

impl Overlay {
    /// Notes a write of `batch` as its change number `place`. Where that batch wrote the key before, the number of that
    /// change is returned, and stays the key's.
    pub(super) fn write(
        &mut self,
        table: Table,
        key: &Slice,
        value: Option<&Slice>,
        batch: Batch,
        place: usize,
    ) -> Option<usize> {
        match self.tables[table as usize].entry(key.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Written { batch, place, value: value.cloned() });
                None
            }
            Entry::Occupied(mut entry) => {
                let written = entry.get_mut();
                written.value = value.cloned();
                if written.batch == batch {
                    return Some(written.place);
                }
                (written.batch, written.place) = (batch, place);
                None
            }
        }
    }

    /// The last write to a key: `Some(None)` where it was deleted, none where the disk knows better.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Option<&Slice>> {
        self.tables[table as usize].get(key).map(|written| written.value.as_ref())
    }

    /// Drops the last write to a key, unless it came after `batch`.
    pub(super) fn forget(&mut self, table: Table, key: &Slice, batch: Batch) {
        if let Entry::Occupied(entry) = self.tables[table as usize].entry(key.clone())
            && entry.get().batch <= batch
        {
            entry.remove();
        }
    }

    /// The rows of a table as they are with the writes, lazily: `stored` are those on disk within the same bounds.
    pub(super) fn merge<'a, I>(
        &'a self,
        table: Table,
        bounds: Bounds<'a>,
        stored: I,
        direction: Direction,
    ) -> Merge<'a, impl Iterator<Item = fjall::Result<KvPair>>>
    where
        I: DoubleEndedIterator<Item = Guard>,
    {
        let written = self.tables[table as usize].range::<[u8], _>(bounds);
        Merge {
            written: Directed { inner: written, direction }.peekable(),
            stored: Directed { inner: stored, direction }.map(Guard::into_inner).peekable(),
            direction,
        }
    }
}

/// A double-ended iterator that goes one way, chosen at run time.
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
    /// From the overlay.
    Written(&'a Slice, &'a Slice),
    /// From disk.
    Stored(Slice, Slice),
}

/// See [`Overlay::merge`]. Not to be read on after an error.
pub(super) struct Merge<'a, S: Iterator<Item = fjall::Result<KvPair>>> {
    written: Peekable<Directed<btree_map::Range<'a, Slice, Written>>>,
    stored: Peekable<S>,
    direction: Direction,
}

impl<'a, S: Iterator<Item = fjall::Result<KvPair>>> Iterator for Merge<'a, S> {
    type Item = fjall::Result<Step<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Whether the stored row comes first; `None` where a write replaces it.
            let stored_first = match (self.written.peek(), self.stored.peek()) {
                (_, Some(Err(_))) | (None, _) => Some(true),
                (Some(_), None) => Some(false),
                (Some((written, _)), Some(Ok((stored, _)))) => {
                    let order = match self.direction {
                        Direction::Up => stored.cmp(written),
                        Direction::Down => written.cmp(&stored),
                    };
                    order.is_ne().then(|| order.is_lt())
                }
            };
            if stored_first == Some(true) {
                return self.stored.next().map(|row| row.map(|(key, value)| Step::Stored(key, value)));
            }
            if stored_first.is_none() {
                self.stored.next();
            }
            let (key, written) = self.written.next()?;
            if let Some(value) = &written.value {
                return Some(Ok(Step::Written(key, value)));
            }
        }
    }
}
