//! The timestamps of this node, and the promises that follow from them.

use crate::clock::{Clock, Hlc, Millis};
use crate::store::Store;
use crate::store::schema::{self, Cell};

/// How far ahead of time the promise ceiling is stored, in milliseconds. Seconds, so that it costs next to no writes;
/// at most half of the clock skew, because a node that restarts at once issues ops that far ahead of its clock.
const CEILING_STEP: u64 = 5000;

/// The hybrid logical clock of this node. Its last timestamp is the node's promise.
#[derive(Clone, Debug)]
pub(crate) struct OwnClock {
    clock: Clock,
    /// The promise ceiling that is stored.
    ceiling: Hlc,
    /// The ceiling that was stored when the process started. All earlier promises of this node are at or below it.
    opened_at: Hlc,
    /// True where this process has promised something.
    has_promised: bool,
}

impl OwnClock {
    /// Starts the clock above all that earlier processes may have promised.
    pub(super) fn above(ceiling: Option<Hlc>) -> Self {
        let ceiling = ceiling.unwrap_or_default();
        let clock = Clock::starting_above(planted!(log::ceiling(ceiling)));
        Self { clock, ceiling, opened_at: ceiling, has_promised: false }
    }

    /// Returns its last timestamp, which is this node's promise.
    pub(crate) fn last(&self) -> Hlc {
        self.clock.last()
    }

    /// Returns the latest timestamp that this node may ever have promised.
    pub(super) fn latest(&self) -> Hlc {
        self.ceiling.max(self.clock.last())
    }

    /// Returns the ceiling that was stored when the process started. All earlier promises are at or below it.
    pub(super) fn opened_at(&self) -> Hlc {
        self.opened_at
    }

    /// Returns the timestamp of a new op. The op is also a promise: whoever takes it knows that nothing earlier
    /// follows.
    pub(super) fn issue(&mut self, time: Millis) -> Hlc {
        self.has_promised = true;
        self.clock.tick(time)
    }

    /// Moves the clock to a time, by at least one tick.
    pub(super) fn tick(&mut self, time: Millis) {
        self.clock.tick(time);
    }

    /// Promises to issue nothing at or below a time.
    pub(super) fn promise(&mut self, time: Millis) {
        self.clock.promise(time);
    }

    /// Has the later timestamps of this node follow this one.
    pub(super) fn observe(&mut self, hlc: Hlc) {
        self.clock.observe(hlc);
    }

    /// Notes that the promise is sent to a peer.
    pub(super) fn tell(&mut self) {
        self.has_promised = true;
    }

    /// Returns true for a promise of this node that was not made from this directory. Promises of earlier processes are
    /// at or below the ceiling that was stored, and promises of this process are at or below its last timestamp.
    pub(super) fn has_not_promised(&self, promise: Hlc) -> bool {
        promise > self.opened_at && (!self.has_promised || promise > self.clock.last())
    }

    /// Stores a higher promise ceiling ahead of time, where the timestamps have reached the present one.
    pub(super) fn save(&mut self, store: &mut impl Store, max_clock_skew: u64) {
        if self.clock.last() > self.ceiling {
            let step = CEILING_STEP.min(max_clock_skew / 2);
            self.ceiling = Hlc::from_millis(self.clock.last().millis().plus(step));
            schema::Ceiling::save(store, &self.ceiling);
        }
    }
}
