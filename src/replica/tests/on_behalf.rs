//! Changes by callers who may change only what belongs to them.

use super::*;
use crate::replica::Bearer;

fn change(cluster: &mut Cluster, n: u64, bearer: &Bearer, command: Command) -> Result<(), Refusal> {
    change_by(cluster, n, Caller { bearer: Some(bearer.clone()), ..Caller::ANYBODY }, command)
}

fn change_by(cluster: &mut Cluster, n: u64, caller: Caller, command: Command) -> Result<(), Refusal> {
    cluster.reply(n, Request::Name(command, caller)).map(drop)
}

fn bearer(owner: Option<&str>) -> Bearer {
    Bearer { owner: owner.map(str::to_owned), token: Some("shop".to_owned()) }
}

fn reaching(namespaces: &[&str]) -> Caller {
    Caller { namespaces: namespaces.iter().map(|namespace| (*namespace).to_owned()).collect(), ..Caller::ANYBODY }
}

/// A reservation that a token has made at node 1.
fn opened(cluster: &mut Cluster, token: &str, name: &str) -> Uuid {
    let charge = Some(Charge { token: token.to_owned(), max_open: Some(100), max_total: None });
    cluster.register(1, RegisterRequest { ttl: Some(60_000), charge, ..names(&[name]) }).id
}

#[test]
fn nobody_changes_what_is_somebody_elses() {
    let mut cluster = Cluster::founded(2);
    let id = opened(&mut cluster, "forum", "alice");
    cluster.pass(3000);
    let owner = cluster.view(1, id).owner;
    let requests =
        [Command::Activate { id }, Command::Extend { id, ttl: 90_000 }, Command::Release { id }, Command::Erase { id }];
    for n in 1..=2 {
        for request in requests.clone() {
            for stranger in [bearer(None), bearer(Some("mallory")), bearer(Some(""))] {
                assert_eq!(
                    change(&mut cluster, n, &stranger, request.clone()),
                    Err(Refusal::NotOwner(id)),
                    "{request:?}"
                );
                let discreet = Caller { reads: false, bearer: Some(stranger), ..Caller::ANYBODY };
                let refused = change_by(&mut cluster, n, discreet, request.clone());
                assert_eq!(refused, Err(Refusal::NotOwner(id)), "{request:?}");
            }
        }
    }
    assert_eq!(cluster.name(1, "alice"), NameStatus::Held);
    // The owner may change it at every node, and the token that made it only at the node where it did.
    let forum = Bearer { token: Some("forum".to_owned()), ..bearer(None) };
    assert_eq!(change(&mut cluster, 2, &forum, Command::Activate { id }), Err(Refusal::NotOwner(id)));
    assert_eq!(change(&mut cluster, 1, &forum, Command::Extend { id, ttl: 90_000 }), Ok(()));
    assert_eq!(change(&mut cluster, 2, &bearer(Some(&owner)), Command::Activate { id }), Ok(()));
    cluster.pass(3000);
    assert_eq!(
        change(&mut cluster, 1, &forum, Command::Release { id }),
        Err(Refusal::NotOwner(id)),
        "it is closed now"
    );
    assert_eq!(change(&mut cluster, 2, &bearer(Some(&owner)), Command::Erase { id }), Ok(()));
    cluster.pass(3000);
    // The repeated request has the same result, though the registration no longer names its owner.
    assert!(cluster.view(2, id).erased);
    assert_eq!(change(&mut cluster, 2, &bearer(Some(&owner)), Command::Erase { id }), Ok(()));
    let unknown = Uuid::from_u128(0x4000_8000_0000_0000_0001);
    let release = Command::Release { id: unknown };
    assert_eq!(change(&mut cluster, 1, &bearer(None), release), Err(Refusal::NoRegistration(unknown)));
}

#[test]
fn a_registration_with_a_name_elsewhere_is_out_of_reach() {
    let mut cluster = Cluster::founded(1);
    let id = opened(&mut cluster, "shop", "alice");
    let within = |namespaces: &[&str]| Caller { bearer: Some(bearer(None)), ..reaching(namespaces) };
    let release = Command::Release { id };
    let namespace = cluster.view(1, id).names[0].namespace.clone();
    let refused = change_by(&mut cluster, 1, within(&["org/*"]), release.clone());
    assert_eq!(refused, Err(Refusal::OutOfReach(namespace.clone())));
    assert_eq!(change_by(&mut cluster, 1, within(&["org/*", &namespace]), release), Ok(()));
}

#[test]
fn what_was_erased_elsewhere_is_out_of_reach_still() {
    let mut cluster = Cluster::founded(1);
    let id = cluster.claim(1, "alice").id;
    assert!(cluster.reply(1, Command::Erase { id }).is_ok());
    cluster.pass(3000);
    assert!(cluster.view(1, id).names.is_empty());
    let asks = |reached: &str| Request::Outcome { id, wait: None, caller: reaching(&[reached]) };
    assert_eq!(cluster.reply(1, asks("email")), Err(Refusal::OutOfReach("username".to_owned())));
    assert!(cluster.reply(1, asks("username")).is_ok());
}

#[test]
fn nobody_is_shown_what_is_out_of_reach() {
    let mut cluster = Cluster::founded(1);
    let mail = |name: &str| NameRef { namespace: "email".to_owned(), name: name.to_owned() };
    let by = |namespaces: &[&str]| reaching(namespaces);
    let owner = || "ann".to_owned();
    let both = RegisterRequest { owner: owner(), names: vec![name_request("alice"), mail("a@b.org")], ..names(&[]) };
    let both = cluster.register(1, both).id;
    let one = cluster.register(1, RegisterRequest { owner: owner(), names: vec![mail("c@d.org")], ..names(&[]) }).id;
    let alone = cluster.register(1, RegisterRequest { owner: owner(), ..names(&["bob"]) }).id;
    cluster.pass(3000);
    let out = Err(Refusal::OutOfReach("username".to_owned()));
    // A caller who asks for one name or namespace out of reach is refused.
    let (name, only) = (name_request("alice"), Some("username".to_owned()));
    assert_eq!(cluster.query(1, NameOf(name.clone()), by(&["email"])).map(drop), out);
    assert_eq!(cluster.query(1, RulesOf("username".to_owned()), by(&["email"])).map(drop), out);
    assert_eq!(cluster.query(1, ExplainName::new(name.clone()), by(&["email"])).map(drop), out);
    assert_eq!(cluster.query(1, ExplainRegistration::new(both), by(&["email"])).map(drop), out);
    assert_eq!(cluster.query(1, NamesOf(vec![mail("a@b.org"), name.clone()]), by(&["email"])).map(drop), out);
    assert_eq!(cluster.query(1, Suggestions { name: name.clone(), count: 1 }, by(&["email"])).map(drop), out);
    let history = HistoryOf { name, after: None, limit: 10 };
    assert_eq!(cluster.query(1, history, by(&["email"])).map(drop), out);
    let conflicts = ConflictsOf::new(only.clone(), None, None, 10);
    assert_eq!(cluster.query(1, conflicts, by(&["email"])).map(drop), out);
    let taken = NamesTaken::new(only.clone(), String::new(), None, 10);
    assert_eq!(cluster.query(1, taken, by(&["email"])).map(drop), out);
    let events = EventQuery { namespace: only, ..EventQuery::default() };
    assert_eq!(cluster.query(1, EventsAfter::new(None, events), by(&["email"])).map(drop), out);
    // A caller who asks for a list sees a part of it: of the events, those of registrations with any name within reach.
    for (reached, registrations, names, events) in [
        (&["email"][..], vec![one], 2, 4),
        (&["username"], vec![alone], 2, 4),
        (&["email", "username"], vec![both, one, alone], 4, 6),
        (&[], vec![both, one, alone], 4, 6),
        (&["org/*"], vec![], 0, 0),
    ] {
        let page = cluster.query(1, RegistrationsOf::new(owner(), None, 10), by(reached)).unwrap();
        assert_eq!(page.registrations.iter().map(|view| view.id).collect::<Vec<_>>(), registrations, "{reached:?}");
        let taken = NamesTaken::new(None, String::new(), None, 10);
        assert_eq!(cluster.query(1, taken, by(reached)).unwrap().names.len(), names, "{reached:?}");
        let feed = EventsAfter::new(None, EventQuery::default());
        assert_eq!(cluster.query(1, feed, by(reached)).unwrap().events.len(), events, "{reached:?}");
        let known = cluster.query(1, NamespacesKnown::new(None, 10), by(reached)).unwrap().namespaces;
        assert!(known.iter().all(|known| by(reached).reaches(&known.namespace)), "{reached:?}");
    }
}

#[test]
fn nobody_takes_or_rules_what_is_out_of_reach() {
    let mut cluster = Cluster::founded(1);
    let register = || Command::Register(names(&["alice"]));
    let out = Err(Refusal::OutOfReach("username".to_owned()));
    assert_eq!(change_by(&mut cluster, 1, reaching(&["email"]), register()), out);
    assert_eq!(change_by(&mut cluster, 1, reaching(&["username"]), register()), Ok(()));
    let release = Command::ReleaseName { owner: "ann".to_owned(), name: name_request("alice") };
    assert_eq!(change_by(&mut cluster, 1, reaching(&["email"]), release), out);
    let replaced = cluster.claim(1, "bob");
    let replaces = ReplacesBody { registration: replaced.id, namespace: "username".to_owned(), name: "bob".to_owned() };
    let mail = NameRef { namespace: "email".to_owned(), name: "a@b.org".to_owned() };
    let rename = RegisterRequest { names: vec![mail], replaces: Some(replaces), ..names(&[]) };
    assert_eq!(change_by(&mut cluster, 1, reaching(&["email"]), Command::Register(rename)), out);
}
