//! The rules of namespaces, over HTTP and on the command line.

use super::*;
use crate::model::{Namespace, NamespaceBody, RulesVersion};
use crate::name::{Profile, Rules};
use crate::replica::{NamespacesKnown, RulesOf, SetRules};

fn stamp() -> Stamp {
    Stamp { hlc: Hlc(1_700_000_000_000 << 16), node: NODE }
}

/// Answers as a node that has set the rules that it was asked to set.
fn echo(request: &Request) -> Reply {
    let view = match request {
        Request::RulesOf(RulesOf(namespace)) => {
            Rules::default_of(namespace).shown(namespace.clone(), RulesVersion::Default, true)
        }
        Request::SetRules(SetRules { namespace, rules, .. }) => {
            rules.shown(namespace.clone(), RulesVersion::Set(stamp()), false)
        }
        other => panic!("{other:?}"),
    };
    Ok(Answer::Namespace(view))
}

impl Fake {
    async fn put(&self, path: &str, body: &Value) -> Response {
        self.http.put(format!("{}{path}", self.base)).json(body).send().await.unwrap()
    }
}

#[tokio::test]
async fn rules_are_shown_and_set() {
    let fake = Fake::start(echo).await;
    let shown: Value = fake.get("/v1/namespaces/org%2F42%2Femail").await.json().await.unwrap();
    let defaults = json!({
        "namespace": "org/42/email", "profile": "email", "min_length": 1, "max_length": 256, "remove_tags": false,
        "private": false, "reserved": [], "version": "default", "final": true,
    });
    assert_eq!(shown, defaults);
    let body = json!({"min_length": 3, "reserved": ["root", "Admin"], "if_version": "default"});
    let response = fake.put("/v1/namespaces/username", &body).await;
    assert_eq!(response.status(), StatusCode::OK);
    let set: Value = response.json().await.unwrap();
    let wanted = json!({
        "namespace": "username", "profile": "username", "min_length": 3, "max_length": 256, "lookalikes": "fold",
        "characters": "any", "private": false, "reserved": ["Admin", "root"], "version": format!("1700000000000.0@{NODE}"),
        "changed_at": "2023-11-14T22:13:20Z", "final": false,
    });
    let at = |value: &Value| value["changed_at"].as_str().map(|text| text.starts_with("2023-11-14T22:13:20"));
    assert_eq!(at(&set), at(&wanted));
    assert_eq!(Value::Object(without_time(&set)), Value::Object(without_time(&wanted)));
    let Request::SetRules(SetRules { namespace, rules, if_version }) = fake.last() else {
        panic!("asked something else")
    };
    assert_eq!((namespace.as_str(), if_version), ("username", Some(RulesVersion::Default)));
    assert_eq!(*rules, Rules::new(Profile::USERNAME, (3, 256), ["root", "Admin"]).unwrap());
    let set: Namespace = fake.client.set_namespace("tag", &NamespaceBody::default()).await.unwrap();
    let again: Namespace = fake.client.namespace("tag").await.unwrap();
    assert_eq!((set.profile, set.lookalikes), (again.profile, again.lookalikes));
}

fn without_time(value: &Value) -> serde_json::Map<String, Value> {
    let mut object = value.as_object().unwrap().clone();
    object.remove("changed_at");
    object
}

#[tokio::test]
async fn what_cannot_be_a_rule_is_refused_before_the_node_is_asked() {
    let fake = Fake::start(echo).await;
    for (body, part) in [
        (json!({"privat": true}), "unknown field `privat`"),
        (json!({"profile": "nickname"}), "unknown variant `nickname`"),
        (json!({"remove_tags": true}), "remove_tags is a rule of profile email"),
        (json!({"min_length": 9, "max_length": 8}), "names of 9 to 8 characters cannot be"),
        (json!({"reserved": ["a b"]}), "a space may not stand in a user name"),
        (json!({"if_version": "yesterday"}), "is no version of rules"),
    ] {
        let response = fake.put("/v1/namespaces/username", &body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let problem: Problem = response.json().await.unwrap();
        assert!(problem.detail.contains(part), "{body}: {}", problem.detail);
    }
    assert!(fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn refusals_have_types_of_their_own() {
    for (refusal, status, name) in [
        (
            Refusal::RulesChanged { namespace: "tag".to_owned(), version: RulesVersion::Set(stamp()) },
            409,
            "rules-changed",
        ),
        (Refusal::NamespaceInUse { namespace: "tag".to_owned(), profile: Profile::EMAIL }, 409, "namespace-in-use"),
    ] {
        let mut refusal = Some(refusal);
        let fake = Fake::start(move |_| Err(refusal.take().unwrap())).await;
        let response = fake.put("/v1/namespaces/tag", &json!({})).await;
        assert_eq!(response.status().as_u16(), status);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["type"], format!("urn:forename:problem:{name}"));
        assert!(problem["detail"].as_str().unwrap().contains("nothing was changed") || name == "namespace-in-use");
    }
}

#[tokio::test]
async fn namespaces_are_listed_page_by_page() {
    let page = |request: &Request| {
        let Request::NamespacesKnown(NamespacesKnown { after, .. }) = request else { panic!("{request:?}") };
        let listed = json!({
            "namespace": if after.is_none() { "email" } else { "username" }, "profile": "email", "private": true,
            "rules_set": true, "has_names": false,
        });
        let next = after.is_none().then_some("email");
        let page = serde_json::from_value(json!({"namespaces": [listed], "next": next})).unwrap();
        Ok(Answer::Namespaces(page))
    };
    let fake = Fake::start(page).await;
    let first: Value = fake.get("/v1/namespaces?limit=1").await.json().await.unwrap();
    let wanted = json!({
        "namespaces": [
            {"namespace": "email", "profile": "email", "private": true, "rules_set": true, "has_names": false}
        ],
        "next": "email",
    });
    assert_eq!(first, wanted);
    let second = fake.client.namespaces(Some("email"), None).await.unwrap();
    assert_eq!((second.namespaces[0].namespace.as_str(), second.next), ("username", None));
    assert_eq!(fake.last(), NamespacesKnown::new(Some("email".to_owned()), 100).into());
    assert_eq!(fake.get("/v1/namespaces?limit=0").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(fake.get("/v1/namespaces?limi=1").await.status(), StatusCode::BAD_REQUEST);
}
