//! The CRDT laws: ops in any allowed order, duplicated or not, and merges of any states lead to one state.

use std::collections::BTreeMap;

use crdts::{CmRDT, CvRDT, VClock};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::model::Seq;
use crate::name::{Profile, Rules};
use crate::store::Table;
use crate::store::memory::MemoryStore;
use crate::store::schema::{self, Found, Record, Rows, Span};

mod bounded;

pub(super) type Memory = State<MemoryStore>;

pub(super) fn empty() -> Memory {
    State::load(MemoryStore::new(), VClock::new())
}

pub(super) fn stamp(hlc: u64, node: u64) -> Stamp {
    Stamp { hlc: Hlc(hlc), node: NodeId(node) }
}

pub(super) fn claim(key: &str, after: Option<Stamp>) -> Claim {
    Claim { namespace: "username".into(), key: key.into(), name: key.into(), after }
}

pub(super) fn register(id: Option<u128>, claims: Vec<Claim>) -> NameOp {
    let id = id.map(Uuid::from_u128);
    let owner = "o".into();
    NameOp::Register(
        Register { id, owner, claims, expires: None, replaces: None, metadata: None, accepted: None }.into(),
    )
}

pub(super) fn op(node: u64, seq: Seq, hlc: u64, body: NameOp) -> Entry {
    Entry { stamp: stamp(hlc, node), seq, op: body }
}

fn lost(registry: &Memory, hlc: u64, node: u64) -> bool {
    Registration::load(&registry.store, stamp(hlc, node)).unwrap().lost
}

/// Returns what `look` makes of each row of a table.
pub(super) fn all<T: Rows, A>(registry: &Memory, look: impl Fn(Found<'_, T>) -> A) -> Vec<A> {
    let mut all = Vec::new();
    T::each(&registry.store, &Span::all(), |found| all.push(look(found)));
    all
}

/// Every row of the tables whose content follows from the ops alone.
fn state(registry: &Memory) -> Vec<(Vec<u8>, Vec<u8>)> {
    [
        Table::Names,
        Table::Claims,
        Table::Followed,
        Table::Registrations,
        Table::Ids,
        Table::Owners,
        Table::Expiries,
        Table::Early,
        Table::Namespaces,
        Table::Webhooks,
        Table::Cluster,
    ]
    .into_iter()
    .flat_map(|table| registry.store.rows(table).map(|(key, value)| (key.to_vec(), value.to_vec())))
    .collect()
}

#[test]
fn the_earliest_claim_leads_whatever_arrives_first() {
    let mut registry = empty();
    registry.apply(op(2, 1, 20, register(None, vec![claim("alice", None)])));
    assert!(!lost(&registry, 20, 2));
    let effects = registry.apply_entry(&op(1, 1, 10, register(None, vec![claim("alice", None)]))).unwrap();
    assert_eq!(effects.lost, vec![stamp(20, 2)]);
    assert!(lost(&registry, 20, 2) && !lost(&registry, 10, 1));
}

#[test]
fn equal_timestamps_are_decided_by_node_id() {
    let mut registry = empty();
    registry.apply(op(2, 1, 10, register(None, vec![claim("alice", None)])));
    registry.apply(op(1, 1, 10, register(None, vec![claim("alice", None)])));
    assert!(lost(&registry, 10, 2) && !lost(&registry, 10, 1));
}

#[test]
fn who_follows_a_displaced_claim_is_displaced_with_it() {
    let mut registry = empty();
    registry.apply(op(2, 1, 20, register(None, vec![claim("alice", None)])));
    registry.apply(op(3, 1, 30, register(None, vec![claim("alice", Some(stamp(20, 2)))])));
    assert!(!lost(&registry, 30, 3));
    registry.apply(op(1, 1, 10, register(None, vec![claim("alice", None)])));
    assert!(lost(&registry, 20, 2) && lost(&registry, 30, 3));
}

#[test]
fn a_registration_that_loses_one_name_still_leads_its_others() {
    let mut registry = empty();
    registry.apply(op(1, 1, 10, register(None, vec![claim("alice", None)])));
    registry.apply(op(2, 1, 20, register(None, vec![claim("alice", None), claim("bob", None)])));
    registry.apply(op(3, 1, 30, register(None, vec![claim("bob", None)])));
    assert!(lost(&registry, 20, 2) && lost(&registry, 30, 3), "who lost to it stays a loser");
}

#[test]
fn the_least_stamp_of_an_id_is_the_registration() {
    let mut registry = empty();
    registry.apply(op(2, 1, 20, register(Some(7), vec![claim("alice", None)])));
    let effects = registry.apply_entry(&op(1, 1, 10, register(Some(7), vec![claim("bob", None)]))).unwrap();
    assert!(!effects.first_of_id);
    assert_eq!(registry.lattice.find(&registry.store, Uuid::from_u128(7)).unwrap().stamp, stamp(10, 1));
    assert!(lost(&registry, 20, 2));
}

#[test]
fn a_gap_changes_nothing() {
    let mut registry = empty();
    let late = op(1, 2, 20, register(None, vec![claim("alice", None)]));
    let error = ApplyError { origin: NodeId(1), expected: 1, got: 2 };
    assert_eq!(registry.validate_op(&late), Err(error));
    assert_eq!(registry.apply_entry(&late), Err(error));
    registry.apply(late);
    assert!(state(&registry).is_empty());
}

#[test]
fn what_is_said_of_a_registration_may_come_before_it() {
    let mut registry = empty();
    let target = stamp(10, 1);
    let released = ClaimRef { registration: target, namespace: "username".into(), key: "alice".into() };
    registry.apply(op(2, 1, 30, NameOp::Release(released)));
    registry.apply(op(3, 1, 20, NameOp::Activate { registration: target }));
    registry.apply(op(1, 1, 10, register(None, vec![claim("alice", None)])));
    let registration = Registration::load(&registry.store, target).unwrap();
    assert!(registration.claims[0].released);
    assert_eq!(registration.activated, Some(stamp(20, 3)));
    assert_eq!(schema::Early::count(&registry.store), 0);
}

#[test]
fn what_extends_a_reservation_counts_by_its_stamp_and_not_by_its_arrival() {
    let target = stamp(10, 1);
    let mut body = register(None, vec![claim("alice", None)]);
    let NameOp::Register(reserved) = &mut body else { unreachable!() };
    std::sync::Arc::make_mut(reserved).expires = Some(Hlc(20));
    let extend = |expires| NameOp::Extend { registration: target, expires: Hlc(expires) };
    let ops = [
        op(1, 1, 10, body),
        op(2, 1, 19, extend(30)),
        op(3, 1, 29, extend(40)),
        op(4, 1, 40, extend(50)),
        op(5, 1, 39, NameOp::Activate { registration: target }),
    ];
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 2, 0, 4, 1], [2, 0, 1, 3, 4]] {
        let mut registry = empty();
        order.into_iter().for_each(|index| registry.apply(ops[index].clone()));
        let registration = Registration::load(&registry.store, target).unwrap();
        assert_eq!((registration.end(), registration.activated_in_time()), (Some(Hlc(40)), true), "{order:?}");
        assert_eq!(all::<schema::Expiries, _>(&registry, |found| found.key()), [Some((Hlc(40), target))]);
        assert_eq!(Registration::load(&registry.store, target), Some(registration));
    }
}

#[test]
fn a_registration_that_nothing_extended_is_stored_as_ever() {
    let mut registry = empty();
    registry.apply(op(1, 1, 10, register(Some(7), vec![claim("alice", None)])));
    let registration = Registration::load(&registry.store, stamp(10, 1)).unwrap();
    assert_eq!(
        registration.encoded(<[u8]>::to_vec),
        crate::codec::encode(&registration),
        "an older program can read it"
    );
}

#[test]
fn two_registrations_under_one_stamp_do_not_merge() {
    let (mut a, mut b) = (empty(), empty());
    a.apply(op(1, 1, 10, register(None, vec![claim("alice", None)])));
    b.apply(op(1, 1, 10, register(None, vec![claim("bob", None)])));
    assert_eq!(a.validate_merge(&b), Err(MergeError::TwoOfOneStamp(stamp(10, 1))));
}

fn rules(namespace: &str, least: usize) -> NameOp {
    let rules = Rules::new(Profile::USERNAME, (least, 20), ["admin"]).unwrap();
    NameOp::Namespace { namespace: namespace.into(), rules: Box::new(rules) }
}

#[test]
fn the_rules_with_the_greatest_stamp_stand_whatever_arrives_last() {
    let mut registry = empty();
    assert_eq!(registry.lattice.rules(&registry.store, "username"), Rules::default_of("username"));
    registry.apply(op(2, 1, 20, rules("username", 2)));
    registry.apply(op(1, 1, 10, rules("username", 1)));
    assert_eq!(registry.lattice.rules(&registry.store, "username").lengths(), (2, 20));
    registry.apply(op(3, 1, 20, rules("username", 3)));
    assert_eq!(
        registry.lattice.rules(&registry.store, "username").lengths(),
        (3, 20),
        "of equal timestamps that of the greater node"
    );
    assert_eq!(registry.lattice.rules(&registry.store, "org/42/username"), Rules::default_of("org/42/username"));
    let set = Namespace::load(&registry.store, "username").unwrap();
    assert_eq!((set.stamp, set.seq), (stamp(20, 3), 1));
}

#[test]
fn two_rules_under_one_stamp_do_not_merge() {
    let (mut a, mut b) = (empty(), empty());
    a.apply(op(1, 1, 10, rules("username", 1)));
    b.apply(op(1, 1, 10, rules("username", 2)));
    assert_eq!(a.validate_merge(&b), Err(MergeError::TwoOfOneStamp(stamp(10, 1))));
}

fn webhook(id: u128, url: Option<&str>) -> NameOp {
    let hook = url.map(|url| Hook {
        url: url.to_owned(),
        all: false,
        types: Vec::new(),
        active: true,
        secret: HookSecret([7; 32]),
        previous: None,
        created: Millis(1),
    });
    NameOp::Webhook { id: Uuid::from_u128(id), hook: hook.map(Box::new) }
}

#[test]
fn a_webhook_that_was_removed_does_not_come_back_by_an_earlier_op() {
    let mut registry = empty();
    let of = |registry: &Memory, id| Webhook::load(&registry.store, Uuid::from_u128(id)).and_then(|set| set.hook);
    registry.apply(op(2, 1, 20, webhook(1, None)));
    registry.apply(op(1, 1, 10, webhook(1, Some("early"))));
    assert_eq!(of(&registry, 1), None);
    registry.apply(op(1, 2, 30, webhook(1, Some("late"))));
    registry.apply(op(3, 1, 25, webhook(2, Some("other"))));
    assert_eq!(of(&registry, 1).map(|hook| hook.url), Some("late".to_owned()));
    assert_eq!(of(&registry, 2).map(|hook| hook.url), Some("other".to_owned()));
    let mut other = empty();
    other.apply(op(1, 1, 10, webhook(1, Some("elsewhere"))));
    let mut same = empty();
    same.apply(op(1, 1, 10, webhook(1, Some("early"))));
    assert_eq!(same.validate_merge(&other), Err(MergeError::TwoOfOneStamp(stamp(10, 1))));
}

fn stop(id: u128, version: Stamp) -> NameOp {
    NameOp::StopWebhook { id: Uuid::from_u128(id), version }
}

#[test]
fn a_stop_counts_for_the_version_that_it_names_alone() {
    let of = |registry: &Memory| Webhook::load(&registry.store, Uuid::from_u128(1)).unwrap();
    let set = op(1, 1, 10, webhook(1, Some("one")));
    let (early, late) = (op(2, 1, 12, stop(1, stamp(10, 1))), op(3, 1, 15, stop(1, stamp(10, 1))));
    let (mut one, mut other) = (empty(), empty());
    for entry in [set.clone(), late.clone(), early.clone()] {
        one.apply(entry);
    }
    for entry in [early, late, set] {
        other.apply(entry);
    }
    assert_eq!(of(&one), of(&other));
    assert_eq!(of(&one).stopped().map(|stop| stop.stamp), Some(stamp(12, 2)));
    // Another node has changed the URL, or removed the webhook, without knowledge of the stop.
    let mut changed = one.clone();
    changed.apply(op(4, 1, 11, webhook(1, Some("two"))));
    assert_eq!((of(&changed).stopped(), of(&changed).hook.unwrap().url.as_str()), (None, "two"));
    one.apply(op(4, 1, 11, webhook(1, None)));
    assert_eq!((of(&one).stopped(), of(&one).hook), (None, None));
    // A stop of a version that has not arrived waits for it.
    let mut waits = empty();
    waits.apply(op(1, 1, 10, webhook(1, Some("one"))));
    waits.apply(op(2, 1, 30, stop(1, stamp(20, 3))));
    assert!(of(&waits).stopped().is_none() && of(&waits).hook.is_some());
    waits.apply(op(3, 1, 20, webhook(1, Some("three"))));
    assert!(of(&waits).stopped().is_some());
}

#[test]
fn the_secret_of_a_webhook_is_not_in_its_debug_output() {
    let shown = format!("{:?}", webhook(1, Some("one")));
    assert!(shown.contains("HookSecret(…)") && !shown.contains("7, 7"), "{shown}");
}

/// Logs of some nodes. Every op refers to names and registrations out of a small pool, whether these have arrived or
/// not.
pub(super) fn logs() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    let step = (0u64..4, 0u8..12, 0usize..64, 0usize..64, proptest::bool::weighted(0.3));
    proptest::collection::vec(step, 1..40).prop_map(|steps| {
        let mut logs: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
        let mut registrations: Vec<(Stamp, Vec<Claim>)> = Vec::new();
        let mut hlc = 1;
        for (node, kind, a, b, fresh) in steps {
            // Timestamps rise per node, and repeat between nodes.
            hlc +=
                u64::from(fresh || logs.get(&node).and_then(|log| log.last()).is_some_and(|op| op.stamp.hlc.0 == hlc));
            let body = body(kind, a, b, &registrations);
            let log = logs.entry(node).or_default();
            let op = op(node, log.len() as Seq + 1, hlc, body);
            if let NameOp::Register(register) = &op.op {
                registrations.push((op.stamp, register.claims.clone()));
            }
            log.push(op);
        }
        logs.into_values().collect()
    })
}

fn body(kind: u8, a: usize, b: usize, registrations: &[(Stamp, Vec<Claim>)]) -> NameOp {
    let some = |n: usize| registrations.get(n % registrations.len().max(1));
    match (kind, some(a)) {
        // The version may be one that there is, one that comes later, or none.
        (3, _) if b % 5 == 4 => stop(a as u128 % 2, stamp(1 + b as u64 % 12, a as u64 % 4)),
        (3, _) if b.is_multiple_of(2) => {
            webhook(a as u128 % 2, (!b.is_multiple_of(3)).then_some(["one", "two", "three"][b % 3]))
        }
        (3, _) => rules(["username", "email"][a % 2], 1 + b % 3),
        (0, Some((registration, _))) => NameOp::Activate { registration: *registration },
        (7, Some((registration, _))) if b.is_multiple_of(2) => NameOp::Erase { registration: *registration },
        (4, Some((registration, _))) => NameOp::Extend { registration: *registration, expires: Hlc(b as u64) },
        (1 | 2, Some((registration, claims))) => {
            let claim = &claims[b % claims.len()];
            let (namespace, key) = (claim.namespace.clone(), claim.key.clone());
            NameOp::Release(ClaimRef { registration: *registration, namespace, key })
        }
        _ => {
            let after = |key: &str, n: usize| {
                let (stamp, claims) = some(n)?;
                (n.is_multiple_of(3) && claims.iter().any(|claim| claim.key == key)).then_some(*stamp)
            };
            let keys = ["a", "b", "c"];
            let mut claims = vec![claim(keys[a % 3], after(keys[a % 3], b))];
            if b % 3 != a % 3 && kind > 6 {
                claims.push(claim(keys[b % 3], after(keys[b % 3], a)));
            }
            let mut body = register((kind == 5).then_some(a as u128 % 4), claims);
            if let NameOp::Register(register) = &mut body {
                std::sync::Arc::make_mut(register).expires = (kind >= 8).then_some(Hlc(1 + b as u64 / 2));
            }
            body
        }
    }
}

/// The ops of some logs, which arrive one by one.
pub(super) struct Arrivals {
    logs: Vec<Vec<Entry>>,
    next: Vec<usize>,
    /// The ops that have arrived, in the order of arrival.
    pub(super) arrived: Vec<Entry>,
}

impl Arrivals {
    pub(super) fn new(logs: Vec<Vec<Entry>>) -> Self {
        Self { next: vec![0; logs.len()], logs, arrived: Vec::new() }
    }

    /// Returns the next op of one of the logs that are not at their ends.
    pub(super) fn next(&mut self, pick: usize) -> Option<Entry> {
        let open: Vec<_> = (0..self.logs.len()).filter(|log| self.next[*log] < self.logs[*log].len()).collect();
        let log = *open.get(pick % open.len().max(1))?;
        let op = self.logs[log][self.next[log]].clone();
        self.next[log] += 1;
        self.arrived.push(op.clone());
        Some(op)
    }

    /// Every op at or below this timestamp has arrived.
    pub(super) fn settled(&self) -> Hlc {
        let to_come = self.logs.iter().zip(&self.next).filter_map(|(log, next)| log.get(*next)).map(|op| op.stamp.hlc);
        Hlc(to_come.min().unwrap_or(Hlc(u64::MAX)).0 - 1)
    }
}

/// Applies logs in the order that `picks` choose between origins, repeating some ops.
fn interleave(logs: &[Vec<Entry>], picks: &[usize]) -> Memory {
    let (mut registry, mut arrivals) = (empty(), Arrivals::new(logs.to_vec()));
    for pick in picks.iter().cycle() {
        let Some(op) = arrivals.next(*pick) else { break };
        registry.apply(op);
        if pick % 5 == 0 {
            registry.apply(arrivals.arrived[arrivals.arrived.len() / 2].clone());
        }
    }
    registry
}

/// A state that has seen a prefix of each log.
fn prefix(logs: &[Vec<Entry>], lengths: &[usize]) -> Memory {
    let mut registry = empty();
    for (log, length) in logs.iter().zip(lengths) {
        log.iter().take(*length).for_each(|op| registry.apply(op.clone()));
    }
    registry
}

fn merged(a: &Memory, b: &Memory) -> Memory {
    let mut merged = a.clone();
    merged.merge(b.clone());
    merged
}

fn picks() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0usize..97, 60..80)
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0usize..20, 4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ops_commute_in_any_allowed_order(logs in logs(), a in picks(), b in picks()) {
        prop_assert_eq!(state(&interleave(&logs, &a)), state(&interleave(&logs, &b)));
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        logs in logs(), a in lengths(), b in lengths(), c in lengths(),
    ) {
        let (a, b, c) = (prefix(&logs, &a), prefix(&logs, &b), prefix(&logs, &c));
        prop_assert!(a.validate_merge(&b).is_ok());
        prop_assert_eq!(state(&merged(&a, &b)), state(&merged(&b, &a)));
        prop_assert_eq!(state(&merged(&merged(&a, &b), &c)), state(&merged(&a, &merged(&b, &c))));
        prop_assert_eq!(state(&merged(&a, &a)), state(&a));
    }

    #[test]
    fn a_merge_equals_the_ops_of_both(logs in logs(), a in lengths(), b in lengths()) {
        let both: Vec<_> = a.iter().zip(&b).map(|(a, b)| *a.max(b)).collect();
        prop_assert_eq!(state(&merged(&prefix(&logs, &a), &prefix(&logs, &b))), state(&prefix(&logs, &both)));
    }

    #[test]
    fn losing_is_for_good(logs in logs(), picks in picks()) {
        let whole = interleave(&logs, &picks);
        for length in 0..logs.iter().map(Vec::len).max().unwrap_or(0) {
            let part = prefix(&logs, &vec![length; logs.len()]);
            for part in all::<schema::Registrations, _>(&part, |found| found.row()) {
                let whole = Registration::load(&whole.store, part.stamp).unwrap();
                prop_assert!(whole.lost || !part.lost);
            }
        }
    }

    #[test]
    fn ops_are_decoded_as_encoded(logs in logs()) {
        for op in logs.into_iter().flatten() {
            prop_assert_eq!(crate::codec::decode::<NameOp>(&crate::codec::encode(&op.op)).unwrap(), op.op);
        }
    }
}
