//! Namespaces: from a name as typed to its canonical form, and the rules that say which names may be claimed.
//!
//! The key is computed once, by the node that takes the claim, and travels in the op: no other node computes it again,
//! so no difference of Unicode tables can split a cluster. For the same reason a change of a namespace's rules does not
//! touch the names that are taken: they keep their keys.
//!
//! | profile | its key |
//! | --- | --- |
//! | `username` | RFC 8265 UsernameCaseMapped, composed and mapped first; then look-alikes, see [`Lookalikes`](crate::model::Lookalikes) |
//! | `email` | local part case mapped, domain as ASCII by UTS #46, `+tags` removed where the rules say so |
//! | `dns-label` | one label of a domain, as ASCII by UTS #46 |
//! | `opaque` | the name as given, byte by byte |
//!
//! In a private namespace a keyed hash stands for the canonical form, see [`Pepper`], and the name as typed does not travel.
//!
//! A namespace has the rules that were set last, or else [`Rules::default_of`] its name: it is made by its first use.

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

/// A name as typed, for people to read on a terminal: a private one is not known where it was not typed, and then it is
/// empty.
#[must_use]
pub fn shown(name: &str) -> Cow<'_, str> {
    if name.is_empty() { Cow::Borrowed("(private)") } else { escaped(name) }
}

/// The name is not valid in its namespace. Says which rule it breaks; as a static text it is a code for that.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum NameError {
    /// Nothing was typed.
    #[error("it is empty")]
    Empty,
    /// More bytes than [`MAX_NAME`].
    #[error("it has {0} bytes, more than {MAX_NAME}")]
    TooLarge(usize),
    /// Its canonical form has more bytes than [`MAX_NAME`].
    #[error("its canonical form has {0} bytes, more than {MAX_NAME}")]
    KeyTooLarge(usize),
    /// Fewer characters than the namespace asks for.
    #[error("it has {has} {}, and this namespace asks for {least} at least", characters(*.has))]
    TooShort {
        /// Characters of the name.
        has: usize,
        /// What is asked for.
        least: usize,
    },
    /// More characters than the namespace allows.
    #[error("it has {has} {}, and this namespace allows {most} at most", characters(*.has))]
    TooLong {
        /// Characters of the name.
        has: usize,
        /// What is allowed.
        most: usize,
    },
    /// It is one of the namespace's reserved names, or counts as one.
    #[error("it is reserved in this namespace{}", reserved_as(.0))]
    Reserved(ReservedAs),
    /// A character that may stand in such names, but not in this namespace.
    #[strum(serialize = "character-not-allowed")]
    #[error("{} may not stand in names of this namespace, which takes {allowed} only", describe(*.character))]
    NotAllowed {
        /// Which.
        character: char,
        /// What the namespace takes.
        allowed: &'static str,
    },
    /// A character that no such name may hold.
    #[error("{} may not stand in {what}", describe(*.character))]
    Character {
        /// Which.
        character: char,
        /// In what: a user name, or a part of an address.
        what: &'static str,
    },
    /// Fit characters in an unfit order, as right-to-left and left-to-right ones mixed.
    #[error("{0}")]
    #[strum(serialize = "malformed")]
    Rule(&'static str),
    /// The namespace's own name is malformed.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
}

/// How a name is a reserved one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReservedAs {
    /// It was reserved in this spelling.
    Itself,
    /// Another spelling of it was reserved: capitals, or composed otherwise.
    Spelling(String),
    /// It looks like this reserved name.
    LookAlike(String),
    /// It fits this pattern.
    Fits(String),
}

/// The name of a namespace is malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the namespace is not valid: 1 to {MAX_NAMESPACE} of a-z, 0-9, '-', '_', '.' and '/', and each part between slashes \
     begins with a letter or digit"
)]
pub struct NamespaceError;

/// Whether `namespace` can be the name of a namespace.
///
/// # Errors
/// It cannot.
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

/// A character so that its reader can find it, also where it cannot be seen.
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
