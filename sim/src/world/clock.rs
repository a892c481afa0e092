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
    /// It stands at this time.
    frozen: Option<u64>,
    /// It was to stay wrong to the end of the run, and was set right.
    mended: bool,
}

impl WallClock {
    pub(crate) fn new((offset, drift): (i64, i64)) -> Self {
        Self { offset, drift, since: 0, frozen: None, mended: false }
    }

    /// Unix time in milliseconds, as this clock has it.
    pub(crate) fn read(&self, time: Micros) -> u64 {
        let drift = i64::try_from((time - self.since) / 1000).unwrap_or(0) * self.drift / 1_000_000;
        self.frozen.unwrap_or_else(|| (EPOCH + time / 1000).saturating_add_signed(self.offset + drift))
    }

    /// What it shows from now on is as far off as it is now.
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

    /// By how much it may have come to be off by its speed alone within such a time, milliseconds.
    pub(crate) fn strays(&self, within: Micros) -> i64 {
        let within = i64::try_from(within / 1000).unwrap_or(i64::MAX);
        if self.frozen.is_some() { within } else { within * self.drift.abs() / 1_000_000 }
    }

    /// It is off by so many milliseconds from now on, and goes at the right speed.
    pub(crate) fn set_off(&mut self, time: Micros, by: i64) {
        self.drift(time, 0);
        (self.frozen, self.offset) = (None, by);
    }

    /// It is right again, or nearly, where the right time is off from the virtual one by so many milliseconds.
    pub(crate) fn set_right(&mut self, time: Micros, era: i64) {
        self.drift(time, 0);
        self.frozen = None;
        self.offset = self.offset.clamp(era - 500, era + 500);
    }

    /// The same for one that was to stay wrong.
    pub(crate) fn mend(&mut self, time: Micros, era: i64) {
        self.mended = true;
        self.set_right(time, era);
    }

    /// Whether it was to stay wrong and was set right.
    pub(crate) fn is_mended(&self) -> bool {
        self.mended
    }
}
