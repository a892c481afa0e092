//! Recovery: all nodes of a cluster but one are lost, and a new cluster is made of what that one holds.

use super::*;

/// Returns the state of a node that has stopped.
fn stopped(cluster: &mut Cluster, n: u64) -> MemoryStore {
    cluster.nodes.remove(&node(n)).unwrap().into_store()
}

fn open(n: u64, id: NodeId, store: MemoryStore, start: Option<Start>, now: Now) -> Replica<MemoryStore> {
    let mut config = config(n);
    config.log.contact.node = id;
    Replica::open(config, store, start, now).unwrap()
}

fn ask(cluster: &mut Cluster, id: NodeId, request: impl Into<Request>) -> Reply {
    let token = cluster.next_token;
    cluster.next_token += 1;
    cluster
        .nodes
        .get_mut(&id)
        .unwrap()
        .handle(cluster.now, Input::Request(request.into().with(cluster.replies.to(token))));
    cluster.settle();
    cluster.replies.remove(&token).expect("answered")
}

fn view(cluster: &mut Cluster, id: NodeId, registration: Uuid) -> Registration {
    match ask(cluster, id, Request::outcome(registration, None)) {
        Ok(Answer::Registration(view)) => view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_cluster_is_made_of_what_one_node_holds() {
    let mut cluster = Cluster::founded(3);
    let old = cluster.claim(1, "alice");
    cluster.cut(1, 3);
    cluster.cut(2, 3);
    let pending = cluster.claim(3, "carol");
    let unsaved = cluster.claim(1, "bob");
    cluster.pass(1000);
    assert_eq!(cluster.status(3, pending.id), Status::Pending);
    let (first, third) = (stopped(&mut cluster, 1), stopped(&mut cluster, 3));
    cluster.nodes.clear();

    let survivor = open(3, node(3), third, None, cluster.now);
    let holdings = survivor.holdings();
    assert_eq!((holdings.members, holdings.registrations, holdings.pending), (3, 2, 1));
    let (store, next) = survivor.recover(ClusterId::from_random([9; 16]), [9; 32]).unwrap();
    assert_eq!(Some(next), node(3).next_incarnation());
    // The clock was set back by an hour meanwhile.
    cluster.now.wall = Millis(cluster.now.wall.0 - 3_600_000);
    cluster.nodes.insert(next, open(3, next, store, None, cluster.now));
    cluster.settle();
    let founding = cluster.nodes[&next].founding().unwrap().clone();
    assert_eq!((founding.id, founding.former.len()), (ClusterId::from_random([9; 16]), 3));
    assert_eq!(cluster.nodes[&next].secret(), Some([9; 32]));
    assert_eq!(view(&mut cluster, next, old.id).status, Status::Confirmed);
    assert_eq!(view(&mut cluster, next, pending.id).status, Status::Confirmed, "decided by itself");
    let Ok(Answer::Registration(later)) = ask(&mut cluster, next, Command::Register(names(&["dave"]))) else {
        panic!("it takes no registrations")
    };
    assert_eq!(later.status, Status::Confirmed);
    assert!(later.stamp.hlc > holdings.latest && holdings.latest >= pending.stamp.hlc);
    let told = cluster.nodes[&next].last_event();
    cluster.now.wall = Millis(cluster.now.wall.0 + 3_600_000);

    // The directory of a lost node is found. What was saved stays, and what was not is issued again under its id.
    let (store, back) = open(1, node(1), first, None, cluster.now).rejoin().unwrap();
    cluster.nodes.insert(back, open(1, back, store, Some(Start::Join), cluster.now));
    cluster.connect(back, next);
    cluster.pass(3000);
    for id in [next, back] {
        assert!(cluster.nodes[&id].is_member(), "{id}");
        let again = view(&mut cluster, id, unsaved.id);
        assert_eq!((again.status, again.stamp.node), (Status::Confirmed, back), "{id}");
        assert_eq!(view(&mut cluster, id, old.id).stamp, old.stamp, "{id}");
    }
    let last = cluster.nodes[&next].last_event();
    assert_eq!(last, Cursor { number: told.number + 2, ..told }, "the one that it had not known");
}

#[test]
fn a_state_that_was_set_aside_is_recovered_from_until_it_is_dropped() {
    let mut cluster = Cluster::founded(2);
    let alice = cluster.claim(1, "alice");
    let store = stopped(&mut cluster, 1);
    let (mut store, next) = open(1, node(1), store, None, cluster.now).rejoin().unwrap();
    assert_eq!(Some(next), node(1).next_incarnation());
    let mut dropped = open(1, next, store.clone(), Some(Start::Join), cluster.now).into_store();
    assert_eq!(lay_open(&mut dropped), Err(RecoverError::NotWhole));

    lay_open(&mut store).unwrap();
    let (store, next) =
        open(1, node(1), store, None, cluster.now).recover(ClusterId::from_random([9; 16]), [9; 32]).unwrap();
    cluster.nodes.clear();
    cluster.nodes.insert(next, open(1, next, store, None, cluster.now));
    assert_eq!(view(&mut cluster, next, alice.id).status, Status::Confirmed);
    assert!(!cluster.nodes[&next].registry.has_void(), "all that it had issued counts");
}

#[test]
fn what_was_restored_alone_opens_for_a_recovery_or_to_join_only() {
    let mut cluster = Cluster::founded(1);
    let alice = cluster.claim(1, "alice");
    let store = stopped(&mut cluster, 1);
    assert_eq!(open(1, node(1), store.clone(), None, cluster.now).rejoin().err(), Some(RejoinError::Alone));
    let (mut store, next) = open(1, node(1), store, None, cluster.now).restored().unwrap();
    let mut config = config(1);
    config.log.contact.node = next;
    let found = Some(found([next].into(), [0; 32]));
    let refused = Replica::open(config.clone(), store.clone(), found, cluster.now).err();
    assert_eq!(refused, Some(OpenError::Alone));
    assert!(Replica::open(config, store.clone(), Some(Start::Join), cluster.now).is_ok());

    lay_open(&mut store).unwrap();
    let (store, next) =
        open(1, node(1), store, None, cluster.now).recover(ClusterId::from_random([9; 16]), [9; 32]).unwrap();
    cluster.nodes.insert(next, open(1, next, store, None, cluster.now));
    assert_eq!(view(&mut cluster, next, alice.id).status, Status::Confirmed);
}

#[test]
fn a_node_that_what_was_saved_had_never_heard_of_registers_again_too() {
    let mut cluster = Cluster::founded(1);
    let early = stopped(&mut cluster, 1);
    cluster.nodes.insert(node(1), open(1, node(1), early.clone(), None, cluster.now));
    let newcomer = open(2, node(2), MemoryStore::new(), Some(Start::Join), cluster.now);
    cluster.nodes.insert(node(2), newcomer);
    cluster.connect(node(1), node(2));
    cluster.pass(3000);
    let theirs = cluster.claim(2, "bob");
    assert_eq!(cluster.status(2, theirs.id), Status::Confirmed);
    let second = stopped(&mut cluster, 2);
    cluster.nodes.clear();

    let (store, next) =
        open(1, node(1), early, None, cluster.now).recover(ClusterId::from_random([9; 16]), [9; 32]).unwrap();
    cluster.nodes.insert(next, open(1, next, store, None, cluster.now));
    let (store, back) = open(2, node(2), second, None, cluster.now).rejoin().unwrap();
    cluster.nodes.insert(back, open(2, back, store, Some(Start::Join), cluster.now));
    cluster.connect(back, next);
    cluster.pass(3000);
    for id in [next, back] {
        assert_eq!(view(&mut cluster, id, theirs.id).status, Status::Confirmed, "{id}");
    }
}

#[test]
fn where_all_were_told_to_leave_at_once_one_stays() {
    let mut cluster = Cluster::founded(2);
    let alice = cluster.claim(1, "alice");
    cluster.cut(1, 2);
    for n in 1..=2 {
        assert!(cluster.reply(n, ClusterCommand::Leave { cancel: false }).is_ok(), "neither has heard of the other's");
    }
    for n in 1..=2 {
        assert_eq!(cluster.reply(n, Command::Register(names(&["bob"]))), Err(Refusal::Leaving));
        assert_eq!(cluster.status(n, alice.id), Status::Confirmed, "reads are answered");
    }
    cluster.heal();
    cluster.pass(3000);
    assert_eq!(cluster.nodes.len(), 1, "one goes, and the last one stays");
    let last = *cluster.nodes.keys().next().unwrap();
    assert_eq!(view(&mut cluster, last, alice.id).status, Status::Confirmed);
    assert!(ask(&mut cluster, last, Command::Register(names(&["bob"]))).is_ok());
}
