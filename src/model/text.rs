//! Values that are written as text: times, durations, timestamps of ops.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::clock::{Hlc, Millis};

/// A time, as RFC 3339 in UTC with milliseconds: `2026-03-01T12:00:00.000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(pub Millis);

impl From<Hlc> for Time {
    /// Returns the time of something that has this timestamp.
    fn from(hlc: Hlc) -> Self {
        Self(hlc.millis())
    }
}

/// The text is not a time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a time: write it as RFC 3339, like 2026-03-01T12:00:00Z")]
pub struct TimeError(String);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        write!(f, "{:.3}", time.unwrap_or(jiff::Timestamp::MAX))
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimeError(text.to_owned()))?;
        Ok(Self(Millis(u64::try_from(time.as_millisecond()).unwrap_or(0))))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A length of time, as `15m`, `1h30m`, `500ms` or whole seconds. Read from text or an integer, written as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "TextOrSeconds")]
pub struct Span(pub Duration);

/// The text is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a duration: write it as 500ms, 5s, 15m, 24h, 7d, 1h30m or whole seconds")]
pub struct SpanError(String);

/// The units and their milliseconds, greatest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Span {
    /// Returns whole milliseconds; `u64::MAX` where there are more.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in UNITS {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        parse_millis(text).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(|| SpanError(text.to_owned()))
    }
}

/// Returns `None` where the text is no duration, or the duration is too long for 64 bits of milliseconds.
fn parse_millis(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok()?.checked_mul(1000);
    }
    let (mut rest, mut total) = (text, 0u64);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(size)?)?;
        rest = after;
    }
    Some(total)
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration as it may be written: a number is one of seconds.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a duration like \"15m\" or a whole number of seconds")]
pub(crate) enum TextOrSeconds {
    /// Like `15m`.
    Text(String),
    /// Like `900`.
    Seconds(i64),
}

impl TextOrSeconds {
    /// Parses the text, or the number written as text.
    pub(crate) fn parse<T: FromStr>(self) -> Result<T, T::Err> {
        match self {
            Self::Text(text) => text.parse(),
            Self::Seconds(seconds) => seconds.to_string().parse(),
        }
    }
}

impl TryFrom<TextOrSeconds> for Span {
    type Error = SpanError;

    fn try_from(value: TextOrSeconds) -> Result<Self, SpanError> {
        value.parse()
    }
}

/// An [`Hlc`](crate::clock::Hlc) as `<milliseconds>.<counter>`, for `#[serde(with)]`.
pub mod hlc {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::clock::{Hlc, Millis};

    /// Writes a timestamp.
    ///
    /// # Errors
    /// An error of the serializer.
    pub fn serialize<S: Serializer>(hlc: &Hlc, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hlc)
    }

    /// Reads a timestamp.
    ///
    /// # Errors
    /// The text is not a timestamp.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hlc, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| de::Error::custom(format_args!("{text:?} is not a timestamp")))
    }

    pub(super) fn parse(text: &str) -> Option<Hlc> {
        let (millis, counter) = text.split_once('.')?;
        let (millis, counter): (u64, u16) = (millis.parse().ok()?, counter.parse().ok()?);
        (millis < 1 << 48).then(|| Hlc(Hlc::from_millis(Millis(millis)).0 | u64::from(counter)))
    }
}

/// A [`Stamp`](crate::clock::Stamp) as `<hlc>@<node>`, for `#[serde(with)]`.
pub mod stamp {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::clock::Stamp;

    /// Writes a stamp.
    ///
    /// # Errors
    /// An error of the serializer.
    pub fn serialize<S: Serializer>(stamp: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(stamp)
    }

    /// Reads a stamp.
    ///
    /// # Errors
    /// The text is not a stamp.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| de::Error::custom(format_args!("{text:?} is not a stamp")))
    }

    pub(in crate::model) fn parse(text: &str) -> Option<Stamp> {
        let (hlc, node) = text.split_once('@')?;
        Some(Stamp { hlc: super::hlc::parse(hlc)?, node: node.parse().ok()? })
    }
}
