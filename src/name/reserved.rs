//! Reserved names and patterns of a namespace.
//!
//! A reserved name is compared by key. A reserved name with an asterisk is a pattern, in which each asterisk stands for
//! any characters, or none: `*admin*` fits every name with `admin` in it. The text between the asterisks is mapped like
//! a key, so a pattern also covers other spellings and look-alikes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{Profile, RulesError};
use super::{NameError, lookalikes, username};
use crate::model::Lookalikes;
use crate::model::limits::MAX_NAME;

/// The greatest number of reserved names and patterns of one namespace. A guess: sites keep lists of some hundred names
/// for themselves.
pub const MAX_RESERVED: usize = 1000;
/// The greatest number of bytes of all reserved names and patterns of one namespace together.
pub const MAX_RESERVED_BYTES: usize = 16 * 1024;

/// Names and patterns that nobody may claim.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Reserved {
    /// Reserved names as typed, by key.
    names: BTreeMap<String, String>,
    /// Patterns as typed, by the mapped pattern, to which keys are compared.
    patterns: BTreeMap<String, String>,
}

impl Reserved {
    /// Makes the table of these names and patterns. `key` computes the key of a name.
    pub(super) fn new<'a>(
        profile: Profile,
        names: impl IntoIterator<Item = &'a str>,
        key: impl Fn(&str) -> Result<String, NameError>,
    ) -> Result<Self, RulesError> {
        let (mut reserved, mut bytes) = (Self::default(), 0);
        for name in names {
            bytes += name.len();
            if bytes > MAX_RESERVED_BYTES {
                return Err(RulesError::TooLarge(bytes));
            }
            let refused = |error| RulesError::Reserved { name: name.to_owned(), error };
            let (table, key) = match name.contains('*') {
                true => (&mut reserved.patterns, pattern(profile, name)),
                false => (&mut reserved.names, key(name)),
            };
            table.entry(key.map_err(refused)?).or_insert_with(|| name.to_owned());
        }
        let count = reserved.names.len() + reserved.patterns.len();
        if count > MAX_RESERVED { Err(RulesError::TooMany(count)) } else { Ok(reserved) }
    }

    /// Returns the reserved name with this key, as typed.
    pub(super) fn name(&self, key: &str) -> Option<&str> {
        self.names.get(key).map(String::as_str)
    }

    /// Returns the first pattern that a key fits, as typed.
    pub(super) fn pattern(&self, key: &str) -> Option<&str> {
        self.patterns.iter().find(|(pattern, _)| fits(key, pattern)).map(|(_, typed)| typed.as_str())
    }

    /// All of them as typed, in order.
    pub(super) fn typed(&self) -> Vec<&str> {
        let mut typed: Vec<_> = self.names.values().chain(self.patterns.values()).map(String::as_str).collect();
        typed.sort_unstable();
        typed
    }
}

/// Maps the text of a pattern so that keys can be compared to it.
fn pattern(profile: Profile, typed: &str) -> Result<String, NameError> {
    if typed.chars().all(|c| c == '*') {
        return Err(NameError::Rule("it would reserve every name"));
    }
    if typed.len() > MAX_NAME {
        return Err(NameError::TooLarge(typed.len()));
    }
    let domain = match profile {
        Profile::Email { .. } => typed.split_once('@').map_or("", |(_, domain)| domain),
        Profile::DnsLabel => typed,
        Profile::Username { .. } | Profile::Opaque => "",
    };
    if !domain.is_ascii() {
        return Err(NameError::Rule("a pattern of domains is written in ASCII, with 'xn--' where that is needed"));
    }
    let piece = |piece: &str| match profile {
        Profile::Username { lookalikes } => match lookalikes {
            Lookalikes::Fold => lookalikes::fold(&username::form(piece)),
            Lookalikes::Strict => lookalikes::skeleton(&username::form(piece)),
            Lookalikes::Distinct => username::form(piece),
        },
        Profile::Email { .. } | Profile::DnsLabel => username::form(piece),
        Profile::Opaque => piece.to_owned(),
    };
    Ok(typed.split('*').map(piece).collect::<Vec<_>>().join("*"))
}

/// Returns true where a key fits a mapped pattern, in which each asterisk stands for any characters.
fn fits(key: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = key.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        // The earliest match leaves the most text for the pieces after it.
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_asterisk_stands_for_anything() {
        for (pattern, key, wanted) in [
            ("*admin*", "admin", true),
            ("*admin*", "the-admins", true),
            ("*admin*", "adm-in", false),
            ("admin*", "admin2", true),
            ("admin*", "xadmin", false),
            ("*-bot", "a-bot", true),
            ("*-bot", "a-bot2", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("a**b", "axb", true),
        ] {
            assert_eq!(fits(key, pattern), wanted, "{pattern} {key}");
        }
    }

    /// Tries every length for every asterisk.
    fn fits_somehow(key: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => key.is_empty(),
            Some(('*', rest)) => (0..=key.len()).any(|from| fits_somehow(&key[from..], rest)),
            Some((c, rest)) => key.first() == Some(c) && fits_somehow(&key[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn the_earliest_place_is_as_good_as_any(key in "[ab]{0,8}", pattern in "[ab*]{1,6}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&key, &pattern), fits_somehow(&letters(&key), &letters(&pattern)));
        }
    }
}
