//! Retention: old events and registrations that are over.

use super::super::verify::verify;
use super::*;
use crate::crdt::ID_WINDOW;
use crate::store::schema::{self, Rows, Span};

/// Returns the numbers of the events after a cursor, or the number of the first event that is kept where the cursor is
/// too old.
fn read_after(cluster: &mut Cluster, n: u64, after: u64) -> Result<Vec<u64>, u64> {
    let after = (after > 0).then(|| cluster.nodes[&node(n)].registry.at(after));
    match cluster.reply(n, EventsAfter::new(after, page_of(1000))) {
        Ok(Answer::Events(page)) => Ok(page.events.into_iter().map(|event| event.cursor.unwrap().number).collect()),
        Err(Refusal::EventsCompacted { after: asked, restart }) => {
            assert_eq!(Some(asked), after);
            Err(restart.number + 1)
        }
        other => panic!("{other:?}"),
    }
}

fn keep_events(cluster: &mut Cluster, millis: u64) {
    cluster
        .nodes
        .values_mut()
        .for_each(|replica| replica.log.found_with(|settings| settings.keep_events = Some(millis)));
}

/// Runs one node without a pause after this time has passed, for as long as it wants to be stepped at once. Returns the numbers
/// of rows that `count` saw, without repetitions.
fn counted_at_once(cluster: &mut Cluster, millis: u64, count: impl Fn(&Replica<MemoryStore>) -> usize) -> Vec<usize> {
    let now = &mut cluster.now;
    *now = Now { wall: now.wall.plus(millis), elapsed: now.elapsed.plus(millis) };
    let replica = cluster.nodes.get_mut(&node(1)).unwrap();
    let mut counts = vec![count(replica)];
    for step in 0..100 {
        replica.flush(cluster.now);
        replica.handle(cluster.now, Input::Persisted(Batch::MAX / 2));
        counts.push(count(replica));
        if step > 2 && replica.wake_at() > cluster.now.elapsed {
            break;
        }
    }
    counts.dedup();
    counts
}

#[test]
fn many_reservations_end_a_few_in_each_step() {
    let mut cluster = Cluster::founded(1);
    for n in 0..600 {
        cluster.reserve(1, &format!("n{n}"), 1000);
    }
    let counts = counted_at_once(&mut cluster, 5000, |replica| {
        let mut rows = 0;
        schema::Expiries::each(&replica.store, &Span::all(), |_| rows += 1);
        rows
    });
    assert_eq!(counts, [600, 344, 88, 0]);
    assert_eq!(cluster.name(1, "n0"), NameStatus::Available);
    assert_eq!(cluster.name(1, "n599"), NameStatus::Available);
}

#[test]
fn a_log_of_many_small_steps_is_truncated_without_a_pause() {
    let mut cluster = Cluster::founded(1);
    for n in 0..200 {
        cluster.claim(1, &format!("n{n}"));
    }
    let counts = counted_at_once(&mut cluster, 120_000, |replica| {
        let mut rows = 0;
        schema::Log::each(&replica.store, &Span::all(), |_| rows += 1);
        rows
    });
    assert!(counts[0] >= 200 && counts.last() == Some(&0), "{counts:?}");
    assert!(counts.windows(2).all(|pair| pair[0] - pair[1] <= 64), "{counts:?}");
}

#[test]
fn events_that_are_too_old_are_dropped_and_whoever_asks_for_them_is_told() {
    let mut cluster = Cluster::founded(1);
    keep_events(&mut cluster, 60_000);
    cluster.claim(1, "alice");
    cluster.pass(30_000);
    cluster.claim(1, "bob");
    cluster.pass(20_000);
    assert_eq!(read_after(&mut cluster, 1, 0), Ok(vec![1, 2, 3, 4]), "nothing is old yet");
    cluster.pass(20_000);
    assert_eq!(read_after(&mut cluster, 1, 1), Err(3));
    assert_eq!(read_after(&mut cluster, 1, 2), Ok(vec![3, 4]), "the last one that is gone was read");
    assert_eq!(read_after(&mut cluster, 1, 0), Ok(vec![3, 4]), "whoever has read nothing begins with what there is");
    cluster.pass(600_000);
    assert_eq!(read_after(&mut cluster, 1, 0), Ok(vec![3, 4]), "the newest stay");
    let carol = cluster.claim(1, "carol");
    cluster.pass(2000);
    assert_eq!(read_after(&mut cluster, 1, 0), Ok(vec![5, 6]), "and the cursor goes on");
    assert_eq!(cluster.view(1, carol.id).status, Status::Confirmed);
    assert_eq!(cluster.name(1, "alice"), NameStatus::Held, "the state is no feed");

    // Dropped events stay dropped after a restart.
    let replica = cluster.nodes.remove(&node(1)).unwrap();
    let replica = Replica::open(config(1), replica.into_store(), None, cluster.now).unwrap();
    cluster.nodes.insert(node(1), replica);
    assert_eq!(read_after(&mut cluster, 1, 1), Err(5));
    match cluster.reply(1, ClusterCommand::Show) {
        Ok(Answer::Cluster(view)) => assert_eq!((view.events.start.number, view.events.last.number), (4, 6)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_of_the_undecided_are_kept_whatever_their_age() {
    let mut cluster = Cluster::founded(3);
    keep_events(&mut cluster, 60_000);
    cluster.cut(1, 3);
    cluster.cut(2, 3);
    let alice = cluster.claim(1, "alice");
    cluster.pass(300_000);
    cluster.claim(1, "bob");
    cluster.pass(300_000);
    assert_eq!(cluster.view(1, alice.id).status, Status::Pending);
    assert_eq!(read_after(&mut cluster, 1, 0), Ok(vec![1, 2]));
    cluster.heal();
    assert_eq!(cluster.view(1, alice.id).status, Status::Confirmed);
    cluster.pass(2000);
    assert_eq!(read_after(&mut cluster, 1, 0), Ok(vec![3, 4]), "decided, they are as old as any");
}

/// An owner has held a name and released it a while ago, and the newest event is about another one.
fn a_name_was_given_up(cluster: &mut Cluster, request: RegisterRequest) -> Uuid {
    keep_events(cluster, 60_000);
    let id = cluster.register(1, request).id;
    let released = cluster.reply(1, Command::ReleaseName { owner: "o".into(), name: name_request("alice") });
    assert!(released.is_ok());
    cluster.pass(100_000);
    cluster.claim(1, "bob");
    cluster.pass(100_000);
    id
}

fn is_known(cluster: &mut Cluster, id: Uuid) -> bool {
    match cluster.reply(1, Request::outcome(id, None)) {
        Ok(_) => true,
        Err(Refusal::NoRegistration(_)) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_over_leaves_nothing_but_a_stamp_in_its_name() {
    let mut cluster = Cluster::founded(1);
    let id = a_name_was_given_up(&mut cluster, names(&["alice"]));
    assert!(!is_known(&mut cluster, id));
    assert_eq!(cluster.name(1, "alice"), NameStatus::Available);
    let store = cluster.nodes[&node(1)].store();
    assert_eq!((schema::Registrations::count(store), schema::Owners::count(store)), (1, 1), "bob's");
    assert_eq!((schema::Names::count(store), schema::Over::count(store)), (2, 0));
    assert_eq!(verify(store, node(1)).findings, []);
    cluster.claim(1, "alice");
    assert_eq!(cluster.name(1, "alice"), NameStatus::Held);
}

#[test]
fn an_id_that_a_client_chose_is_known_for_a_month() {
    let mut cluster = Cluster::founded(1);
    let chosen = RegisterRequest { id: Some(Uuid::from_u128(0x4000_8000_0000_0000_0001)), ..names(&["alice"]) };
    let id = a_name_was_given_up(&mut cluster, chosen.clone());
    assert!(is_known(&mut cluster, id), "its events are gone, but its client may try again");
    let before = cluster.register(1, chosen.clone());
    for days in [ID_WINDOW, 0] {
        cluster.now.wall = cluster.now.wall.plus(days);
        cluster.pass(100_000);
        cluster.claim(1, if days > 0 { "carol" } else { "dora" });
    }
    cluster.pass(3000);
    assert!(!is_known(&mut cluster, id));
    assert_eq!(verify(cluster.nodes[&node(1)].store(), node(1)).findings, []);
    let after = cluster.register(1, chosen);
    assert!(after.stamp > before.stamp, "another registration");
    assert_eq!(cluster.name(1, "alice"), NameStatus::Held);
}

#[test]
fn what_was_over_before_anything_was_to_be_forgotten_is_found() {
    let mut cluster = Cluster::founded(1);
    let alice = cluster.claim(1, "alice").id;
    assert!(cluster.reply(1, Command::ReleaseName { owner: "o".into(), name: name_request("alice") }).is_ok());
    cluster.pass(5000);
    assert_eq!(schema::Over::count(cluster.nodes[&node(1)].store()), 0, "everything is kept");
    let replica = cluster.nodes.remove(&node(1)).unwrap();
    let replica = Replica::open(config(1), replica.into_store(), None, cluster.now).unwrap();
    cluster.nodes.insert(node(1), replica);
    keep_events(&mut cluster, 60_000);
    for name in ["bob", "carol", "dora"] {
        cluster.pass(100_000);
        cluster.claim(1, name);
    }
    cluster.pass(3000);
    assert!(!is_known(&mut cluster, alice));
}
