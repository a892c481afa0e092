//! Stories of newcomers.

use forename::model::{EventType, Status};
use forename::replica::Refusal;
use forename::store::Table;
use forename_sim::plan::{Kind, Pick, Trouble};
use forename_sim::run::runs_well;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

#[test]
fn a_newcomer_gets_everything_and_may_claim() {
    let mut story = Story::with_joiners(2, &[LONDON]);
    let alice = story.claims(TOKYO, &["alice"]);
    story.passes(100);
    story.start(LIMA);
    story.passes(1000);
    assert!(story.is_member(LIMA));
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    assert_eq!(
        story.feed(LIMA).iter().filter(|event| event.event_type == EventType::Confirmed).count(),
        0,
        "a snapshot brings no events"
    );
    let late = story.claims(LIMA, &["alice"]);
    assert!(matches!(story.refused(late), Some(Refusal::NameTaken { .. })));
    let bob = story.claims(LIMA, &["bob"]);
    story.passes(100);
    assert_eq!(story.status(TOKYO, bob), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_newcomer_is_no_member_while_some_member_is_out_of_reach() {
    let mut story = Story::with_joiners(3, &[LONDON]);
    story.split(&[LIMA]);
    story.passes(4000);
    story.start(3);
    story.passes(10_000);
    assert!(!story.is_member(3), "Lima was not heard of just now");
    let early = story.claims(3, &["alice"]);
    assert!(matches!(story.refused(early), Some(Refusal::NotMember)));
    story.heal();
    story.passes(5000);
    assert!(story.is_member(3));
    story.ends_well();
}

#[test]
fn a_newcomer_whose_sponsor_dies_half_way_starts_over() {
    let mut story = Story::with_joiners(2, &[LONDON]);
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        story.claims(TOKYO, &[name]);
    }
    story.passes(200);
    story.start(LIMA);
    story.passes(40);
    story.crash(LONDON);
    story.passes(2000);
    story.start(LONDON);
    story.passes(8000);
    assert!(story.is_member(LIMA));
    story.ends_well();
}

/// This was the first bug of joining that a seed found: the request to be let in, or the message that the snapshot is
/// complete, was lost, and the newcomer waited for ever.
#[test]
fn a_newcomer_whose_word_is_lost_says_it_again() {
    for kind in [Kind::Join, Kind::Installed] {
        let mut story = Story::with_joiners(2, &[LONDON]);
        story.suffers(Trouble::Picky(Pick { from: LIMA, to: LONDON, kind, lost: 100, late: 0 }), 3000);
        story.suffers(Trouble::Picky(Pick { from: LIMA, to: TOKYO, kind, lost: 100, late: 0 }), 3000);
        story.start(LIMA);
        story.passes(2500);
        assert!(!story.is_member(LIMA), "{kind:?} did not get through");
        story.passes(12_000);
        assert!(story.is_member(LIMA));
        story.ends_well();
    }
}

/// This was the second bug of joining that a seed found. A second peer that connected during the snapshot was asked
/// too, and what had arrived was deleted. Then the end of the first stream made the rest look like a whole snapshot.
#[test]
fn a_newcomer_that_reaches_two_takes_one_snapshot() {
    let mut story = Story::with_joiners_that_reach(2, &[(LONDON, Some(TOKYO))]);
    story.imports(LONDON, 40, 10);
    let alice = story.claims(TOKYO, &["alice"]);
    story.passes(1000);
    story.suffers(Trouble::Picky(Pick { from: LONDON, to: LIMA, kind: Kind::Snapshot, lost: 0, late: 300 }), 2000);
    story.suffers(Trouble::Picky(Pick { from: TOKYO, to: LIMA, kind: Kind::Snapshot, lost: 0, late: 500 }), 2000);
    story.cut(&[(TOKYO, LIMA)]);
    story.start(LIMA);
    story.passes(50);
    story.heal();
    story.passes(10_000);
    assert!(story.is_member(LIMA));
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_newcomer_that_two_let_in_is_let_in_once() {
    let mut story = Story::with_joiners_that_reach(3, &[(LONDON, Some(TOKYO))]);
    story.start(3);
    story.passes(3000);
    assert!(story.is_member(3));
    let alice = story.claims(3, &["alice"]);
    story.passes(200);
    for host in 0..4 {
        assert_eq!(story.status(host, alice), Some(Status::Confirmed));
        assert_eq!(story.cluster(host).members.len(), 4);
    }
    story.ends_well();
}

/// Found by seed 19031. A newcomer's request to join waited for a slow fsync while its sponsor died and came back.
/// Meanwhile the newcomer had asked another sponsor. Both sent their snapshots, and it installed a mixture of the two.
#[test]
fn a_request_to_join_dies_with_the_connection_it_was_made_on() {
    let mut story = Story::with_joiners_that_reach(2, &[(LONDON, Some(TOKYO))]);
    story.imports(LONDON, 30, 10);
    story.passes(1000);
    story.slow_disk(LIMA, 30_000);
    story.cut(&[(TOKYO, LIMA)]);
    story.start(LIMA);
    story.passes(500);
    story.heal();
    story.passes(500);
    story.crash(LONDON);
    story.passes(500);
    story.start(LONDON);
    story.passes(3000);
    story.slow_disk(LIMA, 1);
    story.passes(15_000);
    assert!(story.is_member(LIMA));
    story.ends_well();
}

/// Makes a story in which a snapshot of many parts is on its way to Lima when the connection breaks.
fn lima_has_half_a_snapshot() -> Story {
    let mut story = Story::with_joiners(2, &[LONDON]);
    story.imports(LONDON, 200, 10);
    story.passes(1000);
    story.suffers(Trouble::Narrow(LONDON, LIMA, 20_000), 60_000);
    story.start(LIMA);
    story.passes_until("Lima has registrations", |story| story.rows(LIMA, Table::Registrations) > 0);
    assert!(story.rows(LIMA, Table::Registrations) < 200);
    story.kill(LONDON, LIMA);
    story
}

#[test]
fn a_snapshot_that_broke_off_goes_on_where_it_was() {
    let mut story = lima_has_half_a_snapshot();
    let late = story.claims(TOKYO, &["alice"]);
    story.passes(15_000);
    assert!(story.has_seen("a snapshot goes on where it broke off"));
    assert!(story.is_member(LIMA));
    assert_eq!(story.status(LIMA, late), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_sponsor_that_has_died_since_has_no_snapshot_to_go_on_with() {
    let mut story = lima_has_half_a_snapshot();
    story.crash(LONDON);
    story.start(LONDON);
    story.passes(30_000);
    assert!(!story.has_seen("a snapshot goes on where it broke off"));
    assert!(story.is_member(LIMA), "it has asked for another");
    story.ends_well();
}

/// Found by seed 63352. A newcomer had the state of a cluster of one, and its message that it had the state was lost.
/// Meanwhile others were let in, and they evicted the only member that the newcomer knew. The ops by which it could
/// have learnt of them had left their logs, and it did not believe strangers who said so.
#[test]
fn a_newcomer_whose_state_was_overtaken_begins_anew() {
    runs_well(include_str!("plans/a_newcomer_that_was_overtaken.json"));
}

/// A member is dead, and another one passes its last promise on late, since its vectors were lost meanwhile. The first member
/// takes this for a sign of life and lets a newcomer in. It cannot know better, and that does no harm.
#[test]
fn a_promise_that_is_passed_on_late_looks_like_a_sign_of_life() {
    runs_well(include_str!("plans/a_promise_that_was_passed_on_late.json"));
}

/// A newcomer has the state, and gets the key of private names with its admission. Until then every private name would look
/// free, so it refuses to look one up, as it refuses whatever only members may do.
#[test]
fn a_newcomer_that_cannot_hash_private_names_says_that_it_is_no_member() {
    runs_well(include_str!("plans/a_newcomer_that_cannot_hash_yet.json"));
}
