//! Names that look alike, by the confusables of UTS #39, section 4.
//!
//! UTS #39 gives each character a prototype, which all that look like it have in common. The prototype of `m` is `rn`, that
//! of `1` is `l`, that of `0` is `O`: as the form of a whole name it takes `modern` and `modem` for one. So [`fold`] uses it
//! the other way round: a character that has the prototype of an ASCII letter or digit becomes that letter or digit, and
//! what is ASCII already stays as it is. [`skeleton`] is the whole of it, for those who want that.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use super::case;

/// The ASCII letter or digit that a prototype belongs to. Small letters come first, then capitals (as small ones), then
/// digits: what looks like `O` and `0` is an `o`, what looks like `l`, `I` and `1` is an `l`.
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

/// A mapped name in which each look-alike of an ASCII letter or digit is that. What is ASCII stays as it is.
pub(super) fn fold(mapped: &str) -> String {
    if mapped.is_ascii() {
        return mapped.to_owned();
    }
    let letters: String = mapped.nfd().filter(|c| !is_joiner(*c)).map(fold_character).collect();
    // A letter may have got a dot by that, which the marks after it said already.
    case::fold(&letters)
}

fn fold_character(c: char) -> char {
    if c.is_ascii() { c } else { ASCII.get(&prototype(c)).copied().unwrap_or(c) }
}

/// What each ASCII character comes to in the skeleton of a name, made by the long way; none where that is not ASCII, and
/// might combine with its neighbours.
static SKELETONS: LazyLock<Vec<Option<String>>> = LazyLock::new(|| {
    let of = |c: char| Some(any_skeleton(c.encode_utf8(&mut [0; 4]))).filter(|form| form.is_ascii());
    ('\0'..='\x7f').map(of).collect()
});

/// The form that all which looks like a mapped name has in common.
pub(super) fn skeleton(mapped: &str) -> String {
    let of = |byte: u8| SKELETONS.get(usize::from(byte)).and_then(Option::as_deref);
    // Most names are ASCII, whose characters do not look at their neighbours.
    mapped.bytes().map(of).collect::<Option<String>>().unwrap_or_else(|| any_skeleton(mapped))
}

/// The skeleton is mapped to small letters again, until nothing changes: a key is to be its own key.
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

/// ZERO WIDTH NON-JOINER and JOINER: they part or join letters and cannot be seen by themselves.
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
                // `l`, `I` and `1` have one prototype, as `O` and `0`: a capital stands for its small letter.
                let stands_for = [folded, folded.to_ascii_uppercase()].map(prototype);
                assert!(folded.is_ascii_alphanumeric() && stands_for.contains(&looks_like), "{c}: {folded}");
            } else {
                assert_eq!(folded, c);
            }
        }
        assert!(found > 1000, "{found}");
    }
}
