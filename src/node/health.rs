//! The health of a node, for callers that ask one which does not answer.

use std::time::Duration;

use tokio::time::Instant;

/// A driver whose loop has not run for this long is held up. It runs at least once a second.
const HELD_UP: Duration = Duration::from_secs(3);

/// A driver that has not run for this long may be held up. Its loop runs once a second where nothing else happens.
const LATE: Duration = Duration::from_millis(1500);

/// The health that a node publishes by itself.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    /// The reason why the node has stopped by itself, where it has.
    pub(crate) halted: Option<String>,
    /// The milliseconds for which the disk has made nothing durable, where they are many.
    pub(crate) disk_hangs: Option<u64>,
    /// The time at which the driver's loop ran last.
    pub(crate) seen: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self { halted: None, disk_hangs: None, seen: Instant::now() }
    }
}

impl Health {
    /// Returns true while the driver's loop runs as it should.
    pub(crate) fn comes_round(&self) -> bool {
        self.halted.is_none() && self.disk_hangs.is_none() && self.seen.elapsed() < LATE
    }

    /// Returns what keeps the node from answering, as far as it is known.
    pub(crate) fn hindrance(&self) -> Option<String> {
        let silent = self.seen.elapsed();
        if let Some(why) = &self.halted {
            return Some(format!("it has stopped: {why}"));
        }
        if let Some(ms) = self.disk_hangs {
            return Some(disk_hangs(ms.saturating_add(u64::try_from(silent.as_millis()).unwrap_or_default())));
        }
        let held_up = || format!("it has not come round for {} s, as where its disk does not answer", silent.as_secs());
        (silent >= HELD_UP).then(held_up)
    }
}

/// Returns the text about a disk that has made nothing durable for so many milliseconds.
pub(crate) fn disk_hangs(ms: u64) -> String {
    format!("its disk has made nothing durable for {} s", ms / 1000)
}
