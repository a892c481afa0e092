//! User names by RFC 8265, section 3.3 (UsernameCaseMapped), with a change in the order of its steps.
//!
//! The RFC checks the characters first, and maps and composes afterwards, so it refuses a name in one spelling and
//! accepts it in another. Here a name is composed (NFC) and mapped (width, then case, see [`case`]) first. Then the
//! rules are checked: identifier characters only, the context rules, the Bidi rule. Two more rules are taken from UTS
//! #39, section 5.4: a mark needs a letter before it, and the same mark may not stand twice on one letter, where the
//! second is invisible.

use icu_properties::props::GeneralCategory;
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed};
use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::{PrecisFastInvocation, Rules};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{NameError, case, lookalikes};

const CATEGORIES: CodePointMapDataBorrowed<'static, GeneralCategory> = CodePointMapData::<GeneralCategory>::new();

const BIDI: &str =
    "its right-to-left and left-to-right characters may not be mixed like that (the Bidi rule of RFC 5893)";
const CONTEXT: &str = "its characters may not stand side by side like that (the context rules of RFC 5892)";
const NO_LETTER: &str = "it begins with a mark (an accent or the like), which has no letter to stand on";
const TWICE: &str = "the same mark (an accent or the like) stands twice on one letter";

/// Returns a name in the profile's form. Errors call the name `what`.
pub(super) fn mapped(name: &str, what: &'static str) -> Result<String, NameError> {
    if name.is_ascii() { ascii(name, what) } else { unicode(name, what) }
}

/// For ASCII names the profile amounts to this: U+0021 to U+007E, in lower case.
pub(super) fn ascii(name: &str, what: &'static str) -> Result<String, NameError> {
    match name.chars().find(|c| !c.is_ascii_graphic()) {
        Some(character) => Err(NameError::Character { character, what }),
        None => Ok(name.to_ascii_lowercase()),
    }
}

pub(super) fn unicode(name: &str, what: &'static str) -> Result<String, NameError> {
    let form = form(name);
    let rule = |rule| Err(NameError::Rule(rule));
    if UsernameCaseMapped::prepare(form.as_str()).is_err() {
        return Err(culprit(name, what));
    }
    if form.starts_with(is_combining_mark) {
        return rule(NO_LETTER);
    }
    if has_mark_twice(&form) {
        return rule(TWICE);
    }
    match UsernameCaseMapped::new().directionality_rule(form.as_str()) {
        Ok(_) => Ok(form),
        Err(_) => rule(BIDI),
    }
}

/// Returns the text composed and with width and case mapped, whether or not it is a valid name.
pub(super) fn form(text: &str) -> String {
    // ASCII is composed and narrow already.
    if text.is_ascii() { text.to_ascii_lowercase() } else { unicode_form(text) }
}

fn unicode_form(text: &str) -> String {
    let composed: String = text.nfc().collect();
    match UsernameCaseMapped::new().width_mapping_rule(composed.as_str()) {
        Ok(narrow) => case::fold(&narrow),
        // The width of every character is known. Should one be unknown, the rules refuse it later.
        Err(_) => case::fold(&composed),
    }
}

/// Returns true where a nonspacing mark follows itself.
fn has_mark_twice(form: &str) -> bool {
    let visible = form.nfd().filter(|c| !lookalikes::is_joiner(*c));
    let mut last = None;
    visible.into_iter().any(|c| {
        let twice = last == Some(c) && CATEGORIES.get(c) == GeneralCategory::NonspacingMark;
        last = Some(c);
        twice
    })
}

/// Returns the error for the first character that is never allowed, or else for the rule that the whole name breaks.
fn culprit(name: &str, what: &'static str) -> NameError {
    let unfit = |text: &str| UsernameCaseMapped::prepare(form(text)).is_err();
    let alone = |c: &char| unfit(c.encode_utf8(&mut [0; 4]));
    let composed: String = name.nfc().collect();
    if let Some(character) = composed.chars().find(|c| alone(c) && !is_contextual(*c)) {
        return NameError::Character { character, what };
    }
    // Characters that are allowed in some contexts are refused by themselves as well.
    match composed.chars().find(|c| is_contextual(*c)) {
        Some(character) if composed.chars().count() == 1 => NameError::Character { character, what },
        _ => NameError::Rule(CONTEXT),
    }
}

/// Returns true for a character to which a rule in appendix A of RFC 5892 applies.
fn is_contextual(character: char) -> bool {
    matches!(character, '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{200c}' | '\u{200d}' | '\u{30fb}')
        || matches!(character, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_of_ascii_leads_to_the_same_form(text in "\\PC{0,20}|[\\x00-\\x7f]{0,40}") {
            prop_assert_eq!(form(&text), unicode_form(&text));
        }
    }
}
