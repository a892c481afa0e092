//! A scripted feed in place of a node's. The tests show what the follower asks for, what it hands on and where it goes
//! on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::*;
use crate::model::Problem;

const NODE: &str = "0b8326a221c00003";
const SOURCE: &str = "/nodes/0b8326a221c00000";

/// The messages of a stream after each cursor, until the connection breaks. Without an entry the node is busy.
type Script = BTreeMap<&'static str, Result<String, Problem>>;

fn event(id: &str, cursor: &str, source: &str) -> String {
    let registration = json!({"id": "00000000-0000-0000-0000-000000000007", "status": "confirmed", "node": NODE,
        "stamp": format!("1.0@{NODE}"), "accepted_at": "2026-03-01T12:00:00.000Z"});
    let event = json!({"specversion": "1.0", "id": id, "source": source, "type": "forename.registration.confirmed",
        "subject": "", "time": "2026-03-01T12:00:00.000Z", "datacontenttype": "application/json",
        "data": {"registration": registration}});
    format!("id: {cursor}\ndata: {event}\n\n")
}

fn problem(kind: ProblemType, restart: Option<&str>) -> Problem {
    Problem { restart: restart.map(|cursor| cursor.parse().unwrap()), ..Problem::new(kind, "as the test says") }
}

async fn stream(State(script): State<Arc<Script>>, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    if uri.path() == "/v1/cluster" {
        let start = script.keys().next().unwrap();
        return axum::Json(
            json!({"node": NODE, "label": "", "member": true, "time": "2026-03-01T12:00:00.000Z", "members": [],
            "watermark": "1.0", "pending": 0, "waiting_for": [], "events": {"start": start, "last": "ff-99"}}),
        )
        .into_response();
    }
    assert_eq!(headers[header::ACCEPT], "text/event-stream");
    let after = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("after=")));
    let problem = match script.get(after.unwrap()) {
        Some(Ok(text)) => return ([(header::CONTENT_TYPE, "text/event-stream")], text.clone()).into_response(),
        Some(Err(problem)) => problem.clone(),
        None => problem(ProblemType::Unavailable, None),
    };
    let status = StatusCode::from_u16(problem.status).unwrap();
    (status, serde_json::to_string(&problem).unwrap()).into_response()
}

async fn serve(script: Script) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/events", get(stream)).route("/v1/cluster", get(stream));
    tokio::spawn(async move { axum::serve(listener, routes.with_state(Arc::new(script))).await });
    address
}

#[derive(Debug)]
enum Failed {
    Client(ClientError),
    /// The last event has arrived.
    Enough,
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Keeps cursors and ids as an application would, until it has the event with this id.
struct Kept {
    cursors: BTreeMap<String, Cursor>,
    known: BTreeSet<String>,
    told: Arc<Mutex<Vec<String>>>,
    restarts: Vec<Restart>,
    last: &'static str,
}

impl Kept {
    fn until(last: &'static str) -> Self {
        let (cursors, known) = (BTreeMap::new(), BTreeSet::new());
        Self { cursors, known, told: Arc::default(), restarts: Vec::new(), last }
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    async fn follow(&mut self, addresses: &[String]) -> ClientError {
        let client = Client::any_of(addresses).unwrap();
        match client.follow(&EventQuery::default(), self).await {
            Err(Failed::Client(error)) => error,
            Err(Failed::Enough) => ClientError::Path("enough".to_owned()),
        }
    }
}

impl FeedStore for Kept {
    type Error = Failed;

    async fn cursor(&mut self, source: &str) -> Result<Option<Cursor>, Failed> {
        Ok(self.cursors.get(source).copied())
    }

    async fn apply(&mut self, source: &str, cursor: Cursor, event: &Event) -> Result<(), Failed> {
        self.cursors.insert(source.to_owned(), cursor);
        if self.known.insert(event.id.clone()) {
            self.told.lock().unwrap().push(event.id.clone());
        }
        if event.id == self.last { Err(Failed::Enough) } else { Ok(()) }
    }

    async fn restart(&mut self, source: &str, cursor: Cursor, why: Restart, node: &Client) -> Result<(), Failed> {
        assert_eq!(node.cluster().await?.node.to_string(), NODE);
        self.restarts.push(why);
        self.cursors.insert(source.to_owned(), cursor);
        Ok(())
    }
}

#[tokio::test]
async fn the_follower_goes_on_where_it_was_and_tells_why_where_it_cannot() {
    let both = event("r1/accepted", "a-1", SOURCE) + &event("r1/confirmed", "a-2", SOURCE);
    let again = event("r1/confirmed", "b-1", SOURCE) + &event("r2/confirmed", "b-2", SOURCE);
    let node = serve(Script::from([
        ("a-0", Ok(both)),
        // There is no event for this reader up to a-5. Then the node begins a new feed, which tells again what it told
        // before.
        ("a-2", Ok("id: a-5\n\n".to_owned())),
        ("a-5", Err(problem(ProblemType::CursorUnknown, Some("b-0")))),
        ("b-0", Ok(again)),
        ("b-2", Err(problem(ProblemType::EventsCompacted, Some("b-7")))),
        ("b-7", Ok(event("r9/confirmed", "b-8", SOURCE))),
    ]))
    .await;
    let mut kept = Kept::until("r2/confirmed");
    assert_eq!(
        kept.follow(std::slice::from_ref(&node)).await.to_string(),
        ClientError::Path("enough".to_owned()).to_string()
    );
    assert_eq!(kept.told(), ["r1/accepted", "r1/confirmed", "r2/confirmed"]);
    assert_eq!(kept.restarts, [Restart::New, Restart::CursorUnknown]);
    kept.last = "r9/confirmed";
    kept.follow(&[node]).await;
    assert_eq!(kept.told(), ["r9/confirmed"]);
    assert_eq!(kept.restarts.last(), Some(&Restart::EventsCompacted));
}

#[tokio::test]
async fn another_nodes_feed_is_not_taken_and_a_refusal_for_good_ends_it() {
    let wrong = serve(Script::from([("a-0", Ok(event("x/confirmed", "a-1", "/nodes/ffff000000000000")))])).await;
    let right = serve(Script::from([("a-0", Ok(event("r1/confirmed", "a-1", SOURCE)))])).await;
    let mut kept = Kept::until("r1/confirmed");
    kept.follow(&["http://127.0.0.1:1".to_owned(), wrong, right]).await;
    assert_eq!(kept.told(), ["r1/confirmed"]);
    let closed = serve(Script::from([("a-0", Err(problem(ProblemType::Forbidden, None)))])).await;
    let error = Kept::until("").follow(&[closed]).await;
    assert_eq!(error.problem().map(|problem| problem.problem_type), Some(ProblemType::Forbidden));
}
