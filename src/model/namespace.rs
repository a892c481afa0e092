//! Rules of namespaces.

use serde::{Deserialize, Serialize};

use super::text::Time;
use super::{RulesVersion, is_false};

/// How the names of a namespace are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProfileName {
    /// User names: RFC 8265, and look-alikes are one name
    Username,
    /// E-mail addresses
    Email,
    /// Whatever the application likes: each byte counts
    Opaque,
}

/// Whether names that look alike are one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Lookalikes {
    /// They are one name: who claims the second one is refused
    Collide,
    /// They are different names
    Distinct,
}

/// A namespace and the rules in force at the node that is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Namespace {
    /// The namespace.
    pub namespace: String,
    /// How its names are written.
    pub profile: ProfileName,
    /// Characters of a name at least: code points as typed, composed (NFC) unless the profile is `opaque`.
    pub min_length: usize,
    /// Characters at most.
    pub max_length: usize,
    /// With `username`: whether look-alikes are one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookalikes: Option<Lookalikes>,
    /// With `email`: whether what follows a `+` before the `@` is left out of account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_tags: Option<bool>,
    /// Whether only a keyed hash of a name leaves the node that took it, and whether it exists is told to nobody who may not
    /// read.
    #[serde(default)]
    pub private: bool,
    /// Names that nobody can claim, as typed; whatever has the same canonical form as one of them neither.
    pub reserved: Vec<String>,
    /// Which change set these rules.
    pub version: RulesVersion,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Time>,
    /// The change cannot be lost any more, whoever is evicted; a later one may take its place.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// Rules as they are set: whatever is left out gets its default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceBody {
    /// How names are written; by default as the namespace's name says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// Characters of a name at least; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// Characters at most; 256, the limit on bytes, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// With `username` only: whether look-alikes are one name; they are by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookalikes: Option<Lookalikes>,
    /// With `email` only: whether what follows a `+` before the `@` is left out of account; it counts by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_tags: Option<bool>,
    /// Whether names are private; they are public by default.
    #[serde(default, skip_serializing_if = "is_false")]
    pub private: bool,
    /// Names that nobody is to claim; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<String>,
    /// Set them only if this is the version in force at the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<RulesVersion>,
}

impl From<&Namespace> for NamespaceBody {
    /// The same rules, to be set where they have not changed meanwhile.
    fn from(shown: &Namespace) -> Self {
        Self {
            profile: Some(shown.profile),
            min_length: Some(shown.min_length),
            max_length: Some(shown.max_length),
            lookalikes: shown.lookalikes,
            remove_tags: shown.remove_tags,
            private: shown.private,
            reserved: shown.reserved.clone(),
            if_version: Some(shown.version),
        }
    }
}
