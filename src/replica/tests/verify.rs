//! The check of a store that has no fault, and of stores with every kind of damage.

use std::ops::ControlFlow;

use super::super::verify::{Fault, verify};
use super::*;
use crate::clock::Hlc;
use crate::crdt::{Followed, HookSecret, NameOp, Namespace, Webhook};
use crate::log::Body;
use crate::name::{Profile, Rules};
use crate::store::Direction;
use crate::store::schema::{self, ClaimKey, FollowedKey, NameKey, Named, OwnerKey, Rows, Span};

/// A cluster whose nodes have rows of nearly every kind, and logs and a feed of several chunks.
fn cluster() -> Cluster {
    let mut cluster = Cluster::founded(3);
    let chosen = RegisterRequest { id: Some(Uuid::from_u128(0x4000_8000_0000_0000_0001)), ..names(&["ann", "ben"]) };
    cluster.register(1, chosen);
    cluster.register(2, RegisterRequest { ttl: Some(60_000), ..names(&["cid"]) });
    cluster.cut(1, 3);
    cluster.cut(2, 3);
    cluster.claim(1, "dora");
    cluster.pass(100);
    cluster.claim(3, "dora");
    cluster.heal();
    let newcomer = Replica::open(config(4), MemoryStore::new(), Some(Start::Join), cluster.now).unwrap();
    cluster.nodes.insert(node(4), newcomer);
    for n in 1..=3 {
        cluster.connect(node(4), node(n));
        cluster.settle();
    }
    cluster.pass(3000);
    assert!(cluster.nodes[&node(4)].is_member());
    let released = cluster.reply(1, Command::ReleaseName { owner: "o".into(), name: name_request("ann") });
    assert!(released.is_ok());
    cluster.claim(3, "ann");
    cluster.claim(4, "eve");
    for (n, least) in [(2, 1), (4, 2)] {
        let rules = Box::new(Rules::new(Profile::USERNAME, (least, 9), ["admin"]).unwrap());
        let set = SetRules { namespace: "username".into(), rules, if_version: None };
        assert!(cluster.reply(n, set).is_ok());
    }
    let change = WebhookChange::Create {
        url: "https://hooks.example.org/".into(),
        all: false,
        types: Vec::new(),
        secret: HookSecret([7; 32]),
    };
    assert!(cluster.reply(2, SetWebhook { id: Uuid::from_u128(9), change }).is_ok());
    let private = Box::new(Rules::default_of("vault").with_private(true));
    let set = SetRules { namespace: "vault".into(), rules: private, if_version: None };
    assert!(cluster.reply(3, set).is_ok());
    let secret = NameRef { namespace: "vault".into(), name: "ann".into() };
    let charge = Some(Charge { token: "shop".into(), max_open: Some(9), max_total: Some(9) });
    cluster.register(1, RegisterRequest { names: vec![secret], charge, ..names(&[]) });
    cluster
}

fn rich() -> MemoryStore {
    cluster().nodes.remove(&node(1)).unwrap().into_store()
}

/// The state of a node after one registration was erased, another one is still to be erased, and a reservation was
/// extended.
fn erased() -> MemoryStore {
    let mut cluster = cluster();
    let fay = cluster.claim(1, "fay");
    assert!(cluster.reply(1, Command::Erase { id: fay.id }).is_ok());
    cluster.pass(3000);
    let reserved = RegisterRequest { ttl: Some(60_000), ..names(&["gus"]) };
    let (longer, due) = (cluster.register(2, reserved), cluster.claim(3, "ida"));
    for n in [1, 2, 4] {
        cluster.cut(n, 3);
    }
    assert!(cluster.reply(2, Command::Extend { id: longer.id, ttl: 90_000 }).is_ok());
    assert!(cluster.reply(1, Command::Erase { id: due.id }).is_ok());
    cluster.nodes.remove(&node(1)).unwrap().into_store()
}

fn faults(store: &MemoryStore) -> Vec<Fault> {
    verify(store, node(1)).findings.iter().map(|finding| finding.fault).collect()
}

fn keys(store: &MemoryStore, table: Table) -> Vec<Vec<u8>> {
    store.rows(table).map(|(key, _)| key.to_vec()).collect()
}

#[test]
fn a_store_that_is_well_has_no_fault_whatever_its_node_went_through() {
    let store = rich();
    let found = verify(&store, node(1));
    assert_eq!((found.findings, found.node, found.whole), (vec![], Some(node(1)), true));
    assert_eq!(found.tables["registrations"], 7);
    assert!(found.ops > 6 && found.events > 6);
    let now = Now { wall: Millis(100_000_000), elapsed: Millis(0) };
    let open = |store| Replica::open(config(1), store, None, now).unwrap();
    let (aside, next) = open(store.clone()).rejoin().unwrap();
    let found = verify(&aside, node(1));
    assert_eq!((found.findings, found.node, found.whole), (vec![], Some(next), true));
    let (recovered, _) = open(store).recover(ClusterId::from_random([9; 16]), [9; 32]).unwrap();
    assert_eq!(faults(&recovered), []);
    assert_eq!(faults(&MemoryStore::new()), [], "a node that has never joined");
}

#[test]
fn what_says_how_erased_names_are_found_is_missed() {
    let store = erased();
    assert_eq!(faults(&store), []);
    assert_eq!(schema::Erased::count(&store), 1);
    for key in keys(&store, Table::Cluster).into_iter().filter(|key| key != schema::Watermark::NAME) {
        let mut damaged = store.clone();
        damaged.delete(Table::Cluster, &key);
        assert!(!faults(&damaged).is_empty(), "{}", String::from_utf8_lossy(&key));
    }
    let stamp = crate::clock::Stamp { hlc: crate::clock::Hlc(7), node: node(1) };
    let mut damaged = store;
    schema::Erasing::put(&mut damaged, stamp, &stamp);
    assert_eq!(faults(&damaged), [Fault::Index]);
}

#[test]
fn every_row_that_is_cut_short_is_found() {
    for store in [rich(), erased()] {
        is_found_where_cut_short(&store);
    }
}

fn is_found_where_cut_short(store: &MemoryStore) {
    for table in Table::ALL {
        for key in keys(store, table) {
            let value = store.get(table, &key).unwrap();
            let Some((_, short)) = value.split_last() else { continue };
            let mut damaged = store.clone();
            damaged.put(table, &key, short);
            assert!(!faults(&damaged).is_empty(), "{} {key:?}", table.name());
        }
    }
}

#[test]
fn every_row_that_is_missed_by_others_is_found() {
    let store = rich();
    let tables = [
        (Table::Registrations, Fault::Index),
        (Table::Ids, Fault::Registration),
        (Table::Owners, Fault::Registration),
        (Table::Names, Fault::Registration),
        (Table::Claims, Fault::Registration),
        (Table::Membership, Fault::Membership),
        (Table::Namespaces, Fault::Namespace),
        (Table::Webhooks, Fault::Webhook),
    ];
    for (table, fault) in tables {
        let keys = keys(&store, table);
        assert!(!keys.is_empty(), "{}", table.name());
        for key in keys {
            let mut damaged = store.clone();
            damaged.delete(table, &key);
            assert!(faults(&damaged).contains(&fault), "{}: {:?}", table.name(), faults(&damaged));
        }
    }
    let needed = |key: &Vec<u8>| key != schema::Watermark::NAME;
    for key in keys(&store, Table::Cluster).into_iter().filter(needed) {
        let mut damaged = store.clone();
        damaged.delete(Table::Cluster, &key);
        assert!(!faults(&damaged).is_empty());
    }
    // The first chunks of a log or of the feed may have been dropped, and no other row knows the end of the feed.
    let mut log = Vec::new();
    schema::Log::each(&store, &Span::all(), |found| log.extend(found.key()));
    for pair in log.windows(2).filter(|pair| pair[0].origin == pair[1].origin) {
        let mut damaged = store.clone();
        schema::Log::delete(&mut damaged, pair[1]);
        assert!(!faults(&damaged).is_empty());
    }
    let mut events = Vec::new();
    schema::Events::each(&store, &Span::all(), |found| events.extend(found.key()));
    for first in &events[1..events.len() - 1] {
        let mut damaged = store.clone();
        schema::Events::delete(&mut damaged, *first);
        assert_eq!(faults(&damaged), [Fault::Feed]);
    }
}

#[test]
fn rows_that_point_nowhere_are_found() {
    let store = rich();
    let lone = crate::clock::Stamp { hlc: crate::clock::Hlc(7), node: node(1) };
    let open = crate::crdt::Open { after: None, leader: lone };
    let (zoe, ann) = (NameKey::new("username", "zoe"), NameKey::new("username", "ann"));
    let stray = Namespace { stamp: lone, seq: 99, rules: Rules::default_of("tag") };
    let with = |write: &dyn Fn(&mut MemoryStore)| {
        let mut damaged = store.clone();
        write(&mut damaged);
        faults(&damaged)
    };
    assert_eq!(with(&|store| schema::Namespaces::put(store, "tag", &stray)), [Fault::Namespace]);
    let hook = Webhook { stamp: lone, seq: 99, ..Webhook::default() };
    assert_eq!(with(&|store| schema::Webhooks::put(store, Uuid::from_u128(8), &hook)), [Fault::Webhook]);
    assert_eq!(with(&|store| schema::Ids::put(store, Uuid::from_bytes([1; 16]), &[lone])), [Fault::Index]);
    assert_eq!(with(&|store| schema::Owners::put(store, OwnerKey { owner: "o", stamp: lone }, &())), [Fault::Index]);
    assert_eq!(with(&|store| schema::Names::put(store, zoe, &open)), [Fault::Name]);
    let claim = ClaimKey { name: ann, after: None, stamp: lone };
    assert_eq!(with(&|store| schema::Claims::put(store, claim, &())), [Fault::Name]);
    for followed in [Followed::Forgotten, Followed::Displaced(None)] {
        let at = FollowedKey { name: ann, stamp: lone };
        assert_eq!(with(&|store| schema::Followed::put(store, at, &followed)), [Fault::Name]);
    }
    assert_eq!(with(&|store| schema::Contested::put(store, lone, &())), [Fault::Index]);
    assert_eq!(with(&|store| schema::Expiries::put(store, (Hlc(0), lone), &())), [Fault::Index]);
    assert_eq!(verify(&store, node(2)).findings[0].fault, Fault::Identity);
}

#[test]
fn a_changed_op_breaks_the_chain_of_its_log() {
    let store = rich();
    let mut damaged = store.clone();
    schema::Log::scan(&store, &Span::all(), Direction::Up, &mut |chunk| {
        let mut ops = chunk.row();
        if let Some(op) = ops.iter_mut().find(|op| matches!(op.body(), Body::Name(NameOp::Register(_)))) {
            let Body::Name(NameOp::Register(register)) = op.body() else { unreachable!() };
            let mut register = register.clone();
            Arc::make_mut(&mut register).owner = "mallory".to_owned();
            *op = op.clone().saying(Body::Name(NameOp::Register(register)));
            schema::Log::put(&mut damaged, chunk.key().unwrap(), &ops);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(faults(&damaged), [Fault::Log]);
}
