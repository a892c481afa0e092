//! A machine's clock, which may be wrong: off, fast, slow or standing still.

use crate::world::ids::EPOCH;
use crate::world::net::Micros;

/// A clock that may be wrong.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    /// By how many milliseconds it was off at `since`.
    offset: i64,
    /// Parts per million by which it goes fast.
    drift: i64,
    since: Micros,
    /// Where the clock stands still: the time that it shows.
    frozen: Option<u64>,
    /// True where it was to stay wrong to the end of the run, and was set right.
    mended: bool,
}

impl WallClock {
    pub(crate) fn new((offset, drift): (i64, i64)) -> Self {
        Self { offset, drift, since: 0, frozen: None, mended: false }
    }

    /// Returns the Unix time in milliseconds that this clock shows.
    pub(crate) fn read(&self, time: Micros) -> u64 {
        let drift = i64::try_from((time - self.since) / 1000).unwrap_or(0) * self.drift / 1_000_000;
        self.frozen.unwrap_or_else(|| (EPOCH + time / 1000).saturating_add_signed(self.offset + drift))
    }

    /// Restarts the drift from the present offset.
    fn rebase(&mut self, time: Micros) {
        let (shows, right) = (self.read(time), EPOCH + time / 1000);
        self.offset = i64::try_from(i128::from(shows) - i128::from(right)).unwrap_or(0);
        self.since = time;
    }

    pub(crate) fn step(&mut self, by: i64) {
        self.offset += by;
        self.frozen = self.frozen.map(|at| at.saturating_add_signed(by));
    }

    pub(crate) fn drift(&mut self, time: Micros, drift: i64) {
        self.rebase(time);
        self.drift = drift;
    }

    pub(crate) fn freeze(&mut self, time: Micros) {
        self.frozen = Some(self.read(time));
    }

    pub(crate) fn thaw(&mut self, time: Micros) {
        if self.frozen.is_some() {
            self.rebase(time);
            self.frozen = None;
        }
    }

    /// Returns how far the drift alone may have moved it within such a time, in milliseconds.
    pub(crate) fn strays(&self, within: Micros) -> i64 {
        let within = i64::try_from(within / 1000).unwrap_or(i64::MAX);
        if self.frozen.is_some() { within } else { within * self.drift.abs() / 1_000_000 }
    }

    /// Sets it off by this many milliseconds, without drift.
    pub(crate) fn set_off(&mut self, time: Micros, by: i64) {
        self.drift(time, 0);
        (self.frozen, self.offset) = (None, by);
    }

    /// Sets it right, or nearly right. `era` is the difference of the right time from virtual time in milliseconds.
    pub(crate) fn set_right(&mut self, time: Micros, era: i64) {
        self.drift(time, 0);
        self.frozen = None;
        self.offset = self.offset.clamp(era - 500, era + 500);
    }

    /// Sets a clock right that was to stay wrong.
    pub(crate) fn mend(&mut self, time: Micros, era: i64) {
        self.mended = true;
        self.set_right(time, era);
    }

    /// Returns true where it was to stay wrong and was set right.
    pub(crate) fn is_mended(&self) -> bool {
        self.mended
    }
}
