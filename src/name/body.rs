//! Conversion of a namespace's rules from and to the bodies that clients read and write.

use std::time::Duration;

use super::{Hold, Profile, Rules, RulesError};
use crate::model::{HeldFor, Namespace, NamespaceBody, ProfileName, RulesVersion, Span, Time};

impl Rules {
    /// Returns the rules as clients see them. `version` says which change set them, and `is_final` whether that change
    /// is final.
    pub(crate) fn shown(&self, namespace: String, version: RulesVersion, is_final: bool) -> Namespace {
        let (profile, lookalikes, remove_tags) = match self.profile() {
            Profile::Username { lookalikes } => (ProfileName::Username, Some(lookalikes), None),
            Profile::Email { remove_tags } => (ProfileName::Email, None, Some(remove_tags)),
            Profile::Opaque => (ProfileName::Opaque, None, None),
            Profile::DnsLabel => (ProfileName::DnsLabel, None, None),
        };
        let characters = (profile == ProfileName::Username).then(|| self.characters());
        let ((min_length, max_length), private) = (self.lengths(), self.is_private());
        let changed_at = match version {
            RulesVersion::Default => None,
            RulesVersion::Set(stamp) => Some(Time(stamp.hlc.millis())),
        };
        let reserved = self.reserved().into_iter().map(str::to_owned).collect();
        let hold_after_release = self.hold().map(|hold| Span(Duration::from_millis(hold.millis)));
        let held_for = self.hold().map(|hold| if hold.owner_may { HeldFor::Owner } else { HeldFor::Nobody });
        Namespace {
            namespace,
            profile,
            min_length,
            max_length,
            lookalikes,
            characters,
            remove_tags,
            private,
            reserved,
            hold_after_release,
            held_for,
            version,
            changed_at,
            is_final,
        }
    }
}

/// The body describes no valid rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NamespaceBodyError {
    /// The body has a rule that belongs to another profile than the namespace's.
    #[error("{rule} is a rule of profile {of}, which this namespace does not have")]
    NotOfProfile {
        /// The rule, as the body names it.
        rule: &'static str,
        /// The profile that has this rule.
        of: &'static str,
    },
    /// The body says for whom released names are kept, but not for how long.
    #[error("held_for says for whom names that were given up are kept; say also for how long, as hold_after_release")]
    HeldForHowLong,
    /// The rules contradict each other or a limit; see [`RulesError`].
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl NamespaceBody {
    /// Returns the rules that the body describes for a namespace of this name. Rules that it leaves out get their
    /// defaults.
    ///
    /// # Errors
    /// Fails where the body describes no valid rules.
    pub fn rules(&self, namespace: &str) -> Result<Rules, NamespaceBodyError> {
        let default = Rules::default_of(namespace);
        let profile = match (self.profile, default.profile()) {
            (Some(ProfileName::Username), _) | (None, Profile::Username { .. }) => {
                Profile::Username { lookalikes: self.lookalikes.unwrap_or_default() }
            }
            (Some(ProfileName::Email), _) | (None, Profile::Email { .. }) => {
                Profile::Email { remove_tags: self.remove_tags == Some(true) }
            }
            (Some(ProfileName::Opaque), _) | (None, Profile::Opaque) => Profile::Opaque,
            (Some(ProfileName::DnsLabel), _) | (None, Profile::DnsLabel) => Profile::DnsLabel,
        };
        let (username, email) = (matches!(profile, Profile::Username { .. }), matches!(profile, Profile::Email { .. }));
        for (rule, given, of, fits) in [
            ("lookalikes", self.lookalikes.is_some(), "username", username),
            ("characters", self.characters.is_some(), "username", username),
            ("remove_tags", self.remove_tags.is_some(), "email", email),
        ] {
            if given && !fits {
                return Err(NamespaceBodyError::NotOfProfile { rule, of });
            }
        }
        let (least, most) = default.lengths();
        let lengths = (self.min_length.unwrap_or(least), self.max_length.unwrap_or(most));
        let rules = Rules::new(profile, lengths, self.reserved.iter().map(String::as_str))?;
        let rules = rules.with_private(self.private).with_characters(self.characters.unwrap_or_default());
        Ok(rules.with_hold(self.hold()?)?)
    }

    fn hold(&self) -> Result<Option<Hold>, NamespaceBodyError> {
        let owner_may = self.held_for.unwrap_or_default() == HeldFor::Owner;
        match self.hold_after_release.filter(|span| !span.0.is_zero()) {
            Some(span) => Ok(Some(Hold { millis: span.millis(), owner_may })),
            None if self.held_for.is_some() => Err(NamespaceBodyError::HeldForHowLong),
            None => Ok(None),
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
            ("username", r#"{"lookalikes": "strict", "characters": "letters-digits", "reserved": ["*admin*"]}"#),
            ("tenant", r#"{"profile": "dns-label", "reserved": ["www"]}"#),
            ("tag", r#"{"profile": "opaque", "if_version": "default"}"#),
            ("email", r#"{"private": true}"#),
            ("username", r#"{"hold_after_release": "30d"}"#),
            ("username", r#"{"hold_after_release": "1h30m", "held_for": "nobody"}"#),
            ("tag", "{}"),
        ] {
            let body: NamespaceBody = serde_json::from_str(text).unwrap();
            let rules = body.rules(namespace).unwrap();
            let version = RulesVersion::Set(Stamp { hlc: Hlc(7 << 16 | 9), node: NodeId(0xab) });
            let shown = rules.shown(namespace.to_owned(), version, true);
            assert_eq!(serde_json::from_str::<Namespace>(&serde_json::to_string(&shown).unwrap()).unwrap(), shown);
            let again = NamespaceBody::from(&shown);
            assert_eq!(again.rules(namespace), Ok(rules), "{text}");
            assert_eq!(again.if_version, Some(version));
        }
    }

    #[test]
    fn rules_that_cannot_be_are_refused_in_words() {
        for (namespace, text, wanted) in [
            ("email", r#"{"characters": "ascii"}"#, "characters is a rule of profile username"),
            ("username", r#"{"reserved": ["**"]}"#, "would reserve every name"),
            ("email", r#"{"lookalikes": "distinct"}"#, "lookalikes is a rule of profile username"),
            ("username", r#"{"remove_tags": false}"#, "remove_tags is a rule of profile email"),
            ("username", r#"{"min_length": 0}"#, "1 at least"),
            ("username", r#"{"min_length": 9, "max_length": 3}"#, "names of 9 to 3 characters cannot be"),
            ("username", r#"{"max_length": 257}"#, "256 at most"),
            ("username", r#"{"held_for": "owner"}"#, "say also for how long"),
            ("username", r#"{"hold_after_release": "3651d"}"#, "for 1 ms to 3650 days"),
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
