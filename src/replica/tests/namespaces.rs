//! Rules of namespaces: who may set them, when they apply, and what happens to names that are taken.

use super::*;
use crate::model::{Namespace, NamespaceBody, ProfileName, RulesVersion};
use crate::name::{Profile, Rules};

fn rules(profile: Profile, lengths: (usize, usize), reserved: &[&str]) -> Rules {
    Rules::new(profile, lengths, reserved.iter().copied()).unwrap()
}

fn name_in(namespace: &str, name: &str) -> NameRef {
    NameRef { namespace: namespace.into(), name: name.into() }
}

fn rules_of(shown: &Namespace) -> Rules {
    NamespaceBody::from(shown).rules(&shown.namespace).unwrap()
}

impl Cluster {
    fn rules(&mut self, n: u64, namespace: &str) -> Namespace {
        self.namespace(n, RulesOf(namespace.into())).unwrap()
    }

    fn set(&mut self, n: u64, namespace: &str, rules: &Rules) -> Result<Namespace, Refusal> {
        self.set_if(n, namespace, rules, None)
    }

    fn set_if(
        &mut self,
        n: u64,
        namespace: &str,
        rules: &Rules,
        if_version: Option<RulesVersion>,
    ) -> Result<Namespace, Refusal> {
        let (namespace, rules) = (namespace.into(), Box::new(rules.clone()));
        self.namespace(n, SetRules { namespace, rules, if_version })
    }

    fn namespace(&mut self, n: u64, request: impl Into<Request>) -> Result<Namespace, Refusal> {
        match self.reply(n, request) {
            Ok(Answer::Namespace(view)) => Ok(view),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal),
        }
    }

    fn claim_in(&mut self, n: u64, namespace: &str, name: &str) -> Result<Registration, Refusal> {
        let request = RegisterRequest { names: vec![name_in(namespace, name)], ..names(&[]) };
        match self.reply(n, Command::Register(request)) {
            Ok(Answer::Registration(view)) => Ok(view),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal),
        }
    }
}

fn reason(refused: Result<Registration, Refusal>) -> String {
    match refused {
        Err(Refusal::InvalidName { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rules_that_are_set_at_one_node_hold_at_all() {
    let mut cluster = Cluster::founded(3);
    let before = cluster.rules(2, "username");
    assert_eq!((before.version, before.is_final), (RulesVersion::Default, true));
    let set = rules(Profile::USERNAME, (3, 8), &["admin"]);
    let view = cluster.set(1, "username", &set).unwrap();
    assert_eq!(rules_of(&view), set);
    cluster.pass(200);
    for n in 1..=3 {
        let shown = cluster.rules(n, "username");
        assert_eq!((&rules_of(&shown), shown.version, shown.is_final), (&set, view.version, true), "n{n}");
        assert_eq!(
            reason(cluster.claim_in(n, "username", "al")),
            "it has 2 characters, and this namespace asks for 3 at least"
        );
        assert_eq!(
            reason(cluster.claim_in(n, "username", "ADMIN")),
            "it is reserved in this namespace: it counts as the reserved name \"admin\""
        );
    }
    assert!(cluster.claim_in(2, "username", "alice").is_ok());
    assert!(cluster.claim_in(2, "org/42/username", "al").is_ok(), "another namespace");
}

#[test]
fn names_that_are_taken_stay_and_can_be_released_when_rules_forbid_them() {
    let mut cluster = Cluster::founded(2);
    let al = cluster.claim_in(1, "username", "al").unwrap();
    cluster.set(2, "username", &rules(Profile::USERNAME, (3, 8), &["al"])).unwrap();
    cluster.pass(200);
    assert_eq!(cluster.name(1, "AL"), NameStatus::Held);
    assert_eq!(cluster.status(2, al.id), Status::Confirmed);
    let again = RegisterRequest { id: None, ..names(&["al"]) };
    assert!(matches!(cluster.reply(2, Command::Register(again)), Err(Refusal::InvalidName { .. })));
    let release = Command::ReleaseName { owner: "o".into(), name: name_request("al") };
    assert!(cluster.reply(2, release).is_ok());
    cluster.pass(200);
    let free = cluster.reply(1, NameOf(name_request("al")));
    assert!(matches!(free, Err(Refusal::InvalidName { reason: "too-short", .. })), "not to be had");
}

#[test]
fn a_retry_is_answered_whatever_the_rules_have_become() {
    let mut cluster = Cluster::founded(2);
    let asked = RegisterRequest { id: Some(Uuid::from_u128(7)), ..names(&["al"]) };
    let first = cluster.register(1, asked.clone());
    cluster.set(1, "username", &rules(Profile::USERNAME, (3, 8), &[])).unwrap();
    cluster.pass(200);
    for n in 1..=2 {
        assert_eq!(cluster.register(n, asked.clone()).id, first.id);
    }
    let other = RegisterRequest { id: asked.id, ..names(&["alice"]) };
    assert_eq!(cluster.reply(1, Command::Register(other)), Err(Refusal::IdReused(first.id)));
    let rename = RegisterRequest { replaces: in_place_of(first.id, name_request("al")), ..names(&["alice"]) };
    assert!(matches!(cluster.reply(2, Command::Register(rename)), Ok(Answer::Registration(_))));
    cluster.pass(200);
    assert!(cluster.claim_in(1, "username", "alice").is_err());
}

#[test]
fn a_profile_changes_only_while_there_are_no_names() {
    let mut cluster = Cluster::founded(2);
    let opaque = rules(Profile::Opaque, (1, 256), &[]);
    assert!(cluster.set(1, "tag", &opaque).is_ok());
    cluster.pass(200);
    let (upper, lower) = (cluster.claim_in(1, "tag", "A b").unwrap(), cluster.claim_in(2, "tag", "a b").unwrap());
    assert_eq!((upper.names[0].key.as_str(), lower.names[0].key.as_str()), ("A b", "a b"));
    let refused = cluster.set(2, "tag", &Rules::default_of("tag")).unwrap_err();
    assert_eq!(refused, Refusal::NamespaceInUse { namespace: "tag".into(), profile: Profile::Opaque });
    assert!(cluster.set(2, "tag", &rules(Profile::Opaque, (2, 9), &[])).is_ok(), "lengths may change");
    // The name of this namespace is the beginning of another namespace's name.
    assert!(cluster.set(2, "ta", &opaque).is_ok());
}

#[test]
fn of_two_changes_the_later_stands_and_a_stale_one_can_be_refused() {
    let mut cluster = Cluster::founded(2);
    let (short, long) = (rules(Profile::USERNAME, (1, 5), &[]), rules(Profile::USERNAME, (6, 9), &[]));
    cluster.cut(1, 2);
    let first = cluster.set(1, "username", &short).unwrap();
    cluster.pass(50);
    let second = cluster.set(2, "username", &long).unwrap();
    assert!(!first.is_final && !second.is_final, "the other member is silent");
    assert_eq!(rules_of(&cluster.rules(1, "username")), short);
    cluster.heal();
    for n in 1..=2 {
        let shown = cluster.rules(n, "username");
        assert_eq!((rules_of(&shown), shown.version, shown.is_final), (long.clone(), second.version, true));
    }
    let stale = cluster.set_if(1, "username", &short, Some(first.version)).unwrap_err();
    assert_eq!(stale, Refusal::RulesChanged { namespace: "username".into(), version: second.version });
    let stale = cluster.set_if(1, "username", &short, Some(RulesVersion::Default));
    assert!(matches!(stale, Err(Refusal::RulesChanged { .. })));
    assert!(cluster.set_if(1, "username", &short, Some(second.version)).is_ok());
    assert!(cluster.set_if(1, "org/1/username", &short, Some(RulesVersion::Default)).is_ok());
}

#[test]
fn a_malformed_namespace_is_refused() {
    let mut cluster = Cluster::founded(1);
    for namespace in ["", "User name", "/x"] {
        for request in [
            Request::from(RulesOf(namespace.into())),
            Request::from(SetRules {
                namespace: namespace.into(),
                rules: Box::new(Rules::default_of("username")),
                if_version: None,
            }),
        ] {
            let reply = cluster.reply(1, request);
            assert!(matches!(&reply, Err(Refusal::InvalidRequest(why)) if why.contains("1 to 128")), "{reply:?}");
        }
    }
}

/// Returns the namespaces that a reader with this reach sees, page by page, each with what is shown of it.
fn listed(cluster: &mut Cluster, reach: &[&str], limit: usize) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let namespaces = reach.iter().map(|&pattern| pattern.to_owned()).collect();
        let caller = Caller { namespaces, ..Caller::ANYBODY };
        let page = cluster.query(1, NamespacesKnown::new(after, limit), caller).unwrap();
        assert!(page.namespaces.len() <= limit);
        all.extend(page.namespaces.into_iter().map(|one| {
            let rules = if one.rules_set { "rules" } else { "-" };
            let names = if one.has_names { "names" } else { "-" };
            format!("{} {rules} {names} {:?}", one.namespace, one.profile)
        }));
        let Some(next) = page.next else { return all };
        after = Some(next);
    }
}

#[test]
fn namespaces_with_rules_or_names_are_listed_once_in_order() {
    let mut cluster = Cluster::founded(1);
    assert_eq!(listed(&mut cluster, &[], 10), [""; 0]);
    for (namespace, name) in [("username", "ann"), ("org/42", "x"), ("org/42/handle", "y"), ("org-1", "z")] {
        cluster.claim_in(1, namespace, name).unwrap();
    }
    let held = cluster.claim_in(1, "old", "gone").unwrap();
    cluster.reply(1, Command::Release { id: held.id }).unwrap();
    let erased = cluster.claim_in(1, "older", "gone").unwrap();
    cluster.reply(1, Command::Erase { id: erased.id }).unwrap();
    cluster.set(1, "email", &rules(Profile::EMAIL, (1, 100), &[])).unwrap();
    cluster.set(1, "org/42", &rules(Profile::USERNAME, (1, 100), &[])).unwrap();
    cluster.pass(3000);
    let all = [
        "email rules - Email",
        "old - names Username",
        "older - names Username",
        "org-1 - names Username",
        "org/42 rules names Username",
        "org/42/handle - names Username",
        "username - names Username",
    ];
    for limit in [1, 2, 7, 100] {
        assert_eq!(listed(&mut cluster, &[], limit), all, "{limit} a page");
        assert_eq!(listed(&mut cluster, &["org/*", "email"], limit), [all[0], all[4], all[5]], "{limit} a page");
        assert_eq!(listed(&mut cluster, &["username", "org/42"], limit), [all[4], all[6]], "{limit} a page");
        assert_eq!(listed(&mut cluster, &["none", "zone/*"], limit), [""; 0]);
    }
    let page = NamespacesKnown::new(Some("No Namespace".into()), 1);
    assert!(matches!(cluster.reply(1, page), Err(Refusal::InvalidRequest(_))));
}

#[test]
fn the_first_claim_in_a_namespace_says_that_it_has_made_it() {
    let mut cluster = Cluster::founded(2);
    let made = |claimed: Result<Registration, Refusal>| {
        let made = claimed.unwrap().new_namespaces.into_iter().map(|new| (new.namespace, new.profile));
        made.collect::<Vec<_>>()
    };
    let new = vec![("usernme".to_owned(), ProfileName::Username), ("email".to_owned(), ProfileName::Email)];
    for (namespace, profile) in new {
        let name = if namespace == "email" { "ann@example.org" } else { "ann" };
        assert_eq!(made(cluster.claim_in(1, &namespace, name)), [(namespace, profile)]);
    }
    assert!(made(cluster.claim_in(1, "usernme", "bob")).is_empty(), "it is there by now");
    cluster.pass(200);
    assert!(made(cluster.claim_in(2, "usernme", "carl")).is_empty(), "another node knows that too");
    cluster.set(1, "username", &rules(Profile::USERNAME, (3, 8), &[])).unwrap();
    assert!(made(cluster.claim_in(1, "username", "dora")).is_empty(), "somebody has given it rules");
}
