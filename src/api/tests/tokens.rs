//! API tokens: who is let in, and for what.

use super::*;
use crate::api::auth::{ApiToken, SecretHash};
use crate::api::routes::TABLE;
use crate::replica::Charge;

const SECRETS: [(&str, &[Scope], Option<u32>); 5] = [
    ("registers", &[Scope::Register], None),
    ("claims", &[Scope::Claim], Some(7)),
    ("reads", &[Scope::Read], None),
    ("both", &[Scope::Claim, Scope::Read], Some(0)),
    ("admin", &[Scope::Admin], None),
];

fn tokens() -> ApiTokens {
    let token = |(secret, scopes, max_open): (&str, &[Scope], _)| {
        let name = format!("{secret}-token");
        ApiToken { max_open, ..ApiToken::new(&name, SecretHash::of(secret), scopes.iter().copied()) }
    };
    ApiTokens::new(SECRETS.into_iter().map(token).collect()).unwrap()
}

async fn guarded() -> Fake {
    Fake::with(tokens(), |_| answered(Status::Pending)).await
}

async fn call(fake: &Fake, method: &str, path: &str, authorization: Option<&str>) -> Response {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let content_type = if path.ends_with(":batch") { NDJSON } else { "application/json" };
    let mut request = fake.http.request(method, format!("{}{path}", fake.base)).header("content-type", content_type);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn every_call_takes_its_scope() {
    let fake = guarded().await;
    for route in TABLE {
        let (method, path, takes) = (route.method.as_str(), &route.sample(), route.scope);
        for (secret, scopes, _) in SECRETS {
            let has = |scope| scopes.contains(&scope);
            let may = takes
                .is_none_or(|scope| has(scope) || has(Scope::Admin) || (scope == Scope::Register && has(Scope::Claim)));
            let asked = fake.asked.lock().unwrap().len();
            let response = call(&fake, method, path, Some(&format!("Bearer {secret}"))).await;
            assert_eq!(response.status() != StatusCode::FORBIDDEN, may, "{method} {path} with {secret}");
            assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} with {secret}");
            if !may {
                let scope = takes.unwrap().to_string();
                let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
                assert!(challenge.contains("insufficient_scope") && challenge.contains(&scope), "{challenge}");
                let body: Value = response.json().await.unwrap();
                assert_eq!((&body["type"], &body["scope"]), (&json!("urn:forename:problem:forbidden"), &json!(scope)));
                assert!(body["detail"].as_str().unwrap().contains(&format!("\"{secret}-token\"")), "{body}");
                assert_eq!(fake.asked.lock().unwrap().len(), asked, "the node was asked all the same");
            }
        }
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_done() {
    let fake = guarded().await;
    for route in TABLE {
        let (method, path, takes) = (route.method.as_str(), &route.sample(), route.scope);
        for wrong in [None, Some("Bearer nobody"), Some("Basic both"), Some("both"), Some("Bearer"), Some("Bearer ")] {
            let response = call(&fake, method, path, wrong).await;
            if takes.is_none() {
                assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
                continue;
            }
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} with {wrong:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"forename\"");
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["type"], "urn:forename:problem:unauthorized");
            assert!(!body.to_string().contains("nobody"), "{body}");
        }
    }
    assert!(fake.asked.lock().unwrap().iter().all(|asked| *asked == ClusterCommand::Show.into()), "only by a probe");
    // The scheme may be written in upper or lower case, as HTTP says.
    assert_eq!(call(&fake, "POST", "/v1/cluster/tokens", Some("bearer admin")).await.status(), StatusCode::CREATED);
    // A request with two tokens counts as one without a token.
    let twice = fake.http.get(format!("{}/v1/cluster", fake.base)).header("authorization", "Bearer reads");
    let twice = twice.header("authorization", "Bearer admin").send().await.unwrap();
    assert_eq!(twice.status(), StatusCode::UNAUTHORIZED);
}

/// Returns the registration that the node was asked for last. It was asked discreetly where the caller may not read.
fn registered(fake: &Fake, secret: &str) -> replica::RegisterRequest {
    match fake.last() {
        Request::Name(Command::Register(request), caller) if caller.reads == (secret != "claims") => request,
        other => panic!("asked something else: {other:?}"),
    }
}

#[tokio::test]
async fn who_may_not_read_asks_discreetly() {
    let fake = guarded().await;
    let id = Uuid::from_u128(7);
    let release = Command::ReleaseName {
        owner: "o".to_owned(),
        name: NameRef { namespace: "email".to_owned(), name: "a@b".to_owned() },
    };
    let path = "/v1/names/email/a@b?owner=o";
    call(&fake, "DELETE", path, Some("Bearer both")).await;
    assert_eq!(fake.last(), release.clone().into());
    call(&fake, "DELETE", path, Some("Bearer claims")).await;
    let discreet = Caller { reads: false, ..Caller::ANYBODY };
    assert_eq!(fake.last(), Request::Name(release, discreet));
    let fake = Fake::with(tokens(), |_| Err(Refusal::NeedsRead("that"))).await;
    let refused = call(&fake, "DELETE", &format!("/v1/registrations/{id}"), Some("Bearer claims")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("scope=\"read\""));
}

#[tokio::test]
async fn what_a_token_registers_counts_for_it() {
    let fake = guarded().await;
    let expected = [("claims", Some(7)), ("both", None), ("admin", None)];
    for (secret, max_open) in expected {
        let client = Client::new(&fake.base).unwrap().with_token(secret).unwrap();
        let body = serde_json::from_value(alice()).unwrap();
        client.register(&body).await.unwrap();
        let charge = max_open.map(|max_open| Charge {
            token: format!("{secret}-token"),
            max_open: Some(max_open),
            max_total: None,
        });
        assert_eq!(registered(&fake, secret).charge, charge);
        let mut answers = client.register_all(futures_util::stream::iter([body])).await.unwrap();
        while answers.next().await.unwrap().is_some() {}
        assert_eq!(registered(&fake, secret).charge, charge);
    }
}

#[tokio::test]
async fn a_client_shows_its_token_with_every_call_and_in_no_log() {
    let fake = guarded().await;
    assert!(fake.client.cluster().await.unwrap_err().problem().is_some());
    let client = Client::new(&fake.base).unwrap().with_token("admin").unwrap();
    assert!(!format!("{client:?}").contains("admin"), "{client:?}");
    let mut backup = client.backup().await.unwrap();
    assert!(backup.next().await.unwrap().is_some());
    assert!(client.mint_token(None).await.is_ok());
    assert!(matches!(client.with_token("a\nb"), Err(ClientError::Token)));
}

#[tokio::test]
async fn a_token_at_its_limit_is_told_so() {
    let full = || Refusal::TokenTooManyOpen { token: "claims-token".to_owned(), limit: 7 };
    let fake = Fake::with(tokens(), move |_| Err(full())).await;
    let client = Client::new(&fake.base).unwrap().with_token("claims").unwrap();
    let error = client.register(&serde_json::from_value(alice()).unwrap()).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.problem_type, problem.status, problem.limit), (ProblemType::TooManyOpen, 429, Some(7)));
    assert!(problem.retry_after.is_some() && problem.detail.contains("\"claims-token\""), "{problem:?}");
}

#[tokio::test]
async fn what_is_left_of_a_batch_is_not_taken_once_tokens_have_changed() {
    let known = tokens();
    let fake = Fake::with(known.clone(), |_| answered(Status::Pending)).await;
    let client = Client::new(&fake.base).unwrap().with_token("claims").unwrap();
    let (lines, sent) = tokio::sync::mpsc::unbounded_channel::<crate::model::RegistrationBody>();
    let sent = futures_util::stream::unfold(sent, |mut sent| async move { Some((sent.recv().await?, sent)) });
    let body: crate::model::RegistrationBody = serde_json::from_value(alice()).unwrap();
    lines.send(body.clone()).unwrap();
    let mut answers = client.register_all(Box::pin(sent)).await.unwrap();
    assert!(answers.next().await.unwrap().unwrap().registration.is_some());
    // The tokens are replaced by equal ones, and nothing changes.
    known.replace(&tokens());
    lines.send(body.clone()).unwrap();
    assert!(answers.next().await.unwrap().unwrap().registration.is_some());
    let other = ApiToken::new("other", SecretHash::of("other"), [Scope::Admin]);
    known.replace(&ApiTokens::new(vec![other]).unwrap());
    lines.send(body).unwrap();
    drop(lines);
    let refused = answers.next().await.unwrap().unwrap().problem.unwrap();
    assert_eq!((refused.status, refused.retry_after), (503, Some(1)));
}
