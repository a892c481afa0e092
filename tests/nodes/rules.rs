//! Tests of the rules of namespaces on real nodes: set on one node, they hold on the others, also after a restart, and
//! for newcomers.

use std::sync::Arc;

use forename::client::ClientError;
use forename::model::ProblemType;
use forename::model::{NameRef, Namespace, NamespaceBody, NamespacePatch, ProfileName, RegistrationBody};
use forename::transport::Cuts;
use forename::{Client, model::NameStatus};

use crate::support::local::{self, Local};
use crate::support::process::{Three, command, run};
use crate::support::{all_members, claim, eventually, same, user, user_final};

async fn rules(client: &Client, namespace: &str) -> Result<Namespace, String> {
    client.namespace(namespace).await.map_err(|error| error.to_string())
}

/// Waits until a node has these rules and says that they are final.
async fn has(client: &Client, wanted: &Namespace) {
    let mut wanted = wanted.clone();
    wanted.is_final = true;
    eventually("the rules are here", async || same(&rules(client, &wanted.namespace).await?, &wanted)).await;
}

fn problem<T: std::fmt::Debug>(refused: Result<T, ClientError>) -> (ProblemType, String) {
    match refused {
        Err(ClientError::Problem(problem)) => (problem.problem_type, problem.detail),
        other => panic!("{other:?}"),
    }
}

fn body(text: &str) -> NamespaceBody {
    serde_json::from_str(text).unwrap()
}

fn name_in(namespace: &str, name: &str) -> RegistrationBody {
    let names = vec![NameRef { namespace: namespace.to_owned(), name: name.to_owned() }];
    RegistrationBody { names, ..user_final(name, "ann") }
}

#[tokio::test]
async fn rules_that_are_set_on_one_node_hold_on_another_and_outlive_restarts() {
    let cuts = Arc::new(Cuts::new());
    let a = Local::start("a", cuts.clone(), None).await;
    let b = Local::start("b", cuts.clone(), Some(&a)).await;
    let mut nodes = vec![a, b];
    all_members(&local::clients(&nodes)).await;
    let al = claim(&nodes[1].client, &user_final("al", "ann")).await;
    let set = body(r#"{"min_length": 3, "max_length": 20, "reserved": ["admin"]}"#);
    let set = nodes[0].client.set_namespace("username", &set).await.unwrap();
    has(&nodes[1].client, &set).await;

    let (kind, detail) = problem(nodes[1].client.register(&user("bo", "bob")).await);
    assert_eq!(kind, ProblemType::InvalidName);
    assert!(detail.contains("asks for 3 at least"), "{detail}");
    let (kind, detail) = problem(nodes[1].client.name("username", "\u{430}dmin").await);
    assert_eq!(kind, ProblemType::InvalidName);
    assert!(detail.contains("reserved name \"admin\""), "{detail}");
    let held = nodes[0].client.name("username", "AL").await.unwrap();
    assert_eq!((held.status, held.registration), (NameStatus::Held, Some(al.id)), "names that are taken stay");

    let patch: NamespacePatch = serde_json::from_str(r#"{"max_length": 30}"#).unwrap();
    let patched = nodes[1].client.change_namespace("username", &patch).await.unwrap();
    assert_eq!((patched.min_length, patched.max_length), (3, 30));
    assert_eq!(patched.reserved, ["admin"], "what a patch does not name stays");
    has(&nodes[0].client, &patched).await;
    let stale = serde_json::from_value(serde_json::json!({"private": true, "if_version": set.version})).unwrap();
    let (kind, _) = problem(nodes[0].client.change_namespace("username", &stale).await);
    assert_eq!(kind, ProblemType::RulesChanged);
    let set = patched;

    let email = body(r#"{"remove_tags": true}"#);
    let email = nodes[1].client.set_namespace("org/42/email", &email).await.unwrap();
    has(&nodes[0].client, &email).await;
    claim(&nodes[0].client, &name_in("org/42/email", "Ann+news@Example.org")).await;
    let again = nodes[0].client.register(&name_in("org/42/email", "ann@example.org")).await.unwrap_err();
    assert!(again.is_taken(), "{again}");

    let (kind, detail) = problem(nodes[0].client.set_namespace("username", &body(r#"{"profile": "opaque"}"#)).await);
    assert_eq!(kind, ProblemType::NamespaceInUse, "{detail}");
    let stale = NamespaceBody { if_version: Some(email.version), ..NamespaceBody::from(&set) };
    let (kind, detail) = problem(nodes[0].client.set_namespace("username", &stale).await);
    assert_eq!(kind, ProblemType::RulesChanged, "{detail}");

    let dir = nodes.pop().unwrap().shutdown().await;
    nodes.push(Local::start_in(dir, "b", cuts.clone(), None).await);
    nodes.push(Local::start("c", cuts.clone(), Some(&nodes[0])).await);
    all_members(&local::clients(&nodes)).await;
    for node in &nodes {
        has(&node.client, &set).await;
        has(&node.client, &email).await;
    }
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn an_operator_sets_rules_on_the_command_line() {
    let three = Three::start().await;
    let (one, two) = (&three.clients()[0], &three.clients()[1]);
    let types = |client: &Client, words: &str| {
        let output = run(command(&[]).args(words.split(' ')).env("FORENAME_NODE", client.address()));
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), text.concat())
    };
    let (exit, text) = types(one, "namespace get org/42/handle");
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("profile username") && text.contains("these are the defaults"), "{text}");
    let (exit, text) = types(one, "namespace set org/42/handle --min-length 3 --reserve admin,root --output json");
    assert_eq!(exit, Some(0), "{text}");
    let set: Namespace = serde_json::from_str(&text).unwrap();
    assert_eq!((set.profile, set.min_length, set.reserved.join("+")), (ProfileName::Username, 3, "admin+root".into()));
    has(two, &set).await;
    let (exit, text) = types(two, "claim org/42/handle/Root --owner ann");
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.contains("it counts as the reserved name \"root\""), "{text}");
    // Rules that are not given stay as they are.
    let (exit, text) = types(two, "namespace set org/42/handle --max-length 9 --unreserve root --output json");
    assert_eq!(exit, Some(0), "{text}");
    let set: Namespace = serde_json::from_str(&text).unwrap();
    assert_eq!((set.min_length, set.max_length, set.reserved.join("+")), (3, 9, "admin".into()));
    has(one, &set).await;
    let (exit, text) = types(two, "claim org/42/handle/Root --owner ann --wait");
    assert_eq!(exit, Some(0), "{text}");
    let (exit, text) = types(one, "namespace set org/42/handle --max-length 9 --if-version default");
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.contains("has other rules by now"), "{text}");
    assert_eq!(types(one, "namespace set org/42/handle").0, Some(2));
}
