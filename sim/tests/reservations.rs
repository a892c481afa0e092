//! Stories of reservations that are extended.

use forename::model::{NameStatus, Status};
use forename::replica::Refusal;
use forename_sim::run::runs_well;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

#[test]
fn a_reservation_that_was_extended_elsewhere_in_time_does_not_end_across_a_cut() {
    let mut story = Story::of(3);
    let alice = story.reserves(LONDON, &["alice"], 2000);
    story.passes(200);
    story.split(&[LIMA]);
    story.extends(LIMA, alice, 6000);
    story.passes(3000);
    assert_eq!(story.name(LONDON, "alice"), NameStatus::Held, "Lima may have extended it, and did");
    story.heal();
    story.passes(1500);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.name(city, "alice"), NameStatus::Held, "its first end is over");
    }
    story.passes(4000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.name(city, "alice"), NameStatus::Available);
    }
    story.ends_well();
}

#[test]
fn an_extension_counts_that_came_in_time_only_because_another_did() {
    let mut story = Story::of(3);
    let alice = story.reserves(LONDON, &["alice"], 2000);
    story.passes(200);
    // Only Tokyo hears of Lima's extension. London is cut off, and hears of both extensions later.
    story.split(&[LIMA, TOKYO]);
    story.extends(LIMA, alice, 4000);
    story.passes(2500);
    story.crash(LIMA);
    story.extends(TOKYO, alice, 4000);
    assert!(story.refused(alice).is_none(), "{:?}", story.refused(alice));
    story.passes(500);
    assert_eq!(story.name(LONDON, "alice"), NameStatus::Held, "two may know better");
    story.heal();
    story.start(LIMA);
    story.passes(2500);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.name(city, "alice"), NameStatus::Held, "by the second one alone");
    }
    story.activates(LONDON, alice);
    story.passes(3000);
    assert!(story.sees(TOKYO, alice).unwrap().activated);
    assert_eq!(story.name(LIMA, "alice"), NameStatus::Held);
    story.extends(LIMA, alice, 4000);
    assert!(matches!(story.refused(alice), Some(Refusal::Permanent { .. })));
    story.ends_well();
}

#[test]
fn what_an_evicted_node_extended_still_lasts_when_it_is_registered_again() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    story.passes(100);
    let alice = story.reserves(LIMA, &["alice"], 3000);
    story.passes(1000);
    story.extends(LIMA, alice, 60_000);
    story.passes(1000);
    assert_eq!(story.evicts(LONDON, LIMA), Ok(()));
    story.passes(5000);
    assert!(story.sees(LONDON, alice).is_none(), "nobody else ever knew");
    story.heal();
    story.passes(20_000);
    assert_eq!(story.incarnation(LIMA), 1);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, alice), Some(Status::Confirmed));
        assert_eq!(story.name(city, "alice"), NameStatus::Held, "as its client was told");
    }
    story.ends_well();
}

#[test]
fn an_extension_that_comes_too_late_is_refused_and_the_name_goes_on() {
    let mut story = Story::of(3);
    let alice = story.reserves(LONDON, &["alice"], 1000);
    story.passes(1500);
    story.extends(LIMA, alice, 4000);
    assert!(matches!(story.refused(alice), Some(Refusal::TooLate { .. })));
    let again = story.claims(TOKYO, &["alice"]);
    story.passes(200);
    assert_eq!(story.status(LONDON, again), Some(Status::Confirmed));
    story.ends_well();
}

/// A registration is made without a token and erased. Then somebody asks for it again with a token that already has as
/// many open registrations as it may have. Nothing is opened by that, so it is not refused.
#[test]
fn who_asks_again_for_what_was_erased_opens_nothing() {
    runs_well(include_str!("plans/a_retry_by_another_token.json"));
}
