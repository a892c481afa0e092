//! Changes by somebody who may change only what is its own.

use super::*;
use crate::replica::Bearer;

fn change(cluster: &mut Cluster, n: u64, bearer: &Bearer, command: Command) -> Result<(), Refusal> {
    change_by(cluster, n, Caller { reads: true, bearer: Some(bearer.clone()) }, command)
}

fn change_by(cluster: &mut Cluster, n: u64, caller: Caller, command: Command) -> Result<(), Refusal> {
    cluster.reply(n, Request::Name(command, caller)).map(drop)
}

fn bearer(owner: Option<&str>) -> Bearer {
    Bearer { owner: owner.map(str::to_owned), token: Some("shop".to_owned()), namespaces: Vec::new() }
}

/// A reservation that a token has opened at n1.
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
                let discreet = Caller { reads: false, bearer: Some(stranger) };
                let refused = change_by(&mut cluster, n, discreet, request.clone());
                assert_eq!(refused, Err(Refusal::NotOwner(id)), "{request:?}");
            }
        }
    }
    assert_eq!(cluster.name(1, "alice"), NameStatus::Held);
    // The owner's name opens it at every node, and the token that opened it only where it did.
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
    // Said again, it is the same, though nothing says any more whose it was.
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
    let within = |namespaces: &[&str]| Bearer {
        namespaces: namespaces.iter().map(|namespace| (*namespace).to_owned()).collect(),
        ..bearer(None)
    };
    let release = Command::Release { id };
    let namespace = cluster.view(1, id).names[0].namespace.clone();
    let refused = change(&mut cluster, 1, &within(&["org/*"]), release.clone());
    assert_eq!(refused, Err(Refusal::OutOfReach(namespace.clone())));
    assert_eq!(change(&mut cluster, 1, &within(&["org/*", &namespace]), release), Ok(()));
}

#[test]
fn what_was_erased_elsewhere_is_out_of_reach_still() {
    let mut cluster = Cluster::founded(1);
    let id = cluster.claim(1, "alice").id;
    assert!(cluster.reply(1, Command::Erase { id }).is_ok());
    cluster.pass(3000);
    assert!(cluster.view(1, id).names.is_empty());
    let asks = |reached: &str| Request::Outcome { id, wait: None, reached: vec![reached.to_owned()] };
    assert_eq!(cluster.reply(1, asks("email")), Err(Refusal::OutOfReach("username".to_owned())));
    assert!(cluster.reply(1, asks("username")).is_ok());
}
