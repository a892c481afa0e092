//! Published test vectors. Where names differ from them, a function or a test gives the reason.

use super::*;
use crate::model::Lookalikes;

fn key(profile: Profile, name: &str) -> Option<String> {
    Rules::new(profile, (1, MAX_NAME), []).unwrap().key(name).ok()
}

fn rows(file: &'static str) -> impl Iterator<Item = (usize, Vec<&'static str>)> {
    let lines = (1..).zip(file.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', '@']));
    lines.map(|(number, line)| {
        let line = line.split('#').next().unwrap_or_default();
        (number, line.split(';').map(str::trim).collect())
    })
}

/// Canonically equivalent spellings (the columns source, NFC and NFD) are one name, or none of them is a valid name.
#[test]
fn spellings_of_the_normalization_test_are_one_name() {
    let (mut names, mut total) = (0, 0);
    for (number, row) in rows(include_str!("vectors/normalization.txt")) {
        let text = |column: &str| -> String {
            let code = |code| char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
            column.split(' ').map(code).collect()
        };
        let spellings: Vec<_> = row[..3].iter().map(|column| text(column)).collect();
        for lookalikes in [Lookalikes::Fold, Lookalikes::Strict, Lookalikes::Distinct] {
            let keys: Vec<_> =
                spellings.iter().map(|spelling| key(Profile::Username { lookalikes }, spelling)).collect();
            assert!(keys.iter().all(|key| *key == keys[0]), "line {number}: {keys:?}");
            names += usize::from(keys[0].is_some());
        }
        total += 1;
    }
    assert!(total > 250 && names > 500, "{names} {total}");
}

/// Returns the reason why a row of `IdnaTestV2` has another outcome here, where there is one.
fn idna_differs(source: &str, wanted: Option<&str>) -> Option<&'static str> {
    if source.is_empty() || source == "\"\"" {
        return Some("an address without a domain is refused");
    }
    if wanted.is_some_and(|ascii| ascii.len() > 252) {
        return Some("a domain of 253 bytes makes an address of more than 254");
    }
    None
}

/// Domains of addresses get the form that toASCII (non-transitional) gives, and a domain that toASCII refuses is
/// refused.
#[test]
fn domains_of_the_idna_test_have_their_ascii_form() {
    let (mut domains, mut differ) = (0, 0);
    for (number, row) in rows(include_str!("vectors/idna.txt")) {
        let source = unescaped(row[0]);
        let or = |column: usize, before: &str| match row[column] {
            "" => before.to_owned(),
            "\"\"" => String::new(),
            text => unescaped(text),
        };
        let unicode = or(1, &source);
        let status = if row[4].is_empty() { row[2] } else { row[4] };
        let wanted = matches!(status, "" | "[]").then(|| or(3, &unicode));
        let got = key(Profile::EMAIL, &format!("a@{source}"));
        if got != wanted.as_ref().map(|ascii| format!("a@{ascii}")) {
            let why = idna_differs(&source, wanted.as_deref());
            assert!(why.is_some() && got.is_none(), "line {number}: {source:?} is {got:?}, not {wanted:?} {status}");
            differ += 1;
        }
        domains += usize::from(got.is_some());
    }
    assert!(domains > 20 && differ < 20, "{domains} {differ}");
}

/// Replaces each `\uXXXX` in a text by its code point.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(4);
        plain.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        plain += rest;
    }
    plain
}
