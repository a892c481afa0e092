//! The limits of a token within its scopes: whose registrations, which namespaces, until when, and how often.

use super::*;
use crate::api::auth::{ApiToken, SecretHash};
use crate::model::{NameRef, RegistrationBody, ReplacesBody};
use crate::replica::Bearer;

/// Returns a token whose secret is its name.
fn token(name: &str, scopes: &[Scope]) -> ApiToken {
    ApiToken::new(name, SecretHash::of(name), scopes.iter().copied())
}

async fn with(token: ApiToken, answer: impl FnMut(&Request) -> Reply + Send + 'static) -> (Fake, Client) {
    let name = token.name.clone();
    let fake = Fake::with(ApiTokens::new(vec![token]).unwrap(), answer).await;
    let client = Client::new(&fake.base).unwrap().with_token(&name).unwrap();
    (fake, client)
}

fn body() -> RegistrationBody {
    serde_json::from_value(alice()).unwrap()
}

fn kind(error: &ClientError) -> Option<ProblemType> {
    error.problem().map(|problem| problem.problem_type)
}

#[tokio::test]
async fn a_change_by_id_says_on_whose_behalf() {
    let id = Uuid::from_u128(7);
    let bearer = |owner: Option<&str>, token: Option<&str>| {
        let (owner, token) = (owner.map(str::to_owned), token.map(str::to_owned));
        Some(Bearer { owner, token })
    };
    for (scopes, owner, expected) in [
        (&[Scope::Claim, Scope::Read][..], None, bearer(None, Some("t"))),
        (&[Scope::Claim, Scope::Read], Some("ann"), bearer(Some("ann"), Some("t"))),
        (&[Scope::Admin], None, None),
        (&[Scope::Admin], Some("ann"), bearer(Some("ann"), None)),
    ] {
        let (fake, client) = with(token("t", scopes), |_| answered(Status::Confirmed)).await;
        let client = owner.map_or(client.clone(), |owner| client.for_owner(owner));
        let assert_asked = |command: Command| {
            let caller = Caller { bearer: expected.clone(), ..Caller::ANYBODY };
            assert_eq!(fake.last(), Request::Name(command, caller));
        };
        client.activate(id).await.unwrap();
        assert_asked(Command::Activate { id });
        client.extend(id, Duration::from_secs(1)).await.unwrap();
        assert_asked(Command::Extend { id, ttl: 1000 });
        client.release(id).await.unwrap();
        assert_asked(Command::Release { id });
        client.erase(id).await.unwrap();
        assert_asked(Command::Erase { id });
    }
    let (_fake, client) = with(token("t", &[Scope::Claim]), move |_| Err(Refusal::NotOwner(id))).await;
    let error = client.release(id).await.unwrap_err();
    assert_eq!((kind(&error), error.problem().unwrap().status), (Some(ProblemType::NotOwner), 403));
}

#[tokio::test]
async fn who_may_only_register_is_not_told_who_has_a_name() {
    let taken = |request: &Request| match request {
        Request::Name(_, Caller { reads: false, .. }) => {
            Err(Refusal::NameTaken { names: vec![name_view(NameStatus::Held)] })
        }
        other => panic!("asked {other:?}"),
    };
    let (_fake, client) = with(token("form", &[Scope::Register]), taken).await;
    let error = client.register(&body()).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.names[0].name, "Alice");
    assert_eq!((problem.names[0].registration, problem.names[0].since), (None, None));
    let (_fake, client) = with(token("shop", &[Scope::Claim]), taken).await;
    assert!(client.register(&body()).await.unwrap_err().problem().unwrap().names[0].registration.is_some());

    // An answer that comes later does not show it either.
    let lost = |request: &Request| match request {
        Request::Name(_, Caller { reads: false, .. }) => {
            let stamp = Stamp { hlc: Hlc(1), node: NODE };
            let by = crate::model::RejectedBy {
                namespace: "username".to_owned(),
                name: "Alice".to_owned(),
                registration: Uuid::from_u128(6),
                stamp,
                accepted_at: Time(Millis(1)),
            };
            let view = Registration { rejected_by: Some(by), ..registration(Status::Rejected) };
            Ok(Answer::Registration(view))
        }
        _ => Ok(Answer::Name(name_view(NameStatus::Held))),
    };
    let (_fake, client) = with(token("form", &[Scope::Register]), lost).await;
    let error = client.register(&body()).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert!(problem.detail.contains("username/Alice"), "{problem:?}");
    assert!(problem.registration.as_ref().unwrap().rejected_by.is_none() && problem.names[0].registration.is_none());

    let (fake, client) = with(token("form", &[Scope::Register]), |_| answered(Status::Confirmed)).await;
    let name = NameRef { namespace: "username".to_owned(), name: "old".to_owned() };
    let replaces = ReplacesBody { registration: Uuid::from_u128(6), namespace: name.namespace, name: name.name };
    let error = client.register(&RegistrationBody { replaces: Some(replaces), ..body() }).await.unwrap_err();
    assert_eq!(kind(&error), Some(ProblemType::Forbidden));
    assert!(fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_with_namespaces_does_nothing_to_the_cluster() {
    let limited = ApiToken { namespaces: vec!["email".to_owned(), "org/*".to_owned()], ..token("t", &[Scope::Admin]) };
    let (fake, client) = with(limited, |_| answered(Status::Confirmed)).await;
    let out = |result: Result<(), ClientError>| {
        let error = result.unwrap_err();
        assert_eq!(kind(&error), Some(ProblemType::OutOfReach), "{error}");
    };
    out(client.mint_token(None).await.map(drop));
    out(client.leave().await.map(drop));
    out(client.backup().await.map(drop));
    assert!(fake.asked.lock().unwrap().is_empty());
}

/// The registry refuses or leaves out what a token does not reach, so the token's namespaces come with every call.
#[tokio::test]
async fn every_call_tells_which_namespaces_its_token_reaches() {
    let namespaces = vec!["email".to_owned(), "org/*".to_owned()];
    let limited = ApiToken { namespaces: namespaces.clone(), ..token("t", &[Scope::Admin]) };
    let (fake, client) = with(limited, |_| Err(Refusal::OutOfReach("username".to_owned()))).await;
    let id = Uuid::from_u128(7);
    let out = |result: Result<(), ClientError>| {
        let error = result.unwrap_err();
        assert_eq!(kind(&error), Some(ProblemType::OutOfReach), "{error}");
        assert_eq!(fake.last_caller().namespaces, namespaces);
    };
    let name = || NameRef { namespace: "username".to_owned(), name: "a".to_owned() };
    out(client.register(&body()).await.map(drop));
    out(client.registration(id).await.map(drop));
    out(client.release(id).await.map(drop));
    out(client.explain_registration(id).await.map(drop));
    out(client.name("username", "alice").await.map(drop));
    out(client.history("username", "alice", None).await.map(drop));
    out(client.explain_name("username", "alice").await.map(drop));
    out(client.release_name("username", "alice", "ann").await.map(drop));
    out(client.namespace("username").await.map(drop));
    out(client.namespaces(None, None).await.map(drop));
    out(client.check(&[name()]).await.map(drop));
    out(client.names(&Default::default(), "", None).await.map(drop));
    out(client.conflicts(&Default::default(), None, None).await.map(drop));
    out(client.events(None, &EventQuery::default()).await.map(drop));
    out(client.owner("ann", None, None).await.map(drop));
    out(client.set_namespace("username", &Default::default()).await.map(drop));
    let calls = fake.asked.lock().unwrap().len();
    assert_eq!(calls, 16);
}

#[tokio::test]
async fn a_token_that_has_expired_is_none() {
    let now = now();
    for (expires, lets_in) in [(now.plus(600_000), true), (Millis(now.0 - 1), false)] {
        let token = ApiToken { expires: Some(Time(expires)), ..token("t", &[Scope::Claim]) };
        let (_fake, client) = with(token, |_| answered(Status::Confirmed)).await;
        match client.register(&body()).await {
            Ok(_) => assert!(lets_in),
            Err(error) => {
                assert!(!lets_in && error.to_string().contains("has expired"), "{error}");
                assert_eq!(kind(&error), Some(ProblemType::Unauthorized));
            }
        }
    }
}

#[tokio::test]
async fn whoever_sends_too_much_is_told_when_to_come_again() {
    let slow = ApiToken { rate: std::num::NonZeroU32::new(1), ..token("t", &[Scope::Claim]) };
    let (fake, client) = with(slow, |_| answered(Status::Confirmed)).await;
    // The client asks until two requests come so close together that the second is refused.
    let refused = loop {
        if let Err(error) = client.register(&body()).await {
            break error;
        }
    };
    let problem = refused.problem().unwrap();
    assert_eq!(
        (problem.problem_type, problem.status, problem.retry_after),
        (ProblemType::TooManyRequests, 429, Some(1))
    );
    // Lines of a batch wait instead of being refused, and none is lost.
    let asked = fake.asked.lock().unwrap().len();
    let mut answers = loop {
        match client.register_all(futures_util::stream::iter([body(), body()])).await {
            Ok(answers) => break answers,
            Err(error) => assert_eq!(kind(&error), Some(ProblemType::TooManyRequests)),
        }
    };
    while let Some(line) = answers.next().await.unwrap() {
        assert!(line.registration.is_some());
    }
    assert_eq!(fake.asked.lock().unwrap().len(), asked + 2);
}

#[tokio::test]
async fn registrations_are_refused_before_the_disk_is_full() {
    let low = Refusal::DiskLow { free: 1, least: 2 };
    let fake = Fake::start(move |_| Err(low.clone())).await;
    let response = fake.post("/v1/registrations", &alice()).await;
    assert_eq!(response.status(), StatusCode::INSUFFICIENT_STORAGE);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "urn:forename:problem:disk-low");
}
