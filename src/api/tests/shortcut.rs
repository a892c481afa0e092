//! A plain registration is read without hyper; any other with a body of known size is read by hyper and does not go through
//! the router; one whose body comes in chunks does. All must be answered alike. It is the same with look-ups, where those with
//! a body take the last way.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use axum::http::HeaderMap;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::api::auth::{ApiToken, Rate, SecretHash};
use crate::api::server::{Peer, serve_plain};
use crate::api::shortcut::Call;
use crate::model::CLUSTER_HEADER;

type Headers<'a> = &'a [(&'a str, &'a str)];

/// A request as some client sends it.
struct Sent<'a> {
    method: Method,
    path: &'a str,
    headers: Headers<'a>,
    body: &'a str,
}

/// The way that a request takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Plain,
    Shortcut,
    Router,
}

/// The answer, without what differs from one answer to the next.
async fn answer(fake: &Fake, sent: &Sent<'_>, way: Way) -> (StatusCode, BTreeSet<(String, String)>, String) {
    // A client of its own opens a connection of its own. Over one that hyper has taken over, no request is read by `plain`.
    let mut request = http().build().unwrap().request(sent.method.clone(), format!("{}{}", fake.base, sent.path));
    if way == Way::Shortcut {
        request = request.header("te", "trailers");
    }
    for (name, value) in sent.headers {
        request = request.header(*name, *value);
    }
    let body = sent.body.to_owned();
    let response = if way == Way::Router {
        request.body(reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, io::Error>(body)])))
    } else if body.is_empty() && sent.method == Method::GET {
        request
    } else {
        request.body(body)
    };
    let response = response.send().await.unwrap();
    let same = |headers: &HeaderMap| {
        let each = headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
        each.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    };
    assert!(response.headers().contains_key("x-request-id"));
    (response.status(), same(response.headers()), response.text().await.unwrap())
}

async fn all_alike(fake: &Fake, sent: Sent<'_>) -> StatusCode {
    let plain = answer(fake, &sent, Way::Plain).await;
    for way in [Way::Shortcut, Way::Router] {
        assert_eq!(plain, answer(fake, &sent, way).await, "{way:?} {} {:?} {}", sent.path, sent.headers, sent.body);
    }
    plain.0
}

const JSON: (&str, &str) = ("content-type", "application/json");
const PATH: &str = "/v1/registrations";

#[tokio::test]
async fn a_registration_is_answered_alike_on_all_ways() {
    let alice = alice().to_string();
    let cases: [(&str, Headers<'_>, &str, u16); 13] = [
        (PATH, &[JSON], &alice, 201),
        (PATH, &[JSON, ("x-request-id", "desk/7")], &alice, 201),
        (PATH, &[JSON, ("idempotency-key", "order 7")], &alice, 201),
        (PATH, &[JSON, ("idempotency-key", "")], &alice, 400),
        ("/v1/registrations?wait=final", &[JSON], &alice, 400),
        (PATH, &[JSON], "{", 400),
        (PATH, &[JSON], "{\"owner\":7}", 400),
        (PATH, &[JSON], "", 400),
        (PATH, &[], &alice, 415),
        (PATH, &[("content-type", "text/plain")], &alice, 415),
        (PATH, &[JSON, ("host", "evil.example")], &alice, 421),
        (PATH, &[JSON, ("origin", "https://evil.example")], &alice, 403),
        (PATH, &[JSON, (CLUSTER_HEADER, "nothing")], &alice, 400),
    ];
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    for (path, headers, body, status) in cases {
        let got = all_alike(&fake, Sent { method: Method::POST, path, headers, body }).await;
        assert_eq!(got.as_u16(), status, "{path} {headers:?} {body}");
    }
    for status in [Status::Pending, Status::Contested, Status::Rejected] {
        let fake = Fake::start(move |_| answered(status)).await;
        all_alike(&fake, Sent { method: Method::POST, path: PATH, headers: &[JSON], body: &alice }).await;
    }
    let fake = Fake::start(|_| Err(Refusal::NotMember)).await;
    assert_eq!(
        all_alike(&fake, Sent { method: Method::POST, path: PATH, headers: &[JSON], body: &alice }).await.as_u16(),
        503
    );
}

const LOOK: &str = "/v1/names/username/alice";

#[tokio::test]
async fn a_look_up_is_answered_alike_on_all_ways() {
    let cases: [(&str, Headers<'_>, u16); 12] = [
        (LOOK, &[], 200),
        (LOOK, &[("x-request-id", "desk/7")], 200),
        (LOOK, &[("accept", "text/html")], 200),
        ("/v1/names/username/Alice", &[], 200),
        ("/v1/names/mail/ada+1@example.org", &[], 200),
        ("/v1/names/username/al%69ce", &[], 200),
        ("/v1/names/username/alice?suggest=0", &[], 200),
        ("/v1/names/username/alice?suggest=77", &[], 400),
        ("/v1/names/username/", &[], 404),
        (LOOK, &[("host", "evil.example")], 421),
        (LOOK, &[("origin", "https://evil.example")], 403),
        (LOOK, &[(CLUSTER_HEADER, "nothing")], 400),
    ];
    let fake = Fake::start(|_| Ok(Answer::Name(name_view(NameStatus::Held)))).await;
    for (path, headers, status) in cases {
        let got = all_alike(&fake, Sent { method: Method::GET, path, headers, body: "" }).await;
        assert_eq!(got.as_u16(), status, "{path} {headers:?}");
        let asked: BTreeSet<_> = fake.asked.lock().unwrap().drain(..).map(|asked| format!("{asked:?}")).collect();
        assert_eq!(asked.len(), usize::from(status == 200), "all ways ask for the same name: {asked:?}");
    }
    let fake = Fake::start(|_| Err(Refusal::NotMember)).await;
    assert_eq!(all_alike(&fake, look_up(&[])).await.as_u16(), 503);
}

fn look_up<'a>(headers: Headers<'a>) -> Sent<'a> {
    Sent { method: Method::GET, path: LOOK, headers, body: "" }
}

#[tokio::test]
async fn all_ways_ask_for_a_token_and_its_scope() {
    let of = |secret, scope| ApiToken::new(secret, SecretHash::of(secret), [scope]);
    let tokens = || ApiTokens::new(vec![of("registers", Scope::Register), of("reads", Scope::Read)]).unwrap();
    let fake = Fake::with(tokens(), |_| answered(Status::Confirmed)).await;
    let alice = alice().to_string();
    for (token, status) in [("Bearer registers", 201), ("Bearer reads", 403), ("Bearer nobody", 401), ("Basic x", 401)]
    {
        let headers = &[JSON, ("authorization", token)];
        let got = all_alike(&fake, Sent { method: Method::POST, path: PATH, headers, body: &alice }).await;
        assert_eq!(got.as_u16(), status, "{token}");
    }
    assert_eq!(
        all_alike(&fake, Sent { method: Method::POST, path: PATH, headers: &[JSON], body: &alice }).await.as_u16(),
        401
    );
    let fake = Fake::with(tokens(), |_| Ok(Answer::Name(name_view(NameStatus::Held)))).await;
    for (token, status) in [("Bearer registers", 403), ("Bearer reads", 200), ("Bearer nobody", 401)] {
        assert_eq!(all_alike(&fake, look_up(&[("authorization", token)])).await.as_u16(), status, "{token}");
    }
    assert_eq!(all_alike(&fake, look_up(&[])).await.as_u16(), 401);
}

#[tokio::test]
async fn pages_that_may_call_are_told_so_on_all_ways() {
    let gate = Gate::new(&[], &["https://desk.example.org".to_owned()]).unwrap().into();
    let fake = Fake::behind(Doors { gate, ..Doors::default() }, |_| answered(Status::Confirmed)).await;
    let (alice, headers) = (alice().to_string(), [JSON, ("origin", "https://desk.example.org")]);
    let sent = Sent { method: Method::POST, path: PATH, headers: &headers, body: &alice };
    let allowed = answer(&fake, &sent, Way::Plain).await.1;
    assert!(allowed.iter().any(|(name, _)| name == "access-control-allow-origin"), "{allowed:?}");
    all_alike(&fake, sent).await;
}

#[tokio::test]
async fn all_ways_count_against_one_rate() {
    let rate = Rate::Most(NonZeroU32::MIN).into();
    let fake = Fake::behind(Doors { rate, ..Doors::default() }, |_| answered(Status::Confirmed)).await;
    let alice = alice().to_string();
    let sent = Sent { method: Method::POST, path: PATH, headers: &[JSON], body: &alice };
    assert_eq!(answer(&fake, &sent, Way::Plain).await.0.as_u16(), 201);
    for way in [Way::Router, Way::Shortcut, Way::Plain] {
        assert_eq!(answer(&fake, &sent, way).await.0.as_u16(), 429, "{way:?}");
    }
}

/// Returns the shortcut of a node that has stopped, behind this gate.
fn shortcut(gate: Gate) -> Shortcut {
    shortcut_to(mpsc::channel(1).0, gate)
}

/// Returns the shortcut of a node that is asked through this channel.
fn shortcut_to(calls: mpsc::Sender<replica::Request>, gate: Gate) -> Shortcut {
    let handle = Handle::new(watch::channel(NODE).1, calls, watch::channel(cursor(0)).1);
    let dir = tempfile::tempdir().unwrap();
    let doors = Doors { gate: gate.into(), ..Doors::default() };
    let api = Api::new(handle, Arc::new(FakeAdmin::in_dir(dir.path())), &doors);
    let observer = api.observer(doors.traces);
    Shortcut::new(&api, doors.gate, observer)
}

fn sent(method: Method, path: &str, length: Option<&str>) -> axum::extract::Request {
    let mut request = axum::http::Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(axum::body::Body::empty()).unwrap()
}

#[test]
fn only_look_ups_of_one_name_without_a_body_take_the_shortcut() {
    let open = shortcut(Gate::default());
    let (call, _) = open.takes(&sent(Method::GET, LOOK, None)).unwrap();
    assert_eq!(call, Call::LookUp(NameRef { namespace: "username".to_owned(), name: "alice".to_owned() }));
    assert!(open.takes(&sent(Method::GET, LOOK, Some("0"))).is_none());
    assert!(open.takes(&sent(Method::HEAD, LOOK, None)).is_none());
    assert!(open.takes(&sent(Method::GET, "/v1/names/username/alice?suggest=1", None)).is_none());
    assert!(open.takes(&sent(Method::GET, "/v1/names/username/al%69ce", None)).is_none(), "the router decodes it");
    assert!(open.takes(&sent(Method::GET, "/v1/names/username/alice/history", None)).is_none());
    let listed = shortcut(Gate::new(&[], &["https://desk.example.org".to_owned()]).unwrap());
    assert!(listed.takes(&sent(Method::GET, LOOK, None)).is_none(), "it needs the headers for pages");
}

#[test]
fn only_registrations_of_known_size_and_without_pages_take_the_shortcut() {
    let open = shortcut(Gate::default());
    assert!(open.takes(&sent(Method::POST, PATH, Some("120"))).is_some());
    assert!(open.takes(&sent(Method::POST, "/v1/registrations?wait=final", Some("120"))).is_none(), "it is refused");
    assert!(open.takes(&sent(Method::POST, PATH, None)).is_none(), "it may be of any size");
    let mut waits = sent(Method::POST, PATH, Some("120"));
    waits.headers_mut().insert("expect", "100-continue".parse().unwrap());
    assert!(open.takes(&waits).is_none(), "its body is read after the checks alone");
    assert!(open.takes(&sent(Method::POST, PATH, Some("20000"))).is_none());
    assert!(open.takes(&sent(Method::GET, PATH, Some("0"))).is_none());
    assert!(open.takes(&sent(Method::POST, "/v1/registrations:batch", Some("120"))).is_none());
    assert!(open.takes(&sent(Method::POST, "/v1/registrations/", Some("120"))).is_none());
    let listed = shortcut(Gate::new(&[], &["https://desk.example.org".to_owned()]).unwrap());
    assert!(listed.takes(&sent(Method::POST, PATH, Some("120"))).is_none(), "it needs the headers for pages");
}

/// HTTP/2 does not know it any more when it sends the answer.
#[tokio::test]
async fn an_answer_says_its_length_itself() {
    let (peer, request) = (Peer([127, 0, 0, 1].into()), sent(Method::POST, PATH, Some("0")));
    let gate = Gate::default();
    let taken = (Call::Register, gate.clone());
    let answer = shortcut(gate).answer_read(taken, peer, Connections::default(), request).await;
    assert_eq!(answer.status().as_u16(), 415);
    let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
    assert!(length > 0 && body.len() == length, "{length} for {}", body.len());
}

/// The bytes of a plain registration.
fn plain() -> String {
    let alice = alice().to_string();
    let length = alice.len();
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{alice}"
    )
}

/// Reads one answer: its first line, and its body.
async fn one_answer(stream: &mut BufReader<TcpStream>) -> (String, String) {
    let read = async {
        let (mut first, mut length) = (String::new(), 0);
        stream.read_line(&mut first).await.unwrap();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        (first.trim().to_owned(), String::from_utf8(body).unwrap())
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("there is an answer")
}

#[tokio::test]
async fn registrations_come_in_bits_or_several_at_once_and_other_calls_after_them() {
    let fake = Fake::start(|asked| match asked {
        Request::NameOf(_) => Ok(Answer::Name(name_view(NameStatus::Held))),
        _ => answered(Status::Confirmed),
    })
    .await;
    let stream = TcpStream::connect(fake.base.trim_start_matches("http://")).await.unwrap();
    let mut stream = BufReader::new(stream);
    let one = plain();
    // The first bytes decide who reads the connection.
    let (first, rest) = one.split_at(one.find(" HTTP").unwrap() + 1);
    for bit in [first.as_bytes()].into_iter().chain(rest.as_bytes().chunks(7)) {
        stream.get_mut().write_all(bit).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(one_answer(&mut stream).await.0, "HTTP/1.1 201 Created");
    let look = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let asks_first = one.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let name = format!("GET {LOOK} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    stream.get_mut().write_all(format!("{one}{name}{name}{one}{look}{one}{asks_first}").as_bytes()).await.unwrap();
    let [created, ok] = ["201 Created", "200 OK"];
    for status in [created, ok, ok, created, ok, created, "100 Continue", created] {
        assert_eq!(one_answer(&mut stream).await.0, format!("HTTP/1.1 {status}"));
    }
    assert_eq!(fake.asked.lock().unwrap().len(), 7, "each was asked for once");
}

/// A client that shuts its end of the connection after its requests waits for the answers all the same.
#[tokio::test]
async fn what_was_sent_before_the_client_shut_its_end_is_answered() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    let mut stream = TcpStream::connect(fake.base.trim_start_matches("http://")).await.unwrap();
    // The second one is cut short, so it is not answered.
    stream.write_all(format!("{}POST ", plain()).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 201") && said.matches("HTTP/1.1").count() == 1, "{said}");
}

/// A client that keeps its connection must not send the next request to a node that ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_answer_before_the_end_says_that_its_connection_closes() {
    let ((ask, mut asked), (release, released)) = (mpsc::unbounded_channel(), std::sync::mpsc::channel::<()>());
    let answer = move |_: &Request| {
        ask.send(()).unwrap();
        released.recv().unwrap();
        answered(Status::Confirmed)
    };
    let fake = Fake::start(answer).await;
    let address = fake.base.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(format!("{0}{0}", plain()).as_bytes()).await.unwrap();
    asked.recv().await.unwrap();
    fake.stop.send(()).unwrap();
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 201") && said.contains("connection: close"), "{said}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "the other one was not taken up");
}

/// Returns both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Serves the plain registrations of a connection; returns what hyper gets to read.
async fn served(server: &mut TcpStream, shortcut: &Shortcut) -> Option<Vec<u8>> {
    let (_ending, mut ended) = watch::channel(());
    let served = serve_plain(server, Peer([127, 0, 0, 1].into()), Connections::default(), shortcut, &mut ended);
    served.await.map(|left| left.to_vec())
}

#[tokio::test]
async fn hyper_reads_a_connection_from_the_first_request_on_that_is_not_plain() {
    let (mut client, mut server) = pair().await;
    let rest = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let look_up = format!("GET {LOOK} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    client.write_all(format!("{0}{look_up}{0}{rest}", plain()).as_bytes()).await.unwrap();
    let left = served(&mut server, &shortcut(Gate::default())).await.expect("something else comes");
    assert_eq!(String::from_utf8(left).unwrap(), rest);
    drop(server);
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.matches("HTTP/1.1 503").count(), 3, "{said}");
    let listed = shortcut(Gate::new(&[], &["https://desk.example.org".to_owned()]).unwrap());
    let (mut client, mut server) = pair().await;
    client.write_all(plain().as_bytes()).await.unwrap();
    assert_eq!(served(&mut server, &listed).await, Some(Vec::new()), "pages need headers that the router alone sends");
}

/// Refusals cost nobody a wait, so a client that is refused over and over would keep the thread for itself.
#[tokio::test]
async fn whoever_is_refused_lets_others_have_the_thread() {
    let (mut client, mut server) = pair().await;
    let refused = plain().replace("127.0.0.1", "elsewhere.example");
    client.write_all(refused.repeat(50).as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut turns = 0;
    let others = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    let shortcut = shortcut(Gate::default());
    tokio::select! {
        _ = served(&mut server, &shortcut) => {}
        () = others => {}
    }
    drop(server);
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.matches("HTTP/1.1 421").count(), 50, "{said}");
    assert!(turns >= 50, "{turns}");
}

/// A node must not hold the connections of clients that have gone while their names wait for other members.
#[tokio::test]
async fn a_client_that_goes_while_it_waits_gives_its_connection_back() {
    let (calls, mut asked) = mpsc::channel(1);
    let (mut client, mut server) = pair().await;
    client.write_all(plain().as_bytes()).await.unwrap();
    let waiting = shortcut_to(calls, Gate::default());
    let goes = async {
        // Whoever drops the question answers it.
        let question = asked.recv().await;
        drop(client);
        std::future::pending::<()>().await;
        drop(question);
    };
    let within = tokio::time::timeout(Duration::from_secs(30), served(&mut server, &waiting));
    tokio::select! {
        () = goes => unreachable!("it waits for ever"),
        left = within => assert_eq!(left.expect("it is seen that the client has gone"), None),
    }
}
