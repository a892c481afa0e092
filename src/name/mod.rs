//! From a name as typed to its canonical form.
//!
//! The key is computed once, by the node that takes the claim, and travels in the op: no other node computes it again,
//! so no difference of Unicode tables can split a cluster.
//!
//! Every namespace has the profile of RFC 8265, section 3.3 (UsernameCaseMapped): width and case are mapped, NFC,
//! identifier characters only, the Bidi rule. An e-mail address in ASCII passes it as it stands, case folded.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;

use crate::replica::limits::{MAX_NAME, MAX_NAMESPACE};

/// The name is not valid in its namespace. Says which rule it breaks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing was typed.
    #[error("it is empty")]
    Empty,
    /// More bytes than [`MAX_NAME`].
    #[error("it has {0} bytes, more than {MAX_NAME}")]
    TooLong(usize),
    /// A character that no user name may hold.
    #[error("{0:?} may not stand in a name")]
    Character(char),
    /// Fit characters in an unfit order, as right-to-left and left-to-right ones mixed.
    #[error("its characters may not stand together (RFC 8265: {0})")]
    Rule(String),
    /// The namespace's own name is malformed.
    #[error(
        "the namespace is not valid: 1 to {MAX_NAMESPACE} of a-z, 0-9, '-', '_', '.' and '/', beginning with a letter or digit"
    )]
    Namespace,
}

/// The canonical form of `name`, which is what must be unique in `namespace`.
///
/// # Errors
/// The rule that the name or the namespace breaks.
pub fn key(namespace: &str, name: &str) -> Result<String, NameError> {
    check_namespace(namespace)?;
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong(name.len()));
    }
    if name.is_ascii() { ascii_key(name) } else { unicode_key(name) }
}

/// For ASCII the profile comes down to this: U+0021 to U+007E, lower-cased.
fn ascii_key(name: &str) -> Result<String, NameError> {
    match name.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(name.to_ascii_lowercase()),
    }
}

fn unicode_key(name: &str) -> Result<String, NameError> {
    let key = UsernameCaseMapped::enforce(name).map_err(|error| culprit(name, &error))?;
    if key.len() > MAX_NAME { Err(NameError::TooLong(key.len())) } else { Ok(key.into_owned()) }
}

/// The first character that is unfit by itself, or else the rule that the whole breaks.
fn culprit(name: &str, error: &precis_profiles::precis_core::Error) -> NameError {
    let unfit = |c: &char| UsernameCaseMapped::prepare(c.to_string()).is_err();
    name.chars().find(unfit).map_or_else(|| NameError::Rule(error.to_string()), NameError::Character)
}

fn check_namespace(namespace: &str) -> Result<(), NameError> {
    let fit =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let bytes = namespace.as_bytes();
    let first = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
    if first && bytes.len() <= MAX_NAMESPACE && bytes.iter().all(|byte| fit(*byte)) {
        Ok(())
    } else {
        Err(NameError::Namespace)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_width_do_not_make_another_name() {
        assert_eq!(key("username", "Alice").unwrap(), "alice");
        assert_eq!(key("username", "ALICE@Example.com").unwrap(), "alice@example.com");
        assert_eq!(key("username", "Ａｌｉｃｅ").unwrap(), "alice");
        assert_eq!(key("org/42/handle", "ΣΊΣΥΦΟ").unwrap(), "σίσυφο");
        assert_eq!(key("username", "e\u{301}mile").unwrap(), key("username", "Émile").unwrap());
    }

    #[test]
    fn an_error_names_the_character_or_the_rule() {
        assert_eq!(key("username", ""), Err(NameError::Empty));
        assert_eq!(key("username", "al ice"), Err(NameError::Character(' ')));
        assert_eq!(key("username", "al\0ice"), Err(NameError::Character('\0')));
        assert_eq!(key("username", "henri\u{2163}"), Err(NameError::Character('\u{2163}')));
        assert_eq!(key("username", &"a".repeat(257)), Err(NameError::TooLong(257)));
        assert!(matches!(key("username", "א1a"), Err(NameError::Rule(_))));
        for namespace in ["", "User", "user name", "-x", &"n".repeat(129)] {
            assert_eq!(key(namespace, "alice"), Err(NameError::Namespace), "{namespace:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(name in "\\PC{1,20}") {
            if let Ok(once) = key("username", &name) {
                prop_assert_eq!(key("username", &once), Ok(once.clone()));
            }
        }

        #[test]
        fn the_short_cut_for_ascii_agrees_with_the_profile(name in "[\\x00-\\x7f]{1,20}") {
            prop_assert_eq!(ascii_key(&name).ok(), unicode_key(&name).ok());
        }
    }
}
