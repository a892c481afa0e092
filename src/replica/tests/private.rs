//! Private names: what is sent to other nodes, who can read a name back, and what a discreet caller can find out.

use super::*;
use crate::clock::Stamp;
use crate::model::Claim;
use crate::name::{Profile, Rules};
use crate::store::schema::{self, Rows as _};

fn email(name: &str) -> NameRef {
    NameRef { namespace: "email".into(), name: name.into() }
}

fn address(name: &str) -> NameRef {
    email(&format!("{name}@example.org"))
}

fn of(owner: &str, names: &[NameRef]) -> RegisterRequest {
    RegisterRequest { owner: owner.into(), names: names.to_vec(), ..RegisterRequest::default() }
}

/// A cluster in which email addresses are private.
fn founded(count: u64) -> Cluster {
    let mut cluster = Cluster::founded(count);
    let rules = Rules::new(Profile::EMAIL, (1, 100), []).unwrap().with_private(true);
    let set = SetRules { namespace: "email".into(), rules: Box::new(rules), if_version: None };
    cluster.reply(1, set).unwrap();
    cluster.settle();
    cluster
}

impl Cluster {
    fn discreetly(&mut self, n: u64, command: Command) -> Reply {
        self.reply(n, Request::Name(command, Caller { reads: false, ..Caller::ANYBODY }))
    }

    /// Returns what a discreet caller sees of a registration.
    fn asks(&mut self, n: u64, request: RegisterRequest) -> Registration {
        match self.discreetly(n, Command::Register(request)) {
            Ok(Answer::Registration(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    fn status_of(&mut self, n: u64, name: NameRef) -> NameStatus {
        match self.reply(n, NameOf(name)) {
            Ok(Answer::Name(view)) => view.status,
            other => panic!("{other:?}"),
        }
    }

    fn claim_address(&mut self, n: u64, owner: &str, name: &str) -> Registration {
        self.register(n, of(owner, &[address(name)]))
    }
}

/// Returns what a discreet caller sees of an answer, without the parts that differ from one request to the next.
fn shape(view: &Registration) -> Registration {
    let (id, stamp, node) = (Uuid::nil(), Stamp::default(), NodeId(0));
    let names = view.names.iter().map(|name| Claim {
        name: "x".repeat(name.name.len()),
        key: "x".repeat(name.key.len()),
        ..name.clone()
    });
    let expires_at = view.expires_at.map(|at| Time(Millis(at.0.0 - view.stamp.hlc.millis().0)));
    Registration { id, stamp, node, names: names.collect(), expires_at, owner: String::new(), ..view.clone() }
}

fn needs_read(reply: &Reply) -> bool {
    matches!(reply, Err(Refusal::NeedsRead(_)))
}

#[test]
fn only_the_hash_leaves_the_node_and_the_name_is_found_everywhere() {
    let mut cluster = founded(3);
    let ann = cluster.register(1, of("ann", &[email("Ann.Typed@example.org")]));
    assert_eq!(ann.names[0].name, "Ann.Typed@example.org");
    assert_eq!(ann.names[0].key.len(), 40);
    cluster.pass(200);
    for n in 1..=3 {
        assert_eq!(cluster.status_of(n, email("ann.typed@EXAMPLE.org")), NameStatus::Held);
        let refused = cluster.reply(n, Command::Register(of("bob", &[email("ann.typed@example.org")])));
        assert!(matches!(refused, Err(Refusal::NameTaken { .. })), "who may read is told at once: {refused:?}");
        let view = cluster.view(n, ann.id);
        assert_eq!(view.names[0].name, if n == 1 { "Ann.Typed@example.org" } else { "" });
        assert_eq!(view.names[0].key, ann.names[0].key);
        let store = cluster.nodes[&node(n)].store();
        let typed = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains("ann.typed");
        let tables = Table::ALL.into_iter().filter(|table| store.rows(*table).any(|(k, v)| typed(k) || typed(v)));
        assert_eq!(tables.collect::<Vec<_>>(), if n == 1 { vec![Table::Typed] } else { vec![] }, "n{n}");
    }
    // After the name was released and forgotten, no text of it is left.
    cluster
        .nodes
        .values_mut()
        .for_each(|replica| replica.log.found_with(|settings| settings.keep_events = Some(60_000)));
    cluster.reply(2, Command::ReleaseName { owner: "ann".into(), name: email("ann.typed@example.org") }).unwrap();
    for n in 0..9 {
        cluster.pass(30_000);
        cluster.claim(1, &format!("other{n}"));
    }
    assert!(matches!(cluster.reply(1, Request::outcome(ann.id, None)), Err(Refusal::NoRegistration(_))));
    assert_eq!(schema::Typed::count(cluster.nodes[&node(1)].store()), 0);
}

#[test]
fn a_discreet_caller_is_told_the_same_whatever_holds_the_name() {
    let mut cluster = founded(3);
    cluster.claim_address(1, "ann", "held");
    let reserved = cluster.register(1, RegisterRequest { ttl: Some(600_000), ..of("ann", &[address("reserved")]) });
    let gone = cluster.claim_address(1, "ann", "free-again");
    cluster.reply(1, Command::Release { id: gone.id }).unwrap();
    cluster.pass(200);
    cluster.cut(1, 3);
    cluster.cut(2, 3);
    cluster.claim_address(1, "ann", "pending");
    let ending = cluster.claim_address(2, "ann", "ending");
    cluster.reply(2, Command::Release { id: ending.id }).unwrap();
    let names = ["held", "reserved", "free-again", "pending", "ending", "fresh"];
    for ttl in [None, Some(5000)] {
        let mut views = Vec::new();
        for (n, name) in names.into_iter().enumerate() {
            let id = Uuid::from_u128(0x4000_8000_0000_0000_0000 + n as u128 + u128::from(ttl.is_some()) * 100);
            let request = RegisterRequest {
                id: Some(id),
                ttl,
                wait: Some(AwaitFinal::always(60_000)),
                ..of("eve", &[address(name)])
            };
            let view = cluster.asks(2, request.clone());
            assert_eq!(
                (view.id, view.status, view.names[0].name.as_str()),
                (id, Status::Pending, request.names[0].name.as_str())
            );
            // The repeated request gets the same answer, and at another node only the name as typed is missing.
            assert_eq!(cluster.asks(2, request.clone()), view);
            let elsewhere = cluster.asks(1, request.clone());
            assert_eq!((elsewhere.status, elsewhere.stamp, elsewhere.waiting_for), (view.status, view.stamp, vec![]));
            views.push(Registration { names: Vec::new(), ..shape(&view) });
        }
        assert!(views.iter().all(|view| *view == views[0]), "{views:?}");
    }
    cluster.heal();
    // The outcome is in the feed of every node.
    for n in 1..=3 {
        let events = cluster.events(n);
        for (index, name) in names.into_iter().enumerate() {
            let id = Uuid::from_u128(0x4000_8000_0000_0000_0000 + index as u128);
            let wanted =
                if ["free-again", "fresh"].contains(&name) { EventType::Confirmed } else { EventType::Rejected };
            assert!(events.contains(&(EventType::Accepted, id)), "{name} at n{n}");
            assert_eq!(events.iter().filter(|event| **event == (wanted, id)).count(), 1, "{name} at n{n}");
        }
    }
    let rejected = Uuid::from_u128(0x4000_8000_0000_0000_0001);
    let by = cluster.view(2, rejected).rejected_by.unwrap();
    assert_eq!((by.registration, by.name.as_str()), (reserved.id, "reserved@example.org"), "as the loser typed it");
    // The confirmed and the rejected registration still look the same to the discreet caller.
    for name in ["held", "fresh"] {
        let index = names.iter().position(|known| *known == name).unwrap();
        let id = Uuid::from_u128(0x4000_8000_0000_0000_0000 + index as u128);
        let again = cluster.asks(2, RegisterRequest { id: Some(id), ..of("eve", &[address(name)]) });
        assert_eq!((again.status, again.rejected_by), (Status::Pending, None));
    }
}

#[test]
fn of_two_private_names_in_one_registration_none_is_told_and_both_are_freed() {
    let mut cluster = founded(2);
    cluster.claim_address(1, "ann", "taken");
    cluster.settle();
    let both = cluster.asks(2, of("eve", &[address("free"), address("taken")]));
    assert_eq!(both.status, Status::Pending);
    cluster.pass(500);
    assert_eq!(cluster.status(1, both.id), Status::Rejected);
    assert_eq!(cluster.status_of(1, address("free")), NameStatus::Available);
    let taken = cluster.reply(1, HistoryOf { name: address("taken"), after: None, limit: 10 });
    let Ok(Answer::History(history)) = taken else { panic!("{taken:?}") };
    let claims = [&history.tenures[0].holder, &history.tenures[0].losers[0]]
        .map(|claim| (claim.owner.as_str(), claim.name.as_str()));
    assert_eq!((history.tenures.len(), claims), (1, [("ann", "taken@example.org"), ("eve", "")]));
}

#[test]
fn what_would_tell_in_another_way_is_refused_whatever_is_known() {
    let mut cluster = founded(1);
    let taken = cluster.claim_address(1, "ann", "taken");
    let user = cluster.register(1, names(&["user"]));
    let mixed = cluster.register(1, of("ann", &[name_request("mixed"), address("mixed")]));
    for name in ["taken", "free"] {
        let together = of("eve", &[name_request("eve"), address(name)]);
        assert!(needs_read(&cluster.discreetly(1, Command::Register(together))), "{name}");
        let rename = in_place_of(user.id, name_request("user"));
        let to = RegisterRequest { replaces: rename, ..of("o", &[address(name)]) };
        assert!(needs_read(&cluster.discreetly(1, Command::Register(to))), "{name}");
        let rename = in_place_of(taken.id, address(name));
        let from = RegisterRequest { replaces: rename, ..of("ann", &[name_request("ann")]) };
        assert!(needs_read(&cluster.discreetly(1, Command::Register(from))), "{name}");
        let release = Command::ReleaseName { owner: "ann".into(), name: address(name) };
        assert!(needs_read(&cluster.discreetly(1, release)), "{name}");
    }
    let unknown = Uuid::from_u128(0x4000_8000_0000_0000_0009);
    for id in [taken.id, mixed.id, unknown] {
        for request in [Command::Activate { id }, Command::Release { id }] {
            assert!(needs_read(&cluster.discreetly(1, request)), "{id}");
        }
    }
    let beside = Command::ReleaseName { owner: "ann".into(), name: name_request("mixed") };
    assert!(needs_read(&cluster.discreetly(1, beside)));
    // Public names are treated as without privacy.
    let refused = cluster.discreetly(1, Command::Register(names(&["user", "free"])));
    assert!(matches!(refused, Err(Refusal::NameTaken { names }) if names.len() == 1));
    let public = cluster.asks(1, names(&["free"]));
    assert_eq!(public.status, Status::Confirmed);
    let other = RegisterRequest { id: Some(taken.id), ..of("ann", &[address("free")]) };
    assert!(matches!(cluster.discreetly(1, Command::Register(other)), Err(Refusal::IdReused(_))));
    assert!(cluster.discreetly(1, Command::Release { id: public.id }).is_ok());
    // An empty name is not taken for a name whose text was not sent.
    let empty = RegisterRequest { id: Some(taken.id), ..of("ann", &[email("")]) };
    assert!(matches!(cluster.reply(1, Command::Register(empty)), Err(Refusal::IdReused(_))));
}

#[test]
fn without_private_namespaces_an_unknown_id_is_unknown() {
    let mut cluster = Cluster::founded(1);
    let unknown = Uuid::from_u128(0x4000_8000_0000_0000_0009);
    let reply = cluster.discreetly(1, Command::Release { id: unknown });
    assert_eq!(reply, Err(Refusal::NoRegistration(unknown)));
}

#[test]
fn a_count_of_open_registrations_does_not_tell_which_of_them_lost() {
    for taken in [false, true] {
        let mut cluster = founded(1);
        cluster.nodes.values_mut().for_each(|replica| replica.registry.config_mut().max_open_of_owner = Some(2));
        if taken {
            ["a", "b", "c"].iter().for_each(|name| drop(cluster.claim_address(1, "ann", name)));
        }
        let asks = |cluster: &mut Cluster, owner: &str, name: &str, ttl| {
            let charge = Some(Charge { token: "shop".into(), max_open: Some(3), max_total: None });
            let request = RegisterRequest { ttl, charge, ..of(owner, &[address(name)]) };
            cluster.discreetly(1, Command::Register(request)).is_ok()
        };
        let reserve = Some(60_000);
        let first = ["a", "b", "c"].map(|name| asks(&mut cluster, "eve", name, reserve));
        assert_eq!(first, [true, true, false], "the owner's limit, {taken}");
        assert!(asks(&mut cluster, "mal", "c", reserve));
        assert!(!asks(&mut cluster, "mal", "d", reserve), "the token's limit, {taken}");
        cluster.pass(50_000);
        assert!(!asks(&mut cluster, "eve", "d", reserve), "{taken}");
        assert!(!asks(&mut cluster, "mal", "d", reserve), "{taken}");
        cluster.pass(12_000);
        assert!(asks(&mut cluster, "eve", "a", None), "{taken}");
        // Permanent names do not stay open.
        let more = ["b", "c", "d", "e", "f"].map(|name| asks(&mut cluster, "eve", name, None));
        assert_eq!(more, [true; 5], "{taken}");
    }
}

#[test]
fn what_lost_is_not_forgotten_before_it_would_be_had_it_won() {
    let mut cluster = founded(1);
    cluster
        .nodes
        .values_mut()
        .for_each(|replica| replica.log.found_with(|settings| settings.keep_events = Some(60_000)));
    cluster.claim_address(1, "ann", "taken");
    let chosen = |n: u128| Some(Uuid::from_u128(0x4000_8000_0000_0000_0000 + n));
    let for_good = cluster.asks(1, RegisterRequest { id: chosen(1), ..of("eve", &[address("taken")]) });
    let made = cluster.asks(1, of("eve", &[address("taken")]));
    let long = cluster.asks(1, RegisterRequest { ttl: Some(400_000), ..of("eve", &[address("taken")]) });
    let short = cluster.asks(1, RegisterRequest { ttl: Some(1000), ..of("eve", &[address("taken")]) });
    let known = |cluster: &mut Cluster| {
        [made.id, long.id, short.id].map(|id| cluster.reply(1, Request::outcome(id, None)).is_ok())
    };
    let pass = |cluster: &mut Cluster, times: usize| {
        for _ in 0..times {
            cluster.pass(30_000);
            cluster.claim(1, &format!("u{}", cluster.now.elapsed.0));
        }
    };
    pass(&mut cluster, 8);
    assert_eq!(known(&mut cluster), [true, true, false]);
    pass(&mut cluster, 14);
    assert_eq!(known(&mut cluster), [true, false, false]);
    assert_eq!(cluster.status(1, for_good.id), Status::Rejected);
}

#[test]
fn a_recovered_cluster_finds_the_names_under_their_keys_and_the_owner_reads_them_back() {
    let mut cluster = founded(2);
    let ann = cluster.claim_address(1, "ann", "ann");
    let bob = cluster.claim_address(2, "bob", "bob");
    cluster.pass(500);
    let store = cluster.nodes.remove(&node(1)).unwrap().into_store();
    cluster.nodes.clear();
    let survivor = Replica::open(config(1), store, None, cluster.now).unwrap();
    let (store, next) = survivor.recover(ClusterId::from_random([9; 16]), [9; 32]).unwrap();
    let mut config = config(1);
    config.log.contact.node = next;
    let replica = Replica::open(config, store, None, cluster.now).unwrap();
    assert_eq!(replica.secret(), Some([9; 32]));
    cluster.nodes.insert(next, replica);
    cluster.settle();
    let mut ask = |request: Request| {
        let token = cluster.next_token;
        cluster.next_token += 1;
        cluster
            .nodes
            .get_mut(&next)
            .unwrap()
            .handle(cluster.now, Input::Request(request.with(cluster.replies.to(token))));
        cluster.settle();
        cluster.replies.remove(&token).expect("answered")
    };
    for (owner, id, typed) in [("ann", ann.id, "ann@example.org"), ("bob", bob.id, "")] {
        let name = address(owner);
        match ask(NameOf(name).into()) {
            Ok(Answer::Name(view)) => assert_eq!((view.status, view.registration), (NameStatus::Held, Some(id))),
            other => panic!("{other:?}"),
        }
        match ask(Request::outcome(id, None)) {
            Ok(Answer::Registration(view)) => assert_eq!(view.names[0].name, typed),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn names_become_private_before_the_first_is_taken_or_never() {
    let mut cluster = Cluster::founded(1);
    let set = |cluster: &mut Cluster, private| {
        let rules = Rules::default_of("email").with_private(private);
        cluster.reply(1, SetRules { namespace: "email".into(), rules: Box::new(rules), if_version: None })
    };
    assert!(set(&mut cluster, true).is_ok());
    assert!(set(&mut cluster, false).is_ok());
    cluster.claim_address(1, "ann", "ann");
    assert!(matches!(set(&mut cluster, true), Err(Refusal::NamespaceInUse { .. })));
    assert!(set(&mut cluster, false).is_ok());
}

#[test]
fn an_erased_address_is_gone_where_it_was_typed_too_and_can_be_had_again() {
    let mut cluster = founded(2);
    let ann = cluster.claim_address(1, "ann", "annika");
    assert!(cluster.reply(2, Command::Erase { id: ann.id }).is_ok());
    cluster.pass(3000);
    for n in [1, 2] {
        let view = cluster.view(n, ann.id);
        assert!(view.erased && view.names.iter().all(|name| name.name.is_empty() && name.key.is_empty()), "{view:?}");
        let typed = schema::Typed::count(cluster.nodes[&node(n)].store());
        assert_eq!(typed, 0, "at n{n}");
        assert_eq!(cluster.status_of(n, address("annika")), NameStatus::Available);
    }
    let bob = cluster.claim_address(2, "bob", "annika");
    assert_eq!(cluster.status(1, bob.id), Status::Confirmed);
    let late = cluster.asks(1, of("eve", &[address("annika")]));
    assert_eq!(cluster.status(1, late.id), Status::Rejected, "its hash is found as the name's key is");
}

#[test]
fn a_discreet_caller_may_erase_public_names_alone() {
    let mut cluster = founded(1);
    let (ann, bob) = (cluster.claim_address(1, "ann", "ann"), cluster.claim(1, "bob"));
    assert!(needs_read(&cluster.discreetly(1, Command::Erase { id: ann.id })));
    assert!(cluster.discreetly(1, Command::Erase { id: bob.id }).is_ok());
    cluster.pass(3000);
    assert!(cluster.view(1, bob.id).erased);
    assert!(cluster.discreetly(1, Command::Erase { id: bob.id }).is_ok(), "it has no names now, which hides nothing");
}
