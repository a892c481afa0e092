//! Stories of somebody who holds a join token and is not a member: nothing that it says is believed.

use forename::model::Status;
use forename::store::Table;
use forename_sim::plan::{Forged, Forgery, Mask};
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;
const MALLORY: Mask = Mask::Stranger(0);

#[test]
fn a_stranger_that_shows_more_of_a_log_than_there_is_stops_nobody() {
    for what in [Forgery::More, Forgery::Fork] {
        let mut story = Story::of(3);
        let alice = story.claims(LONDON, &["alice"]);
        story.passes(500);
        for city in [LONDON, TOKYO, LIMA] {
            story.lies(city, MALLORY, what.clone());
        }
        story.passes(2000);
        for city in [LONDON, TOKYO, LIMA] {
            assert_eq!(story.stopped(city), None);
            assert_eq!(story.status(city, alice), Some(Status::Confirmed));
            assert!(story.forks(city).is_empty());
        }
        story.ends_well();
    }
}

#[test]
fn a_promise_or_a_hold_in_the_name_of_a_member_that_is_down_decides_nothing() {
    let mut story = Story::of(3);
    story.passes(500);
    story.crash(LIMA);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(500);
    for city in [LONDON, TOKYO] {
        story.lies(city, MALLORY, Forgery::Promise { of: LIMA, ahead: 4000 });
        story.lies(city, MALLORY, Forgery::Holds);
    }
    story.passes(2000);
    for city in [LONDON, TOKYO] {
        assert_eq!(story.status(city, alice), Some(Status::Pending), "Lima has said nothing");
    }
    story.start(LIMA);
    story.passes(2000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn ops_in_the_names_of_members_are_not_taken() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(500);
    let bodies = [
        Forged::Register("bob".to_owned()),
        Forged::Release,
        Forged::Freeze(LIMA),
        Forged::Evict(LIMA),
        Forged::Retire(LIMA),
        Forged::Admit(0),
        Forged::Depart,
    ];
    for body in bodies {
        story.lies(TOKYO, MALLORY, Forgery::Op { of: LONDON, body, made_up: false });
    }
    story.passes(2000);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    assert_eq!(story.cluster(TOKYO).members.len(), 3);
    story.ends_well();
}

#[test]
fn nobody_is_evicted_let_in_or_moved_because_a_stranger_says_so() {
    let mut story = Story::of(3);
    story.passes(500);
    for what in [
        Forgery::Evicted,
        Forgery::Used,
        Forgery::Gone,
        Forgery::Skewed,
        Forgery::Silent,
        Forgery::Nominate(0),
        Forgery::Contact(LIMA),
    ] {
        story.lies(LONDON, MALLORY, what);
    }
    story.passes(2000);
    let view = story.cluster(LONDON);
    assert_eq!((view.members.len(), story.incarnation(LONDON)), (3, 0));
    assert_eq!(view.members[LIMA].address, "host2:7400");
    assert!(view.members.iter().all(|member| member.skewed_ms.is_none()), "{:?}", view.members);
    assert_eq!(story.rows(LONDON, Table::Contacts), 3, "nothing is kept of a stranger");
    story.ends_well();
}

/// Somebody else has the key of a node that left.
#[test]
fn who_was_a_member_once_is_believed_no_more() {
    const ROME: usize = 3;
    let mut story = Story::of(4);
    story.passes(500);
    assert_eq!(story.leaves(ROME), Ok(()));
    story.passes(3000);
    assert!(story.has_left(ROME));
    for mask in [Mask::Former(ROME), Mask::Next(ROME)] {
        for what in [Forgery::Evicted, Forgery::More, Forgery::Fork, Forgery::Promise { of: LIMA, ahead: 4000 }] {
            story.lies(LONDON, mask, what);
        }
    }
    story.passes(2000);
    assert_eq!((story.stopped(LONDON), story.incarnation(LONDON)), (None, 0));
    assert!(story.is_member(LONDON));
    story.ends_well();
}
