//! Queries are read in slices, so that no reader slows a claim down.
//!
//! A step reads a limited number of rows, however many queries wait: few where it has anything else to do, more where it
//! has not. Each query goes on where it stopped, in turn. What has just come goes first for its first rows, because most
//! of it is done with these: who looks a name up does not wait behind those who read the whole feed.

use std::collections::VecDeque;

use crate::registry::{Asked, Budget, Reader, Ready, Refusal};

/// Rows that a step reads where it has nothing else to do. A guess: some milliseconds.
pub(super) const IDLE: usize = 1024;
/// Rows that it reads beside anything else. A guess: less than the sync takes that a claim waits for anyway.
pub(super) const BUSY: usize = 128;
/// Rows that a query reads in its first turn, which is enough for most. A guess.
const FIRST: usize = 8;
/// Rows that it reads in each turn after that.
const SLICE: usize = 64;
/// Queries that wait at most. A guess: some steps' worth.
const MOST_WAITING: usize = 8192;

/// The queries that are not answered.
#[derive(Debug, Default)]
pub(super) struct Readings {
    /// Those that have read nothing yet.
    fresh: VecDeque<Asked>,
    /// The others.
    begun: VecDeque<Asked>,
    /// Rows that steps before have read beyond what they should.
    debt: usize,
    /// This step has something else to do.
    busy: bool,
}

impl Readings {
    /// Takes a query in. Its refusal, where too many wait.
    pub(super) fn add(&mut self, asked: Asked) -> Option<Ready> {
        if self.fresh.len() + self.begun.len() >= MOST_WAITING {
            let why = format!("{MOST_WAITING} others wait to be answered what they ask");
            return asked.refuse(Refusal::Unavailable(why));
        }
        self.fresh.push_back(asked);
        None
    }

    /// This step has something else to do, which is not to wait.
    pub(super) fn step_is_busy(&mut self) {
        self.busy = true;
    }

    /// Whether something is left to read.
    pub(super) fn is_waiting(&self) -> bool {
        !self.fresh.is_empty() || !self.begun.is_empty()
    }

    /// Reads what this step may. Returns the answers that are ready.
    pub(super) fn read(&mut self, reader: Reader<'_>) -> Vec<Ready> {
        let rows = if std::mem::take(&mut self.busy) { BUSY } else { IDLE };
        let (mut left, mut ready) = (rows.saturating_sub(self.debt), Vec::new());
        self.debt = self.debt.saturating_sub(rows);
        // Those who came before have a part of it, whatever comes.
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

    /// A query's turn; its answer, where it is done.
    fn turn(&mut self, mut asked: Asked, rows: usize, reader: Reader<'_>, left: &mut usize) -> Option<Ready> {
        let slice = rows.min(*left);
        let mut budget = Budget::of(slice);
        let ready = asked.read(reader, &mut budget);
        // A turn in which nothing was read is one all the same.
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
