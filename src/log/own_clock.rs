//! This node's own timestamps, and what it has promised by them.

use crate::clock::{Clock, Hlc, Millis};
use crate::store::Store;
use crate::store::schema::{self, Cell};

/// How far ahead a promise ceiling is stored. Seconds, so that it costs next to no writes; half of the clock skew at
/// most, because a node that restarts at once issues ops that far ahead of its clock.
const CEILING_STEP: u64 = 5000;

/// The hybrid clock of this node. Its last timestamp is the node's promise.
#[derive(Clone, Debug)]
pub(crate) struct OwnClock {
    clock: Clock,
    /// The promise ceiling, as it is stored.
    ceiling: Hlc,
    /// The ceiling that was stored when the process started: whatever this node had promised before lies at or below it.
    opened_at: Hlc,
    /// This process has promised something since.
    has_promised: bool,
}

impl OwnClock {
    /// Starts above all that the processes before may have promised.
    pub(super) fn above(ceiling: Option<Hlc>) -> Self {
        let ceiling = ceiling.unwrap_or_default();
        let clock = Clock::starting_above(planted!(log::ceiling(ceiling)));
        Self { clock, ceiling, opened_at: ceiling, has_promised: false }
    }

    /// Its last timestamp: this node's promise.
    pub(crate) fn last(&self) -> Hlc {
        self.clock.last()
    }

    /// The latest that it may ever have said.
    pub(super) fn latest(&self) -> Hlc {
        self.ceiling.max(self.clock.last())
    }

    /// What had been promised when the process started lies at or below it.
    pub(super) fn opened_at(&self) -> Hlc {
        self.opened_at
    }

    /// The timestamp of an op. Whoever takes the op is promised that nothing earlier follows.
    pub(super) fn issue(&mut self, time: Millis) -> Hlc {
        self.has_promised = true;
        self.clock.tick(time)
    }

    /// Goes on to a time, by a tick at least.
    pub(super) fn tick(&mut self, time: Millis) {
        self.clock.tick(time);
    }

    /// Promises a time.
    pub(super) fn promise(&mut self, time: Millis) {
        self.clock.promise(time);
    }

    /// What this node issues from now on follows this timestamp.
    pub(super) fn observe(&mut self, hlc: Hlc) {
        self.clock.observe(hlc);
    }

    /// A peer is told the promise.
    pub(super) fn tell(&mut self) {
        self.has_promised = true;
    }

    /// Whether a promise of this node is none of this directory's: those of earlier processes lie at or below the ceiling that
    /// was stored, and those of this one are at most its last word.
    pub(super) fn has_not_promised(&self, promise: Hlc) -> bool {
        promise > self.opened_at && (!self.has_promised || promise > self.clock.last())
    }

    /// Writes the promise ceiling ahead of time where the timestamps have reached it.
    pub(super) fn save(&mut self, store: &mut impl Store, max_clock_skew: u64) {
        if self.clock.last() > self.ceiling {
            let step = CEILING_STEP.min(max_clock_skew / 2);
            self.ceiling = Hlc::from_millis(self.clock.last().millis().plus(step));
            schema::Ceiling::save(store, &self.ceiling);
        }
    }
}
