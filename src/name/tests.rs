//! A table of names and their keys, and properties of all keys.

use proptest::prelude::*;

use super::*;
use crate::model::{Characters, Lookalikes};

fn profile_of(text: &str) -> Profile {
    match text {
        "username" => Profile::USERNAME,
        "username-strict" => Profile::Username { lookalikes: Lookalikes::Strict },
        "username-distinct" => Profile::Username { lookalikes: Lookalikes::Distinct },
        "email" => Profile::EMAIL,
        "email-untagged" => Profile::Email { remove_tags: true },
        "opaque" => Profile::Opaque,
        "dns-label" => Profile::DnsLabel,
        other => panic!("no profile {other}"),
    }
}

fn rules(profile: Profile) -> Rules {
    Rules::new(profile, (1, MAX_NAME), []).unwrap()
}

/// Replaces each `\u{...}` in a text by its code point.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('}').unwrap();
        plain.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        plain += rest;
    }
    plain
}

struct Row {
    line: usize,
    profile: Profile,
    name: String,
    wanted: Result<String, String>,
}

fn table() -> Vec<Row> {
    let lines = (1..).zip(include_str!("names.tsv").lines());
    let rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let row = |(line, text): (usize, &str)| {
        let [name_of_profile, name, wanted, _why] = text.split('\t').collect::<Vec<_>>()[..] else {
            panic!("line {line} has not four columns")
        };
        let wanted = match wanted.strip_prefix('!') {
            Some(error) => Err(error.to_owned()),
            None => Ok(unescaped(wanted)),
        };
        Row { line, profile: profile_of(name_of_profile), name: unescaped(name), wanted }
    };
    rows.map(row).collect()
}

#[test]
fn the_table_of_tricky_names() {
    let mut wrong = Vec::new();
    let rows = table();
    assert!(rows.len() >= 150, "{} names", rows.len());
    for Row { line, profile, name, wanted } in rows {
        let key = rules(profile).key(&name).map_err(|error| error.to_string());
        let right = match (&key, &wanted) {
            (Ok(key), Ok(wanted)) => key == wanted,
            (Err(error), Err(part)) => error.contains(part),
            _ => false,
        };
        if !right {
            wrong.push(format!("line {line}: {name:?} is {key:?}, not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The profile of user names with each treatment of look-alikes.
fn usernames() -> [Profile; 3] {
    [Lookalikes::Fold, Lookalikes::Strict, Lookalikes::Distinct].map(|lookalikes| Profile::Username { lookalikes })
}

#[test]
fn every_key_of_one_character_is_its_own_key() {
    for profile in usernames().into_iter().chain([Profile::EMAIL, Profile::DnsLabel]) {
        let rules = rules(profile);
        let name = |c: char| if profile == Profile::EMAIL { format!("{c}@{c}.org") } else { c.to_string() };
        for c in '\0'..=char::MAX {
            let Ok(key) = rules.key(&name(c)) else { continue };
            // A key need not be a valid name: the skeleton of `%` has a degree sign, a slash and a zero, and the
            // profile's tables may lack a small letter that is newer than they are, as in Cherokee.
            let Ok(again) = rules.key(&key) else { continue };
            assert_eq!(again, key, "U+{:04X}", u32::from(c));
        }
    }
}

#[test]
fn a_capital_and_its_small_letters_are_one_letter() {
    for profile in usernames() {
        let rules = rules(profile);
        for c in '\0'..=char::MAX {
            let (upper, lower): (String, String) = (c.to_uppercase().collect(), c.to_lowercase().collect());
            let Ok(key) = rules.key(&c.to_string()) else { continue };
            // Simple case folding has no rule for these letters: the capital of a sharp s is SS, and that of a dotless
            // i is I.
            for other in [&upper, &lower].into_iter().filter(|_| !matches!(c, 'ß' | 'ẞ' | 'ı')) {
                let other_key = rules.key(other);
                assert!(
                    other_key.is_err() || other_key.as_ref() == Ok(&key),
                    "U+{:04X} {key} {other_key:?}",
                    u32::from(c)
                );
            }
        }
    }
}

#[test]
fn an_error_names_the_character_or_the_rule() {
    let rules = Rules::new(Profile::USERNAME, (3, 5), ["Admin", "root", "*Mod*"]).unwrap();
    let claimable = |name: &str| {
        let key = rules.key(name).map_err(|error| error.to_string())?;
        rules.check(name, &key).map_err(|error| error.to_string())
    };
    assert_eq!(claimable("alice"), Ok(()));
    for (name, error) in [
        ("", "it is empty"),
        ("al", "it has 2 characters, and this namespace asks for 3 at least"),
        ("a", "it has 1 character, and this namespace asks for 3 at least"),
        ("alicia", "it has 6 characters, and this namespace allows 5 at most"),
        ("a ce", "a space may not stand in a user name"),
        ("al\u{200b}", "the character U+200B may not stand in a user name"),
        ("i\u{2163}i", "'Ⅳ' (U+2163) may not stand in a user name"),
        ("Admin", "it is reserved in this namespace"),
        ("xM\u{43E}d1", "it is reserved in this namespace: it fits the reserved pattern \"*Mod*\""),
        ("adm\u{456}n", "it is reserved in this namespace: it looks like the reserved name \"Admin\""),
        ("aDMIN", "it is reserved in this namespace: it counts as the reserved name \"Admin\""),
    ] {
        assert_eq!(claimable(name), Err(error.to_owned()), "{name:?}");
    }
    let long = "a".repeat(MAX_NAME + 1);
    assert_eq!(rules.key(&long), Err(NameError::TooLarge(257)));
    let strict = Rules::new(usernames()[1], (1, 256), []).unwrap();
    assert_eq!(strict.key(&"m".repeat(MAX_NAME)), Err(NameError::KeyTooLarge(512)));
    for namespace in
        ["", "User", "user name", "-x", &"n".repeat(129), "a/", "/a", "a//b", "a/..", "a/../b", "a/.", "a/-b"]
    {
        assert_eq!(check_namespace(namespace), Err(NamespaceError), "{namespace:?}");
    }
    for namespace in ["a", "org/42/handle", "a.b/c_d-e"] {
        assert_eq!(check_namespace(namespace), Ok(()), "{namespace:?}");
    }
}

#[test]
fn reserved_names_are_reserved_in_other_spellings() {
    let rules = Rules::new(Profile::USERNAME, (1, 99), ["admin", "jos\u{e9}", "*official*"]).unwrap();
    for name in ["ADM\u{130}N", "admi\u{307}n", "\u{430}dmin", "jose\u{301}", "JOSE\u{301}", "the-OFFICI\u{410}L-one"] {
        let refused = rules.check(name, &rules.key(name).unwrap());
        assert!(matches!(refused, Err(NameError::Reserved(_))), "{name}: {refused:?}");
    }
    let email = Rules::new(Profile::EMAIL, (1, 99), ["*@Example.org", "postmaster@*"]).unwrap();
    for (name, free) in [("ann@example.org", false), ("Postmaster@b.org", false), ("ann@b.org", true)] {
        assert_eq!(email.check(name, &email.key(name).unwrap()).is_ok(), free, "{name}");
    }
    assert!(Rules::new(Profile::EMAIL, (1, 99), ["*@b\u{fc}cher.de"]).is_err());
}

#[test]
fn characters_are_looked_at_as_they_are_mapped() {
    let refused = |characters, name: &str| {
        let rules = rules(Profile::USERNAME).with_characters(characters);
        rules.check(name, &rules.key(name).unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(refused(Characters::Ascii, "\u{ff21}nn_1"), Ok(()));
    assert_eq!(
        refused(Characters::Ascii, "\u{430}nn"),
        Err("'а' (U+0430) may not stand in names of this namespace, which takes characters of ASCII only".to_owned())
    );
    assert_eq!(refused(Characters::LettersDigits, "zo\u{eb}\u{663}".trim_end_matches('\u{663}')), Ok(()));
    assert_eq!(refused(Characters::LettersDigits, "\u{915}\u{93e}2"), Ok(()), "a mark goes with its letter");
    assert!(refused(Characters::LettersDigits, "a_b").unwrap_err().starts_with("'_' (U+005F)"));
    assert_eq!(refused(Characters::Any, "a_\u{430}"), Ok(()));
}

#[test]
fn an_address_has_254_bytes_at_most() {
    let of = |length: usize| {
        let label = "d".repeat(60);
        let domain = format!("{label}.{label}.{label}.org");
        format!("{}@{}{domain}", "a".repeat(60), "d".repeat(length - 60 - 1 - domain.len() - 1) + ".")
    };
    let key = |length| rules(Profile::EMAIL).key(&of(length));
    assert_eq!(key(254), Ok(of(254)));
    for length in [255, 256] {
        assert_eq!(key(length), Err(NameError::Rule("an e-mail address has 254 bytes at most")));
    }
}

#[test]
fn characters_are_counted_as_typed_and_composed() {
    let check = |profile, name: &str| {
        let rules = Rules::new(profile, (3, 3), []).unwrap();
        rules.check(name, &rules.key(name).unwrap())
    };
    assert_eq!(check(usernames()[1], "tom"), Ok(()), "its key has four");
    assert_eq!(check(Profile::USERNAME, "ne\u{301}e"), Ok(()), "a mark composes");
    assert_eq!(check(Profile::Opaque, "ne\u{301}e"), Err(NameError::TooLong { has: 4, most: 3 }), "as given");
    assert_eq!(check(Profile::USERNAME, "\u{4e2d}\u{6587}\u{540d}"), Ok(()), "not bytes");
}

#[test]
fn a_namespace_has_rules_by_its_last_part() {
    for (namespace, profile) in [
        ("username", Profile::USERNAME),
        ("email", Profile::EMAIL),
        ("org/42/email", Profile::EMAIL),
        ("org/42/handle", Profile::USERNAME),
        ("email/42", Profile::USERNAME),
        ("work-email", Profile::USERNAME),
    ] {
        let rules = Rules::default_of(namespace);
        assert_eq!((rules.profile(), rules.lengths()), (profile, (1, MAX_NAME)), "{namespace}");
        assert!(rules.reserved().is_empty());
    }
}

#[test]
fn rules_that_cannot_be() {
    let new = |lengths, reserved: &[&str]| Rules::new(Profile::USERNAME, lengths, reserved.iter().copied());
    for (least, most) in [(0, 3), (4, 3), (1, MAX_NAME + 1)] {
        assert_eq!(new((least, most), &[]), Err(RulesError::Lengths { least, most }));
    }
    assert!(matches!(new((1, 9), &["a b"]), Err(RulesError::Reserved { name, .. }) if name == "a b"));
    let many: Vec<_> = (0..=MAX_RESERVED).map(|n| format!("n{n}x")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(new((1, 9), &many), Err(RulesError::TooMany(MAX_RESERVED + 1)));
    assert!(new((1, 9), &many[1..]).is_ok());
    let long = "n".repeat(200);
    assert!(matches!(new((1, 9), &vec![long.as_str(); 90]), Err(RulesError::TooLarge(_))));
    assert_eq!(new((1, 9), &["admin", "ADMIN", "\u{430}dmin"]).unwrap().reserved().len(), 1, "by key");
}

#[test]
fn rules_are_read_as_written() {
    for profile in
        [Profile::USERNAME, usernames()[1], Profile::EMAIL, Profile::Opaque, Profile::Email { remove_tags: true }]
    {
        let rules = Rules::new(profile, (2, 40), ["a@b.org", "c@d.org", "*x*"]).unwrap();
        let rules = rules.with_characters(Characters::Ascii).with_private(true);
        assert_eq!(crate::codec::decode::<Rules>(&crate::codec::encode(&rules)).unwrap(), rules);
    }
}

proptest! {
    #[test]
    fn a_key_is_its_own_key(name in "\\PC{1,20}", profile in 0..7usize) {
        let profiles = ["username", "username-strict", "username-distinct", "email", "email-untagged", "opaque", "dns-label"];
        let rules = rules(profile_of(profiles[profile]));
        if let Ok(once) = rules.key(&name)
            && let Ok(twice) = rules.key(&once)
        {
            prop_assert_eq!(twice, once);
        }
    }

    #[test]
    fn the_key_of_an_address_is_an_address(local in "[a-zA-Z0-9+.éÖ]{1,9}", domain in "[a-zA-Zéα-ω0-9-]{1,9}\\.(org|DE|рф)") {
        let rules = rules(Profile::Email { remove_tags: true });
        if let Ok(once) = rules.key(&format!("{local}@{domain}")) {
            prop_assert_eq!(rules.key(&once), Ok(once.clone()));
        }
    }

    #[test]
    fn the_key_of_a_string_of_marks_and_letters_is_its_own_key(
        name in "[a-kmnI\u{131}\u{130}\u{3b9}\u{456}\u{430}\u{1fb3}\u{1100}\u{1161}\u{301}\u{307}\u{323}\u{345}]{1,8}",
        profile in 0..3usize,
    ) {
        let rules = rules(usernames()[profile]);
        if let Ok(once) = rules.key(&name)
            && let Ok(twice) = rules.key(&once)
        {
            prop_assert_eq!(twice, once);
        }
    }

    #[test]
    fn capitals_and_small_letters_meet(name in "[a-zäöéñçàâîïøåæœα-ωάέήίόύώϊϋΐᾳῃῳа-яёіїєґա-ֆ]{1,12}", profile in 0..3usize) {
        let rules = rules(usernames()[profile]);
        prop_assert_eq!(rules.key(&name.to_uppercase()), rules.key(&name));
    }

    #[test]
    fn what_is_ascii_stays(name in "[!-~]{1,40}") {
        prop_assert_eq!(rules(Profile::USERNAME).key(&name), Ok(name.to_ascii_lowercase()));
    }

    #[test]
    fn the_short_cut_for_ascii_agrees_with_the_profile(name in "[\\x00-\\x7f]{1,20}") {
        prop_assert_eq!(username::ascii(&name, "").ok(), username::unicode(&name, "").ok());
    }
}
