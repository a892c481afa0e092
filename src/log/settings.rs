//! The settings of a cluster, as they are founded and as ops change them.

use serde::{Deserialize, Serialize};

use crate::model::{ClusterSettings, ClusterSettingsBody, EvictAfter, Keep, Span};

/// Settings that are the same at all members. Times are in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// After which silence a majority evicts a member; none: never.
    pub evict_after: Option<u64>,
    /// How far ahead of cluster time the timestamps of ops may be that are taken. A node whose clock is off by more
    /// than half of this takes no registrations.
    pub max_clock_skew: u64,
    /// How long events stay in the feed. A registration that is over is forgotten with its last event. None: for ever.
    pub keep_events: Option<u64>,
    /// How often the members of a small cluster in use send each other their promises unasked.
    pub promise_every: u64,
}

impl Default for Settings {
    fn default() -> Self {
        ClusterSettings::default().into()
    }
}

/// A change of one setting. Of several changes of one setting the one with the greatest stamp counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Setting {
    /// See [`Settings::evict_after`].
    EvictAfter(Option<u64>),
    /// See [`Settings::max_clock_skew`].
    MaxClockSkew(u64),
    /// See [`Settings::keep_events`].
    KeepEvents(Option<u64>),
    /// See [`Settings::promise_every`].
    PromiseEvery(u64),
}

impl Settings {
    /// Changes one setting.
    pub fn set(&mut self, setting: Setting) {
        match setting {
            Setting::EvictAfter(after) => self.evict_after = after,
            Setting::MaxClockSkew(skew) => self.max_clock_skew = skew,
            Setting::KeepEvents(keep) => self.keep_events = keep,
            Setting::PromiseEvery(every) => self.promise_every = every,
        }
    }
}

impl Setting {
    /// Returns the changes that a client asks for.
    #[must_use]
    pub fn all_of(body: &ClusterSettingsBody) -> Vec<Self> {
        let evict_after = body.evict_after.map(|after| Self::EvictAfter(after.millis()));
        let max_clock_skew = body.max_clock_skew.map(|skew| Self::MaxClockSkew(skew.millis()));
        let keep_events = body.keep_events.map(|keep| Self::KeepEvents(keep.millis()));
        let promise_every = body.promise_every.map(|every| Self::PromiseEvery(every.millis()));
        [evict_after, max_clock_skew, keep_events, promise_every].into_iter().flatten().collect()
    }
}

impl From<ClusterSettings> for Settings {
    fn from(settings: ClusterSettings) -> Self {
        Self {
            evict_after: settings.evict_after.millis(),
            max_clock_skew: settings.max_clock_skew.millis(),
            keep_events: settings.keep_events.millis(),
            promise_every: settings.promise_every.millis(),
        }
    }
}

impl From<Settings> for ClusterSettings {
    fn from(settings: Settings) -> Self {
        let span = |millis| Some(Span(std::time::Duration::from_millis(millis)));
        Self::default().with(&ClusterSettingsBody {
            evict_after: Some(EvictAfter::of_millis(settings.evict_after)),
            max_clock_skew: span(settings.max_clock_skew),
            keep_events: Some(Keep::of_millis(settings.keep_events)),
            promise_every: span(settings.promise_every),
        })
    }
}
