//! Domains and their labels by UTS #46: non-transitional, with STD 3 rules, in the form of ASCII. Case and width are
//! mapped too, so a domain and its `xn--` form are one.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::NameError;

const LABEL: &str = "a DNS label";

/// Returns the ASCII form of a whole domain. Errors call the domain `what`.
pub(super) fn key(domain: &str, what: &'static str) -> Result<String, NameError> {
    if domain.starts_with('.') || domain.ends_with('.') || domain.contains("..") {
        return Err(NameError::Rule("its domain has an empty part: a dot too many"));
    }
    match Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify) {
        Ok(ascii) => Ok(ascii.into_owned()),
        Err(_) => Err(culprit(domain, what)),
    }
}

/// Returns the ASCII form of one label, which is the text between two dots of a domain.
pub(super) fn label(label: &str) -> Result<String, NameError> {
    const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];
    if let Some(character) = label.chars().find(|c| DOTS.contains(c)) {
        return Err(NameError::Character { character, what: LABEL });
    }
    let ascii = key(label, LABEL).map_err(|error| match error {
        NameError::Rule(rule) if rule == HYPHENS => NameError::Rule(LABEL_HYPHENS),
        NameError::Rule(rule) if rule == LENGTH => NameError::Rule(LABEL_LENGTH),
        NameError::Rule(rule) if rule == ORDER => NameError::Rule(LABEL_ORDER),
        other => other,
    })?;
    // Some characters are mapped to several characters with a dot among them.
    if ascii.contains('.') { Err(NameError::Character { character: '.', what: LABEL }) } else { Ok(ascii) }
}

const ORDER: &str = "its domain is not valid by IDNA (UTS #46): characters in an unfit order, or a false 'xn--'";
const HYPHENS: &str = "a part of its domain begins or ends with a hyphen, or has two in third and fourth place";
const LENGTH: &str = "its domain is too long: 63 bytes a part, 253 altogether, or has an empty part";
const LABEL_ORDER: &str = "it is not valid by IDNA (UTS #46): characters in an unfit order, or a false 'xn--'";
const LABEL_HYPHENS: &str =
    "it begins or ends with a hyphen, or has two in third and fourth place, which a DNS label may not";
const LABEL_LENGTH: &str = "a DNS label has 1 to 63 bytes in the form of ASCII";

/// Returns the error for the first character that no domain may contain, or else for the rule that the whole domain
/// breaks.
fn culprit(domain: &str, what: &'static str) -> NameError {
    let ascii = |text: &str, hyphens, length| {
        Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::STD3, hyphens, length).is_ok()
    };
    // A mark needs a letter before it, while a right-to-left letter is valid only without a left-to-right one. So each
    // character is tried alone and after a letter.
    let fit = |c: char| {
        let alone = [c.to_string(), format!("a{c}")];
        c == '.' || alone.iter().any(|text| ascii(text, Hyphens::Allow, DnsLength::Ignore))
    };
    match domain.chars().find(|c| !fit(*c)) {
        Some(character) => NameError::Character { character, what },
        None if !ascii(domain, Hyphens::Allow, DnsLength::Ignore) => NameError::Rule(ORDER),
        None if !ascii(domain, Hyphens::Check, DnsLength::Ignore) => NameError::Rule(HYPHENS),
        None => NameError::Rule(LENGTH),
    }
}
