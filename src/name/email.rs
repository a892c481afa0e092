//! E-mail addresses: the `Mailbox` of RFC 5321 with the characters of RFC 6531, without quoted local parts, comments and
//! address literals, which no sign-up has a use for.
//!
//! The local part is mapped to lower case. By RFC 5321 only its host may say whether `Ann` and `ann` are one mailbox, but
//! there is hardly one where they are two, and two accounts for them would be a mistake. A local part that is not ASCII
//! takes the form of a user name. The domain becomes ASCII by UTS #46 (non-transitional, with STD 3 rules), which maps
//! case and width too, so a domain and its `xn--` form are one.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::NameError;
use super::username;

/// Bytes of a local part: RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL: usize = 64;

const LOCAL: &str = "the part of an e-mail address before the '@'";

/// The address in canonical form; `remove_tags` leaves out what follows a `+` in the local part.
pub(super) fn key(address: &str, remove_tags: bool) -> Result<String, NameError> {
    let rule = |rule| Err(NameError::Rule(rule));
    let Some((local, domain)) = address.rsplit_once('@') else {
        return rule("it is no e-mail address: there is no '@' in it");
    };
    let mut local = local_part(local)?;
    if remove_tags {
        local.truncate(untagged(&local).len());
    }
    Ok(format!("{local}@{}", domain_part(domain)?))
}

/// A local part up to its tag. Where what is left would be none, as in `+news`, it has no tag.
fn untagged(local: &str) -> &str {
    match local.split_once('+') {
        Some((untagged, _)) if !untagged.is_empty() && !untagged.ends_with('.') => untagged,
        _ => local,
    }
}

fn local_part(local: &str) -> Result<String, NameError> {
    let rule = |rule| Err(NameError::Rule(rule));
    if local.is_empty() {
        return rule("there is nothing before the '@'");
    }
    if local.starts_with('"') {
        return rule("a part in quotes before the '@' is not taken");
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return rule("the part before the '@' may not begin or end with a dot, nor have two in a row");
    }
    let mapped = username::mapped(local, LOCAL)?;
    if let Some(character) = mapped.chars().find(|c| !is_atext(*c)) {
        return Err(NameError::Character { character, what: LOCAL });
    }
    if mapped.len() > MAX_LOCAL {
        return rule("the part before the '@' has more than 64 bytes");
    }
    Ok(mapped)
}

/// What may stand in a dotted local part: `atext` of RFC 5322, section 3.2.3, with dots and, by RFC 6531, all that is not
/// ASCII.
fn is_atext(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

fn domain_part(domain: &str) -> Result<String, NameError> {
    let rule = |rule| Err(NameError::Rule(rule));
    if domain.is_empty() {
        return rule("there is nothing after the '@'");
    }
    if domain.starts_with('[') {
        return rule("an address literal after the '@' is not taken, only a domain");
    }
    if domain.starts_with('.') || domain.ends_with('.') || domain.contains("..") {
        return rule("its domain has an empty part: a dot too many");
    }
    match Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify) {
        Ok(ascii) => Ok(ascii.into_owned()),
        Err(_) => Err(culprit(domain)),
    }
}

/// The first character that no domain may hold, or else what is wrong with the whole.
fn culprit(domain: &str) -> NameError {
    let ascii = |text: &str, hyphens, length| {
        Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::STD3, hyphens, length).is_ok()
    };
    // A mark needs a letter before it, and a right-to-left letter is fit by itself.
    let fit = |c: char| {
        let alone = [c.to_string(), format!("a{c}")];
        c == '.' || alone.iter().any(|text| ascii(text, Hyphens::Allow, DnsLength::Ignore))
    };
    let what = "the domain of an e-mail address";
    match domain.chars().find(|c| !fit(*c)) {
        Some(character) => NameError::Character { character, what },
        None if !ascii(domain, Hyphens::Allow, DnsLength::Ignore) => NameError::Rule(
            "its domain is not valid by IDNA (UTS #46): characters in an unfit order, or a false 'xn--'",
        ),
        None if !ascii(domain, Hyphens::Check, DnsLength::Ignore) => {
            NameError::Rule("a part of its domain begins or ends with a hyphen, or has two in third and fourth place")
        }
        None => NameError::Rule("its domain is too long: 63 bytes a part, 253 altogether, or has an empty part"),
    }
}
