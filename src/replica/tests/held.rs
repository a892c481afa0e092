//! Limits on how many registrations may hold names: an owner's, and an API token's.

use proptest::prelude::*;

use super::*;
use crate::crdt::Registration;
use crate::model::ReplacesBody;
use crate::name::{Profile, Rules};
use crate::store::schema::{self, Rows as _, Span};

fn limited(count: u64, limit: u32) -> Cluster {
    let mut cluster = Cluster::founded(count);
    set_limit(&mut cluster, limit);
    cluster
}

fn set_limit(cluster: &mut Cluster, limit: u32) {
    cluster.nodes.values_mut().for_each(|replica| replica.registry.config_mut().max_total_of_owner = Some(limit));
}

fn of(owner: &str, name: &str) -> RegisterRequest {
    RegisterRequest { owner: owner.into(), ..names(&[name]) }
}

fn with_token(owner: &str, name: &str) -> RegisterRequest {
    let charge = Some(Charge { token: "shop".into(), max_open: None, max_total: Some(3) });
    RegisterRequest { charge, ..of(owner, name) }
}

impl Cluster {
    fn takes(&mut self, n: u64, request: RegisterRequest) -> Result<Uuid, Refusal> {
        match self.reply(n, Command::Register(request)) {
            Ok(Answer::Registration(view)) => Ok(view.id),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal),
        }
    }

    fn restart(&mut self, n: u64) {
        let store = self.nodes.remove(&node(n)).unwrap().into_store();
        let mut replica = Replica::open(config(n), store, None, self.now).unwrap();
        replica.registry.config_mut().max_total_of_owner = Some(3);
        self.nodes.insert(node(n), replica);
        let others: Vec<_> = self.nodes.keys().copied().filter(|other| *other != node(n)).collect();
        for other in others {
            self.nodes.get_mut(&other).unwrap().handle(self.now, Input::Disconnected(node(n)));
            if !self.cut.contains(&(node(n), other)) {
                self.connect(node(n), other);
            }
        }
        // A node without peers compares with nobody, so its start ends after the grace.
        self.pass(6000);
    }
}

fn replaced(registration: Uuid, name: &str) -> ReplacesBody {
    ReplacesBody { registration, namespace: "username".into(), name: name.into() }
}

fn renamed(owner: &str, from: (Uuid, &str), to: &str) -> RegisterRequest {
    let replaces = Some(replaced(from.0, from.1));
    RegisterRequest { replaces, ..of(owner, to) }
}

#[test]
fn permanent_names_count_until_they_are_given_up() {
    let mut cluster = limited(1, 3);
    let ids = ["a", "b", "c"].map(|name| cluster.takes(1, of("eve", name)).unwrap());
    let full = Err(Refusal::TooManyHeld { owner: "eve".into(), limit: 3 });
    assert_eq!(cluster.takes(1, of("eve", "d")), full);
    assert!(cluster.takes(1, of("ann", "d")).is_ok());
    // Where there is room, the refusal says that the name is taken.
    assert!(matches!(cluster.takes(1, of("ann", "a")), Err(Refusal::NameTaken { .. })));
    cluster.reply(1, Command::Release { id: ids[0] }).unwrap();
    cluster.settle();
    let fourth = cluster.takes(1, of("eve", "e")).unwrap();
    assert_eq!(cluster.takes(1, of("eve", "f")), full);
    // At the limit a name can be replaced again and again, and the limit stays.
    let fifth = cluster.takes(1, renamed("eve", (fourth, "e"), "f")).unwrap();
    cluster.takes(1, renamed("eve", (fifth, "f"), "g")).unwrap();
    assert_eq!(cluster.takes(1, of("eve", "h")), full);
    cluster.restart(1);
    assert_eq!(cluster.takes(1, of("eve", "h")), full);
    cluster.reply(1, Command::Erase { id: ids[1] }).unwrap();
    cluster.settle();
    assert!(cluster.takes(1, of("eve", "h")).is_ok());
    assert_eq!(cluster.takes(1, of("eve", "i")), full);
}

#[test]
fn what_other_nodes_took_counts_too_once_it_is_known() {
    let mut cluster = limited(2, 3);
    for (n, name) in [(1, "a"), (2, "b"), (1, "c")] {
        cluster.takes(n, of("eve", name)).unwrap();
    }
    for n in 1..=2 {
        assert_eq!(cluster.takes(n, of("eve", "d")), Err(Refusal::TooManyHeld { owner: "eve".into(), limit: 3 }));
    }
    // Nodes that do not reach each other accept as many each as they have room for.
    cluster.cut(1, 2);
    for n in 1..=2 {
        let taken = (0..9).filter(|name| cluster.takes(n, of("mal", &format!("m{n}{name}"))).is_ok()).count();
        assert_eq!(taken, 3);
    }
    cluster.heal();
    assert_eq!(cluster.nodes[&node(1)].registry.total_of("mal"), Some(6));
}

#[test]
fn a_token_may_not_take_the_dictionary_for_good() {
    let mut cluster = Cluster::founded(2);
    let ids = ["a", "b", "c"].map(|name| cluster.takes(1, with_token(&format!("o-{name}"), name)).unwrap());
    let full = Err(Refusal::TokenTooManyHeld { token: "shop".into(), limit: 3 });
    assert_eq!(cluster.takes(1, with_token("o-d", "d")), full);
    assert!(cluster.takes(2, with_token("o-d", "d")).is_ok(), "each node has its own count");
    cluster.restart(1);
    assert_eq!(cluster.takes(1, with_token("o-e", "e")), full);
    cluster.reply(2, Command::Release { id: ids[0] }).unwrap();
    cluster.settle();
    // A registration that loses, or that expires, does not count any more.
    cluster.cut(1, 2);
    cluster.takes(2, of("ann", "e")).unwrap();
    cluster.pass(100);
    cluster.takes(1, with_token("o-e", "e")).unwrap();
    assert_eq!(cluster.takes(1, with_token("o-f", "f")), full);
    cluster.heal();
    let reserved = RegisterRequest { ttl: Some(10_000), ..with_token("o-f", "f") };
    cluster.takes(1, reserved).unwrap();
    assert_eq!(cluster.takes(1, with_token("o-g", "g")), full);
    cluster.pass(12_000);
    cluster.takes(1, with_token("o-g", "g")).unwrap();
    assert_eq!(cluster.takes(1, with_token("o-h", "h")), full);
    // A retry under a known id is answered, however many its token holds.
    let id = Some(Uuid::from_u128(0x4000_8000_0000_0000_0001));
    assert!(cluster.takes(2, RegisterRequest { id, ..with_token("o-i", "i") }).is_ok());
    assert!(cluster.takes(1, RegisterRequest { id, ..with_token("o-i", "i") }).is_ok());
}

#[test]
fn a_node_that_comes_back_counts_what_is_left() {
    let mut cluster = Cluster::founded(2);
    let ids = ["a", "b", "c"].map(|name| cluster.takes(2, with_token("o", name)).unwrap());
    let store = cluster.nodes.remove(&node(2)).unwrap().into_store();
    let (store, next) = Replica::open(config(2), store, None, cluster.now).unwrap().rejoin().unwrap();
    cluster.nodes.get_mut(&node(1)).unwrap().handle(cluster.now, Input::Disconnected(node(2)));
    cluster.reply(1, Command::Release { id: ids[0] }).unwrap();
    let mut again = config(2);
    again.log.contact.node = next;
    cluster.nodes.insert(next, Replica::open(again, store, Some(Start::Join), cluster.now).unwrap());
    cluster.connect(next, node(1));
    cluster.pass(6000);
    let back = &cluster.nodes[&next];
    assert!(back.is_member());
    assert_eq!(schema::HeldCounts::get(back.store(), "shop"), Some(2));
    assert!(!schema::HeldBy::has(back.store(), ids[0]) && schema::HeldBy::has(back.store(), ids[1]));
}

#[test]
fn a_total_does_not_tell_which_private_names_were_lost() {
    for taken in [false, true] {
        let mut cluster = limited(1, 2);
        let rules = Rules::new(Profile::EMAIL, (1, 100), []).unwrap().with_private(true);
        let set = SetRules { namespace: "email".into(), rules: Box::new(rules), if_version: None };
        cluster.reply(1, set).unwrap();
        let address = |name: &str| NameRef { namespace: "email".into(), name: format!("{name}@example.org") };
        if taken {
            for (owner, name) in [("ann", "a"), ("ben", "b"), ("cid", "c"), ("dora", "d")] {
                cluster.register(1, RegisterRequest { names: vec![address(name)], ..of(owner, "x") });
            }
        }
        let asks = |cluster: &mut Cluster, owner: &str, name: &str, ttl| {
            let request = RegisterRequest { names: vec![address(name)], ttl, ..with_token(owner, "x") };
            cluster
                .reply(1, Request::Name(Command::Register(request), Caller { reads: false, ..Caller::ANYBODY }))
                .is_ok()
        };
        let first = ["a", "b", "c"].map(|name| asks(&mut cluster, "eve", name, Some(10_000)));
        assert_eq!(first, [true, true, false], "the owner's limit, {taken}");
        assert!(asks(&mut cluster, "mal", "c", None), "{taken}");
        assert!(!asks(&mut cluster, "mal", "d", None), "the token's limit, {taken}");
        cluster.pass(12_000);
        // The reservations are over, whether they had won or not, and permanent names still count.
        let then = ["a", "b", "d"].map(|name| asks(&mut cluster, "eve", name, None));
        assert_eq!(then, [true, true, false], "{taken}");
        cluster.restart(1);
        assert!(!asks(&mut cluster, "eve", "d", None) && !asks(&mut cluster, "mal", "d", None), "{taken}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register { n: u64, name: u8, ttl: bool },
    Rename { n: u64, which: usize, name: u8 },
    Release { n: u64, which: usize },
    Activate { n: u64, which: usize },
    Erase { n: u64, which: usize },
    Cut,
    Heal,
    Pass,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (n, which, name) = (1..=2u64, 0..12usize, 0..8u8);
    prop_oneof![
        6 => (n.clone(), name.clone(), any::<bool>()).prop_map(|(n, name, ttl)| Step::Register { n, name, ttl }),
        2 => (n.clone(), which.clone(), name).prop_map(|(n, which, name)| Step::Rename { n, which, name }),
        2 => (n.clone(), which.clone()).prop_map(|(n, which)| Step::Release { n, which }),
        1 => (n.clone(), which.clone()).prop_map(|(n, which)| Step::Activate { n, which }),
        1 => (n, which).prop_map(|(n, which)| Step::Erase { n, which }),
        1 => Just(Step::Cut),
        1 => Just(Step::Heal),
        1 => Just(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// Returns the registrations of a kind that hold names, by reading all registrations.
fn holding(replica: &Replica<MemoryStore>, which: impl Fn(&Registration) -> bool) -> Vec<Uuid> {
    let mut ids = Vec::new();
    schema::Registrations::each(replica.store(), &Span::all(), |found| {
        let registration = found.row();
        if which(&registration) && registration.claims.iter().any(|record| record.ended.is_none()) {
            ids.push(registration.id());
        }
    });
    ids
}

fn check(cluster: &Cluster) {
    for (node, replica) in &cluster.nodes {
        let held = holding(replica, |registration| registration.owner == "o").len();
        if let Some(known) = replica.registry.total_of("o") {
            assert_eq!(known, u32::try_from(held).unwrap(), "{node} counts for the owner");
        }
        let noted = schema::HeldCounts::get(replica.store(), "shop").unwrap_or_default();
        let own = holding(replica, |registration| registration.stamp.node == *node);
        assert_eq!(noted, own.len() as u64, "{node} counts for the token");
        assert!(own.iter().all(|id| schema::HeldBy::has(replica.store(), *id)), "{node} notes all");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens to registrations, the stored counts are those that one finds by reading all registrations.
    #[test]
    fn counts_are_what_there_is(steps in prop::collection::vec(step(), 1..40)) {
        let mut cluster = limited(2, 3);
        let mut known: Vec<(Uuid, String)> = Vec::new();
        for step in steps {
            let made = |name: u8, n: u64, cluster: &mut Cluster, request: RegisterRequest| {
                cluster.takes(n, request).ok().map(|id| (id, format!("x{name}")))
            };
            let ask = |cluster: &mut Cluster, n: u64, request: Command| drop(cluster.reply(n, request));
            match step {
                Step::Register { n, name, ttl } => {
                    let request = with_token("o", &format!("x{name}"));
                    let request = RegisterRequest { ttl: ttl.then_some(5000), ..request };
                    known.extend(made(name, n, &mut cluster, request));
                }
                Step::Rename { n, which, name } => if let Some((id, from)) = known.get(which).cloned() {
                    let replaces = Some(replaced(id, &from));
                    let request = RegisterRequest { replaces, ..with_token("o", &format!("x{name}")) };
                    known.extend(made(name, n, &mut cluster, request));
                },
                Step::Release { n, which } => if let Some((id, _)) = known.get(which).cloned() {
                    ask(&mut cluster, n, Command::Release { id });
                },
                Step::Activate { n, which } => if let Some((id, _)) = known.get(which).cloned() {
                    ask(&mut cluster, n, Command::Activate { id });
                },
                Step::Erase { n, which } => if let Some((id, _)) = known.get(which).cloned() {
                    ask(&mut cluster, n, Command::Erase { id });
                },
                Step::Cut => cluster.cut(1, 2),
                Step::Heal => cluster.heal(),
                Step::Pass => cluster.pass(3000),
                Step::Restart => cluster.restart(1),
            }
            cluster.settle();
            check(&cluster);
        }
    }
}
