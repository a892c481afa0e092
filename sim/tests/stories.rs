//! Stories of the rules of the protocol: who claims what, what fails, and what clients are told.

use forename::model::{EndReason, EventType, NameStatus, Status, WaitReason};
use forename::replica::Refusal;
use forename_sim::plan::{Kind, Loss, Pick, Trouble, Wish};
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

fn events(story: &mut Story, host: usize, kind: EventType) -> usize {
    story.feed(host).iter().filter(|event| event.event_type == kind).count()
}

#[test]
fn a_name_is_confirmed_one_round_trip_after_it_was_claimed() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    assert_eq!(story.told(alice).unwrap().status, Status::Pending);
    assert_eq!(story.name(LONDON, "alice"), NameStatus::Pending);
    story.passes(25);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    assert_eq!(story.name(LONDON, "Alice"), NameStatus::Held, "case does not make another name");
    story.ends_well();
}

#[test]
fn a_node_alone_confirms_at_once() {
    let mut story = Story::of(1);
    let alice = story.claims(LONDON, &["alice"]);
    assert_eq!(story.told(alice).unwrap().status, Status::Confirmed);
    story.ends_well();
}

#[test]
fn of_two_claims_at_the_same_moment_the_earlier_wins_everywhere() {
    let mut story = Story::of(3);
    let first = story.claims(TOKYO, &["alice"]);
    let second = story.claims(LONDON, &["alice"]);
    assert_eq!(story.told(second).unwrap().status, Status::Pending, "London has not heard of it");
    story.passes(100);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, first), Some(Status::Confirmed));
        assert_eq!(story.status(city, second), Some(Status::Rejected));
    }
    let lost = story.sees(LONDON, second).unwrap().rejected_by.unwrap();
    assert_eq!(Some(lost.registration), story.told(first).map(|view| view.id), "the rejection names the winner");
    story.ends_well();
}

#[test]
fn a_name_that_is_held_is_refused_at_once() {
    let mut story = Story::of(3);
    story.claims(LONDON, &["alice"]);
    story.passes(100);
    let late = story.claims(TOKYO, &["alice", "bob"]);
    assert!(matches!(story.refused(late), Some(Refusal::NameTaken { names }) if names.len() == 1));
    assert_eq!(story.name(TOKYO, "bob"), NameStatus::Available, "nothing was registered");
    story.ends_well();
}

#[test]
fn a_cut_off_node_still_takes_names_and_they_stay_pending_until_it_heals() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let alice = story.claims(LIMA, &["alice"]);
    let bob = story.claims(LONDON, &["bob"]);
    story.passes(60_000);
    assert_eq!(story.status(LIMA, alice), Some(Status::Pending));
    assert_eq!(story.status(LONDON, bob), Some(Status::Pending), "Lima may have taken it earlier");
    let waits: Vec<_> = story.sees(LONDON, bob).unwrap().waiting_for;
    assert_eq!(waits.iter().map(|wait| wait.label.as_str()).collect::<Vec<_>>(), ["host2"]);
    story.heal();
    story.passes(3000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    assert_eq!(story.status(LIMA, bob), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn the_earlier_claim_wins_although_it_was_cut_off() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let lima = story.claims(LIMA, &["alice"]);
    story.passes(500);
    let london = story.claims(LONDON, &["alice"]);
    story.passes(30_000);
    assert_eq!(story.status(LONDON, london), Some(Status::Pending));
    story.heal();
    story.passes(3000);
    assert_eq!(story.status(TOKYO, lima), Some(Status::Confirmed));
    assert_eq!(story.status(TOKYO, london), Some(Status::Rejected));
    assert_eq!(events(&mut story, LONDON, EventType::Rejected), 1);
    story.ends_well();
}

#[test]
fn a_contest_is_told_before_it_is_final() {
    let mut story = Story::of(3);
    story.cut(&[(LONDON, LIMA), (TOKYO, LIMA)]);
    let first = story.claims(LONDON, &["alice"]);
    let second = story.claims(TOKYO, &["alice"]);
    story.passes(11);
    assert_eq!(story.status(TOKYO, first), Some(Status::Pending));
    let status = story.status(TOKYO, second).unwrap();
    assert!(matches!(status, Status::Contested | Status::Rejected), "{status:?}");
    assert_eq!(events(&mut story, TOKYO, EventType::Confirmed), 0, "Lima is silent");
    story.heal();
    story.ends_well();
}

#[test]
fn nothing_is_confirmed_while_one_member_is_silent() {
    let mut story = Story::of(5);
    story.crash(4);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(120_000);
    for city in 0..4 {
        assert_eq!(story.status(city, alice), Some(Status::Pending));
    }
    story.start(4);
    story.passes(5000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_registration_that_loses_one_name_frees_its_others() {
    let mut story = Story::of(3);
    let alice = story.claims(TOKYO, &["alice"]);
    let both = story.claims(LONDON, &["alice", "email/a@example.org"]);
    story.passes(200);
    assert_eq!(story.status(LIMA, both), Some(Status::Rejected));
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    assert_eq!(story.name(LIMA, "email/a@example.org"), NameStatus::Available);
    let again = story.claims(LIMA, &["email/a@example.org"]);
    story.passes(100);
    assert_eq!(story.status(LONDON, again), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn who_lost_to_a_loser_stays_a_loser() {
    let mut story = Story::of(3);
    // Tokyo is the first to claim alice. London is second and also claims bob. Lima is third and claims bob.
    let first = story.claims(TOKYO, &["alice"]);
    let second = story.claims(LONDON, &["alice", "bob"]);
    let third = story.claims(LIMA, &["bob"]);
    story.passes(200);
    assert_eq!(story.status(LONDON, first), Some(Status::Confirmed));
    assert_eq!(story.status(LONDON, second), Some(Status::Rejected));
    assert_eq!(story.status(LONDON, third), Some(Status::Rejected), "no rejection is taken back");
    assert_eq!(story.name(LONDON, "bob"), NameStatus::Available);
    story.ends_well();
}

#[test]
fn a_released_name_is_free_once_that_is_final() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(100);
    story.releases(TOKYO, alice);
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Ending);
    let early = story.claims(TOKYO, &["alice"]);
    assert!(matches!(story.refused(early), Some(Refusal::NameTaken { .. })));
    story.passes(100);
    let later = story.claims(TOKYO, &["alice"]);
    story.passes(100);
    assert_eq!(story.status(LONDON, later), Some(Status::Confirmed));
    assert_eq!(story.sees(LONDON, alice).unwrap().names[0].ended, Some(EndReason::Released));
    story.ends_well();
}

#[test]
fn a_freed_name_is_not_free_where_its_freeing_is_not_known_to_be_final() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(100);
    story.split(&[LIMA]);
    story.releases(LONDON, alice);
    story.passes(30_000);
    assert_eq!(story.name(LONDON, "alice"), NameStatus::Ending, "Lima may not know");
    assert_eq!(story.name(LIMA, "alice"), NameStatus::Held);
    story.heal();
    story.passes(3000);
    assert_eq!(story.name(LIMA, "alice"), NameStatus::Available);
    story.ends_well();
}

#[test]
fn one_name_of_a_registration_can_be_given_up() {
    let mut story = Story::of(3);
    let both = story.claims(LONDON, &["alice", "bob"]);
    story.passes(100);
    story.releases_name(LIMA, both, 1);
    story.passes(100);
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Held);
    assert_eq!(story.name(TOKYO, "bob"), NameStatus::Available);
    story.ends_well();
}

#[test]
fn a_reservation_ends_by_itself() {
    let mut story = Story::of(3);
    let alice = story.reserves(LONDON, &["alice"], 1000);
    story.passes(200);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    story.passes(3000);
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Available);
    assert_eq!(story.sees(LIMA, alice).unwrap().names[0].ended, Some(EndReason::Expired));
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed), "what was confirmed stays so");
    story.ends_well();
}

#[test]
fn a_reservation_that_is_activated_in_time_stays() {
    let mut story = Story::of(3);
    let alice = story.reserves(LONDON, &["alice"], 2000);
    story.passes(500);
    story.activates(LIMA, alice);
    story.passes(10_000);
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Held);
    assert!(story.sees(TOKYO, alice).unwrap().activated);
    story.ends_well();
}

#[test]
fn an_activation_that_comes_too_late_is_refused() {
    let mut story = Story::of(3);
    let alice = story.reserves(LONDON, &["alice"], 1000);
    story.passes(1500);
    story.activates(LIMA, alice);
    assert!(matches!(story.refused(alice), Some(Refusal::TooLate { .. })));
    story.ends_well();
}

#[test]
fn during_a_partition_a_reservation_stays() {
    let mut story = Story::of(3);
    let alice = story.reserves(LONDON, &["alice"], 2000);
    story.passes(200);
    story.split(&[LIMA]);
    story.activates(LIMA, alice);
    story.passes(60_000);
    assert_eq!(story.name(LONDON, "alice"), NameStatus::Held, "Lima may have activated it, and did");
    story.heal();
    story.passes(3000);
    assert!(story.sees(LONDON, alice).unwrap().activated);
    story.ends_well();
}

#[test]
fn a_rename_holds_both_names_until_it_is_final() {
    let mut story = Story::of(3);
    let old = story.claims(LONDON, &["alice"]);
    story.passes(100);
    let new = story.renames(LONDON, old, "alicia");
    assert_eq!(story.name(LONDON, "alice"), NameStatus::Held);
    assert_eq!(story.name(LONDON, "alicia"), NameStatus::Pending);
    story.passes(100);
    assert_eq!(story.status(TOKYO, new), Some(Status::Confirmed));
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Available);
    assert_eq!(story.sees(TOKYO, old).unwrap().names[0].ended, Some(EndReason::Replaced));
    story.ends_well();
}

#[test]
fn a_rename_that_loses_changes_nothing() {
    let mut story = Story::of(3);
    let old = story.claims(LONDON, &["alice"]);
    story.passes(100);
    let other = story.claims(TOKYO, &["alicia"]);
    let new = story.renames(LONDON, old, "alicia");
    story.passes(200);
    assert_eq!(story.status(LIMA, other), Some(Status::Confirmed));
    assert_eq!(story.status(LIMA, new), Some(Status::Rejected));
    assert_eq!(story.name(LIMA, "alice"), NameStatus::Held);
    story.ends_well();
}

#[test]
fn a_retry_at_another_node_is_one_registration() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    story.retries(TOKYO, alice);
    story.passes(300);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, alice), Some(Status::Confirmed));
        assert_eq!(events(&mut story, city, EventType::Accepted), 1);
        assert_eq!(events(&mut story, city, EventType::Confirmed), 1);
        assert_eq!(events(&mut story, city, EventType::Rejected), 0, "the later twin loses silently");
    }
    story.ends_well();
}

#[test]
fn a_retry_whose_first_request_is_cut_off_is_still_one_registration() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let alice = story.claims(LIMA, &["alice"]);
    story.passes(5000);
    story.retries(LONDON, alice);
    story.passes(5000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Pending));
    story.heal();
    story.passes(3000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    assert_eq!(story.stamp(alice).map(|stamp| stamp.node.0 >> 16), Some(1), "told last by London, of its own");
    assert_eq!(story.sees(LONDON, alice).unwrap().node.0 >> 16, 3, "but the earlier one stands");
    story.ends_well();
}

#[test]
fn an_id_with_other_content_is_refused() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(100);
    let names = vec!["bob".to_owned()];
    let bob = story.wishes(TOKYO, Wish { own_id: true, id_of: Some(alice), names, ..Wish::default() });
    assert!(matches!(story.refused(bob), Some(Refusal::IdReused(_))));
    story.ends_well();
}

#[test]
fn a_client_that_waits_is_told_the_outcome() {
    let mut story = Story::of(3);
    let names = vec!["alice".to_owned()];
    let alice = story.wishes(LONDON, Wish { names: names.clone(), wait: Some(5000), ..Wish::default() });
    let other = story.wishes(TOKYO, Wish { names, wait: Some(5000), ..Wish::default() });
    assert!(story.told(alice).is_none(), "not yet");
    story.passes(200);
    assert_eq!(story.told(alice).unwrap().status, Status::Confirmed);
    assert_eq!(story.told(other).unwrap().status, Status::Rejected);
    story.ends_well();
}

#[test]
fn a_client_that_waits_in_vain_is_told_so_in_time() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let wish = Wish { names: vec!["alice".to_owned()], wait: Some(1999), ..Wish::default() };
    let alice = story.wishes(LONDON, wish);
    story.passes(1900);
    assert!(story.told(alice).is_none());
    story.passes(200);
    assert_eq!(story.told(alice).unwrap().status, Status::Pending);
    story.heal();
    story.ends_well();
}

#[test]
fn a_client_does_not_wait_for_a_member_that_is_out_of_reach_unless_it_says_so() {
    let mut story = Story::of(3);
    let waits = |name: &str, wait| Wish { names: vec![name.to_owned()], wait: Some(wait), ..Wish::default() };
    story.split(&[LIMA]);
    let (alice, anna) = (story.wishes(LONDON, waits("alice", 20_000)), story.wishes(LONDON, waits("anna", 20_001)));
    story.passes(1000);
    assert!(story.told(alice).is_none(), "Lima may answer any moment");
    story.passes(4000);
    let told = story.told(alice).unwrap();
    assert_eq!(told.status, Status::Pending, "Lima has fallen silent while the client waited");
    assert_eq!(told.waiting_for[0].reason, WaitReason::OutOfReach);
    let bob = story.wishes(LONDON, waits("bob", 20_000));
    story.passes(10);
    assert_eq!(
        story.told(bob).unwrap().status,
        Status::Pending,
        "it is known to be silent: there is nothing to wait for"
    );
    assert!(story.told(anna).is_none(), "this one waits whoever is out of reach");
    story.heal();
    story.passes(3000);
    assert_eq!(story.told(anna).unwrap().status, Status::Confirmed);
    let carl = story.wishes(LONDON, waits("carl", 20_000));
    assert!(story.told(carl).is_none());
    story.passes(200);
    assert_eq!(story.told(carl).unwrap().status, Status::Confirmed, "Lima is back, and waited for again");
    story.ends_well();
}

#[test]
fn those_that_cannot_reach_each_other_converge_through_a_third() {
    let mut story = Story::of(3);
    story.cut(&[(LONDON, LIMA)]);
    story.kill(LONDON, LIMA);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(2000);
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_link_that_works_one_way_only_stops_nobody() {
    let mut story = Story::of(3);
    story.cut_way(LONDON, LIMA);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(4000);
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn what_was_answered_survives_a_crash() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    assert!(story.told(alice).is_some());
    story.crash(LONDON);
    story.passes(1000);
    story.start(LONDON);
    story.passes(2000);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    assert_eq!(events(&mut story, LONDON, EventType::Confirmed), 1);
    story.ends_well();
}

#[test]
fn nothing_is_said_before_it_is_on_the_disk() {
    let mut story = Story::of(3);
    story.slow_disk(LONDON, 5000);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(300);
    assert!(story.told(alice).is_none(), "the fsync takes half a second");
    assert!(story.sees(TOKYO, alice).is_none());
    story.crash(LONDON);
    story.slow_disk(LONDON, 1);
    story.start(LONDON);
    story.passes(1000);
    assert!(story.sees(LONDON, alice).is_none(), "lost, and nobody was told otherwise");
    assert_eq!(story.name(LONDON, "alice"), NameStatus::Available);
    story.ends_well();
}

#[test]
fn a_clock_set_back_does_not_reorder_what_its_node_says() {
    let mut story = Story::of(3);
    let first = story.claims(LONDON, &["alice"]);
    story.step_clock(LONDON, -4000);
    let second = story.claims(LONDON, &["bob"]);
    assert!(story.stamp(second) > story.stamp(first));
    story.crash(LONDON);
    story.start(LONDON);
    story.passes(1000);
    let third = story.claims(LONDON, &["carol"]);
    assert!(story.stamp(third) > story.stamp(second));
    story.ends_well();
}

#[test]
fn a_node_whose_clock_is_off_takes_no_registrations() {
    let mut story = Story::of(3);
    story.step_clock(LIMA, 60_000);
    story.passes(3000);
    let alice = story.claims(LIMA, &["alice"]);
    assert!(matches!(story.refused(alice), Some(Refusal::ClockSuspect { .. })));
    story.step_clock(LIMA, -60_000);
    story.passes(3000);
    let alice = story.claims(LIMA, &["alice"]);
    assert!(story.told(alice).is_some());
    story.ends_well();
}

#[test]
fn halves_that_see_each_other_only_through_one_node_agree() {
    let mut story = Story::of(5);
    story.suffers(Trouble::Bridge { over: 2, side: vec![0, 1] }, 60_000);
    story.passes(2000);
    let west = story.claims(0, &["alice"]);
    let east = story.claims(4, &["alice"]);
    story.passes(5000);
    for host in 0..5 {
        assert_eq!(story.status(host, west), Some(Status::Confirmed));
        assert_eq!(story.status(host, east), Some(Status::Rejected));
    }
    story.ends_well();
}

#[test]
fn around_a_ring_everything_reaches_everybody() {
    let mut story = Story::of(6);
    story.suffers(Trouble::Ring, 60_000);
    story.passes(2000);
    let here = story.claims(0, &["alice"]);
    let opposite = story.claims(3, &["alice"]);
    story.passes(8000);
    for host in 0..6 {
        assert_eq!(story.status(host, here), Some(Status::Confirmed));
        assert_eq!(story.status(host, opposite), Some(Status::Rejected));
    }
    story.ends_well();
}

#[test]
fn a_link_that_comes_and_goes_delays_and_loses_nothing() {
    let mut story = Story::of(2);
    story.suffers(Trouble::Flaps(LONDON, TOKYO, 1500), 30_000);
    let mut claims = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        claims.push(story.claims(LONDON, &[name]));
        story.passes(1000);
    }
    story.passes(25_000);
    for claim in claims {
        assert_eq!(story.status(TOKYO, claim), Some(Status::Confirmed));
    }
    assert_eq!(events(&mut story, TOKYO, EventType::Confirmed), 8, "each was told once");
    story.ends_well();
}

#[test]
fn what_a_narrow_link_carries_takes_its_time() {
    let mut story = Story::of(2);
    story.suffers(Trouble::Narrow(LONDON, TOKYO, 10_000), 120_000);
    story.imports(LONDON, 8, 2000);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(500);
    assert_eq!(story.status(TOKYO, alice), None, "it stands behind 16 kB");
    story.passes(20_000);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn ops_get_through_without_acknowledgements_and_nothing_is_final() {
    let mut story = Story::of(3);
    for to in [LONDON, TOKYO] {
        story.suffers(Trouble::Picky(Pick { from: LIMA, to, kind: Kind::Vector, lost: 100, late: 0 }), 10_000);
    }
    let alice = story.claims(LIMA, &["alice"]);
    let bob = story.claims(LONDON, &["bob"]);
    story.passes(5000);
    assert!(story.sees(TOKYO, alice).is_some(), "the op itself is no acknowledgement");
    assert_eq!(story.status(LONDON, bob), Some(Status::Pending), "Lima has promised nothing since");
    story.passes(10_000);
    assert_eq!(story.status(LONDON, bob), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_full_disk_stops_its_node_and_costs_nothing_that_was_answered() {
    let mut story = Story::of(3);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(100);
    story.suffers(Trouble::DiskFull(LONDON), 5000);
    let bob = story.claims(LONDON, &["bob"]);
    story.passes(1000);
    assert!(story.stopped(LONDON).is_some_and(|why| why.contains("no space left")), "it must not go on");
    assert!(story.told(bob).is_none(), "nobody was told of what is not on the disk");
    story.passes(8000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed), "there is room, and it is back");
    assert_eq!(story.name(LONDON, "bob"), NameStatus::Available);
    story.ends_well();
}

#[test]
fn a_clock_that_stands_still_holds_up_what_is_final_and_nothing_else() {
    let mut story = Story::of(3);
    story.suffers(Trouble::Frozen(LIMA), 4000);
    story.passes(1000);
    let early = story.claims(LIMA, &["alice"]);
    let late = story.claims(LONDON, &["bob"]);
    story.passes(100);
    assert!(story.told(early).is_some(), "it takes names");
    assert_eq!(story.status(TOKYO, early), Some(Status::Confirmed));
    assert_eq!(story.status(TOKYO, late), Some(Status::Confirmed), "Lima's timestamps follow those it sees");
    story.ends_well();
}

#[test]
fn a_clock_set_back_while_its_node_is_down_breaks_no_promise() {
    let mut story = Story::of(3);
    let first = story.claims(LONDON, &["alice"]);
    story.passes(1000);
    story.suffers(Trouble::ClockStepDown(LONDON, -4000), 500);
    story.passes(2000);
    let second = story.claims(LONDON, &["bob"]);
    assert!(story.stamp(second) > story.stamp(first));
    story.passes(1000);
    assert_eq!(story.status(TOKYO, second), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn without_a_silent_member_nothing_later_than_its_last_word_is_decided() {
    let mut story = Story::of(5);
    let before = story.claims(4, &["alice"]);
    story.passes(100);
    story.crash(4);
    let after = story.claims(LONDON, &["bob"]);
    story.passes(30_000);
    for host in 0..4 {
        assert_eq!(story.status(host, before), Some(Status::Confirmed));
        let view = story.sees(host, after).unwrap();
        assert_eq!(view.status, Status::Pending);
        assert_eq!(view.waiting_for.iter().map(|wait| wait.label.as_str()).collect::<Vec<_>>(), ["host4"]);
    }
    story.ends_without(&[4], Loss::Down);
}

#[test]
fn two_of_five_that_cannot_be_heard_stop_no_client() {
    let mut story = Story::of(5);
    let alice = story.claims(3, &["alice"]);
    story.passes(100);
    story.claims(4, &["bob"]);
    story.claims(LONDON, &["bob"]);
    story.activates(TOKYO, alice);
    story.ends_without(&[3, 4], Loss::Mute);
}

/// Found by seed 894. London dies for good after Lima heard its promise and decided by it. Then both others restart.
/// London's promise had been in their memory only, and Tokyo waited for ever for what Lima had confirmed.
#[test]
fn what_one_node_decided_by_a_promise_others_can_decide_after_restarts() {
    let mut story = Story::of(3);
    story.passes(1000);
    story.cut_way(LONDON, TOKYO);
    story.cut_way(LIMA, TOKYO);
    let bob = story.claims(LIMA, &["bob"]);
    story.passes(2500);
    assert_eq!(story.status(LIMA, bob), Some(Status::Confirmed), "London holds it, and Tokyo's word gets out");
    [LONDON, TOKYO, LIMA].into_iter().for_each(|city| story.crash(city));
    story.heal();
    story.start(TOKYO);
    story.start(LIMA);
    story.passes(5000);
    assert_eq!(story.status(TOKYO, bob), Some(Status::Confirmed));
    story.ends_without(&[LONDON], Loss::Down);
}
