//! Stories of data directories that are not a node's latest: put back from a copy, or running twice.

use forename::replica::{EventType, Status};
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

/// Lima's disk is put back as it was before it took "bob" alone with the others.
fn lima_is_put_back() -> (Story, u32) {
    let mut story = Story::of(3);
    story.claims(LONDON, &["alice"]);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    let bob = story.claims(LIMA, &["bob"]);
    story.passes(500);
    assert_eq!(story.status(LONDON, bob), Some(Status::Confirmed));
    story.crash(LIMA);
    story.restore_disk(LIMA, &old);
    (story, bob)
}

#[test]
fn an_old_directory_stops_before_it_issues_anything_and_rejoins_as_somebody_else() {
    let (mut story, bob) = lima_is_put_back();
    story.start(LIMA);
    story.passes(500);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("older than what peers have seen") && why.contains("forename rejoin"), "{why}");
    story.passes(5000);
    assert_eq!(story.incarnation(LIMA), 1, "its operator did as it was told");
    let members = story.cluster(LONDON).members.len();
    assert_eq!(members, 3, "its earlier life has retired by itself");
    assert_eq!(story.status(LIMA, bob), Some(Status::Confirmed));
    story.ends_well();
}

/// What Lima's feed tells of a registration to a reader that is at a cursor.
fn told_to(story: &mut Story, reader: u64, slot: u32) -> Vec<EventType> {
    let id = story.sees(LIMA, slot).expect("it is known").id;
    let told = story.feed(LIMA).into_iter().filter(|event| event.cursor > reader && event.registration.id == id);
    told.map(|event| event.event_type).collect()
}

/// Its reader had come past where the copy ends, and was never told what became of "bob" in the feed that is lost.
#[test]
fn a_reader_of_a_feed_that_was_put_back_goes_on_where_it_was_and_misses_nothing() {
    let (mut story, bob) = lima_is_put_back();
    let reader = 1000;
    story.start(LIMA);
    story.passes(5500);
    let carla = story.claims(LIMA, &["carla"]);
    story.passes(500);
    for slot in [bob, carla] {
        assert_eq!(told_to(&mut story, reader, slot), [EventType::Accepted, EventType::Confirmed]);
    }
    story.ends_well();
}

#[test]
fn what_an_old_directory_took_alone_is_registered_again_once_it_meets_those_who_know_better() {
    let (mut story, bob) = lima_is_put_back();
    story.split(&[LIMA]);
    story.start(LIMA);
    let early = story.claims(LIMA, &["carla"]);
    story.passes(1000);
    assert!(story.told(early).is_none(), "it waits for a majority to compare logs with");
    story.passes(5000);
    assert_eq!(story.told(early).map(|view| view.status), Some(Status::Pending), "it serves alone at last");
    story.heal();
    story.passes(300);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("peers hold another op"), "{why}");
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 1);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, bob), Some(Status::Confirmed), "what peers hold is safe");
        assert_eq!(story.status(city, early), Some(Status::Confirmed), "and so is what only the copy had");
    }
    assert_eq!(told_to(&mut story, 1000, bob), [EventType::Accepted, EventType::Confirmed]);
    story.ends_well();
}

#[test]
fn of_two_that_run_on_one_directory_the_second_to_meet_the_others_stops() {
    let mut story = Story::of(3);
    story.claims(LONDON, &["alice"]);
    story.passes(500);
    let copy = story.copy_disk(LIMA);
    story.split(&[LIMA]);
    story.passes(5000);
    let dora = story.claims(LIMA, &["dora"]);
    story.passes(100);
    story.crash(LIMA);
    let original = story.copy_disk(LIMA);
    story.run_copy(LIMA, &copy);
    story.heal();
    story.start(LIMA);
    story.passes(500);
    let emil = story.claims(LIMA, &["emil"]);
    story.passes(500);
    assert_eq!(story.status(TOKYO, emil), Some(Status::Confirmed), "nobody can tell it from the original");
    story.crash(LIMA);
    story.restore_disk(LIMA, &original);
    story.start(LIMA);
    story.passes(1000);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("peers hold another op"), "{why}");
    story.passes(8000);
    for registration in [dora, emil] {
        assert_eq!(story.status(LIMA, registration), Some(Status::Confirmed), "what either took");
    }
    story.ends_well();
}

#[test]
fn an_old_directory_of_an_earlier_life_takes_an_id_that_was_never_used() {
    let mut story = Story::of(3);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(5000);
    assert_eq!(story.incarnation(LIMA), 1);
    let alice = story.claims(LIMA, &["alice"]);
    story.passes(500);
    story.crash(LIMA);
    story.restore_disk(LIMA, &old);
    story.start(LIMA);
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 2, "its first life is out, its second one has issued ops");
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    assert_eq!(told_to(&mut story, 1000, alice), [EventType::Accepted, EventType::Confirmed]);
    story.ends_well();
}
