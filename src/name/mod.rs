//! Names and namespaces: how the canonical form (the key) of a name is computed, and the rules that say which names may
//! be claimed.
//!
//! The key is computed once, by the node that takes the claim, and travels in the op. No other node computes it again,
//! so different Unicode tables cannot make nodes disagree. For the same reason a change of a namespace's rules does not
//! affect the names that are taken: they keep their keys.
//!
//! | profile | its key |
//! | --- | --- |
//! | `username` | RFC 8265 UsernameCaseMapped, composed and mapped first; then look-alikes, see [`Lookalikes`](crate::model::Lookalikes) |
//! | `email` | local part case mapped, domain as ASCII by UTS #46, `+tags` removed where the rules say so |
//! | `dns-label` | one label of a domain, as ASCII by UTS #46 |
//! | `opaque` | the name as given, byte by byte |
//!
//! In a private namespace the key is a keyed hash of the canonical form, see [`Pepper`], and the name as typed does not
//! leave the node.
//!
//! A namespace exists from its first use on. It has the rules that were set last, or else [`Rules::default_of`] its
//! name.

mod body;
mod case;
mod domain;
mod email;
mod escape;
mod lookalikes;
mod pepper;
mod reserved;
mod rules;
#[cfg(test)]
mod tests;
mod username;
#[cfg(test)]
mod vectors;

pub use body::NamespaceBodyError;
#[cfg(feature = "cli")]
pub(crate) use escape::acts;
pub use escape::escaped;
pub use pepper::Pepper;
pub use reserved::{MAX_RESERVED, MAX_RESERVED_BYTES};
pub use rules::{Hold, MAX_HOLD, Profile, Rules, RulesError};

use std::borrow::Cow;

use crate::model::limits::{MAX_NAME, MAX_NAMESPACE};

/// Returns a name as typed, made safe for a terminal. A private name is empty except where it was typed, and is shown
/// as `(private)`.
#[must_use]
pub fn shown(name: &str) -> Cow<'_, str> {
    if name.is_empty() { Cow::Borrowed("(private)") } else { escaped(name) }
}

/// A name is not valid in its namespace. The variant says which rule it breaks; converted to a static text it is a
/// stable code for that rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum NameError {
    /// The name is empty.
    #[error("it is empty")]
    Empty,
    /// The name has more bytes than [`MAX_NAME`].
    #[error("it has {0} bytes, more than {MAX_NAME}")]
    TooLarge(usize),
    /// The canonical form has more bytes than [`MAX_NAME`].
    #[error("its canonical form has {0} bytes, more than {MAX_NAME}")]
    KeyTooLarge(usize),
    /// The name has fewer characters than the namespace requires.
    #[error("it has {has} {}, and this namespace asks for {least} at least", characters(*.has))]
    TooShort {
        /// Characters of the name.
        has: usize,
        /// The least number of characters.
        least: usize,
    },
    /// The name has more characters than the namespace allows.
    #[error("it has {has} {}, and this namespace allows {most} at most", characters(*.has))]
    TooLong {
        /// Characters of the name.
        has: usize,
        /// The greatest number of characters.
        most: usize,
    },
    /// The name is reserved in the namespace.
    #[error("it is reserved in this namespace{}", reserved_as(.0))]
    Reserved(ReservedAs),
    /// The name contains a character that its profile allows, but not this namespace.
    #[strum(serialize = "character-not-allowed")]
    #[error("{} may not stand in names of this namespace, which takes {allowed} only", describe(*.character))]
    NotAllowed {
        /// The character.
        character: char,
        /// The characters that the namespace allows, in words.
        allowed: &'static str,
    },
    /// The name contains a character that its profile does not allow.
    #[error("{} may not stand in {what}", describe(*.character))]
    Character {
        /// The character.
        character: char,
        /// The text that may not contain it: a user name, or a part of an address.
        what: &'static str,
    },
    /// The name breaks another rule of its profile, such as the one about mixing right-to-left and left-to-right
    /// characters. The text says which.
    #[error("{0}")]
    #[strum(serialize = "malformed")]
    Rule(&'static str),
    /// The namespace's own name is malformed.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
}

/// The reason why a name counts as reserved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReservedAs {
    /// The name is reserved in this spelling.
    Itself,
    /// Another spelling of the name is reserved, which differs in capitals or in composition.
    Spelling(String),
    /// The name looks like this reserved name.
    LookAlike(String),
    /// The name fits this reserved pattern.
    Fits(String),
}

/// The name of a namespace is malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the namespace is not valid: 1 to {MAX_NAMESPACE} of a-z, 0-9, '-', '_', '.' and '/', and each part between slashes \
     begins with a letter or digit"
)]
pub struct NamespaceError;

/// Checks the name of a namespace.
///
/// # Errors
/// Fails where the name is malformed.
pub fn check_namespace(namespace: &str) -> Result<(), NamespaceError> {
    let fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    let part =
        |part: &str| part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && part.bytes().all(fit);
    if namespace.len() <= MAX_NAMESPACE && namespace.split('/').all(part) { Ok(()) } else { Err(NamespaceError) }
}

fn characters(count: usize) -> &'static str {
    if count == 1 { "character" } else { "characters" }
}

fn reserved_as(how: &ReservedAs) -> String {
    match how {
        ReservedAs::Itself => String::new(),
        ReservedAs::Spelling(name) => format!(": it counts as the reserved name {name:?}"),
        ReservedAs::LookAlike(name) => format!(": it looks like the reserved name {name:?}"),
        ReservedAs::Fits(pattern) => format!(": it fits the reserved pattern {pattern:?}"),
    }
}

/// Describes a character for an error text, with its code point where the character may be invisible.
fn describe(character: char) -> String {
    let code = u32::from(character);
    let escaped = character.escape_debug().count() > 1 && !matches!(character, '\'' | '"' | '\\');
    let filler = matches!(character, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    match character {
        ' ' => "a space".to_owned(),
        _ if escaped || filler || character.is_whitespace() => format!("the character U+{code:04X}"),
        _ => format!("'{character}' (U+{code:04X})"),
    }
}
