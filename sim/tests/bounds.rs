//! Stories of what nodes store: not more than the live registrations need.

use forename::model::Status;
use forename::store::Table;
use forename_sim::plan::{Forgery, Mask, Wish};
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

#[test]
fn a_process_remembers_no_more_after_thousands_of_registrations_than_before() {
    let mut story = Story::of(3);
    for city in [LONDON, TOKYO, LIMA] {
        story.imports(city, 100, 0);
        story.passes(5000);
    }
    let before = [LONDON, TOKYO, LIMA].map(|city| story.memory(city));
    for _ in 0..4 {
        story.imports(TOKYO, 1000, 0);
        story.passes(5000);
    }
    for city in [LONDON, TOKYO, LIMA] {
        let (before, after) = (before[city], story.memory(city));
        assert!(after < before + 2000, "{before} bytes before, {after} after");
        assert_eq!(story.rows(city, Table::Log), 0, "all hold everything");
    }
    story.ends_well();
}

/// Lima's disk hangs for five minutes. In that time it has a heartbeat to send ten times a second.
#[test]
fn what_waits_for_an_fsync_that_hangs_is_bounded() {
    let mut story = Story::of(3);
    story.slow_disk(LIMA, 3_000_000);
    let alice = story.claims(LONDON, &["alice"]);
    for _ in 0..30 {
        story.passes(10_000);
    }
    story.slow_disk(LIMA, 1);
    story.passes(10_000);
    assert!(story.sees(LIMA, alice).is_some());
    let burst = story.burst(LIMA);
    assert!(burst < 100, "{burst} messages to one peer at once");
    story.ends_well();
}

/// Somebody asks London for its state, and never goes further.
#[test]
fn whoever_asks_to_join_and_goes_no_further_keeps_nobody_from_truncating_for_ever() {
    let mut story = Story::joining_within(3, &[], 20_000);
    story.lies(LONDON, Mask::Stranger(0), Forgery::Join);
    for name in ["alice", "bob", "carla"] {
        story.claims(TOKYO, &[name]);
    }
    story.passes(5000);
    assert_eq!(story.logged(LONDON, TOKYO), 3, "the newcomer will ask for them");
    story.passes(30_000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.logged(city, TOKYO), 0, "it is not waited for any more");
    }
    story.ends_well();
}

/// The newcomer is evicted at different moments of its join.
#[test]
fn a_newcomer_that_is_evicted_on_its_way_keeps_nobody_from_truncating() {
    const ROME: usize = 3;
    for wait in (60..400).step_by(20) {
        let mut story = Story::joining_within(3, &[TOKYO], 20_000);
        story.start(ROME);
        story.passes(wait);
        let _ = story.evicts(LONDON, ROME);
        story.passes(10_000);
        story.claims(TOKYO, &["alice"]);
        story.passes(30_000);
        assert!(story.is_member(ROME));
        for city in [LONDON, TOKYO, LIMA, ROME] {
            assert_eq!(story.logged(city, TOKYO), 0, "all hold everything, evicted after {wait} ms");
        }
        story.ends_well();
    }
}

/// Lima hears the others and is not heard. So it knows that its claim lost, and no other node ever knows of that claim.
#[test]
fn an_erasure_of_what_came_to_nothing_waits_for_nothing() {
    let mut story = Story::forgetting_after(3, 250);
    story.cut_way(LIMA, LONDON);
    story.cut_way(LIMA, TOKYO);
    let wish = || Wish { names: vec!["alice".to_owned()], ..Wish::default() };
    let first = story.wishes(LONDON, wish());
    let late = story.wishes(LIMA, wish());
    story.passes(300);
    assert_eq!(story.status(LIMA, late), Some(Status::Rejected));
    story.erases(LIMA, late);
    story.passes(300);
    assert_eq!(story.evicts(LONDON, LIMA), Ok(()));
    story.passes(2000);
    story.heal();
    story.passes(20_000);
    assert_eq!(story.incarnation(LIMA), 1);
    assert_eq!(story.status(LONDON, first), Some(Status::Confirmed));
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.rows(city, Table::Early), 0);
    }
    story.ends_well();
}
