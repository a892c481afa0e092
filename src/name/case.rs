//! Case folding: simple case folding (the classes C and S of Unicode's `CaseFolding.txt`), and the spellings of a
//! letter that differ from it by a dot or an iota only.
//!
//! Simple folding maps one character to one, so `ς` and `Σ` are `σ`, and `ẞ` is `ß`. Two rules are added, because
//! otherwise the small letter of some capitals would not have the same key:
//!
//! * A dot above a letter that has a dot already (the property `Soft_Dotted`: `i`, `j`, `і` and others) is left out. So
//!   `İ`, whose small letter is `i` with a dot, is `i`. A dotless `ı` or `ȷ` with a dot is the dotted letter.
//! * An iota written below a letter follows it as an iota: the capital of `ᾳ` is `ΑΙ`.

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_properties::props::SoftDotted;
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

const CASES: CaseMapperBorrowed<'static> = CaseMapper::new();
const SOFT_DOTTED: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<SoftDotted>();

const DOT_ABOVE: char = '\u{307}';
const IOTA_BELOW: char = '\u{345}';
/// The combining class of marks above a letter. The first of them takes the place of the letter's own dot.
const ABOVE: u8 = 230;

/// Returns the text in small letters, composed (NFC).
pub(super) fn fold(text: &str) -> String {
    let mut folded: Vec<char> = Vec::with_capacity(text.len());
    // The index of the last letter, where a dot above the letter is part of it.
    let mut dotted = None;
    for original in text.nfd() {
        if original == IOTA_BELOW {
            folded.push('ι');
            dotted = None;
            continue;
        }
        let c = CASES.simple_fold(original);
        match canonical_combining_class(c) {
            0 => {
                let takes_dot = SOFT_DOTTED.contains(c) || with_dot(c).is_some();
                dotted = takes_dot.then_some(folded.len());
            }
            ABOVE if c == DOT_ABOVE => {
                if let Some(letter) = dotted.and_then(|index| folded.get_mut(index)) {
                    *letter = with_dot(*letter).unwrap_or(*letter);
                    continue;
                }
            }
            ABOVE => dotted = None,
            _ => {}
        }
        folded.push(c);
    }
    folded.into_iter().nfc().collect()
}

/// Returns the dotted form of a dotless letter.
fn with_dot(c: char) -> Option<char> {
    match c {
        'ı' => Some('i'),
        'ȷ' => Some('j'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_that_is_there_already_does_not_count() {
        for (text, folded) in [
            ("İ", "i"),
            ("i\u{307}", "i"),
            ("i\u{307}\u{307}", "i"),
            ("ı\u{307}", "i"),
            ("ı", "ı"),
            ("J\u{307}", "j"),
            ("\u{456}\u{307}", "\u{456}"),
            ("\u{268}\u{307}", "\u{268}"),
            ("\u{1ecb}\u{307}", "\u{1ecb}"),
            ("i\u{323}\u{307}", "\u{1ecb}"),
            ("i\u{307}\u{301}", "í"),
            ("i\u{301}\u{307}", "í\u{307}"),
            ("e\u{307}", "ė"),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
    }

    #[test]
    fn sigma_and_iota_find_their_capitals() {
        for (capital, small) in [("Σ", "ς"), ("ΑΙ", "ᾳ"), ("ᾼ", "ᾳ"), ("Ά\u{345}", "ᾴ"), ("ΆΙ", "ᾴ"), ("ẞ", "ß")]
        {
            assert_eq!(fold(capital), fold(small), "{capital} {small}");
        }
    }

    #[test]
    fn what_is_folded_stays_so() {
        for c in '\0'..=char::MAX {
            let once = fold(&c.to_string());
            assert_eq!(fold(&once), once, "U+{:04X}", u32::from(c));
        }
    }
}
