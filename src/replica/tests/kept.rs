//! Released names that are kept from others for a while, and other spellings of one's own name.

use super::*;
use crate::name::{Hold, Rules};

const HOUR: u64 = 3_600_000;

fn owned_by(owner: &str, name: &str) -> RegisterRequest {
    RegisterRequest { owner: owner.into(), ..names(&[name]) }
}

/// A cluster in which released user names are kept for an hour.
fn keeps(count: u64, owner_may: bool) -> Cluster {
    let mut cluster = Cluster::founded(count);
    let rules = Rules::default_of("username").with_hold(Some(Hold { millis: HOUR, owner_may })).unwrap();
    let set = SetRules { namespace: "username".into(), rules: Box::new(rules), if_version: None };
    assert!(cluster.reply(1, set).is_ok());
    cluster.pass(500);
    cluster
}

fn releases(cluster: &mut Cluster, n: u64, owner: &str, name: &str) {
    let release = Command::ReleaseName { owner: owner.into(), name: name_request(name) };
    assert!(cluster.reply(n, release).is_ok());
    cluster.pass(500);
}

/// Returns until when a name is kept from the one who asks for it; none where it is not kept.
fn refused(cluster: &mut Cluster, n: u64, request: RegisterRequest) -> Option<Time> {
    match cluster.reply(n, Command::Register(request)) {
        Ok(_) => None,
        Err(Refusal::NameTaken { names }) => Some(names[0].free_at.expect("it is held by nobody")),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_name_that_was_given_up_is_kept_from_others_for_a_while() {
    let mut cluster = keeps(2, true);
    let (began, alice) = (cluster.now.wall, cluster.register(1, owned_by("ann", "alice")));
    releases(&mut cluster, 1, "ann", "alice");
    assert_eq!(cluster.view(2, alice.id).names[0].ended, Some(EndReason::Released));
    for n in 1..=2 {
        assert_eq!(cluster.name(n, "alice"), NameStatus::Ending);
        let until = refused(&mut cluster, n, owned_by("bob", "Alice")).unwrap();
        assert!((0..2000).contains(&until.0.since(began.plus(HOUR))), "{until:?}");
    }
    cluster.pass(HOUR);
    assert_eq!(cluster.name(2, "alice"), NameStatus::Available);
    assert_eq!(refused(&mut cluster, 2, owned_by("bob", "alice")), None);
}

#[test]
fn its_former_owner_may_take_it_meanwhile_or_nobody() {
    for owner_may in [true, false] {
        let mut cluster = keeps(1, owner_may);
        cluster.register(1, owned_by("ann", "alice"));
        releases(&mut cluster, 1, "ann", "alice");
        assert_eq!(refused(&mut cluster, 1, owned_by("ann", "alice")).is_none(), owner_may);
    }
}

#[test]
fn a_name_that_was_given_up_for_another_one_is_kept_as_well() {
    let mut cluster = keeps(2, true);
    let alice = cluster.register(1, owned_by("ann", "alice"));
    let replaces = in_place_of(alice.id, name_request("alice"));
    cluster.register(1, RegisterRequest { replaces, ..owned_by("ann", "alicia") });
    cluster.pass(500);
    assert_eq!((cluster.name(2, "alice"), cluster.name(2, "alicia")), (NameStatus::Ending, NameStatus::Held));
    assert!(refused(&mut cluster, 2, owned_by("bob", "alice")).is_some());
}

#[test]
fn what_never_was_anybodys_is_not_kept() {
    let mut cluster = keeps(2, true);
    let reserved = cluster.register(1, RegisterRequest { ttl: Some(5000), ..owned_by("ann", "alice") });
    releases(&mut cluster, 1, "ann", "alice");
    assert_eq!(cluster.view(2, reserved.id).names[0].ended, Some(EndReason::Released));
    assert_eq!(refused(&mut cluster, 2, owned_by("bob", "alice")), None, "it was only reserved");
    cluster.register(1, RegisterRequest { ttl: Some(5000), ..owned_by("ann", "carol") });
    cluster.pass(8000);
    assert_eq!(refused(&mut cluster, 2, owned_by("bob", "carol")), None, "it expired");
}

#[test]
fn a_name_is_kept_also_once_the_events_about_it_are_gone() {
    let mut cluster = keeps(1, true);
    let keep =
        |replica: &mut Replica<MemoryStore>| replica.log.found_with(|settings| settings.keep_events = Some(60_000));
    cluster.nodes.values_mut().for_each(keep);
    let alice = cluster.register(1, owned_by("ann", "alice"));
    releases(&mut cluster, 1, "ann", "alice");
    for minute in 0..50 {
        cluster.register(1, owned_by("ann", &format!("other{minute}")));
        cluster.pass(60_000);
    }
    assert!(refused(&mut cluster, 1, owned_by("bob", "alice")).is_some());
    for minute in 50..70 {
        cluster.register(1, owned_by("ann", &format!("other{minute}")));
        cluster.pass(60_000);
    }
    assert!(cluster.reply(1, Request::outcome(alice.id, None)).is_err(), "it is forgotten by now");
    assert_eq!(refused(&mut cluster, 1, owned_by("bob", "alice")), None);
}

/// A request to replace the spelling of a name that a registration holds.
fn respelling(of: Uuid, owner: &str, from: &str, to: &str) -> RegisterRequest {
    let replaces = in_place_of(of, name_request(from));
    RegisterRequest { replaces, ..owned_by(owner, to) }
}

#[test]
fn the_holder_of_a_name_may_spell_it_otherwise() {
    let mut cluster = Cluster::founded(2);
    let wilma = cluster.register(1, owned_by("ann", "wilma"));
    cluster.pass(500);
    let other = cluster.register(2, respelling(wilma.id, "ann", "wilma", "Wilma"));
    cluster.pass(500);
    for n in 1..=2 {
        assert_eq!(cluster.status(n, other.id), Status::Confirmed);
        assert_eq!(cluster.view(n, wilma.id).names[0].ended, Some(EndReason::Replaced));
        assert_eq!(cluster.name(n, "wilma"), NameStatus::Held);
    }
    assert_eq!(cluster.view(1, other.id).names[0].name, "Wilma");
    let again = cluster.register(1, respelling(other.id, "ann", "WILMA", "WiLmA"));
    cluster.pass(500);
    assert_eq!(cluster.status(2, again.id), Status::Confirmed);
}

#[test]
fn nobody_else_spells_a_name_that_is_held_nor_one_that_is_not_confirmed() {
    let mut cluster = Cluster::founded(2);
    let wilma = cluster.register(1, owned_by("ann", "wilma"));
    cluster.pass(500);
    let refused = |cluster: &mut Cluster, request| match cluster.reply(1, Command::Register(request)) {
        Err(Refusal::NameTaken { .. }) => {}
        other => panic!("{other:?}"),
    };
    refused(&mut cluster, respelling(wilma.id, "bob", "wilma", "Wilma"));
    let betty = cluster.register(1, owned_by("ann", "betty"));
    cluster.pass(500);
    refused(&mut cluster, respelling(betty.id, "ann", "betty", "Wilma"));
    cluster.cut(1, 2);
    let pending = cluster.register(1, owned_by("ann", "dora"));
    refused(&mut cluster, respelling(pending.id, "ann", "dora", "Dora"));
    // The second respelling follows the first one, which is not final.
    cluster.register(1, respelling(wilma.id, "ann", "wilma", "Wilma"));
    refused(&mut cluster, respelling(wilma.id, "ann", "wilma", "WILMA"));
}

#[test]
fn of_two_spellings_across_a_cut_the_earlier_stands_and_a_release_goes_before_a_later_one() {
    let mut cluster = Cluster::founded(2);
    let wilma = cluster.register(1, owned_by("ann", "wilma"));
    cluster.pass(500);
    cluster.cut(1, 2);
    let first = cluster.register(1, respelling(wilma.id, "ann", "wilma", "Wilma"));
    cluster.pass(100);
    let second = cluster.register(2, respelling(wilma.id, "ann", "wilma", "WILMA"));
    assert_eq!(cluster.name(2, "wilma"), NameStatus::Held, "it is hers in either spelling");
    cluster.heal();
    for n in 1..=2 {
        assert_eq!((cluster.status(n, first.id), cluster.status(n, second.id)), (Status::Confirmed, Status::Rejected));
        assert_eq!(cluster.name(n, "wilma"), NameStatus::Held);
    }
    cluster.cut(1, 2);
    let release = Command::ReleaseName { owner: "ann".into(), name: name_request("wilma") };
    assert!(cluster.reply(1, release).is_ok());
    cluster.pass(100);
    let third = cluster.register(2, respelling(first.id, "ann", "Wilma", "wilma"));
    cluster.heal();
    cluster.pass(500);
    // No other owner has taken the name meanwhile, so the spelling that was asked for after the release has it.
    for n in 1..=2 {
        assert_eq!((cluster.status(n, third.id), cluster.name(n, "wilma")), (Status::Confirmed, NameStatus::Held));
    }
}
