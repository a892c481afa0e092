//! Queries are read in slices, so that no reader slows a claim down.
//!
//! A step reads a limited number of rows, however many queries wait: few where it has anything else to do, more where
//! it has not. Each query goes on where it stopped, in turn. A new query goes first for its first rows, because most
//! queries need no more: looking up a name does not wait behind the reading of a whole feed.

use std::collections::VecDeque;

use crate::registry::{Asked, Budget, Reader, Ready, Refusal};

/// How many rows a step reads where it has nothing else to do. A guess: some milliseconds.
pub(super) const IDLE: usize = 1024;
/// How many rows it reads beside anything else. A guess: less time than the fsync for which a claim waits anyway.
pub(super) const BUSY: usize = 128;
/// How many rows a query reads in its first turn, which is enough for most. A guess.
const FIRST: usize = 8;
/// How many rows it reads in each later turn.
const SLICE: usize = 64;
/// The most queries that wait. A guess: some steps' worth.
const MOST_WAITING: usize = 8192;

/// The queries that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Readings {
    /// The queries that have read nothing yet.
    fresh: VecDeque<Asked>,
    /// The queries that have begun to read.
    begun: VecDeque<Asked>,
    /// How many rows earlier steps have read beyond their limit.
    debt: usize,
    /// True where this step has something else to do.
    busy: bool,
}

impl Readings {
    /// Adds a query. Returns its refusal where too many wait.
    pub(super) fn add(&mut self, asked: Asked) -> Option<Ready> {
        if self.fresh.len() + self.begun.len() >= MOST_WAITING {
            let why = format!("{MOST_WAITING} others wait to be answered what they ask");
            return asked.refuse(Refusal::Unavailable(why));
        }
        self.fresh.push_back(asked);
        None
    }

    /// Notes that this step has something else to do that must not wait.
    pub(super) fn step_is_busy(&mut self) {
        self.busy = true;
    }

    /// Returns true where a query waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.fresh.is_empty() || !self.begun.is_empty()
    }

    /// Reads as many rows as this step may. Returns the answers that are ready.
    pub(super) fn read(&mut self, reader: Reader<'_>) -> Vec<Ready> {
        let rows = if std::mem::take(&mut self.busy) { BUSY } else { IDLE };
        let (mut left, mut ready) = (rows.saturating_sub(self.debt), Vec::new());
        self.debt = self.debt.saturating_sub(rows);
        // Queries that have begun get a part of the limit, however many new ones arrive.
        let kept = if self.begun.is_empty() { 0 } else { left / 4 };
        left -= kept;
        while left > 0
            && let Some(asked) = self.fresh.pop_front()
        {
            ready.extend(self.turn(asked, FIRST, reader, &mut left));
        }
        left += kept;
        while left > 0
            && let Some(asked) = self.begun.pop_front()
        {
            ready.extend(self.turn(asked, SLICE, reader, &mut left));
        }
        ready
    }

    /// Gives a query its turn. Returns its answer where it is done.
    fn turn(&mut self, mut asked: Asked, rows: usize, reader: Reader<'_>, left: &mut usize) -> Option<Ready> {
        let slice = rows.min(*left);
        let mut budget = Budget::of(slice);
        let ready = asked.read(reader, &mut budget);
        // A turn in which nothing was read counts as one row.
        *left -= (slice - budget.left()).clamp(1, *left);
        let beyond = budget.debt();
        self.debt += beyond.saturating_sub(*left);
        *left = left.saturating_sub(beyond);
        if ready.is_none() {
            self.begun.push_back(asked);
        }
        ready
    }
}
