//! The id of a cluster, and the settings that are the same at all of its members.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::limits::{
    KEEP_EVENTS, MAX_CLOCK_SKEW, MAX_PROMISE_EVERY, MAX_SKEW_ALLOWED, MIN_EVICT_AFTER, MIN_KEEP_EVENTS,
    MIN_SKEW_ALLOWED, PROMISE_EVERY,
};
use super::object::object;
use super::text::{Span, SpanError, TextOrSeconds};

/// The header in which every answer names the node's cluster. A request may use it to name the cluster that it is meant
/// for.
pub const CLUSTER_HEADER: &str = "forename-cluster";

/// The id of a cluster: random, made when the cluster is founded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub Uuid);

/// The text is not the id of a cluster.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not the id of a cluster; 'forename cluster show' prints it")]
pub struct ClusterIdError(String);

impl ClusterId {
    /// Makes an id of these random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ClusterId {
    type Err = ClusterIdError;

    fn from_str(text: &str) -> Result<Self, ClusterIdError> {
        text.parse().map(Self).map_err(|_| ClusterIdError(text.to_owned()))
    }
}

/// Defines a type that is a length of time, or a word that stands for no limit.
macro_rules! span_or {
    ($(#[$doc:meta])* $name:ident, $some:ident, $none:ident, $word:literal, $error:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
        #[serde(try_from = "TextOrSeconds")]
        pub enum $name {
            #[doc = concat!("Written as `", $word, "`.")]
            $none,
            /// After so long.
            $some(Span),
        }

        /// The text is neither a duration nor the word.
        #[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
        #[error("{0}, or {word}", word = $word)]
        pub struct $error(String);

        impl $name {
            /// Returns the time in milliseconds; none where there is no limit.
            #[must_use]
            pub fn millis(self) -> Option<u64> {
                match self {
                    Self::$none => None,
                    Self::$some(span) => Some(span.millis()),
                }
            }

            /// Makes the value of milliseconds; none means no limit.
            #[must_use]
            pub fn of_millis(millis: Option<u64>) -> Self {
                millis.map_or(Self::$none, |millis| Self::$some(Span(Duration::from_millis(millis))))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::$none => f.write_str($word),
                    Self::$some(span) => span.fmt(f),
                }
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                if text == $word {
                    return Ok(Self::$none);
                }
                text.parse().map(Self::$some).map_err(|error: SpanError| $error(error.to_string()))
            }
        }

        impl TryFrom<TextOrSeconds> for $name {
            type Error = $error;

            fn try_from(value: TextOrSeconds) -> Result<Self, $error> {
                value.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

span_or! {
    /// When a member that a majority has not heard of is evicted without an operator.
    EvictAfter, After, Never, "never", EvictAfterError
}

span_or! {
    /// How long events of the feed, and registrations that are over, are kept.
    Keep, For, Forever, "forever", KeepError
}

/// The settings of a cluster, in force at all of its members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ClusterSettings {
    /// A member that a majority has not heard of for so long is evicted. `never`, the default, keeps the strict order of
    /// claims whatever happens; a time trades it for progress: a node that is cut off for longer loses the claims that it
    /// took alone, if others took the names meanwhile.
    pub evict_after: EvictAfter,
    /// Ops whose timestamps lie further ahead of the cluster's time are not taken for now, and a node whose clock is off by
    /// more than half of it takes no registrations.
    pub max_clock_skew: Span,
    /// Events of the feed that are older are dropped, and what is over is forgotten with its last event.
    pub keep_events: Keep,
    /// In a cluster of up to eight members in which anything was registered within the last minute each member tells all
    /// others so often what it will not issue any more. The shorter it is, the sooner claims are final between distant
    /// members, and the more small messages are sent; with 1s, the most, none is sent beside the usual ones.
    pub promise_every: Span,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            evict_after: EvictAfter::Never,
            max_clock_skew: Span(MAX_CLOCK_SKEW),
            keep_events: Keep::For(Span(KEEP_EVENTS)),
            promise_every: Span(PROMISE_EVERY),
        }
    }
}

impl ClusterSettings {
    /// Returns these settings with some of them changed.
    #[must_use]
    pub fn with(self, change: &ClusterSettingsBody) -> Self {
        Self {
            evict_after: change.evict_after.unwrap_or(self.evict_after),
            max_clock_skew: change.max_clock_skew.unwrap_or(self.max_clock_skew),
            keep_events: change.keep_events.unwrap_or(self.keep_events),
            promise_every: change.promise_every.unwrap_or(self.promise_every),
        }
    }
}

/// What `PATCH /v1/cluster/settings` takes: the settings that are to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ClusterSettingsBody {
    /// After how long a silent member is evicted: a time of at least 1 s, or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evict_after: Option<EvictAfter>,
    /// How far ahead the timestamps of ops may lie: from 500 ms to 1 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clock_skew: Option<Span>,
    /// For how long events are kept: a time of at least 1 min, or `forever`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_events: Option<Keep>,
    /// How often members promise unasked in a small cluster that is in use: 1 s at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise_every: Option<Span>,
}

object!(ClusterSettingsBody);

/// A setting of a cluster is out of its bounds. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// Members would be evicted for a short interruption.
    #[error(
        "evict_after is {0}, and less than {least} is refused: a lost packet, a busy disk or a restart takes that long, \
         and a node that is evicted loses its place and claims that it took alone; set it well above the longest \
         outage that you would rather wait out, or to never to evict by hand",
        least = Span(MIN_EVICT_AFTER)
    )]
    Hasty(Span),
    /// A reader of the feed that restarts would miss events.
    #[error(
        "keep_events is {0}, and less than {least} is refused: whoever reads the event feed and restarts would miss some; \
         30d is the default, forever keeps all",
        least = Span(MIN_KEEP_EVENTS)
    )]
    Forgetful(Span),
    /// With a bound that is too low every clock would be wrong, and with one that is too high none would be.
    #[error(
        "max_clock_skew is {0}, and it must be from {least} to {most}: below, the clocks of healthy machines differ by more, so that \
         nodes refuse registrations; above, a claim dated by a wrong clock would lose to later ones for that long. 10s is \
         the default",
        least = Span(MIN_SKEW_ALLOWED),
        most = Span(MAX_SKEW_ALLOWED)
    )]
    Skew(Span),
    /// Promises would be sent without a pause, or less often than an idle node sends them.
    #[error(
        "promise_every is {0}, and it must be from 1ms to {most}: so often members tell each other what they will not issue any \
         more; 10ms is the default, {most} sends nothing beside the usual heartbeats",
        most = Span(MAX_PROMISE_EVERY)
    )]
    Promises(Span),
}

impl ClusterSettingsBody {
    /// Returns true where no setting is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn check(&self) -> Result<(), SettingsError> {
        match self.evict_after {
            Some(EvictAfter::After(hasty)) if hasty.0 < MIN_EVICT_AFTER => return Err(SettingsError::Hasty(hasty)),
            _ => {}
        }
        match self.keep_events {
            Some(Keep::For(short)) if short.0 < MIN_KEEP_EVENTS => return Err(SettingsError::Forgetful(short)),
            _ => {}
        }
        match self.max_clock_skew {
            Some(skew) if !(MIN_SKEW_ALLOWED..=MAX_SKEW_ALLOWED).contains(&skew.0) => {
                return Err(SettingsError::Skew(skew));
            }
            _ => {}
        }
        match self.promise_every {
            Some(every) if every.millis() == 0 || every.0 > MAX_PROMISE_EVERY => Err(SettingsError::Promises(every)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<ClusterSettingsBody, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        let all = body(
            r#"{"evict_after": "30s", "max_clock_skew": "2s", "keep_events": "forever", "promise_every": "50ms"}"#,
        )
        .unwrap();
        let settings = ClusterSettings::default().with(&all);
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            text,
            r#"{"evict_after":"30s","max_clock_skew":"2s","keep_events":"forever","promise_every":"50ms"}"#
        );
        assert_eq!(serde_json::from_str::<ClusterSettings>(&text).unwrap(), settings);
        assert_eq!(body(r#"{"evict_after": 30}"#).unwrap().evict_after, all.evict_after);
        assert_eq!(settings.with(&ClusterSettingsBody::default()), settings);
        assert!(body("{}").unwrap().is_empty());
        let error = body(r#"{"keep_events": "always"}"#).unwrap_err().to_string();
        assert!(error.contains("always") && error.contains("or forever"), "{error}");
        assert!(body(r#"{"evict": "30s"}"#).is_err());
    }

    #[test]
    fn bounds_are_checked_and_said() {
        let refused = |text: &str| body(text).unwrap().check().unwrap_err().to_string();
        assert!(refused(r#"{"evict_after": "999ms"}"#).contains("less than 1s"));
        assert!(refused(r#"{"keep_events": "30s"}"#).contains("less than 1m"));
        assert!(refused(r#"{"max_clock_skew": "100ms"}"#).contains("from 500ms to 1h"));
        assert!(refused(r#"{"max_clock_skew": "2h"}"#).contains("10s is the default"));
        assert!(refused(r#"{"promise_every": "0s"}"#).contains("from 1ms to 1s"));
        assert!(refused(r#"{"promise_every": "1001ms"}"#).contains("10ms is the default"));
        let good =
            r#"{"evict_after": "never", "max_clock_skew": "500ms", "keep_events": "1m", "promise_every": "1ms"}"#;
        assert_eq!(body(good).unwrap().check(), Ok(()));
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = ClusterId::from_random([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("one".parse::<ClusterId>().is_err());
    }
}
