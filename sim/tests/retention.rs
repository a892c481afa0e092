//! Stories of registrations that are over, and of how long nodes remember them.

use forename::model::{EventType, NameStatus, Status};
use forename_sim::plan::{Slot, Trouble, Wish};
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;
const ROME: usize = 3;
const OSLO: usize = 4;

/// Events are kept for this many milliseconds.
const KEPT: u64 = 250;

/// A client claims a name and lets the node choose the id. An id of the client's own would be remembered for a month.
fn claims(story: &mut Story, city: usize, name: &str) -> Slot {
    story.wishes(city, Wish { names: vec![name.to_owned()], ..Wish::default() })
}

/// Makes a claim and releases it again, so that all nodes know of both.
fn alice_was_given_up(story: &mut Story) -> Slot {
    let alice = claims(story, LONDON, "alice");
    story.passes(200);
    story.releases(LONDON, alice);
    story.passes(200);
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Available);
    alice
}

/// Lets enough time pass for old events to leave. The newest events stay, so something new is claimed.
fn time_goes_by(story: &mut Story, something: &str) {
    story.passes(KEPT);
    claims(story, LONDON, something);
    story.passes(3000);
}

#[test]
fn what_is_over_is_forgotten_with_its_last_event_and_its_name_goes_on() {
    let mut story = Story::forgetting_after(3, KEPT);
    let alice = alice_was_given_up(&mut story);
    let bob = claims(&mut story, TOKYO, "bob");
    assert!(story.sees(LIMA, alice).is_some(), "its events are in the feed yet");
    time_goes_by(&mut story, "carla");
    for city in [LONDON, TOKYO, LIMA] {
        assert!(story.sees(city, alice).is_none(), "nobody knows who was alice");
        assert_eq!(story.status(city, bob), Some(Status::Confirmed), "whoever holds a name is never forgotten");
        assert_eq!(story.name(city, "alice"), NameStatus::Available);
    }
    let again = claims(&mut story, LIMA, "alice");
    story.passes(200);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, again), Some(Status::Confirmed));
    }
    story.ends_well();
}

#[test]
fn a_claim_given_up_before_it_was_known_to_be_lost_is_kept_until_its_rejection_leaves_the_feed() {
    let mut story = Story::forgetting_after(5, KEPT);
    let others = [LIMA, ROME, OSLO];
    story.suffers(Trouble::OneWay(vec![(LONDON, TOKYO)]), 300);
    others.into_iter().for_each(|other| story.cut_way(LONDON, other));
    let first = claims(&mut story, LONDON, "alice");
    story.passes(50);
    let late = claims(&mut story, TOKYO, "alice");
    story.releases(TOKYO, late);
    story.passes(150);
    others.into_iter().for_each(|other| story.cut_way(TOKYO, other));
    story.passes(1500);
    assert_eq!(story.status(TOKYO, late), Some(Status::Contested), "no majority is known to hold what it lost to");
    story.heal();
    story.passes(3000);
    assert_eq!(story.status(LONDON, first), Some(Status::Confirmed));
    assert_eq!(story.status(TOKYO, late), Some(Status::Rejected), "its rejection is in the feed yet");
    story.ends_well();
}

#[test]
fn whoever_claims_after_a_tenure_that_others_have_forgotten_comes_too_late_for_all() {
    let mut story = Story::forgetting_after(3, KEPT);
    alice_was_given_up(&mut story);
    story.cut_way(LONDON, TOKYO);
    story.cut_way(LIMA, TOKYO);
    let meanwhile = claims(&mut story, LONDON, "alice");
    story.passes(1500);
    assert_eq!(story.status(LIMA, meanwhile), Some(Status::Confirmed), "Tokyo is heard, though it hears nobody");
    story.releases(LONDON, meanwhile);
    story.passes(1500);
    time_goes_by(&mut story, "carla");
    assert!(story.sees(LONDON, meanwhile).is_none(), "forgotten");
    let late = claims(&mut story, TOKYO, "alice");
    story.passes(300);
    assert_eq!(story.status(TOKYO, late), Some(Status::Pending), "Tokyo knows of nobody else");
    assert_ne!(story.status(LONDON, late), Some(Status::Confirmed), "London knows that it comes too late");
    story.heal();
    story.passes(500);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, late), Some(Status::Rejected));
        assert_eq!(story.name(city, "alice"), NameStatus::Available);
    }
    story.ends_well();
}

#[test]
fn what_an_evicted_node_took_is_remembered_until_it_is_back() {
    let mut story = Story::forgetting_after(3, KEPT);
    let alice = claims(&mut story, LIMA, "alice");
    story.cut_way(LONDON, LIMA);
    story.cut_way(TOKYO, LIMA);
    story.passes(300);
    assert_eq!(story.status(LIMA, alice), Some(Status::Pending), "it hears nobody");
    story.releases(LONDON, alice);
    story.passes(300);
    story.crash(LIMA);
    assert_eq!(story.evicts(LONDON, LIMA), Ok(()));
    story.passes(300);
    time_goes_by(&mut story, "carla");
    assert!(story.sees(LONDON, alice).is_some(), "Lima does not know yet what became of it");
    let known = story.stamp(alice);
    story.heal();
    story.start(LIMA);
    story.passes(16_000);
    assert_eq!(story.incarnation(LIMA), 1);
    let told = story.feed(LIMA).into_iter().filter(|event| event.event_type == EventType::Confirmed);
    assert!(told.map(|event| event.data.registration.stamp).any(|stamp| Some(stamp) == known), "it tells");
    story.ends_well();
}
