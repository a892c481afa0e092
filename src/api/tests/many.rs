//! Requests about many registrations or names: batches, look-ups, lists, reports and explanations.

use super::*;
use crate::model::limits::MAX_BATCH;
use crate::model::{
    BatchLine, ClaimPlace, Conflict, ConflictStatus, Conflicts, Contender, EndReason, History, Metadata, NDJSON,
    NameQuery, NameRef, Place, Precedence, RegistrationBody, TakenName, TakenNames, Tenure,
};
use crate::replica::{
    ConflictsOf, ExplainRegistration, HistoryOf, NameExplanation, NameOf, NamesOf, NamesTaken, Suggestions,
};

/// Returns a node that registers every name except `taken`.
async fn registrar() -> Fake {
    Fake::start(|request| match request {
        Request::Name(Command::Register(request), _) if request.names[0].name == "taken" => {
            Err(Refusal::NameTaken { names: vec![name_view(NameStatus::Held)] })
        }
        Request::Name(Command::Register(request), _) => {
            let mut view = registration(Status::Confirmed);
            view.owner.clone_from(&request.owner);
            Ok(Answer::Registration(view))
        }
        Request::Suggestions(Suggestions { name, count }) => {
            Ok(Answer::Suggestions((1..=*count).map(|n| format!("{}{n}", name.name)).collect()))
        }
        _ => Err(Refusal::NotMember),
    })
    .await
}

impl Fake {
    async fn batch(&self, body: impl Into<reqwest::Body>) -> Response {
        let request = self.http.post(format!("{}/v1/registrations:batch", self.base)).body(body);
        request.header("content-type", NDJSON).send().await.unwrap()
    }
}

fn line(owner: &str, name: &str) -> String {
    json!({"owner": owner, "names": [{"namespace": "username", "name": name}]}).to_string()
}

async fn read(response: Response) -> Vec<BatchLine> {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], NDJSON);
    let text = response.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns for each line its number, its status, and its owner or the kind of problem.
fn outcomes(lines: &[BatchLine]) -> Vec<(u64, u16, String)> {
    let outcome = |line: &BatchLine| match (&line.registration, &line.problem) {
        (Some(registration), None) => registration.owner.clone(),
        (None, Some(problem)) => problem.problem_type.name().to_owned(),
        other => panic!("{other:?}"),
    };
    lines.iter().map(|line| (line.line, line.status, outcome(line))).collect()
}

#[tokio::test]
async fn a_line_that_is_refused_does_not_stop_the_rest() {
    let fake = registrar().await;
    let long = line(&"o".repeat(MAX_BODY), "long");
    let lines = [&line("a", "x"), "{\"owner\": 7}", "", "nonsense", &line("b", "taken"), &long, &line("c", "y")];
    for end in ["", "\n", "\r\n"] {
        let answered = read(fake.batch(lines.join("\n") + end).await).await;
        let expected = [
            (1, 201, "a"),
            (2, 400, "invalid-request"),
            (4, 400, "malformed-json"),
            (5, 409, "name-taken"),
            (6, 413, "body-too-large"),
            (7, 201, "c"),
        ];
        assert_eq!(outcomes(&answered), expected.map(|(line, status, text)| (line, status, text.to_owned())));
    }
    assert!(read(fake.batch("").await).await.is_empty());
    assert!(read(fake.batch("\n\n").await).await.is_empty());
}

#[tokio::test]
async fn a_batch_is_lines_of_json_with_ids_of_their_own() {
    let fake = registrar().await;
    let path = format!("{}/v1/registrations:batch", fake.base);
    let plain = fake.http.post(&path).body(line("a", "x")).header("content-type", "text/plain").send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let keyed = fake.http.post(&path).body(line("a", "x")).header("content-type", "application/jsonl; charset=utf-8");
    assert_eq!(keyed.header("idempotency-key", "k").send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert!(fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_long_batch_is_answered_in_order_while_it_is_sent() {
    const LINES: usize = 3000;
    let fake = registrar().await;
    let body = |n: usize| RegistrationBody {
        owner: format!("o{n}"),
        names: vec![NameRef { namespace: "username".to_owned(), name: format!("n{n}") }],
        ..RegistrationBody::default()
    };
    // The last line is sent only once the first one has been answered.
    let (first_answered, seen) = oneshot::channel::<()>();
    let last = futures_util::stream::once(async move {
        seen.await.unwrap();
        body(LINES)
    });
    let bodies = futures_util::StreamExt::chain(futures_util::stream::iter((0..LINES).map(body)), last);
    let mut answers = fake.client.register_all(bodies).await.unwrap();
    let mut first_answered = Some(first_answered);
    for n in 0..=LINES {
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!((answer.line, answer.registration.unwrap().owner), (n as u64 + 1, format!("o{n}")));
        first_answered.take().map(|first| first.send(()));
    }
    assert_eq!(answers.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_batch_that_is_too_long_ends_with_a_problem() {
    let fake = registrar().await;
    let most = usize::try_from(MAX_BATCH).unwrap();
    // These lines are refused without a request to the node.
    let answered = read(fake.batch("x\n".repeat(most + 5)).await).await;
    assert_eq!(answered.len(), most + 1);
    let problem = answered.last().unwrap().problem.as_ref().unwrap();
    assert!(problem.detail.contains("at most 100000 lines"), "{problem}");
}

#[tokio::test]
async fn no_more_batches_than_the_node_takes() {
    let fake = registrar().await;
    let mut open = Vec::new();
    for _ in 0..MAX_BATCHES_OF_ONE {
        let (sender, lines) = mpsc::channel::<Result<String, io::Error>>(1);
        let body = reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(lines));
        let response = fake.batch(body).await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push((sender, response));
    }
    let refused = fake.batch(line("a", "x")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let (sender, response) = open.pop().unwrap();
    drop(sender);
    assert!(read(response).await.is_empty());
    assert_eq!(read(fake.batch(line("a", "x")).await).await.len(), 1);
}

#[tokio::test]
async fn alternatives_come_with_a_name_that_is_taken() {
    let fake = registrar().await;
    let mut body = alice();
    body["names"][0]["name"] = json!("taken");
    let problem: Value = fake.post("/v1/registrations", &body).await.json().await.unwrap();
    assert_eq!(problem["names"][0].get("suggestions"), None, "nobody asked for them");
    body["suggest"] = json!(2);
    let problem: Value = fake.post("/v1/registrations", &body).await.json().await.unwrap();
    assert_eq!(problem["names"][0]["suggestions"], json!(["Alice1", "Alice2"]));
    body["suggest"] = json!(11);
    assert_eq!(fake.post("/v1/registrations", &body).await.status(), StatusCode::BAD_REQUEST);

    let fake = Fake::start(|request| match request {
        Request::NameOf(NameOf(name)) if name.name == "free" => Ok(Answer::Name(name_view(NameStatus::Available))),
        Request::NameOf(_) => Ok(Answer::Name(name_view(NameStatus::Held))),
        Request::Suggestions(_) => Ok(Answer::Suggestions(vec!["Alice7".to_owned()])),
        Request::Name(Command::Register(_), _) => {
            let mut lost = registration(Status::Rejected);
            lost.rejected_by = Some(RejectedBy::new(
                "username".to_owned(),
                "Alice".to_owned(),
                Uuid::from_u128(6),
                Stamp::default(),
                Hlc::default(),
            ));
            Ok(Answer::Registration(lost))
        }
        _ => Err(Refusal::NotMember),
    })
    .await;
    assert_eq!(fake.client.name_or_others("username", "Alice", 1).await.unwrap().suggestions, ["Alice7"]);
    assert!(fake.client.name_or_others("username", "free", 1).await.unwrap().suggestions.is_empty());
    let mut body = alice();
    body["suggest"] = json!(1);
    let problem: Value = fake.post("/v1/registrations", &body).await.json().await.unwrap();
    assert_eq!(
        (&problem["type"], &problem["names"][0]["suggestions"]),
        (&json!("urn:forename:problem:registration-rejected"), &json!(["Alice7"]))
    );
}

#[tokio::test]
async fn many_names_are_looked_up_at_once() {
    let fake = Fake::start(|request| match request {
        Request::NamesOf(NamesOf(names)) => Ok(Answer::Names(
            names
                .iter()
                .map(|name| match name.name.as_str() {
                    "no name" => Err(Refusal::InvalidName {
                        namespace: name.namespace.clone(),
                        name: name.name.clone(),
                        reason: "character",
                        why: "it has a blank".to_owned(),
                    }),
                    "bob" => Ok(name_view(NameStatus::Available)),
                    _ => Ok(name_view(NameStatus::Pending)),
                })
                .collect(),
        )),
        _ => Err(Refusal::NotMember),
    })
    .await;
    let names = ["alice", "bob", "no name"];
    let asked: Vec<_> =
        names.iter().map(|name| NameRef { namespace: "username".to_owned(), name: (*name).to_owned() }).collect();
    let found = fake.client.check(&asked).await.unwrap().names;
    let found: Vec<_> = found.iter().map(|name| (name.name.as_str(), name.available, name.why.as_deref())).collect();
    assert_eq!(found, [("alice", false, None), ("bob", true, None), ("no name", false, Some("it has a blank"))]);
    assert_eq!(fake.post("/v1/names:check", &json!({"names": []})).await.status(), StatusCode::BAD_REQUEST);
}

fn claim(registration: u128, status: Status) -> Contender {
    let accepted = Millis(1_700_000_000_000 + u64::try_from(registration).unwrap());
    Contender {
        registration: Uuid::from_u128(registration),
        owner: format!("user-{registration}"),
        name: "Alice".to_owned(),
        node: NODE,
        stamp: Stamp { hlc: Hlc::from_millis(accepted), node: NODE },
        accepted_at: Time(accepted),
        reissued_at: None,
        label: "eu".to_owned(),
        status,
        twin: false,
        released: false,
        ended: (status == Status::Rejected).then_some(EndReason::Rejected),
        rejected_at: (status == Status::Rejected).then_some(Time(Millis(1_700_000_001_000))),
    }
}

#[tokio::test]
async fn histories_conflicts_and_lists_by_the_client_and_the_command_line() {
    let place = Place { namespace: "org/42".to_owned(), key: "a b".to_owned(), claim: Some(ClaimPlace::default()) };
    let next = place.clone();
    let fake = Fake::start(move |request| match request {
        Request::NameOf(_) => Ok(Answer::Name(name_view(NameStatus::Held))),
        Request::HistoryOf(HistoryOf { after, .. }) => Ok(Answer::History(History {
            namespace: "username".to_owned(),
            name: "Alice".to_owned(),
            key: "alice".to_owned(),
            tenures: vec![Tenure {
                holder: claim(1, Status::Confirmed),
                since: Time(Millis(1_700_000_000_001)),
                until: Some(Time(Millis(1_700_000_002_000))),
                losers: vec![claim(2, Status::Rejected)],
            }],
            next: after.is_none().then(ClaimPlace::default),
        })),
        Request::ConflictsOf(ConflictsOf { after, .. }) => {
            let conflict = Conflict {
                namespace: "username".to_owned(),
                key: "alice".to_owned(),
                status: ConflictStatus::Final,
                winner: Uuid::from_u128(1),
                why: Precedence::EarliestTimestamp,
                claims: vec![claim(1, Status::Confirmed), claim(2, Status::Rejected)],
                final_at: Some(Time(Millis(1_700_000_001_000))),
            };
            let next = after.is_none().then(|| next.clone());
            Ok(Answer::Conflicts(Conflicts { conflicts: vec![conflict], next }))
        }
        Request::NamesTaken(NamesTaken { after, .. }) => {
            let name = TakenName {
                namespace: "username".to_owned(),
                name: "Alice".to_owned(),
                key: "alice".to_owned(),
                status: NameStatus::Held,
                registration: Uuid::from_u128(1),
                owner: "user-1".to_owned(),
                since: Time(Millis(1_700_000_000_000)),
                expires_at: None,
                metadata: Metadata::new("{\"a\":1}".to_owned()).ok(),
            };
            Ok(Answer::Taken(TakenNames { names: vec![name], next: after.is_none().then(|| next.clone()) }))
        }
        Request::ExplainName(_) => Ok(Answer::NameExplanation(NameExplanation {
            name: name_view(NameStatus::Available),
            was_claimed: false,
            tenure: None,
            holder: None,
        })),
        Request::ExplainRegistration(ExplainRegistration { id, .. }) => Err(Refusal::NoRegistration(*id)),
        _ => Err(Refusal::NotMember),
    })
    .await;
    let client = &fake.client;
    let history = client.history("username", "Alice", None).await.unwrap();
    assert_eq!(
        (history.tenures[0].holder.owner.as_str(), history.tenures[0].losers[0].owner.as_str()),
        ("user-1", "user-2")
    );
    assert_eq!(
        (history.tenures[0].until.unwrap().to_string(), history.next),
        ("2023-11-14T22:13:22.000Z".to_owned(), Some(ClaimPlace::default()))
    );

    let query = NameQuery { namespace: Some("org/42".to_owned()), limit: Some(7) };
    let since = "2026-03-01T12:00:00Z".parse().unwrap();
    let page = client.conflicts(&query, Some(since), None).await.unwrap();
    let asked = ConflictsOf::new(query.namespace.clone(), Some(since), None, 7).into();
    assert_eq!((fake.last(), page.next.as_ref()), (asked, Some(&place.clone())));
    assert_eq!((page.conflicts[0].winner, page.conflicts[0].claims.len()), (Uuid::from_u128(1), 2));
    client.conflicts(&NameQuery::default(), None, page.next.as_ref()).await.unwrap();
    assert_eq!(fake.last(), ConflictsOf::new(None, None, Some(place.clone()), 100).into());

    client.names(&query, "al", page.next.as_ref()).await.unwrap();
    let (namespace, prefix) = (query.namespace.clone(), "al".to_owned());
    assert_eq!(fake.last(), NamesTaken::new(namespace, prefix, Some(place.clone()), 7).into());
    client.names(&NameQuery::default(), "", None).await.unwrap();
    assert_eq!(fake.last(), NamesTaken::new(None, String::new(), None, 100).into());
    for path in ["/v1/names?prefix=a", "/v1/names?after=x", "/v1/conflicts?limit=0", "/v1/conflicts?since=now"] {
        assert_eq!(fake.get(path).await.status(), StatusCode::BAD_REQUEST, "{path}");
    }

    let explained = client.explain_name("username", "Alice").await.unwrap();
    assert!(explained.summary.contains("Nobody has ever claimed username/Alice"), "{explained}");
    let missing = client.explain_registration(Uuid::from_u128(7)).await.unwrap_err();
    assert_eq!(missing.problem().unwrap().problem_type, ProblemType::NoRegistration);
}
