//! The rules of namespaces.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::object::object;
use super::text::{Span, Time};
use super::{RulesVersion, is_false};

/// How the names of a namespace are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, strum::IntoStaticStr)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum ProfileName {
    /// User names: RFC 8265, and look-alikes as --lookalikes says
    Username,
    /// E-mail addresses
    Email,
    /// Whatever the application likes: each byte counts
    Opaque,
    /// Labels of domains, as for the addresses of tenants
    DnsLabel,
}

/// Which names that look alike are one name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Lookalikes {
    /// What looks like an ASCII letter or digit is that; names of ASCII are told apart as they are written
    #[default]
    Fold,
    /// All that has one skeleton by UTS #39: also 'modern' and 'modem', 'Carl' and 'car1'
    Strict,
    /// None are
    Distinct,
}

/// Which characters may stand in user names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Characters {
    /// All that the profile takes
    #[default]
    Any,
    /// Those of ASCII
    Ascii,
    /// Letters and digits of any script, and their marks; no punctuation
    LettersDigits,
}

/// Who may take a name within the time for which it is kept after it was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum HeldFor {
    /// Whoever owned it last
    #[default]
    Owner,
    /// Nobody
    Nobody,
}

/// A namespace and the rules in force at the node that is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
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
    /// With `username`: which look-alikes are one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookalikes: Option<Lookalikes>,
    /// With `username`: which characters may stand in names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<Characters>,
    /// With `email`: whether what follows a `+` before the `@` is left out of account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_tags: Option<bool>,
    /// Whether only a keyed hash of a name leaves the node that took it, and whether it exists is told to nobody who may not
    /// read.
    #[serde(default)]
    #[cfg_attr(feature = "node", schema(required = true))]
    pub private: bool,
    /// Names that nobody can claim, as typed; whatever has the same canonical form as one of them neither. In a pattern
    /// each `*` stands for any characters.
    pub reserved: Vec<String>,
    /// For how long a name that was released, or given up for another one, is kept from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_after_release: Option<Span>,
    /// Who may take it meanwhile; with `hold_after_release` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for: Option<HeldFor>,
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
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NamespaceBody {
    /// How names are written; by default as the namespace's name says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// Characters of a name at least; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "node", schema(minimum = 1, maximum = 256))]
    pub min_length: Option<usize>,
    /// Characters at most; 256, the limit on bytes, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "node", schema(minimum = 1, maximum = 256))]
    pub max_length: Option<usize>,
    /// With `username` only: which look-alikes are one name; by default what looks like ASCII is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookalikes: Option<Lookalikes>,
    /// With `username` only: which characters may stand in names; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<Characters>,
    /// With `email` only: whether what follows a `+` before the `@` is left out of account; it counts by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_tags: Option<bool>,
    /// Whether names are private; they are public by default.
    #[serde(default, skip_serializing_if = "is_false")]
    pub private: bool,
    /// Names and patterns, with `*` for any characters, that nobody is to claim; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<String>,
    /// For how long a name that was released, or given up for another one, is kept from others: at most 3650 days; not at
    /// all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_after_release: Option<Span>,
    /// With `hold_after_release` only: who may take it meanwhile; whoever owned it last by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for: Option<HeldFor>,
    /// Set them only if this is the version in force at the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<RulesVersion>,
}

object!(NamespaceBody);

impl From<&Namespace> for NamespaceBody {
    /// Makes a body that sets the same rules again, provided that they have not changed meanwhile.
    fn from(shown: &Namespace) -> Self {
        Self {
            profile: Some(shown.profile),
            min_length: Some(shown.min_length),
            max_length: Some(shown.max_length),
            lookalikes: shown.lookalikes,
            characters: shown.characters,
            remove_tags: shown.remove_tags,
            private: shown.private,
            reserved: shown.reserved.clone(),
            hold_after_release: shown.hold_after_release,
            held_for: shown.held_for,
            if_version: Some(shown.version),
        }
    }
}

/// A change of rules, as a JSON merge patch (RFC 7396) of a [`NamespaceBody`]: what it names is set, `null` gives the default,
/// and what it does not name stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NamespacePatch(
    /// The fields that change.
    pub Map<String, Value>,
);

impl NamespacePatch {
    /// Returns true where the patch names the version that it is meant for.
    #[must_use]
    pub fn names_version(&self) -> bool {
        self.0.get("if_version").is_some_and(|version| !version.is_null())
    }

    /// Returns these rules with the patch applied. A change of the profile drops the rules that only the old profile
    /// has, and `held_for` is dropped where names are not kept after a release any more.
    ///
    /// # Errors
    /// The patch names a field that is not a rule, or gives a rule a value that is not valid.
    pub fn applied_to(&self, rules: &NamespaceBody) -> serde_json::Result<NamespaceBody> {
        let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(rules)?)?;
        let changes = |field: &str| self.0.get(field).is_some_and(|value| fields.get(field) != Some(value));
        let mut stale = Vec::new();
        if changes("profile") {
            stale.extend(["lookalikes", "characters", "remove_tags"]);
        }
        if self.0.get("hold_after_release").is_some_and(|span| matches!(span.as_str(), None | Some("0s"))) {
            stale.push("held_for");
        }
        for field in stale {
            fields.remove(field);
        }
        for (field, value) in &self.0 {
            if value.is_null() && (fields.contains_key(field) || matches!(field.as_str(), "private" | "reserved")) {
                fields.remove(field);
            } else {
                fields.insert(field.clone(), value.clone());
            }
        }
        serde_json::from_value(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(rules: &Value, patch: &Value) -> Result<Value, String> {
        let rules: NamespaceBody = serde_json::from_value(rules.clone()).unwrap();
        let patch: NamespacePatch = serde_json::from_value(patch.clone()).unwrap();
        let rules = patch.applied_to(&rules).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(rules).unwrap())
    }

    #[test]
    fn what_a_patch_names_changes_and_the_rest_stays() {
        let rules = json!({"profile": "username", "lookalikes": "strict", "private": true, "reserved": ["admin"]});
        for (patch, wanted) in [
            (json!({}), rules.clone()),
            (json!({"private": null}), json!({"profile": "username", "lookalikes": "strict", "reserved": ["admin"]})),
            (json!({"reserved": null, "lookalikes": null}), json!({"profile": "username", "private": true})),
            (
                json!({"profile": "email", "remove_tags": true}),
                json!({"profile": "email", "remove_tags": true, "private": true, "reserved": ["admin"]}),
            ),
            (
                json!({"profile": "username", "max_length": 20}),
                json!({"profile": "username", "lookalikes": "strict", "private": true, "reserved": ["admin"], "max_length": 20}),
            ),
        ] {
            assert_eq!(patched(&rules, &patch).unwrap(), wanted, "{patch}");
        }
        let kept = json!({"hold_after_release": "30d", "held_for": "nobody"});
        assert_eq!(patched(&kept, &json!({"hold_after_release": null})).unwrap(), json!({}));
        assert_eq!(patched(&kept, &json!({"max_length": 9})).unwrap()["held_for"], "nobody");
    }

    #[test]
    fn a_patch_of_what_is_no_rule_is_refused() {
        for patch in [json!({"privat": null}), json!({"privat": true}), json!({"min_length": "three"})] {
            assert!(patched(&json!({}), &patch).is_err(), "{patch}");
        }
        for patch in ["[]", "7", "null", "\"profile\""] {
            assert!(serde_json::from_str::<NamespacePatch>(patch).is_err(), "{patch}");
        }
    }
}
