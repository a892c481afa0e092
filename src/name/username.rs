//! User names: RFC 8265, section 3.3 (UsernameCaseMapped), made for names that people look for.
//!
//! The profile of the RFC looks at the characters first and maps and composes afterwards, so that it refuses a name in one
//! spelling and takes it in another. Here a name is composed (NFC) and mapped (width, then case, see [`case`]) first. Then
//! come the rules: identifier characters only, the context rules, the Bidi rule. Two more are of UTS #39, section 5.4: a
//! mark needs a letter before it, and the same mark does not stand twice on one letter, where the second cannot be seen.

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

/// Text composed, and mapped in width and case, whether or not it can be a name.
pub(super) fn form(text: &str) -> String {
    let composed: String = text.nfc().collect();
    match UsernameCaseMapped::new().width_mapping_rule(composed.as_str()) {
        Ok(narrow) => case::fold(&narrow),
        // The width of every character is known; should one not be, the rules refuse it.
        Err(_) => case::fold(&composed),
    }
}

/// Whether a mark that takes no room of its own follows itself.
fn has_mark_twice(form: &str) -> bool {
    let visible = form.nfd().filter(|c| !lookalikes::is_joiner(*c));
    let mut last = None;
    visible.into_iter().any(|c| {
        let twice = last == Some(c) && CATEGORIES.get(c) == GeneralCategory::NonspacingMark;
        last = Some(c);
        twice
    })
}

/// The first character that is unfit by itself, or else the rule that the whole breaks.
fn culprit(name: &str, what: &'static str) -> NameError {
    let unfit = |text: &str| UsernameCaseMapped::prepare(form(text)).is_err();
    let alone = |c: &char| unfit(c.encode_utf8(&mut [0; 4]));
    let composed: String = name.nfc().collect();
    if let Some(character) = composed.chars().find(|c| alone(c) && !is_contextual(*c)) {
        return NameError::Character { character, what };
    }
    // Characters that some contexts allow are unfit by themselves as well.
    match composed.chars().find(|c| is_contextual(*c)) {
        Some(character) if composed.chars().count() == 1 => NameError::Character { character, what },
        _ => NameError::Rule(CONTEXT),
    }
}

/// Whether RFC 5892, appendix A, has a rule for where the character may stand.
fn is_contextual(character: char) -> bool {
    matches!(character, '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{200c}' | '\u{200d}' | '\u{30fb}')
        || matches!(character, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}')
}
