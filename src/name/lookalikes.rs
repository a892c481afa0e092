//! Look-alike names, by the confusables of UTS #39, section 4.
//!
//! UTS #39 gives each character a prototype, which all characters that look like it share. The prototype of `m` is
//! `rn`, that of `1` is `l`, that of `0` is `O`. A form of whole names made from prototypes treats `modern` and `modem`
//! as one name. So [`fold`] works the other way round: a character with the prototype of an ASCII letter or digit
//! becomes that letter or digit, and ASCII characters stay as they are. [`skeleton`] is the form that UTS #39 defines,
//! for namespaces that want it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use super::case;

/// The ASCII letter or digit of each prototype. Small letters come first, then capitals (as small letters), then
/// digits. So a character that looks like `O` and `0` becomes `o`, and one that looks like `l`, `I` and `1` becomes
/// `l`.
static ASCII: LazyLock<BTreeMap<String, char>> = LazyLock::new(|| {
    let mut prototypes = BTreeMap::new();
    for c in ('a'..='z').chain('A'..='Z').chain('0'..='9') {
        prototypes.entry(prototype(c)).or_insert(c.to_ascii_lowercase());
    }
    prototypes
});

fn prototype(c: char) -> String {
    unicode_security::skeleton(c.encode_utf8(&mut [0; 4])).collect()
}

/// Replaces each look-alike of an ASCII letter or digit in a mapped name by that letter or digit. ASCII characters stay
/// as they are.
pub(super) fn fold(mapped: &str) -> String {
    if mapped.is_ascii() {
        return mapped.to_owned();
    }
    let letters: String = mapped.nfd().filter(|c| !is_joiner(*c)).map(fold_character).collect();
    // The replacement may have its own dot, so a mark with a dot after it must be left out now.
    case::fold(&letters)
}

fn fold_character(c: char) -> char {
    if c.is_ascii() { c } else { ASCII.get(&prototype(c)).copied().unwrap_or(c) }
}

/// The skeleton of each ASCII character, computed by [`any_skeleton`]; none where the skeleton is not ASCII and might
/// combine with its neighbours.
static SKELETONS: LazyLock<Vec<Option<String>>> = LazyLock::new(|| {
    let of = |c: char| Some(any_skeleton(c.encode_utf8(&mut [0; 4]))).filter(|form| form.is_ascii());
    ('\0'..='\x7f').map(of).collect()
});

/// Returns the form that all look-alikes of a mapped name share.
pub(super) fn skeleton(mapped: &str) -> String {
    let of = |byte: u8| SKELETONS.get(usize::from(byte)).and_then(Option::as_deref);
    // Most names are ASCII. The skeleton of an ASCII character does not depend on its neighbours.
    mapped.bytes().map(of).collect::<Option<String>>().unwrap_or_else(|| any_skeleton(mapped))
}

/// Computes the skeleton and folds its case, again and again until nothing changes, so that the key of a key is the key
/// itself.
fn any_skeleton(mapped: &str) -> String {
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
    let visible: String = form.chars().filter(|c| !is_joiner(*c)).collect();
    case::fold(&unicode_security::skeleton(&visible).collect::<String>())
}

/// Returns true for ZERO WIDTH NON-JOINER and ZERO WIDTH JOINER, which separate or join letters and are invisible
/// themselves.
pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_to_a_skeleton_ends_where_the_long_one_does(name in "[ -~]{0,40}|[a-z0-9._-]{1,20}|\\PC{1,8}") {
            prop_assert_eq!(skeleton(&name), any_skeleton(&name));
        }
    }

    #[test]
    fn most_of_ascii_goes_the_short_way() {
        let graphic = ('!'..='~').filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c));
        let long: Vec<_> = graphic.filter(|c| SKELETONS[*c as usize].is_none()).collect();
        assert!(long.is_empty(), "{long:?}");
    }

    #[test]
    fn each_confusable_of_a_letter_or_digit_becomes_it() {
        let ascii: Vec<_> = ('a'..='z').chain('A'..='Z').chain('0'..='9').map(prototype).collect();
        let mut found = 0;
        for c in ('\u{80}'..=char::MAX).filter(|c| c.to_string().nfd().count() == 1) {
            let (folded, looks_like) = (fold_character(c), prototype(c));
            if ascii.contains(&looks_like) {
                found += 1;
                // `l`, `I` and `1` have one prototype, and so have `O` and `0`: a capital becomes its small letter.
                let stands_for = [folded, folded.to_ascii_uppercase()].map(prototype);
                assert!(folded.is_ascii_alphanumeric() && stands_for.contains(&looks_like), "{c}: {folded}");
            } else {
                assert_eq!(folded, c);
            }
        }
        assert!(found > 1000, "{found}");
    }
}
