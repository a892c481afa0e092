//! User names: RFC 8265, section 3.3 (UsernameCaseMapped), then the skeleton of UTS #39, section 4.
//!
//! The profile maps width and case, composes (NFC), takes identifier characters only and applies the Bidi rule. The
//! skeleton maps each character to the one that stands for all that look like it. It is taken of the mapped form and
//! mapped to lower case again, until nothing changes: UTS #39 maps `0` to `O` and `1` to `l`, and a key is to be its own
//! key. So case is mapped first, and what matters is what names look like in lower case: `paypaI`, which ends in a
//! capital `I`, is the name `paypai`.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use unicode_normalization::UnicodeNormalization;

use super::NameError;

const BIDI: &str =
    "its right-to-left and left-to-right characters may not be mixed like that (the Bidi rule of RFC 5893)";
const CONTEXT: &str = "its characters may not stand side by side like that (the context rules of RFC 5892)";

/// The name in the profile's form. `what` is what an error calls it.
pub(super) fn mapped(name: &str, what: &'static str) -> Result<String, NameError> {
    if name.is_ascii() { ascii(name, what) } else { unicode(name, what) }
}

/// For ASCII the profile comes down to this: U+0021 to U+007E, lower-cased.
pub(super) fn ascii(name: &str, what: &'static str) -> Result<String, NameError> {
    match name.chars().find(|c| !c.is_ascii_graphic()) {
        Some(character) => Err(NameError::Character { character, what }),
        None => Ok(name.to_ascii_lowercase()),
    }
}

pub(super) fn unicode(name: &str, what: &'static str) -> Result<String, NameError> {
    UsernameCaseMapped::enforce(name).map(String::from).map_err(|_| culprit(name, what))
}

/// The first character that is unfit by itself, or else the rule that the whole breaks.
fn culprit(name: &str, what: &'static str) -> NameError {
    let unfit = |c: &char| UsernameCaseMapped::prepare(c.to_string()).is_err();
    if let Some(character) = name.chars().find(|c| unfit(c) && !is_contextual(*c)) {
        return NameError::Character { character, what };
    }
    // Characters that some contexts allow are unfit by themselves as well.
    match UsernameCaseMapped::prepare(name) {
        Err(_) => match name.chars().find(|c| is_contextual(*c)) {
            Some(character) if name.chars().count() == 1 => NameError::Character { character, what },
            _ => NameError::Rule(CONTEXT),
        },
        Ok(_) => NameError::Rule(BIDI),
    }
}

/// Whether RFC 5892, appendix A, has a rule for where the character may stand.
fn is_contextual(character: char) -> bool {
    matches!(character, '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{200c}' | '\u{200d}' | '\u{30fb}')
        || matches!(character, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}')
}

/// The form that all names which look like this one have in common; of a name in the profile's form.
pub(super) fn skeleton(mapped: &str) -> String {
    let mut form = one_skeleton(mapped);
    loop {
        let next = one_skeleton(&form);
        if next == form {
            return form;
        }
        form = next;
    }
}

fn one_skeleton(form: &str) -> String {
    // What joins or parts letters cannot be seen by itself; UTS #39 leaves it out.
    let visible: String = form.chars().filter(|c| !matches!(c, '\u{200c}' | '\u{200d}')).collect();
    let skeleton: String = unicode_security::skeleton(&visible).collect();
    // Character by character, as the profile does it.
    skeleton.chars().flat_map(char::to_lowercase).nfc().collect()
}
