//! Stories of the rules of namespaces: who sets them, where they apply, and what happens to names that are taken.

use forename::model::{NameStatus, RulesVersion, Status};
use forename::replica::Refusal;
use forename_sim::plan::{Book, Wish};
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

fn book(namespace: &str, opaque: bool, least: usize, reserved: &[&str]) -> Book {
    let reserved = reserved.iter().map(|name| (*name).to_owned()).collect();
    Book { namespace: namespace.to_owned(), opaque, least, reserved, private: false }
}

fn why(story: &Story, slot: u32) -> &str {
    match story.refused(slot) {
        Some(Refusal::InvalidName { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_is_reserved_at_every_node_that_knows_of_it() {
    let mut story = Story::of(3);
    story.sets_rules(LONDON, &book("username", false, 3, &["admin"])).unwrap();
    let early = story.claims(TOKYO, &["Admin"]);
    assert_eq!(story.status(TOKYO, early), Some(Status::Pending), "the rules are on their way to Tokyo");
    story.passes(100);
    assert_eq!(story.status(LONDON, early), Some(Status::Confirmed), "what was accepted before stays");
    let late = story.claims(LIMA, &["root", "\u{430}dmin"]);
    assert!(why(&story, late).contains("looks like the reserved name \"admin\""), "a look-alike too");
    let short = story.claims(LIMA, &["al"]);
    assert!(why(&story, short).contains("3 at least"));
    assert!(story.rules(LIMA, "username").is_final);
    story.ends_well();
}

#[test]
fn of_rules_that_two_sides_of_a_cut_set_the_later_stand() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    story.sets_rules(LIMA, &book("org/1/tag", true, 1, &[])).unwrap();
    story.passes(50);
    let london = story.sets_rules(LONDON, &book("org/1/tag", false, 2, &["root"])).unwrap();
    story.passes(2000);
    assert!(!story.rules(LONDON, "org/1/tag").is_final, "an eviction might undo it");
    // Both sides take names by the rules that they know.
    let lima = story.claims(LIMA, &["org/1/tag/A b"]);
    let tokyo = story.claims(TOKYO, &["org/1/tag/Ab"]);
    story.heal();
    story.passes(3000);
    for city in [LONDON, TOKYO, LIMA] {
        let mut wanted = london.clone();
        wanted.is_final = true;
        assert_eq!(story.rules(city, "org/1/tag"), wanted);
        assert_eq!(story.status(city, lima), Some(Status::Confirmed), "it keeps its key");
        assert_eq!(story.status(city, tokyo), Some(Status::Confirmed));
    }
    story.releases(TOKYO, lima);
    story.ends_well();
}

#[test]
fn a_newcomer_has_the_rules_although_their_op_has_left_the_logs() {
    let mut story = Story::with_joiners(2, &[LONDON]);
    let set = story.sets_rules(TOKYO, &book("username", false, 5, &[])).unwrap();
    story.passes(1000);
    story.claims(TOKYO, &["alice"]);
    story.passes(5000);
    assert_eq!(story.logged(LONDON, TOKYO), 0, "the op has left");
    story.start(LIMA);
    story.passes(5000);
    assert!(story.is_member(LIMA));
    assert_eq!(story.rules(LIMA, "username"), story.rules(LONDON, "username"));
    assert_eq!(story.rules(LIMA, "username").version, set.version);
    let short = story.claims(LIMA, &["ann"]);
    assert!(why(&story, short).contains("5 at least"));
    story.ends_well();
}

#[test]
fn rules_that_an_eviction_made_void_are_set_again_unless_others_were_set_since() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    story.sets_rules(LIMA, &book("username", false, 3, &[])).unwrap();
    story.sets_rules(LIMA, &book("username", false, 4, &[])).unwrap();
    story.sets_rules(LIMA, &book("org/2/tag", false, 4, &[])).unwrap();
    story.passes(500);
    let london = story.sets_rules(LONDON, &book("org/2/tag", false, 2, &[])).unwrap();
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(5000);
    assert_eq!(story.rules(TOKYO, "username").version, RulesVersion::Default, "nobody else ever knew");
    story.heal();
    story.passes(20_000);
    assert_eq!(story.incarnation(LIMA), 1);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.rules(city, "username").min_length, 4, "set again, the later of the two");
        assert_eq!(story.rules(city, "org/2/tag").version, london.version, "these are later");
    }
    story.ends_well();
}

#[test]
fn who_asks_again_after_the_rules_have_changed_gets_what_was_accepted() {
    let mut story = Story::of(3);
    let al = story.claims(LONDON, &["al"]);
    story.sets_rules(TOKYO, &book("username", false, 3, &["al"])).unwrap();
    story.passes(200);
    story.retries(LIMA, al);
    assert_eq!(story.told(al).unwrap().status, Status::Confirmed);
    assert_eq!(story.name(LIMA, "AL"), NameStatus::Held);
    let to = story.wishes(LIMA, Wish { own_id: true, names: vec!["al".to_owned()], ..Wish::default() });
    assert!(why(&story, to).contains("reserved") || why(&story, to).contains("3 at least"));
    let alice = story.renames(LIMA, al, "alice");
    story.passes(200);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    story.ends_well();
}
