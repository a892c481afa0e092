//! Stories of members that go: evicted by an operator or automatically, back again, or leaving by themselves.

use std::collections::BTreeSet;

use forename::model::{EventType, MemberState, NameStatus, Status};
use forename::replica::Refusal;
use forename_sim::run::runs_well;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

#[test]
fn what_waits_for_a_dead_member_is_decided_once_it_is_evicted() {
    let mut story = Story::of(3);
    story.crash(LIMA);
    story.passes(3000);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(10_000);
    assert_eq!(
        story.status(LONDON, alice),
        Some(Status::Pending),
        "nothing hangs on a heartbeat, nor is it hurried by one"
    );
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(200);
    assert_eq!(story.status(TOKYO, alice), Some(Status::Confirmed));
    assert_eq!(story.cluster(LONDON).members.len(), 2);
    story.start(LIMA);
    story.passes(5000);
    assert_eq!(story.incarnation(LIMA), 1, "it comes back by itself, as somebody else");
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn what_an_evicted_node_took_alone_is_registered_again_under_its_id() {
    let mut story = Story::of(3);
    let dora = story.claims(LIMA, &["dora"]);
    story.passes(200);
    story.split(&[LIMA]);
    story.passes(100);
    let (carla, alice) = (story.claims(LIMA, &["carla"]), story.claims(LIMA, &["alice"]));
    story.passes(100);
    let accepted = story.sees(LIMA, carla).unwrap().accepted_at;
    let rival = story.claims(LONDON, &["alice"]);
    story.evicts(TOKYO, LIMA).unwrap();
    story.passes(500);
    assert_eq!(story.status(LONDON, rival), Some(Status::Confirmed), "though Lima was earlier");
    assert_eq!(story.status(LIMA, alice), Some(Status::Pending));
    story.heal();
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 1);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, carla), Some(Status::Confirmed), "nobody else wanted it");
        assert_eq!(story.status(city, alice), Some(Status::Rejected));
        let carla = story.sees(city, carla).unwrap();
        assert_eq!(carla.accepted_at, accepted, "it was accepted when its client was told so");
        assert_eq!(carla.reissued_at, Some(carla.stamp.hlc.into()), "and it counts from later on");
    }
    let told = story.feed(LIMA);
    let of = |kind| told.iter().filter(|event| event.event_type == kind).count();
    assert_eq!(
        (of(EventType::Rejected), of(EventType::Confirmed)),
        (1, 2),
        "each outcome once, in the feed that it had"
    );
    // What its earlier incarnation took counts as taken by itself.
    let own = story.feed_of_its_own(LIMA);
    let told: BTreeSet<_> = own.iter().map(|event| event.data.registration.id).collect();
    let took = [dora, carla, alice].map(|slot| story.sees(LIMA, slot).unwrap().id);
    assert_eq!(told, BTreeSet::from(took));
    story.ends_well();
}

#[test]
fn a_client_that_waits_at_an_evicted_node_is_told_the_outcome() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let dora = story.claims(LIMA, &["dora"]);
    story.evicts(LONDON, LIMA).unwrap();
    story.heal();
    story.passes(8000);
    assert_eq!(story.sees(LIMA, dora).unwrap().status, Status::Confirmed);
    story.ends_well();
}

#[test]
fn whoever_leaves_holds_nobody_up() {
    let mut story = Story::of(2);
    let alice = story.claims(TOKYO, &["alice"]);
    story.leaves(TOKYO).unwrap();
    story.passes(1000);
    assert!(story.has_left(TOKYO));
    let bob = story.claims(LONDON, &["bob"]);
    story.passes(100);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed), "what it had issued counts");
    assert_eq!(story.status(LONDON, bob), Some(Status::Confirmed));
    assert!(matches!(story.leaves(LONDON), Err(Refusal::LastMember)));
    story.ends_well();
}

#[test]
fn others_show_who_leaves_and_that_it_stays_after_all() {
    let mut story = Story::of(3);
    story.passes(500);
    story.split(&[LIMA]);
    // Lima will not hold this, so Tokyo waits for it.
    story.claims(TOKYO, &["alice"]);
    story.leaves(TOKYO).unwrap();
    let states = |story: &mut Story| -> Vec<MemberState> {
        story.cluster(LONDON).members.iter().map(|member| member.state).collect()
    };
    story.passes(1500);
    assert_eq!(states(&mut story), [MemberState::Member, MemberState::Leaving, MemberState::Member]);
    story.stays(TOKYO).unwrap();
    story.passes(1500);
    assert_eq!(states(&mut story), [MemberState::Member; 3]);
    story.heal();
    story.passes(1000);
    story.ends_well();
}

#[test]
fn all_but_one_may_leave_one_after_the_other() {
    let mut story = Story::of(5);
    for host in [4, 3, 2, 1] {
        story.leaves(host).unwrap();
        story.passes(1000);
        assert!(story.has_left(host), "host {host}");
    }
    assert_eq!(story.cluster(LONDON).members.len(), 1);
    story.ends_well();
}

#[test]
fn five_may_be_evicted_down_to_two_one_after_the_other() {
    let mut story = Story::of(5);
    for host in [4, 3, 2] {
        story.crash(host);
        story.passes(500);
        story.evicts(LONDON, host).unwrap();
        story.passes(500);
    }
    assert_eq!(story.cluster(TOKYO).members.len(), 2, "a majority of those who were left each time");
    let alice = story.claims(TOKYO, &["alice"]);
    story.passes(200);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn half_of_a_cluster_evicts_nobody() {
    let mut story = Story::of(2);
    story.crash(TOKYO);
    let refused = story.evicts(LONDON, TOKYO).unwrap_err();
    assert!(matches!(refused, Refusal::NoMajority { members: 2, .. }), "{refused}");
    assert!(matches!(story.evicts(LONDON, LONDON), Err(Refusal::InvalidRequest(_))));
    story.ends_well();
}

#[test]
fn a_silent_member_is_evicted_by_itself_where_the_operator_has_asked_for_that() {
    let mut story = Story::evicting_after(3, 3000);
    story.crash(LIMA);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(2000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Pending));
    story.passes(3000);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed));
    story.start(LIMA);
    story.passes(8000);
    assert!(story.is_member(LIMA));
    story.ends_well();
}

#[test]
fn a_link_that_is_cut_is_no_reason_for_an_eviction() {
    let mut story = Story::evicting_after(3, 2000);
    story.cut(&[(LONDON, LIMA)]);
    story.passes(20_000);
    let alice = story.claims(LIMA, &["alice"]);
    story.passes(500);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed), "by way of Tokyo");
    assert_eq!((story.incarnation(LONDON), story.incarnation(LIMA)), (0, 0));
    story.ends_well();
}

#[test]
fn two_halves_that_do_not_hear_each_other_evict_nobody() {
    let mut story = Story::evicting_after(4, 2000);
    story.split(&[0, 1]);
    story.passes(20_000);
    story.heal();
    story.passes(1000);
    assert!((0..4).all(|host| story.incarnation(host) == 0));
    assert_eq!(story.cluster(LONDON).members.len(), 4);
    story.ends_well();
}

#[test]
fn an_evicted_node_hears_of_it_from_members_that_have_all_come_back_as_others() {
    let mut story = Story::of(4);
    story.split(&[3]);
    story.evicts(LONDON, 3).unwrap();
    story.passes(500);
    for (host, by) in [(LONDON, TOKYO), (TOKYO, LIMA), (LIMA, LONDON)] {
        story.crash(host);
        story.passes(500);
        story.evicts(by, host).unwrap();
        story.start(host);
        story.passes(8000);
        assert_eq!(story.incarnation(host), 1);
    }
    assert!(story.is_member(3), "by all that it knows");
    story.heal();
    story.passes(8000);
    assert_eq!(story.incarnation(3), 1);
    story.ends_well();
}

#[test]
fn whoever_is_put_out_before_it_has_the_state_takes_the_next_id() {
    let mut story = Story::with_joiners(3, &[LONDON]);
    let empty = story.copy_disk(3);
    story.start(3);
    story.passes(3000);
    assert!(story.is_member(3));
    story.crash(3);
    story.restore_disk(3, &empty);
    story.evicts(LONDON, 3).unwrap();
    story.passes(500);
    story.start(3);
    story.passes(8000);
    assert_eq!(story.incarnation(3), 1, "under the first it would ask for ever");
    assert!(story.is_member(3));
    story.ends_well();
}

#[test]
fn a_name_that_was_freed_by_an_evicted_node_alone_stays_taken() {
    let mut story = Story::of(3);
    let alice = story.claims(LIMA, &["alice"]);
    story.passes(200);
    story.split(&[LIMA]);
    story.releases(LIMA, alice);
    story.passes(200);
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(500);
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Held, "the release is void");
    story.heal();
    story.passes(8000);
    assert_eq!(story.name(TOKYO, "alice"), NameStatus::Available, "until it is issued again");
    story.ends_well();
}

#[test]
fn a_newcomer_is_let_in_once_the_dead_are_out() {
    let mut story = Story::with_joiners(3, &[LONDON]);
    story.crash(LIMA);
    story.passes(4000);
    story.start(3);
    story.passes(3000);
    assert!(!story.is_member(3), "not all members were heard of just now");
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(10_000);
    assert!(story.is_member(3));
    story.start(LIMA);
    story.ends_well();
}

#[test]
fn what_only_those_hold_who_are_put_out_together_is_void_and_registered_again() {
    let mut story = Story::of(5);
    let (oslo, rome) = (3, 4);
    story.split(&[oslo, rome]);
    story.evicts(LONDON, rome).unwrap();
    story.evicts(rome, oslo).unwrap();
    let alice = story.claims(rome, &["alice"]);
    story.passes(100);
    story.crash(rome);
    story.heal();
    story.passes(10_000);
    assert_eq!(story.status(LONDON, alice), None, "it came after what those who stay have of Rome's log");
    story.start(rome);
    story.passes(10_000);
    assert_eq!(story.incarnation(rome), 1);
    assert_eq!(story.status(LONDON, alice), Some(Status::Confirmed), "Rome registers it again");
    story.ends_well();
}

#[test]
fn a_log_keeps_what_some_member_lacks_and_no_more() {
    let mut story = Story::of(3);
    for name in ["alice", "bob", "carla"] {
        story.claims(LONDON, &[name]);
        story.passes(200);
    }
    story.passes(5000);
    assert_eq!(story.logged(TOKYO, LONDON), 0, "all hold all");
    story.crash(LIMA);
    for name in ["dora", "emil", "fritz"] {
        story.claims(LONDON, &[name]);
        story.passes(200);
    }
    story.passes(5000);
    assert_eq!(story.logged(TOKYO, LONDON), 3, "Lima will ask for them");
    story.start(LIMA);
    story.passes(8000);
    assert_eq!((story.logged(TOKYO, LONDON), story.logged(LIMA, LONDON)), (0, 0));
    story.ends_well();
}

/// Lima begins the eviction of London, and Tokyo hears of nothing. London and Lima hold what Lima takes then, and they
/// are a majority of three. But London is about to be out, and Lima may be lost.
#[test]
fn what_a_member_issues_after_it_froze_another_is_not_held_by_that_one() {
    let mut story = Story::of(3);
    story.passes(500);
    story.cut_way(LIMA, TOKYO);
    story.cut_way(LONDON, TOKYO);
    let before = story.claims(LIMA, &["alice"]);
    assert_eq!(story.evicts(LIMA, LONDON), Ok(()));
    let after = story.claims(LIMA, &["dora"]);
    story.passes(2000);
    assert!(story.sees(LONDON, after).is_some());
    assert_eq!(story.status(LONDON, before), Some(Status::Confirmed), "whoever finishes the removal has it");
    assert_eq!(story.status(LONDON, after), Some(Status::Pending));
    assert_eq!(story.status(LIMA, after), Some(Status::Pending));
    story.heal();
    story.passes(20_000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, after), Some(Status::Confirmed));
    }
    story.ends_well();
}

/// Tokyo was evicted while it was away, and never heard of Lima. Only London knew both, and has left.
#[test]
fn one_that_knows_nobody_who_is_left_finds_out_once_its_operator_tells_it_whom_to_join() {
    let mut story = Story::with_joiners(2, &[LONDON]);
    story.passes(500);
    story.crash(TOKYO);
    story.start(LIMA);
    story.passes(1000);
    assert!(story.is_member(LIMA));
    story.evicts(LONDON, TOKYO).unwrap();
    story.passes(1000);
    story.leaves(LONDON).unwrap();
    story.passes(5000);
    assert!(story.has_left(LONDON));
    story.start(TOKYO);
    story.passes(10_000);
    let cluster = story.cluster(TOKYO);
    assert!(cluster.member && story.incarnation(TOKYO) == 0, "nobody whom it knows can tell it");
    let others = cluster.members.iter().filter(|member| member.node != cluster.node);
    assert!(others.map(|member| member.connected).all(|connected| !connected), "and it shows that it reaches nobody");
    let alice = story.claims(LIMA, &["alice"]);
    story.passes(100);
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed), "the others go on without it");
    // Its operator makes it rejoin through Lima, as docs/operations.md says.
    story.ends_well();
}

/// A member that leaves joins in the eviction of another one, of whose log it alone has the last ops: its freeze is the cut. It
/// must not go before the others have these ops.
#[test]
fn a_leaver_hands_over_what_it_has_frozen() {
    runs_well(include_str!("plans/a_cut_that_only_a_leaver_holds.json"));
}

/// Only one member has the last ops of the one that is evicted. It declares the eviction, the evicted node hears of that, and
/// then the member is lost for good. The evicted node must not drop its ops before a majority has them.
#[test]
fn an_evicted_node_keeps_its_ops_until_a_majority_has_them() {
    runs_well(include_str!("plans/a_cut_that_only_the_evicted_holds.json"));
}

/// The first member admits a newcomer, and its disk is full before that is durable. It admits it again after an operator has
/// begun its eviction, beyond the cut. So neither admission counts, nor what the newcomer issued meanwhile.
#[test]
fn an_admission_that_was_lost_in_a_crash_does_not_count() {
    runs_well(include_str!("plans/an_admission_that_was_lost_in_a_crash.json"));
}

/// Of two members one leaves, and its disk is full before its departure is durable. It is back as a member when the other one
/// departs, which it may.
#[test]
fn a_departure_that_was_lost_in_a_crash_does_not_count() {
    runs_well(include_str!("plans/a_departure_that_was_lost_in_a_crash.json"));
}
