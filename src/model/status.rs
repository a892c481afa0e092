//! The states of registrations, names and rules, and the events that change them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::text::stamp;
use crate::clock::Stamp;

/// Where a registration stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not yet final.
    Pending,
    /// Not yet final, but an earlier claim to one of its names is known.
    Contested,
    /// It has its names. Final.
    Confirmed,
    /// It has none of them. Final.
    Rejected,
}

impl Status {
    /// Returns true where the outcome is final.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Rejected)
    }
}

/// Whether a name can be had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NameStatus {
    /// It can be claimed here and now.
    Available,
    /// A claim leads that is not yet final.
    Pending,
    /// A confirmed claim holds it.
    Held,
    /// Its claim has ended, but that is not yet final.
    Ending,
}

/// A version of a namespace's rules: the stamp of the change that set them, or `default`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RulesVersion {
    /// Nobody has set rules, so the defaults are in force.
    Default,
    /// The rules that this op set.
    Set(Stamp),
}

impl fmt::Display for RulesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Set(stamp) => stamp.fmt(f),
        }
    }
}

/// The text is not a version of rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no version of rules: write 'default', or the version that was shown")]
pub struct RulesVersionError(String);

impl FromStr for RulesVersion {
    type Err = RulesVersionError;

    fn from_str(text: &str) -> Result<Self, RulesVersionError> {
        match text {
            "default" => Ok(Self::Default),
            _ => stamp::parse(text).map(Self::Set).ok_or(RulesVersionError(text.to_owned())),
        }
    }
}

impl Serialize for RulesVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RulesVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The kind of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(strum::VariantArray))]
pub enum EventType {
    /// This node knows of the registration.
    Accepted,
    /// An earlier claim to one of its names turned up; not yet final.
    Contested,
    /// It has its names. Final.
    Confirmed,
    /// It lost. Final.
    Rejected,
    /// The reservation was made permanent.
    Activated,
    /// A confirmed claim ended.
    NameEnded,
}

/// How a claim ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EndReason {
    /// Its owner gave it up.
    Released,
    /// The reservation was not activated in time.
    Expired,
    /// A rename took its place.
    Replaced,
    /// Its registration was rejected for another name, or as a later twin.
    Rejected,
}

/// Why one claim comes before another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Precedence {
    /// It has the earlier timestamp.
    EarliestTimestamp,
    /// Both have the same timestamp, and it is of the node with the lower id.
    LowestNode,
}
