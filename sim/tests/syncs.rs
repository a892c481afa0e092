//! How often nodes sync to disk, and what happens to rows that wait for a later sync.

use forename::model::{EventType, Status};
use forename_sim::plan::{Loss, Wish};
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;
const CITIES: [usize; 3] = [LONDON, TOKYO, LIMA];

/// Returns a claim whose client waits for the outcome.
fn waiting(name: &str) -> Wish {
    Wish { own_id: true, names: vec![name.to_owned()], wait: Some(5000), ..Wish::default() }
}

fn confirmed(story: &mut Story, host: usize) -> usize {
    story.feed(host).iter().filter(|event| event.event_type == EventType::Confirmed).count()
}

#[test]
fn a_final_claim_costs_one_sync_at_each_node() {
    let mut story = Story::near(3);
    let warm = story.wishes(LONDON, waiting("warm"));
    assert_eq!(story.told(warm).map(|view| view.status), Some(Status::Confirmed));
    let before = CITIES.map(|city| story.syncs(city));
    for number in 0..20 {
        let slot = story.wishes(LONDON, waiting(&format!("name{number}")));
        assert_eq!(story.told(slot).map(|view| view.status), Some(Status::Confirmed));
    }
    assert_eq!(CITIES.map(|city| story.syncs(city)), before.map(|syncs| syncs + 20));
    story.passes(100);
    for (city, before) in CITIES.into_iter().zip(before) {
        // These syncs are for the rows of the last claim, and for what a node drops from time to time.
        let last = story.syncs(city) - before - 20;
        assert!((1..=2).contains(&last), "{last} syncs in a tenth of a second after the last claim");
    }
    for city in CITIES {
        assert_eq!(confirmed(&mut story, city), 21);
    }
    story.ends_well();
}

#[test]
fn a_claim_that_was_answered_confirmed_is_confirmed_again_after_a_crash_that_lost_its_rows() {
    let mut story = Story::near(3);
    let alice = story.wishes(LONDON, waiting("alice"));
    assert_eq!(story.told(alice).map(|view| view.status), Some(Status::Confirmed));
    story.crash(LONDON);
    assert!(story.has_seen("a confirmation is told before its row is durable"));
    assert!(story.has_seen("a crash loses rows that wait"));
    story.start(LONDON);
    story.passes(1000);
    for city in CITIES {
        assert_eq!(story.status(city, alice), Some(Status::Confirmed));
        assert_eq!(confirmed(&mut story, city), 1);
    }
    story.ends_well();
}

#[test]
fn a_claim_that_was_answered_confirmed_stays_so_where_its_node_never_comes_back() {
    let mut story = Story::near(3);
    let alice = story.wishes(LONDON, waiting("alice"));
    assert_eq!(story.told(alice).map(|view| view.status), Some(Status::Confirmed));
    CITIES.into_iter().for_each(|city| story.crash(city));
    story.start(TOKYO);
    story.start(LIMA);
    story.passes(10_000);
    story.evicts(TOKYO, LONDON).unwrap();
    story.passes(3000);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    story.ends_without(&[LONDON], Loss::Down);
}

#[test]
fn whoever_reads_does_not_wait_for_the_next_claim() {
    let mut story = Story::near(3);
    story.wishes(LONDON, waiting("alice"));
    assert_eq!(confirmed(&mut story, LONDON), 1, "the feed is read two milliseconds later");
    story.crash(LONDON);
    story.start(LONDON);
    story.passes(1000);
    assert_eq!(confirmed(&mut story, LONDON), 1);
    story.ends_well();
}
