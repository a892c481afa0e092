use std::time::Duration;

use proptest::prelude::*;

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

proptest! {
    #[test]
    fn durations_are_read_as_printed(ms: u64) {
        let span = Span(Duration::from_millis(ms));
        prop_assert_eq!(span.to_string().parse(), Ok(span));
    }
}
