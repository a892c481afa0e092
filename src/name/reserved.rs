//! Reserved names and patterns of a namespace.
//!
//! A reserved name is compared by key. In one with an asterisk, a pattern, each asterisk stands for any characters, or
//! none: `*admin*` is every name with `admin` in it. What stands between the asterisks is mapped as the characters of a
//! key are, so a pattern, too, reaches other spellings and look-alikes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{Profile, RulesError};
use super::{NameError, lookalikes, username};
use crate::model::Lookalikes;
use crate::model::limits::MAX_NAME;

/// Reserved names and patterns of one namespace at most. A guess: lists of names that sites keep for themselves have some
/// hundreds.
pub const MAX_RESERVED: usize = 1000;
/// Bytes of all reserved names and patterns of one namespace together.
pub const MAX_RESERVED_BYTES: usize = 16 * 1024;

/// Names that nobody is to claim.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Reserved {
    /// As typed, by key.
    names: BTreeMap<String, String>,
    /// As typed, by the pattern of keys.
    patterns: BTreeMap<String, String>,
}

impl Reserved {
    /// These names, whose keys `key` makes.
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

    /// The reserved name of this key, as it was typed.
    pub(super) fn name(&self, key: &str) -> Option<&str> {
        self.names.get(key).map(String::as_str)
    }

    /// The first pattern that a key fits, as it was typed.
    pub(super) fn pattern(&self, key: &str) -> Option<&str> {
        self.patterns.iter().find(|(pattern, _)| fits(key, pattern)).map(|(_, typed)| typed.as_str())
    }

    /// Bytes of the key of each and of what was typed.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.names.iter().chain(&self.patterns).map(|(key, typed)| (key.len(), typed.len()))
    }

    /// All of them as typed, in order.
    pub(super) fn typed(&self) -> Vec<&str> {
        let mut typed: Vec<_> = self.names.values().chain(self.patterns.values()).map(String::as_str).collect();
        typed.sort_unstable();
        typed
    }
}

/// The pattern of the keys of what fits a pattern as typed.
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

/// Whether a key fits a pattern, in which each asterisk stands for any characters.
fn fits(key: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = key.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        // The earliest place leaves the most for the pieces after it.
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

    /// Tries every place for every asterisk.
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
