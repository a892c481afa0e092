//! Stories of clusters that are made from what is left of others, and of members that were out of reach for long.

use forename::model::Status;
use forename_sim::plan::Wish;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;
/// A month in milliseconds. It is longer than ids are remembered.
const MONTH: i64 = 31 * 24 * 3600 * 1000;

#[test]
fn a_cluster_that_is_recovered_from_one_directory_goes_on_and_the_others_come_in_as_somebody_else() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(500);
    story.split(&[LONDON]);
    let bob = story.claims(LONDON, &["bob"]);
    let late = story.claims(LIMA, &["bob"]);
    story.passes(500);
    assert_eq!(story.status(LIMA, late), Some(Status::Pending), "London is out of reach");
    for city in [LONDON, TOKYO, LIMA] {
        story.crash(city);
    }
    story.recovers(LIMA);
    story.passes(6000);
    assert_eq!((story.incarnation(LIMA), story.cluster(LIMA).members.len()), (1, 1));
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed), "what was decided");
    assert_eq!(story.status(LIMA, late), Some(Status::Confirmed), "what was open is decided by what is left");
    let carla = story.claims(LIMA, &["carla"]);
    story.passes(100);
    assert_eq!(story.status(LIMA, carla), Some(Status::Confirmed), "it decides alone");
    story.heal();
    story.start(LONDON);
    story.start(TOKYO);
    story.passes(30_000);
    for city in [LONDON, TOKYO] {
        assert_eq!((story.incarnation(city), story.is_member(city)), (1, true));
    }
    for city in [LONDON, TOKYO, LIMA] {
        for slot in [alice, late, carla] {
            assert_eq!(story.status(city, slot), Some(Status::Confirmed));
        }
        assert_eq!(story.status(city, bob), Some(Status::Rejected), "it is registered again, and too late");
    }
    story.ends_well();
}

#[test]
fn a_recovered_cluster_takes_newcomers_and_evicts_as_any_other() {
    let mut story = Story::with_joiners(3, &[LIMA]);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(500);
    for city in [LONDON, TOKYO, LIMA] {
        story.crash(city);
    }
    story.recovers(LIMA);
    story.passes(6000);
    story.start(3);
    story.passes(5000);
    assert!(story.is_member(3));
    story.releases(3, alice);
    story.passes(500);
    let again = story.claims(LIMA, &["alice"]);
    story.passes(500);
    assert_eq!(story.status(3, again), Some(Status::Confirmed));
    story.start(LONDON);
    story.start(TOKYO);
    story.passes(30_000);
    assert_eq!(story.evicts(LIMA, TOKYO), Ok(()));
    story.passes(10_000);
    assert_eq!(story.incarnation(TOKYO), 2);
    for city in [LONDON, TOKYO, LIMA, 3] {
        assert_eq!(story.status(city, again), Some(Status::Confirmed));
    }
    story.ends_well();
}

/// Lima took "alice" under an id that its client chose, while nobody could hear it, and comes back a month later. The
/// client had used the id elsewhere too, and by then all others have forgotten it.
#[test]
fn a_member_that_was_hidden_for_longer_than_ids_are_remembered_comes_back() {
    let mut story = Story::forgetting_after(3, 250);
    story.split(&[LIMA]);
    let names = vec!["alice".to_owned()];
    let alice = story.wishes(LIMA, Wish { own_id: true, names, ..Wish::default() });
    story.retries(LONDON, alice);
    assert_eq!(story.evicts(LONDON, LIMA), Ok(()));
    story.passes(2000);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    story.releases(TOKYO, alice);
    story.passes(2000);
    for city in [LONDON, TOKYO, LIMA] {
        story.step_clock(city, MONTH);
    }
    for name in ["bob", "carla", "dora"] {
        story.claims(LONDON, &[name]);
        story.passes(5000);
    }
    assert_eq!(story.cluster(LONDON).pending, 0);
    story.heal();
    story.passes(60_000);
    assert_eq!((story.incarnation(LIMA), story.is_member(LIMA)), (1, true));
    let now = [LONDON, TOKYO, LIMA].map(|city| story.status(city, alice));
    assert!(now.iter().all(|status| *status == now[0]), "{now:?}");
}

/// The same happens, but Lima stays a member. So nothing may be forgotten that Lima has not heard of.
#[test]
fn what_a_hidden_member_has_not_heard_of_is_remembered_for_longer_than_a_month() {
    let mut story = Story::forgetting_after(3, 250);
    story.split(&[LIMA]);
    let names = vec!["alice".to_owned()];
    let alice = story.wishes(LONDON, Wish { own_id: true, names, ..Wish::default() });
    story.passes(2000);
    story.releases(LONDON, alice);
    story.passes(2000);
    for city in [LONDON, TOKYO, LIMA] {
        story.step_clock(city, MONTH);
    }
    story.claims(LONDON, &["bob"]);
    story.passes(5000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Pending), "Lima is silent");
    story.heal();
    story.passes(20_000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_ne!(story.status(city, alice), Some(Status::Pending));
    }
}

/// Tokyo waits until a majority knows that it has left, while the only member that lives goes on as another cluster.
#[test]
fn a_node_that_leaves_while_a_cluster_is_made_of_what_another_has_goes() {
    let mut story = Story::of(3);
    story.passes(500);
    story.crash(LIMA);
    assert_eq!(story.leaves(TOKYO), Ok(()));
    story.passes(2000);
    assert!(!story.has_left(TOKYO), "Lima does not know, and it is one of two");
    story.crash(LONDON);
    story.recovers(LONDON);
    story.passes(20_000);
    assert!(story.has_left(TOKYO));
    story.start(LIMA);
    story.passes(20_000);
    assert_eq!((story.incarnation(LIMA), story.is_member(LIMA)), (1, true));
}
