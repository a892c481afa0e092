//! Stories of erased registrations: nothing is left of them, and everything goes on as if they had been forgotten.

use forename::model::{EventType, NameStatus, Status};
use forename_sim::plan::Wish;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

/// Checks that no disk has anything of a registration: its metadata, its owner, and its name as typed and as key.
fn is_gone(story: &Story, city: usize, slot: u32, name: &str) {
    for text in [Story::text_of(slot), format!("owner{slot}"), name.to_owned(), name.to_lowercase()] {
        assert_eq!(story.finds(city, &text), None, "{text} in city {city}");
    }
}

#[test]
fn what_is_erased_is_gone_at_every_node_and_its_name_can_be_had_again() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["Allie"]);
    story.passes(200);
    assert!(story.finds(TOKYO, "Allie").is_some() && story.finds(LIMA, &Story::text_of(alice)).is_some());
    story.erases(TOKYO, alice);
    story.passes(200);
    for city in [LONDON, TOKYO, LIMA] {
        let seen = story.sees(city, alice).unwrap();
        assert!(seen.erased && seen.owner.is_empty() && seen.metadata.is_none(), "{seen:?}");
        assert_eq!((seen.status, seen.names.len()), (Status::Confirmed, 0));
        assert_eq!(story.name(city, "allie"), NameStatus::Available);
        let told = story.feed(city);
        let ended: Vec<_> = told.iter().filter(|event| event.event_type == EventType::NameEnded).collect();
        assert_eq!(ended.len(), 1);
        assert!(
            ended[0].data.registration.erased && ended[0].data.reason.is_some(),
            "it is told, and that it was erased"
        );
    }
    // Ops that all members have leave the logs, also the last ones.
    story.passes(5000);
    for city in [LONDON, TOKYO, LIMA] {
        is_gone(&story, city, alice, "Allie");
    }
    // A client that retries is told what is known, and erasing twice has no further effect.
    story.retries(LIMA, alice);
    assert!(story.told(alice).unwrap().erased);
    story.erases(LONDON, alice);
    assert!(story.told(alice).unwrap().erased);
    let again = story.claims(LIMA, &["aLLie"]);
    story.passes(200);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, again), Some(Status::Confirmed));
        assert_eq!(story.finds(city, &Story::text_of(alice)), None);
    }
    story.erases(LONDON, again);
    story.passes(5000);
    is_gone(&story, TOKYO, again, "aLLie");
    story.ends_well();
}

#[test]
fn a_claim_that_was_late_meets_an_erased_name_and_is_judged_alike() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["allie"]);
    story.passes(200);
    // Tokyo is heard but hears nobody. So for Tokyo the name belongs to Alice as long as that lasts.
    story.releases(LONDON, alice);
    story.passes(200);
    story.cut_way(LONDON, TOKYO);
    story.cut_way(LIMA, TOKYO);
    let meanwhile = story.claims(LONDON, &["allie"]);
    story.passes(1500);
    assert_eq!(story.status(LIMA, meanwhile), Some(Status::Confirmed), "Tokyo is heard, though it hears nobody");
    story.erases(LONDON, meanwhile);
    story.erases(LONDON, alice);
    story.passes(1500);
    assert!(story.sees(LIMA, meanwhile).unwrap().erased);
    assert_eq!(story.finds(LIMA, &Story::text_of(meanwhile)).map(|(table, _)| table), Some("log"), "Tokyo lacks it");
    let late = story.claims(TOKYO, &["allie"]);
    story.passes(300);
    assert_eq!(story.status(TOKYO, late), Some(Status::Pending), "Tokyo knows of nobody else");
    story.heal();
    story.passes(1500);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, late), Some(Status::Rejected), "it follows a tenure that others followed");
        assert_eq!(story.name(city, "allie"), NameStatus::Available);
        assert!(story.sees(city, meanwhile).unwrap().erased);
    }
    let next = story.claims(TOKYO, &["allie"]);
    story.passes(300);
    assert_eq!(story.status(LONDON, next), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_newcomer_is_told_nothing_of_what_was_erased_and_erases_what_was_not_over_when_it_came() {
    let mut story = Story::with_joiners(2, &[LONDON]);
    let alice = story.claims(LONDON, &["allie"]);
    story.passes(200);
    story.erases(LONDON, alice);
    story.passes(5000);
    // While Tokyo is away nothing more is final.
    let bob = story.claims(TOKYO, &["bobby"]);
    story.passes(200);
    story.crash(TOKYO);
    story.erases(LONDON, bob);
    story.start(LIMA);
    story.passes(3000);
    assert_eq!(story.finds(LIMA, &Story::text_of(alice)), None);
    assert_eq!(story.finds(LIMA, "allie"), None);
    assert!(story.finds(LIMA, &Story::text_of(bob)).is_some(), "its release is not final");
    story.start(TOKYO);
    story.passes(8000);
    assert!(story.is_member(LIMA));
    for city in [LONDON, TOKYO, LIMA] {
        assert!(story.sees(city, alice).unwrap().erased && story.sees(city, bob).unwrap().erased);
        is_gone(&story, city, bob, "bobby");
    }
    let again = story.claims(LIMA, &["allie"]);
    story.passes(300);
    assert_eq!(story.status(LONDON, again), Some(Status::Confirmed), "it finds the name by its hash");
    story.ends_well();
}

#[test]
fn an_erasure_waits_for_a_crashed_node_and_then_comes_to_it_too() {
    let mut story = Story::of(3);
    let alice = story.claims(LIMA, &["allie"]);
    story.passes(200);
    story.crash(LIMA);
    story.erases(TOKYO, alice);
    story.passes(2000);
    assert!(!story.sees(LONDON, alice).unwrap().erased, "Lima might yet come up with anything");
    assert_eq!(story.name(LONDON, "allie"), NameStatus::Ending);
    story.crash(TOKYO);
    story.start(TOKYO);
    story.start(LIMA);
    story.passes(9000);
    for city in [LONDON, TOKYO, LIMA] {
        assert!(story.sees(city, alice).unwrap().erased);
        is_gone(&story, city, alice, "allie");
    }
    story.ends_well();
}

#[test]
fn what_an_evicted_node_took_and_erased_is_erased_once_it_is_registered_again() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let alice = story.claims(LIMA, &["allie"]);
    let known = story.claims(LONDON, &["bobby"]);
    story.passes(500);
    story.erases(LIMA, alice);
    assert_eq!(story.evicts(LONDON, LIMA), Ok(()));
    story.passes(3000);
    story.erases(LONDON, known);
    story.passes(2000);
    story.heal();
    story.passes(25_000);
    assert_eq!(story.incarnation(LIMA), 1);
    for city in [LONDON, TOKYO, LIMA] {
        assert!(story.sees(city, alice).unwrap().erased, "its client gets the one final answer");
        is_gone(&story, city, alice, "allie");
        is_gone(&story, city, known, "bobby");
    }
    story.ends_well();
}

#[test]
fn a_retry_that_arrives_late_is_erased_with_the_registration_that_it_is() {
    let mut story = Story::of(3);
    story.cut_way(LONDON, TOKYO);
    story.cut_way(LIMA, TOKYO);
    let alice = story.claims(LONDON, &["allie"]);
    story.passes(1500);
    story.erases(LIMA, alice);
    story.passes(1500);
    assert!(story.sees(LONDON, alice).unwrap().erased);
    story.retries(TOKYO, alice);
    story.passes(500);
    story.heal();
    story.passes(6000);
    for city in [LONDON, TOKYO, LIMA] {
        is_gone(&story, city, alice, "allie");
    }
    story.ends_well();
}

#[test]
fn who_lost_a_name_is_erased_and_the_winner_stays() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let first = story.claims(LONDON, &["allie"]);
    story.passes(100);
    let second = story.claims(LIMA, &["Allie"]);
    story.heal();
    story.passes(3000);
    assert_eq!(story.status(TOKYO, second), Some(Status::Rejected));
    story.erases(TOKYO, second);
    // A registration that replaced a name also has that name.
    let third = story.renames(LONDON, first, "carla");
    story.passes(5000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.finds(city, &Story::text_of(second)), None);
        assert_eq!(story.finds(city, "Allie"), None);
        assert_eq!(story.status(city, third), Some(Status::Confirmed));
        assert!(story.finds(city, "allie").is_some(), "the winner's");
    }
    story.erases(LIMA, first);
    story.passes(5000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.finds(city, "allie"), None);
        assert_eq!(story.finds(city, &Story::text_of(first)), None);
        assert_eq!(story.name(city, "carla"), NameStatus::Held);
    }
    story.ends_well();
}

#[test]
fn a_reservation_that_ran_out_can_be_erased_too() {
    let mut story = Story::of(2);
    let wish = Wish { own_id: false, names: vec!["allie".to_owned()], ttl: Some(500), ..Wish::default() };
    let alice = story.wishes(LONDON, wish);
    story.passes(2000);
    assert_eq!(story.name(TOKYO, "allie"), NameStatus::Available);
    story.erases(TOKYO, alice);
    story.passes(5000);
    for city in [LONDON, TOKYO] {
        is_gone(&story, city, alice, "allie");
        assert!(story.sees(city, alice).unwrap().erased);
        let ended = story.feed(city).into_iter().filter(|event| event.event_type == EventType::NameEnded);
        assert_eq!(ended.count(), 1, "it had ended before");
    }
    story.ends_well();
}

/// Found by seed 92506. Two claims to a name became void by evictions and were issued anew. By then the name had
/// belonged to somebody else after the claim that they follow, and that registration was erased and forgotten with its
/// name. The first of the two was said to have won against the second.
#[test]
fn of_two_claims_that_came_too_late_none_won() {
    let plan = serde_json::from_str(include_str!("plans/two_that_came_too_late.json")).expect("a plan");
    let report = forename_sim::run::run(&plan);
    assert_eq!(report.failure, None);
    assert!(report.marks.contains("a registration is erased"));
}
