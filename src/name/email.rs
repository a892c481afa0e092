//! E-mail addresses: the `Mailbox` of RFC 5321 with the characters of RFC 6531, without quoted local parts, comments
//! and address literals, which a sign-up does not need.
//!
//! The local part is mapped to lower case. By RFC 5321 only its host may say whether `Ann` and `ann` are one mailbox,
//! but hardly any host treats them as two, and two accounts for them would be a mistake. A local part that is not ASCII
//! takes the form of a user name. The domain becomes ASCII by UTS #46, see [`domain`].

use super::{NameError, domain, username};

/// Bytes of a local part: RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL: usize = 64;

/// Bytes of an address: RFC 5321, section 4.5.3.1.3, allows 256 with the angle brackets (RFC 3696, erratum 1690).
const MAX_ADDRESS: usize = 254;

const DOMAIN: &str = "the domain of an e-mail address";
const LOCAL: &str = "the part of an e-mail address before the '@'";

/// Returns the canonical form of an address. `remove_tags` leaves out what follows a `+` in the local part.
pub(super) fn key(address: &str, remove_tags: bool) -> Result<String, NameError> {
    let rule = |rule| Err(NameError::Rule(rule));
    let Some((local, domain)) = address.rsplit_once('@') else {
        return rule("it is no e-mail address: there is no '@' in it");
    };
    let (mut local, domain) = (local_part(local)?, domain_part(domain)?);
    if local.len() + 1 + domain.len() > MAX_ADDRESS {
        return rule("an e-mail address has 254 bytes at most");
    }
    if remove_tags {
        local.truncate(untagged(&local).len());
    }
    Ok(format!("{local}@{domain}"))
}

/// Returns a local part without its tag. Where nothing would be left, as in `+news`, the part is returned whole.
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
    if local.starts_with(['"', '\u{ff02}']) {
        return rule("a part in quotes before the '@' is not taken");
    }
    let mapped = username::mapped(local, LOCAL)?;
    if mapped.starts_with('.') || mapped.ends_with('.') || mapped.contains("..") {
        return rule("the part before the '@' may not begin or end with a dot, nor have two in a row");
    }
    if let Some(character) = mapped.chars().find(|c| !is_atext(*c)) {
        return Err(NameError::Character { character, what: LOCAL });
    }
    if mapped.len() > MAX_LOCAL {
        return rule("the part before the '@' has more than 64 bytes");
    }
    Ok(mapped)
}

/// Returns true for characters of a dotted local part: `atext` of RFC 5322, section 3.2.3, the dot and, by RFC 6531,
/// everything beyond ASCII.
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
    domain::key(domain, DOMAIN)
}
