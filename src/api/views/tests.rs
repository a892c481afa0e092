use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::{Hlc, Millis, Stamp};
use crate::model::{
    EndReason, EventType, ExtensionBody, NamespaceBody, RejectedBy, Status, TokenBody, WaitReason, Waiting,
};
use crate::replica::{AwaitFinal, ClaimView, NameEnd};

fn view() -> RegistrationView {
    let node = NodeId(0xabc);
    RegistrationView {
        id: uuid::Uuid::from_u128(7),
        owner: "user-1".to_owned(),
        status: Status::Rejected,
        names: vec![ClaimView {
            namespace: "org/42/handle".to_owned(),
            name: "Alice".to_owned(),
            key: "alice".to_owned(),
            ended: Some(EndReason::Rejected),
        }],
        node,
        stamp: Stamp { hlc: Hlc((1_700_000_000_123 << 16) | 5), node },
        expires: Some(Millis(1_700_000_060_000)),
        activated: false,
        metadata: Some("{\"form\": [1,\n 2]}".to_owned()),
        erased: false,
        waiting_for: vec![Waiting {
            node: NodeId(1),
            label: "eu".to_owned(),
            reason: WaitReason::OutOfReach,
            since: None,
        }],
        rejected_by: Some(RejectedBy::new(
            "org/42/handle".to_owned(),
            "Alice".to_owned(),
            uuid::Uuid::from_u128(6),
            Stamp { hlc: Hlc::from_millis(Millis(1_700_000_000_000)), node: NodeId(1) },
        )),
    }
}

#[test]
fn of_an_erased_registration_there_is_no_owner_and_no_name() {
    let names = vec![ClaimView {
        namespace: "username".to_owned(),
        name: String::new(),
        key: String::new(),
        ended: Some(EndReason::Released),
    }];
    let view = RegistrationView { owner: String::new(), metadata: None, erased: true, names, ..view() };
    let ended = NameEnd { index: 0, name: view.names[0].clone(), reason: EndReason::Released };
    let registration = Registration::from(view.clone());
    let value = serde_json::to_value(&registration).unwrap();
    assert_eq!(value["erased"], true);
    assert!(["owner", "names", "metadata"].iter().all(|member| value.get(member).is_none()), "{value}");
    assert_eq!(serde_json::from_value::<Registration>(value).unwrap(), registration);
    let (event_type, time) = (EventType::NameEnded, Millis(0));
    let event =
        replica::Event { cursor: "a-7".parse().unwrap(), event_type, time, registration: view, ended: Some(ended) };
    let event = Event::new(NodeId(0xabc), event);
    assert_eq!((event.subject.as_str(), event.data.name.is_none()), ("00000000-0000-0000-0000-000000000007", true));
    assert_eq!(event.id, "00000000-0000-0000-0000-000000000007/ended/username/#0");
    assert_eq!(event.data.reason, Some(EndReason::Released));
}

#[test]
fn a_registration_is_written_field_by_field_and_read_back() {
    let registration = Registration::from(view());
    let text = serde_json::to_string(&registration).unwrap();
    assert_eq!(serde_json::from_str::<Registration>(&text).unwrap(), registration);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value,
        json!({
            "id": "00000000-0000-0000-0000-000000000007",
            "owner": "user-1",
            "status": "rejected",
            "names": [{"namespace": "org/42/handle", "name": "Alice", "key": "alice", "ended": "rejected"}],
            "node": "0000000000000abc",
            "stamp": "1700000000123.5@0000000000000abc",
            "accepted_at": "2023-11-14T22:13:20.123Z",
            "expires_at": "2023-11-14T22:14:20.000Z",
            "metadata": {"form": [1, 2]},
            "waiting_for": [{"node": "0000000000000001", "label": "eu", "reason": "out-of-reach"}],
            "rejected_by": {
                "namespace": "org/42/handle",
                "name": "Alice",
                "registration": "00000000-0000-0000-0000-000000000006",
                "stamp": "1700000000000.0@0000000000000001",
                "accepted_at": "2023-11-14T22:13:20.000Z",
            },
        })
    );
}

#[test]
fn an_event_is_a_cloud_event() {
    let ended = view().names.remove(0);
    let event = replica::Event {
        cursor: "a-9".parse().unwrap(),
        event_type: EventType::NameEnded,
        time: Millis(1_700_000_000_000),
        registration: view(),
        ended: Some(NameEnd { index: 0, name: ended, reason: EndReason::Expired }),
    };
    let event = Event::new(NodeId(0xabc), event);
    let value = serde_json::to_value(&event).unwrap();
    assert_eq!(value["specversion"], "1.0");
    assert_eq!(value["id"], "00000000-0000-0000-0000-000000000007/ended/org/42/handle/alice");
    assert_eq!(value["source"], "/nodes/0000000000000abc");
    assert_eq!(value["type"], "forename.name.ended");
    assert_eq!(value["subject"], "org/42/handle/Alice");
    assert_eq!(value["time"], "2023-11-14T22:13:20.000Z");
    assert_eq!(value["datacontenttype"], "application/json");
    assert_eq!(value["cursor"], "a-9");
    assert_eq!(value["data"]["name"]["key"], "alice");
    assert_eq!(value["data"]["reason"], "expired");
    assert_eq!(value["data"]["rejected_by"], value["data"]["registration"]["rejected_by"]);
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}

#[test]
fn a_body_becomes_a_request() {
    let text = r#"{
        "owner": "o", "ttl": "1h30m", "names": [{"namespace": "username", "name": "alice"}],
        "replaces": {"registration": "00000000-0000-0000-0000-000000000006", "namespace": "username", "name": "al"},
        "metadata": {"a": 1}
    }"#;
    let body: RegistrationBody = serde_json::from_str(text).unwrap();
    let request = body.into_request(Some(AwaitFinal::in_reach(9)));
    assert_eq!(request.ttl, Some(5_400_000));
    assert_eq!(request.metadata.as_deref(), Some("{\"a\":1}"));
    assert_eq!(request.replaces.unwrap().name.name, "al");
    assert_eq!(request.wait, Some(AwaitFinal::in_reach(9)));
}

proptest! {
    #[test]
    fn stamps_are_read_as_printed(hlc: u64, node: u64) {
        let mut view = view();
        view.stamp = Stamp { hlc: Hlc(hlc), node: NodeId(node) };
        let text = serde_json::to_string(&Registration::from(view.clone())).unwrap();
        prop_assert_eq!(serde_json::from_str::<Registration>(&text).unwrap().stamp, view.stamp);
    }
}

#[test]
fn an_array_is_no_object() {
    for text in [
        r#"["ann", []]"#,
        r#"{"owner": "ann", "names": [["username", "alice"]]}"#,
        r#"{"owner": "ann", "names": [], "replaces": ["00000000-0000-4000-8000-000000000007", "username", "alice"]}"#,
    ] {
        let error = serde_json::from_str::<RegistrationBody>(text).unwrap_err().to_string();
        assert!(error.contains("expected a JSON object"), "{text}: {error}");
    }
    assert!(serde_json::from_str::<NamespaceBody>(r#"["username"]"#).is_err());
    assert!(serde_json::from_str::<ExtensionBody>(r#"["15m"]"#).is_err());
    assert!(serde_json::from_str::<TokenBody>("[]").is_err());
    let names: Vec<NameRef> = serde_json::from_str(r#"[{"namespace": "username", "name": "alice"}]"#).unwrap();
    assert_eq!(names.len(), 1);
}
