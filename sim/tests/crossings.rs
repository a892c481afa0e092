//! Stories of members that come and go at the same time, and of the way out: an operator who follows the messages of
//! the product gets a cluster that decides everything and lets newcomers in.

use forename::model::{NameStatus, Status};
use forename::replica::Refusal;
use forename_sim::plan::{Kind, Loss, Pick, Trouble};
use forename_sim::run::runs_well;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;
const NEW: usize = 3;

/// The milliseconds after which a member that is not heard is known to be out of contact: three heartbeats, and some
/// more.
const SILENT: u64 = 4500;

/// Returns the number of members that a node sees.
fn members(story: &mut Story, host: usize) -> usize {
    story.cluster(host).members.len()
}

#[test]
fn a_replacement_that_starts_before_the_dead_member_is_evicted_is_let_in_once_it_is() {
    for (lost, wait) in [(LONDON, SILENT), (TOKYO, SILENT), (LIMA, SILENT), (LONDON, 0), (TOKYO, 0), (LIMA, 0)] {
        let by = (lost + 1) % 3;
        let mut story = Story::with_joiners_that_reach(3, &[(by, Some((lost + 2) % 3))]);
        story.crash(lost);
        story.passes(wait);
        story.start(NEW);
        story.passes(3000);
        let alice = story.claims(by, &["alice"]);
        story.passes(3000);
        // Where the dead member was heard just before, the first member may already have let the newcomer in.
        assert!(wait == 0 || !story.is_member(NEW), "not before all members were heard");
        assert_eq!(story.status(by, alice), Some(Status::Pending));
        story.evicts(by, lost).unwrap();
        story.passes(8000);
        assert!(story.is_member(NEW), "without host {lost}");
        assert_eq!(story.status(NEW, alice), Some(Status::Confirmed));
        story.leaves((lost + 2) % 3).unwrap();
        story.passes(3000);
        assert!(story.has_left((lost + 2) % 3));
        story.ends_without(&[lost], Loss::Down);
    }
}

#[test]
fn a_member_may_leave_while_a_newcomer_waits_for_one_that_is_cut_off() {
    for leaver in [LONDON, TOKYO] {
        let other = if leaver == LONDON { TOKYO } else { LONDON };
        let mut story = Story::with_joiners(3, &[LONDON]);
        story.split(&[LIMA]);
        story.passes(SILENT);
        story.start(NEW);
        story.passes(3000);
        story.leaves(leaver).unwrap();
        story.passes(1000);
        let bob = story.claims(other, &["bob"]);
        story.heal();
        story.passes(20_000);
        assert!(story.has_left(leaver), "host {leaver}");
        assert!(story.is_member(NEW), "though host {leaver} leaves");
        assert_eq!(story.status(LIMA, bob), Some(Status::Confirmed));
        story.ends_well();
    }
}

/// Only the time between the join and the leave matters.
#[test]
fn a_member_may_leave_at_any_moment_of_a_join() {
    for leaver in [LONDON, TOKYO] {
        for after in (0..250).step_by(3) {
            let mut story = Story::with_joiners(3, &[LONDON]);
            story.start(NEW);
            story.passes(after);
            story.leaves(leaver).unwrap();
            story.passes(10_000);
            assert!(story.has_left(leaver), "host {leaver} leaves {after} ms after a newcomer started");
            assert!(story.is_member(NEW), "host {leaver} leaves {after} ms after a newcomer started");
        }
    }
}

#[test]
fn a_member_whose_old_directory_was_put_back_returns_while_a_newcomer_waits_for_it() {
    let mut story = Story::with_joiners(3, &[LONDON]);
    let old = story.copy_disk(LIMA);
    story.claims(LIMA, &["carla"]);
    story.passes(500);
    story.crash(LIMA);
    story.passes(SILENT);
    story.start(NEW);
    story.passes(3000);
    assert!(!story.is_member(NEW), "Lima is not heard");
    story.restore_disk(LIMA, &old);
    story.start(LIMA);
    story.passes(20_000);
    assert_eq!(story.incarnation(LIMA), 1, "nobody had to order that");
    assert!(story.is_member(LIMA) && story.is_member(NEW));
    let bob = story.claims(LONDON, &["bob"]);
    story.passes(1000);
    assert_eq!(story.status(NEW, bob), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn silent_members_of_large_clusters_are_evicted_too() {
    let few_at_a_time = Story::evicting_after_among_many(40, 3000);
    for (founders, mut story) in
        [(9, Story::evicting_after(9, 3000)), (60, Story::evicting_after(60, 3000)), (40, few_at_a_time)]
    {
        story.passes(2000);
        story.crash(founders - 1);
        story.passes(15_000);
        assert_eq!(members(&mut story, LONDON), founders - 1, "of {founders}");
    }
}

#[test]
fn a_reservation_that_cannot_end_says_whom_it_waits_for() {
    let mut story = Story::of(3);
    let carla = story.reserves(LONDON, &["carla"], 2000);
    story.passes(500);
    assert_eq!(story.status(LONDON, carla), Some(Status::Confirmed));
    story.crash(LIMA);
    story.passes(20_000);
    assert_eq!(story.name(LONDON, "carla"), NameStatus::Held, "its time is over, and Lima may have activated it");
    let waits = story.sees(LONDON, carla).unwrap().waiting_for;
    assert_eq!(waits.iter().map(|waiting| waiting.label.as_str()).collect::<Vec<_>>(), ["host2"]);
    let overdue = story.cluster(LONDON).overdue.expect("the cluster's status says so as well");
    assert_eq!(overdue.waiting_for.iter().map(|waiting| waiting.label.as_str()).collect::<Vec<_>>(), ["host2"]);
    let again = story.claims(LONDON, &["carla"]);
    assert!(matches!(story.refused(again), Some(Refusal::NameTaken { .. })));
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(500);
    assert_eq!(story.name(TOKYO, "carla"), NameStatus::Available);
    assert!(story.cluster(LONDON).overdue.is_none(), "nothing is due any more");
    story.ends_without(&[LIMA], Loss::Down);
}

/// The member that let a newcomer in, and the only other one that heard of it, are evicted at any moment of the join.
/// The newcomer is in, or it was never in and comes in then.
#[test]
fn a_newcomer_whose_admission_is_lost_with_two_members_comes_in_all_the_same() {
    for after in (0..120).step_by(8) {
        let mut story = Story::with_joiners(6, &[0]);
        let newcomer = 6;
        for to in 2..6 {
            for from in [0, newcomer] {
                story.suffers(Trouble::Picky(Pick { from, to, kind: Kind::Ops, lost: 100, late: 0 }), 60_000);
            }
        }
        story.start(newcomer);
        story.passes(after);
        for host in [0, 1, newcomer] {
            story.crash(host);
        }
        story.evicts(2, 0).unwrap();
        story.evicts(2, 1).unwrap();
        story.passes(2000);
        let alice = story.claims(2, &["alice"]);
        story.passes(1000);
        if !story.cluster(2).members.iter().any(|member| member.label == "host6") {
            assert_eq!(story.status(5, alice), Some(Status::Confirmed), "{after} ms");
        }
        story.heal();
        for host in [0, 1, newcomer] {
            story.start(host);
        }
        story.passes(20_000);
        assert!((0..7).all(|host| story.is_member(host)), "{after} ms");
        assert_eq!(story.status(newcomer, alice), Some(Status::Confirmed), "{after} ms");
        story.ends_well();
    }
}

#[test]
fn an_eviction_that_is_asked_for_on_the_side_of_a_minority_is_refused() {
    let mut story = Story::of(5);
    story.split(&[LONDON, TOKYO]);
    story.passes(SILENT);
    let refused = story.evicts(LONDON, 4).unwrap_err();
    assert!(refused.to_string().contains("majority"), "{refused}");
    assert!(story.cluster(LONDON).eviction.is_none(), "nothing has begun");
    // Tokyo would stay and has to agree to an eviction on London's side, so the other side evicts both.
    story.evicts(LIMA, LONDON).unwrap();
    story.evicts(LIMA, TOKYO).unwrap();
    story.passes(500);
    assert_eq!(members(&mut story, 4), 3);
    story.heal();
    story.passes(8000);
    assert!(story.is_member(LONDON) && story.is_member(TOKYO), "as their next incarnations");
    assert_eq!(members(&mut story, TOKYO), 5);
    story.ends_well();
}

#[test]
fn evicting_a_node_that_is_out_already_changes_nothing_and_is_no_error() {
    let mut story = Story::of(3);
    story.crash(LIMA);
    story.evicts(LONDON, LIMA).unwrap();
    for _ in 0..5 {
        // The orders come while the eviction is under way, and after it.
        story.evicts(TOKYO, LIMA).unwrap();
        story.evicts(LONDON, LIMA).unwrap();
        story.passes(100);
    }
    assert_eq!(members(&mut story, LONDON), 2);
    story.start(LIMA);
    story.passes(8000);
    assert_eq!((story.incarnation(LIMA), members(&mut story, LONDON)), (1, 3));
    story.ends_well();
}

#[test]
fn a_member_that_is_to_leave_beside_a_dead_one_leaves_once_that_is_evicted() {
    let mut story = Story::of(4);
    story.crash(NEW);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(2000);
    // Lima has said that it holds alice, and the dead member does not hold it.
    story.leaves(LIMA).unwrap();
    story.passes(5000);
    assert!(!story.has_left(LIMA));
    let emil = story.claims(LONDON, &["emil"]);
    assert!(story.told(emil).is_some(), "others go on");
    let late = story.claims(LIMA, &["bob"]);
    assert!(matches!(story.refused(late), Some(Refusal::Leaving)), "{:?}", story.told(late));
    story.evicts(LONDON, NEW).unwrap();
    story.passes(15_000);
    assert!(story.has_left(LIMA));
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    story.ends_without(&[NEW], Loss::Down);
}

#[test]
fn a_leave_can_be_taken_back_before_it_has_begun() {
    let mut story = Story::of(4);
    story.crash(NEW);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(2000);
    story.leaves(LIMA).unwrap();
    story.passes(3000);
    let bob = story.claims(LIMA, &["bob"]);
    assert!(matches!(story.refused(bob), Some(Refusal::Leaving)), "{:?}", story.told(bob));
    assert!(story.cluster(LIMA).leaving_waits_for.is_some_and(|waits| waits.len() == 1), "it waits for the dead one");
    story.stays(LIMA).unwrap();
    let bob = story.claims(LIMA, &["bob"]);
    assert!(story.told(bob).is_some(), "{:?}", story.refused(bob));
    story.evicts(LONDON, NEW).unwrap();
    story.passes(1000);
    assert!(!story.has_left(LIMA));
    for slot in [alice, bob] {
        assert_eq!(story.status(TOKYO, slot), Some(Status::Confirmed), "Lima is a holder again");
    }
    assert_eq!(members(&mut story, LONDON), 3);
    story.leaves(LIMA).unwrap();
    story.passes(2000);
    assert!(story.has_left(LIMA), "and leaves when it is asked again");
    story.ends_without(&[NEW], Loss::Down);
}

#[test]
fn two_that_leave_at_once_both_leave() {
    for founders in [3, 4, 5] {
        for apart in [0, 5, 15, 40] {
            let mut story = Story::of(founders);
            story.claims(1, &["alice"]);
            story.leaves(1).unwrap();
            story.passes(apart);
            story.leaves(2).unwrap();
            story.passes(20_000);
            assert!(story.has_left(1) && story.has_left(2), "of {founders}, {apart} ms apart");
            assert_eq!(members(&mut story, 0), founders - 2);
            story.ends_well();
        }
    }
}

#[test]
fn a_member_leaves_while_clients_ask_all_the_time() {
    let mut story = Story::of(3);
    let (mut claims, mut left) = (Vec::new(), false);
    for number in 0..600 {
        if number == 50 {
            story.leaves(LIMA).unwrap();
        }
        for host in [LONDON, TOKYO, LIMA] {
            if number < 50 || host != LIMA {
                claims.push(story.claims(host, &[&format!("n{number}x{host}")]));
            }
        }
        story.passes(4);
        left |= story.has_left(LIMA);
    }
    assert!(left, "it does not wait for a pause");
    story.passes(1000);
    for slot in claims {
        assert_eq!(story.status(TOKYO, slot), Some(Status::Confirmed));
    }
    story.ends_well();
}

/// A member dies at any moment after the order to leave. Nothing that it said is lost, and an operator who evicts it
/// gets a cluster that goes on.
#[test]
fn a_member_that_dies_as_it_leaves_can_be_evicted() {
    for after in (0..80).step_by(4) {
        let mut story = Story::of(4);
        let alice = story.claims(NEW, &["alice"]);
        story.passes(100);
        story.leaves(NEW).unwrap();
        story.passes(after);
        let was_done = story.has_left(NEW);
        story.crash(NEW);
        let bob = story.claims(LONDON, &["bob"]);
        story.passes(3000);
        story.evicts(LONDON, NEW).unwrap();
        story.passes(3000);
        assert_eq!(members(&mut story, TOKYO), 3, "{after} ms");
        assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed), "{after} ms");
        assert_eq!(story.status(LIMA, bob), Some(Status::Confirmed), "{after} ms");
        if was_done { story.ends_well() } else { story.ends_without(&[NEW], Loss::Down) }
    }
}

#[test]
fn a_member_that_dies_as_it_leaves_and_comes_back_goes_on_leaving() {
    for after in (0..60).step_by(6) {
        let mut story = Story::of(3);
        story.leaves(LIMA).unwrap();
        story.passes(after);
        story.crash(LIMA);
        story.passes(3000);
        story.start(LIMA);
        story.passes(15_000);
        assert!(story.has_left(LIMA), "{after} ms");
        assert_eq!(members(&mut story, LONDON), 2);
        story.ends_well();
    }
}

/// Operators who evict live members crosswise leave no majority. Then only one thing is promised: no client is told
/// anything that is taken back later.
#[test]
fn evictions_that_cross_leave_no_majority() {
    let mut story = Story::of(3);
    story.evicts(LONDON, TOKYO).unwrap();
    let crossed = story.evicts(TOKYO, LIMA).is_ok();
    story.passes(2000);
    assert!(crossed, "Tokyo has not heard of its own eviction yet");
    story.ends_well();
}

/// Lima is dead, and Tokyo is asked to leave. London alone could not evict Lima.
#[test]
fn who_leaves_while_another_is_dead_waits_until_that_one_is_out_and_the_last_goes_on() {
    let mut story = Story::of(3);
    story.passes(500);
    story.crash(LIMA);
    story.passes(5000);
    assert_eq!(story.leaves(TOKYO), Ok(()));
    story.passes(5000);
    assert!(!story.has_left(TOKYO));
    assert_eq!(story.cluster(TOKYO).leaving_waits_for, Some([story.node(LIMA)].into()), "and it says for whom");
    assert_eq!(story.evicts(LONDON, LIMA), Ok(()));
    story.passes(5000);
    assert!(story.has_left(TOKYO));
    let alone = story.claims(LONDON, &["alice"]);
    story.passes(500);
    assert_eq!(story.status(LONDON, alone), Some(Status::Confirmed));
    story.start(LIMA);
    story.passes(10_000);
    assert_eq!((story.incarnation(LIMA), story.is_member(LIMA)), (1, true));
    story.ends_well();
}

/// A node refuses an eviction, because together with another eviction that is under way too few members would stay.
/// When the refusal is durable and goes out, that other eviction is over.
#[test]
fn a_refusal_counts_from_when_it_was_decided() {
    runs_well(include_str!("plans/a_refusal_that_waited_for_its_disk.json"));
}

/// Members of three are silent to each other in turn, over links that break in one direction. The first member begins the
/// eviction of the third with the second one's vote, which hears nothing of it; later the second and the third reach each
/// other, and the first is silent to both. They must not begin its eviction: together with the first it would leave nobody.
#[test]
fn a_vote_that_may_have_been_acted_upon_binds_until_the_other_side_is_heard() {
    let plan = include_str!("plans/two_evictions_by_one_vote_after_the_other.json");
    let plan = serde_json::from_str(plan).expect("a plan");
    assert_eq!(forename_sim::run::run(&plan).failure, None);
}

/// Now and then a message takes two seconds, and with it all that follow. With so short a time until an automatic eviction a
/// member counts as silent meanwhile, and a node that an operator asks for an eviction is not in contact with a majority.
#[test]
fn a_member_behind_a_link_that_is_slower_than_silence_is_not_in_contact() {
    let plan = include_str!("plans/a_link_that_is_slower_than_silence.json");
    let plan = serde_json::from_str(plan).expect("a plan");
    assert_eq!(forename_sim::run::run(&plan).failure, None);
}

/// Two evictions of five members cross on a slow disk. A member has declared the first at a cut that the second evicted had
/// frozen, and then the second. Another lacks an op up to the first cut. It does not declare the second alone, or a third
/// would find a lesser cut of the first, below a claim that was confirmed.
#[test]
fn an_eviction_is_not_declared_without_what_it_rests_on() {
    runs_well(include_str!("plans/an_eviction_declared_without_what_it_rests_on.json"));
}
