//! How a node is, for whoever asks one that does not answer.

use std::time::Duration;

use tokio::time::Instant;

/// A driver that has not come round for so long is held up. It does so once a second.
const HELD_UP: Duration = Duration::from_secs(3);

/// What a node says of itself without being asked.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    /// Why it has stopped, where it did by itself.
    pub(crate) halted: Option<String>,
    /// For how many milliseconds its disk has made nothing durable, where that is long.
    pub(crate) disk_hangs: Option<u64>,
    /// When its driver came round last.
    pub(crate) seen: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self { halted: None, disk_hangs: None, seen: Instant::now() }
    }
}

impl Health {
    /// What keeps it from answering, as far as that shows.
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

/// What is said of a disk that has made nothing durable for so many milliseconds.
pub(crate) fn disk_hangs(ms: u64) -> String {
    format!("its disk has made nothing durable for {} s", ms / 1000)
}
