//! Erasure: what is left of a registration, who may erase it, and when.

use super::super::verify::verify;
use super::*;
use crate::store::schema::{self, Cell, Rows};

impl Cluster {
    fn erase(&mut self, n: u64, id: Uuid) -> Result<Registration, Refusal> {
        match self.reply(n, Command::Erase { id })? {
            Answer::Registration(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }

    /// Returns the tables of a node in which a text occurs.
    fn tables_with(&self, n: u64, text: &str) -> Vec<&'static str> {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let store = self.nodes[&node(n)].store();
        let tables = Table::ALL.into_iter().filter(|t| store.rows(*t).any(|(key, value)| has(key) || has(value)));
        tables.map(Table::name).collect()
    }
}

fn ann() -> RegisterRequest {
    let id = Some(Uuid::from_u128(0x4000_8000_0000_0000_0001));
    let metadata = Some("{\"mail\":\"ann@example.org\"}".to_owned());
    RegisterRequest { id, owner: "user-of-ann".into(), metadata, ..names(&["Annika", "Berta"]) }
}

#[test]
fn an_erased_registration_has_nothing_left_but_its_id_its_stamps_and_its_ends() {
    let mut cluster = Cluster::founded(3);
    let id = cluster.register(1, ann()).id;
    let bob = cluster.claim(2, "bob").id;
    assert!(cluster.tables_with(3, "Annika").contains(&"log"));
    let erased = cluster.erase(2, id).unwrap();
    cluster.pass(70_000);
    for n in 1..=3 {
        let view = cluster.view(n, id);
        assert!(view.erased && view.owner.is_empty() && view.metadata.is_none());
        assert_eq!((view.status, view.stamp), (Status::Confirmed, erased.stamp));
        assert!(view.names.is_empty());
        for text in ["user-of-ann", "Annika", "annika", "Berta", "berta", "ann@example.org"] {
            assert_eq!(cluster.tables_with(n, text), Vec::<&str>::new(), "{text} at n{n}");
        }
        let events = cluster.events(n);
        assert_eq!(events.iter().filter(|event| **event == (EventType::NameEnded, id)).count(), 2);
        assert_eq!(verify(cluster.nodes[&node(n)].store(), node(n)).findings, []);
        let request = RegistrationsOf::new("user-of-ann".into(), None, 10);
        assert_eq!(cluster.reply(n, request), Ok(Answer::Registrations(Registrations::default())));
        assert_eq!(cluster.name(n, "annika"), NameStatus::Available);
        assert_eq!(cluster.view(n, bob).owner, "o");
    }
    // The same request again finds the same registration. Another request under its id does not.
    assert!(cluster.register(3, ann()).erased);
    let other = RegisterRequest { id: Some(id), ..names(&["carol"]) };
    assert_eq!(cluster.reply(1, Command::Register(other)), Err(Refusal::IdReused(id)));
    let ops = |cluster: &Cluster| cluster.nodes[&node(1)].log.frontiers().seq(node(1));
    let before = ops(&cluster);
    assert!(cluster.erase(1, id).unwrap().erased, "once more");
    assert_eq!(ops(&cluster), before, "without an op");
    let unknown = Uuid::from_u128(0x4000_8000_0000_0000_0009);
    assert_eq!(cluster.erase(1, unknown), Err(Refusal::NoRegistration(unknown)));
}

#[test]
fn what_is_shown_of_a_name_forgets_who_was_erased() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let winner = cluster.claim(1, "alice").id;
    cluster.pass(100);
    let loser = cluster.register(2, RegisterRequest { owner: "bob".into(), ..names(&["Alice"]) }).id;
    cluster.heal();
    assert!(cluster.erase(2, winner).is_ok());
    cluster.pass(3000);
    let lost = cluster.view(1, loser);
    assert_eq!(lost.rejected_by.map(|by| by.registration), Some(winner), "its id is known");
    let history = HistoryOf { name: name_request("alice"), after: None, limit: 10 };
    match cluster.reply(1, history) {
        Ok(Answer::History(page)) => assert_eq!(page.tenures, []),
        other => panic!("{other:?}"),
    }
    match cluster.reply(1, ExplainRegistration::new(winner)) {
        Ok(Answer::RegistrationExplanation(explained)) => assert!(explained.registration.erased),
        other => panic!("{other:?}"),
    }
    match cluster.reply(1, ExplainRegistration::new(loser)) {
        Ok(Answer::RegistrationExplanation(explained)) => {
            assert_eq!(explained.claims[0].lost_to.as_ref().map(|rival| rival.owner.as_str()), Some(""));
        }
        other => panic!("{other:?}"),
    }
    assert!(!cluster.tables_with(1, "alice").is_empty(), "it is the loser's as well");
    assert!(cluster.erase(1, loser).is_ok());
    cluster.pass(70_000);
    assert_eq!(cluster.tables_with(1, "alice"), Vec::<&str>::new());
    for n in 1..=2 {
        assert_eq!(verify(cluster.nodes[&node(n)].store(), node(n)).findings, []);
    }
}

#[test]
fn a_cluster_that_is_recovered_finds_what_was_hashed_before() {
    let mut cluster = Cluster::founded(1);
    let alice = cluster.claim(1, "alice");
    assert!(cluster.erase(1, alice.id).is_ok());
    cluster.pass(3000);
    let store = cluster.nodes.remove(&node(1)).unwrap().into_store();
    let pepper = schema::Pepper::load(&store);
    let replica = Replica::open(config(1), store, None, cluster.now).unwrap();
    let (store, next) = replica.recover(ClusterId::from_random([9; 16]), [9; 32]).unwrap();
    assert_eq!(schema::Pepper::load(&store), pepper);
    assert_eq!(verify(&store, node(1)).findings, []);
    let mut config = config(1);
    config.log.contact.node = next;
    let replica = Replica::open(config, store, None, cluster.now).unwrap();
    assert_eq!(
        crate::crdt::Lattice::load(&replica.store).vacancy(&replica.store, "username", "alice"),
        crate::crdt::Vacancy::Free(Some(alice.stamp))
    );
}

#[test]
fn an_erasure_that_is_not_final_outlives_a_restart() {
    let mut cluster = Cluster::founded(2);
    let alice = cluster.claim(1, "alice").id;
    cluster.cut(1, 2);
    assert!(!cluster.erase(1, alice).unwrap().erased, "the other one may come up with anything yet");
    assert_eq!(cluster.name(1, "alice"), NameStatus::Ending);
    let replica = cluster.nodes.remove(&node(1)).unwrap();
    assert_eq!(verify(replica.store(), node(1)).findings, []);
    let replica = Replica::open(config(1), replica.into_store(), None, cluster.now).unwrap();
    cluster.nodes.insert(node(1), replica);
    cluster.heal();
    cluster.pass(3000);
    assert!(cluster.view(1, alice).erased && cluster.view(2, alice).erased);
}

#[test]
fn what_was_erased_is_forgotten_in_time_as_all_else() {
    let mut cluster = Cluster::founded(1);
    cluster
        .nodes
        .values_mut()
        .for_each(|replica| replica.log.found_with(|settings| settings.keep_events = Some(60_000)));
    let alice = cluster.claim(1, "alice").id;
    assert!(cluster.erase(1, alice).is_ok());
    for name in ["bob", "carol", "dora"] {
        cluster.pass(100_000);
        cluster.claim(1, name);
    }
    cluster.pass(3000);
    let unknown = cluster.reply(1, Request::outcome(alice, None));
    assert_eq!(unknown, Err(Refusal::NoRegistration(alice)));
    let store = cluster.nodes[&node(1)].store();
    assert_eq!(schema::Erased::count(store), 1, "one stamp of it is left, under its hash");
    assert_eq!(verify(store, node(1)).findings, []);
    let again = cluster.claim(1, "alice");
    assert_eq!(cluster.view(1, again.id).status, Status::Confirmed);
}

#[test]
fn names_that_were_erased_keep_their_namespace_in_use() {
    let mut cluster = Cluster::founded(1);
    let alice = cluster.claim(1, "alice").id;
    assert!(cluster.erase(1, alice).is_ok());
    cluster.pass(3000);
    let rules = Box::new(crate::name::Rules::new(crate::name::Profile::Opaque, (1, 9), []).unwrap());
    let set = SetRules { namespace: "username".into(), rules, if_version: None };
    assert!(matches!(cluster.reply(1, set), Err(Refusal::NamespaceInUse { .. })));
}
