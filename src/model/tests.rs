use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::clock::Millis;

#[test]
fn event_types_have_full_and_short_names() {
    for text in ["forename.registration.rejected", "registration.rejected", "rejected"] {
        assert_eq!(event_type_from_text(text), Ok(EventType::Rejected));
    }
    for text in ["forename.name.ended", "name.ended", "ended"] {
        assert_eq!(event_type_from_text(text), Ok(EventType::NameEnded));
    }
    for text in ["", "jected", ".rejected", "forename", "won"] {
        assert!(event_type_from_text(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_registration_body_is_read_whole() {
    let text = r#"{
        "id": "00000000-0000-0000-0000-000000000007", "owner": "o", "ttl": "1h30m", "wait": "final", "timeout": 3,
        "names": [{"namespace": "username", "name": "alice"}],
        "replaces": {"registration": "00000000-0000-0000-0000-000000000006", "namespace": "username", "name": "al"},
        "metadata": {"a": 1}
    }"#;
    let body: RegistrationBody = serde_json::from_str(text).unwrap();
    assert_eq!((body.wait, body.timeout), (Some(Wait::Final), Some(Span(Duration::from_secs(3)))));
    assert_eq!(serde_json::from_str::<RegistrationBody>(&serde_json::to_string(&body).unwrap()).unwrap(), body);
}

#[test]
fn a_registration_body_refuses_what_it_does_not_know() {
    for text in [
        r#"{"owner": "o", "names": [], "tll": "5m"}"#,
        r#"{"owner": "o", "names": [{"namespace": "n", "name": "a", "key": "a"}]}"#,
        r#"{"names": []}"#,
        r#"{"owner": "o", "names": [], "ttl": "soon"}"#,
        r#"{"owner": "o", "names": [], "ttl": -5}"#,
        r#"{"owner": "o", "names": [], "ttl": 1.5}"#,
        r#"{"owner": "o", "names": [], "wait": "forever"}"#,
        r#"{"owner": "o", "names": [], "id": "7"}"#,
    ] {
        assert!(serde_json::from_str::<RegistrationBody>(text).is_err(), "{text}");
    }
}

#[test]
fn metadata_is_an_object() {
    assert_eq!(Metadata::new(" {\"a\":1} ".to_owned()).unwrap().as_str(), "{\"a\":1}");
    assert!(matches!(Metadata::new("[1]".to_owned()), Err(MetadataError::NotAnObject)));
    assert!(matches!(Metadata::new("{".to_owned()), Err(MetadataError::Json(_))));
}

#[test]
fn durations() {
    for (text, ms) in [
        ("0", 0),
        ("5", 5000),
        ("500ms", 500),
        ("5s", 5000),
        ("15m", 900_000),
        ("1h30m", 5_400_000),
        ("7d", 604_800_000),
    ] {
        assert_eq!(text.parse(), Ok(Span(Duration::from_millis(ms))), "{text}");
    }
    for text in ["m", "5 s", "-5s", "1.5h", "5x", "5s3", "s5", "99999999999999999999", "18446744073709551615", "5µs"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

#[test]
fn times() {
    let time: Time = "2023-11-14T23:13:20.5+01:00".parse().unwrap();
    assert_eq!(time.to_string(), "2023-11-14T22:13:20.500Z");
    assert!("yesterday".parse::<Time>().is_err());
    assert_eq!(Time(Millis(u64::MAX)).to_string().get(..4), Some("9999"));
}

fn registration() -> Registration {
    let node = NodeId(0xabc);
    Registration {
        id: Uuid::from_u128(7),
        owner: "user-1".to_owned(),
        status: Status::Rejected,
        names: vec![Claim {
            namespace: "org/42/handle".to_owned(),
            name: "Alice".to_owned(),
            key: "alice".to_owned(),
            released: false,
            ended: Some(EndReason::Rejected),
        }],
        erased: false,
        node,
        stamp: Stamp { hlc: Hlc((1_700_000_000_123 << 16) | 5), node },
        accepted_at: Time(Millis(1_700_000_000_123)),
        reissued_at: None,
        expires_at: Some(Time(Millis(1_700_000_060_000))),
        activated: false,
        metadata: Metadata::new("{\"form\": [1,\n 2]}".to_owned()).ok(),
        replaces: None,
        new_namespaces: Vec::new(),
        waiting_for: vec![Waiting {
            node: NodeId(1),
            label: "eu".to_owned(),
            reason: WaitReason::OutOfReach,
            since: None,
        }],
        rejected_by: Some(RejectedBy {
            namespace: "org/42/handle".to_owned(),
            name: "Alice".to_owned(),
            registration: Uuid::from_u128(6),
            stamp: Stamp { hlc: Hlc::from_millis(Millis(1_700_000_000_000)), node: NodeId(1) },
            accepted_at: Time(Millis(1_700_000_000_000)),
        }),
    }
}

#[test]
fn a_registration_is_written_field_by_field_and_read_back() {
    let registration = registration();
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
fn of_an_erased_registration_no_owner_and_no_name_is_written() {
    let nothing =
        Registration { owner: String::new(), names: Vec::new(), metadata: None, erased: true, ..registration() };
    let value = serde_json::to_value(&nothing).unwrap();
    assert_eq!(value["erased"], true);
    assert!(["owner", "names", "metadata"].iter().all(|member| value.get(member).is_none()), "{value}");
    assert_eq!(serde_json::from_value::<Registration>(value).unwrap(), nothing);
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

proptest! {
    #[test]
    fn stamps_are_read_as_printed(hlc: u64, node: u64) {
        let registration = Registration { stamp: Stamp { hlc: Hlc(hlc), node: NodeId(node) }, ..registration() };
        let text = serde_json::to_string(&registration).unwrap();
        prop_assert_eq!(serde_json::from_str::<Registration>(&text).unwrap().stamp, registration.stamp);
    }

    #[test]
    fn durations_are_read_as_printed(ms: u64) {
        let span = Span(Duration::from_millis(ms));
        prop_assert_eq!(span.to_string().parse(), Ok(span));
    }
}
