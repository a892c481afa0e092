//! Rules of namespaces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::is_false;
use super::text::{Time, stamp};
use crate::name::{Profile, Rules, RulesError};
use crate::replica::{NamespaceView, RulesVersion};

/// How the names of a namespace are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
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
#[cfg_attr(feature = "node", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Lookalikes {
    /// They are one name: who claims the second one is refused
    Collide,
    /// They are different names
    Distinct,
}

/// A version of a namespace's rules: the stamp of the change that set them, or `default`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version(pub RulesVersion);

/// The text is no version of rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no version of rules: write 'default', or the version that was shown")]
pub struct VersionError(String);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        match text {
            "default" => Ok(Self(RulesVersion::Default)),
            _ => stamp::parse(text).map(|stamp| Self(RulesVersion::Set(stamp))).ok_or(VersionError(text.to_owned())),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A namespace and the rules in force at the node that is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    pub version: Version,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Time>,
    /// The change cannot be lost any more, whoever is evicted; a later one may take its place.
    #[serde(rename = "final")]
    pub is_final: bool,
}

impl From<NamespaceView> for Namespace {
    fn from(NamespaceView { namespace, rules, version, is_final }: NamespaceView) -> Self {
        let (profile, lookalikes, remove_tags) = match rules.profile() {
            Profile::Username { lookalikes_collide: true } => (ProfileName::Username, Some(Lookalikes::Collide), None),
            Profile::Username { lookalikes_collide: false } => {
                (ProfileName::Username, Some(Lookalikes::Distinct), None)
            }
            Profile::Email { remove_tags } => (ProfileName::Email, None, Some(remove_tags)),
            Profile::Opaque => (ProfileName::Opaque, None, None),
        };
        let ((min_length, max_length), private) = (rules.lengths(), rules.is_private());
        let changed_at = match version {
            RulesVersion::Default => None,
            RulesVersion::Set(stamp) => Some(Time(stamp.hlc.millis())),
        };
        let mut reserved: Vec<_> = rules.reserved().values().cloned().collect();
        reserved.sort_unstable();
        let version = Version(version);
        Self {
            namespace,
            profile,
            min_length,
            max_length,
            lookalikes,
            remove_tags,
            private,
            reserved,
            version,
            changed_at,
            is_final,
        }
    }
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
    pub if_version: Option<Version>,
}

/// The rules cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NamespaceBodyError {
    /// A rule that the profile does not have.
    #[error("{rule} is a rule of profile {of}, which this namespace does not have")]
    NotOfProfile {
        /// Which.
        rule: &'static str,
        /// Whose.
        of: &'static str,
    },
    /// See [`RulesError`].
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl NamespaceBody {
    /// The rules for a namespace of this name.
    ///
    /// # Errors
    /// There cannot be such rules.
    pub fn rules(&self, namespace: &str) -> Result<Rules, NamespaceBodyError> {
        let default = Rules::default_of(namespace);
        let profile = match (self.profile, default.profile()) {
            (Some(ProfileName::Username), _) | (None, Profile::Username { .. }) => {
                Profile::Username { lookalikes_collide: self.lookalikes != Some(Lookalikes::Distinct) }
            }
            (Some(ProfileName::Email), _) | (None, Profile::Email { .. }) => {
                Profile::Email { remove_tags: self.remove_tags == Some(true) }
            }
            (Some(ProfileName::Opaque), _) | (None, Profile::Opaque) => Profile::Opaque,
        };
        if self.lookalikes.is_some() && !matches!(profile, Profile::Username { .. }) {
            return Err(NamespaceBodyError::NotOfProfile { rule: "lookalikes", of: "username" });
        }
        if self.remove_tags.is_some() && !matches!(profile, Profile::Email { .. }) {
            return Err(NamespaceBodyError::NotOfProfile { rule: "remove_tags", of: "email" });
        }
        let (least, most) = default.lengths();
        let lengths = (self.min_length.unwrap_or(least), self.max_length.unwrap_or(most));
        let rules = Rules::new(profile, lengths, self.reserved.iter().map(String::as_str))?;
        Ok(rules.with_private(self.private))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Hlc, NodeId, Stamp};

    #[test]
    fn what_is_shown_can_be_set_again() {
        for (namespace, text) in [
            ("username", r#"{"min_length": 3, "max_length": 20, "reserved": ["Admin", "root"]}"#),
            ("org/42/email", r#"{"remove_tags": true}"#),
            ("username", r#"{"lookalikes": "distinct"}"#),
            ("tag", r#"{"profile": "opaque", "if_version": "default"}"#),
            ("email", r#"{"private": true}"#),
            ("tag", "{}"),
        ] {
            let body: NamespaceBody = serde_json::from_str(text).unwrap();
            let rules = body.rules(namespace).unwrap();
            let version = RulesVersion::Set(Stamp { hlc: Hlc(7 << 16 | 9), node: NodeId(0xab) });
            let view = NamespaceView { namespace: namespace.to_owned(), rules: rules.clone(), version, is_final: true };
            let shown = Namespace::from(view);
            assert_eq!(serde_json::from_str::<Namespace>(&serde_json::to_string(&shown).unwrap()).unwrap(), shown);
            let again = NamespaceBody::from(&shown);
            assert_eq!(again.rules(namespace), Ok(rules), "{text}");
            assert_eq!(again.if_version, Some(Version(version)));
        }
    }

    #[test]
    fn rules_that_cannot_be_are_refused_in_words() {
        for (namespace, text, wanted) in [
            ("email", r#"{"lookalikes": "distinct"}"#, "lookalikes is a rule of profile username"),
            ("username", r#"{"remove_tags": false}"#, "remove_tags is a rule of profile email"),
            ("username", r#"{"min_length": 0}"#, "1 at least"),
            ("username", r#"{"min_length": 9, "max_length": 3}"#, "names of 9 to 3 characters cannot be"),
            ("username", r#"{"max_length": 257}"#, "256 at most"),
            ("username", r#"{"reserved": ["a b"]}"#, "\"a b\" cannot be reserved: a space may not stand"),
        ] {
            let error = serde_json::from_str::<NamespaceBody>(text).unwrap().rules(namespace).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        for text in [r#"{"privat": true}"#, r#"{"private": 1}"#, r#"{"if_version": "7"}"#, r#"{"profile": "word"}"#] {
            assert!(serde_json::from_str::<NamespaceBody>(text).is_err(), "{text}");
        }
    }
}
