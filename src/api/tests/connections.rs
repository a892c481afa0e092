//! Clients that keep what they do not use: connections, bodies, batches and streams.

use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::api::auth::{ApiToken, SecretHash};

/// The time after which a failing test gives up.
const DEADLINE: Duration = Duration::from_secs(30);
/// The time within which something must be done. It is long enough for a busy machine.
const SOON: Duration = Duration::from_secs(1);

fn quick() -> Connections {
    Connections { headers_within: SOON, body_within: SOON, answer_taken_within: SOON, ..Connections::default() }
}

async fn fake(connections: Connections) -> Fake {
    Fake::behind(Doors { connections: connections.into(), ..Doors::default() }, |_| answered(Status::Confirmed)).await
}

impl Fake {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.base.trim_start_matches("http://")).await.unwrap()
    }
}

/// Reads until the server closes the connection, which it must do by itself.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset closes the connection as well.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await.expect("the connection stays open");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn whoever_sends_nothing_or_half_of_a_head_is_cut_off() {
    let fake = fake(quick()).await;
    for sent in ["", "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx:"] {
        let mut stream = fake.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert!(!until_closed(&mut stream).await.contains("200"), "{sent:?}");
    }
    // The limit holds between two requests too.
    let mut stream = fake.connect().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let fake = fake(Connections::default()).await;
    let mut stream = fake.connect().await;
    let line = format!("x-more: {}\r\n", "y".repeat(1000));
    let head = format!("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n{}", line.repeat(70));
    // The server closes the connection while the head is being sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let said = until_closed(&mut stream).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
}

#[tokio::test]
async fn a_head_that_drips_ends_all_the_same() {
    let fake = fake(quick()).await;
    let mut stream = fake.connect().await;
    let (mut reading, mut writing) = stream.split();
    let drips = async {
        writing.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n").await?;
        let mut every = tokio::time::interval(SOON / 10);
        loop {
            every.tick().await;
            writing.write_all(b"x-more: 1\r\n").await?;
        }
    };
    let mut said = Vec::new();
    let dripped: io::Result<()> = tokio::select! {
        failed = drips => failed,
        read = reading.read_to_end(&mut said) => read.map(drop),
        () = tokio::time::sleep(DEADLINE) => panic!("it drips for ever"),
    };
    assert!(!String::from_utf8_lossy(&said).contains("200"), "{dripped:?}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let fake = fake(quick()).await;
    let mut stream = fake.connect().await;
    let head = "POST /v1/registrations HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = until_closed(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("too-slow"), "{said}");
    assert!(fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_batch_that_goes_on_no_more_is_over_and_says_so() {
    let fake = fake(quick()).await;
    let (lines, sent) = mpsc::unbounded_channel::<crate::model::RegistrationBody>();
    let sent = futures_util::stream::unfold(sent, |mut sent| async move { Some((sent.recv().await?, sent)) });
    lines.send(serde_json::from_value(alice()).unwrap()).unwrap();
    let mut answers = fake.client.register_all(Box::pin(sent)).await.unwrap();
    assert!(answers.next().await.unwrap().unwrap().registration.is_some());
    let last = answers.next().await.unwrap().unwrap();
    assert_eq!((last.line, last.problem.unwrap().problem_type), (2, ProblemType::TooSlow));
    assert!(!matches!(answers.next().await, Ok(Some(_))));
    assert_eq!(fake.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_address_does_not_keep_the_others_out() {
    let fake = fake(Connections { most: 6, ..Connections::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(fake.connect().await);
    }
    let mut refused = fake.connect().await;
    let said = until_closed(&mut refused).await;
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("of your address as it takes, 3"), "{said}");
    let elsewhere = http().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    let answer = elsewhere.get(format!("{}/healthz", fake.base)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    // There is room again once one of them is closed.
    drop(idle.pop());
    let again = async {
        while fake.http.get(format!("{}/healthz", fake.base)).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, again).await.unwrap();
}

fn tokens() -> ApiTokens {
    let token = |(name, scope)| ApiToken::new(name, SecretHash::of(name), [scope, Scope::Read]);
    ApiTokens::new([("a", Scope::Claim), ("b", Scope::Claim), ("ops", Scope::Admin)].map(token).into()).unwrap()
}

#[tokio::test]
async fn one_token_does_not_have_all_batches_and_an_administrator_has_one() {
    let fake = Fake::with(tokens(), |_| answered(Status::Confirmed)).await;
    let mut open = Vec::new();
    let mut begin = async |token: &str| {
        let (sender, lines) = mpsc::channel::<io::Result<String>>(1);
        let body = reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(lines));
        let request = fake.http.post(format!("{}/v1/registrations:batch", fake.base)).bearer_auth(token);
        let response = request.header("content-type", NDJSON).body(body).send().await.unwrap();
        let status = response.status();
        open.push((sender, response));
        status
    };
    for _ in 0..MAX_BATCHES_OF_ONE {
        assert_eq!(begin("a").await, StatusCode::OK);
    }
    assert_eq!(begin("a").await, StatusCode::SERVICE_UNAVAILABLE);
    for _ in MAX_BATCHES_OF_ONE..MAX_BATCHES - BATCHES_FOR_ADMINS {
        assert_eq!(begin("b").await, StatusCode::OK);
    }
    assert_eq!(begin("b").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begin("ops").await, StatusCode::OK);
}

#[tokio::test]
async fn one_token_does_not_have_all_streams() {
    let empty = crate::model::Events { events: Vec::new(), next: cursor(0) };
    let fake = Fake::with(tokens(), move |_| Ok(Answer::Events(empty.clone()))).await;
    let mut open = Vec::new();
    let mut begin = async |token: &str| {
        let request = fake.http.get(format!("{}/v1/events", fake.base)).bearer_auth(token);
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        let status = response.status();
        open.push(response);
        status
    };
    for _ in 0..MAX_STREAMS_OF_ONE {
        assert_eq!(begin("a").await, StatusCode::OK);
    }
    assert_eq!(begin("a").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begin("ops").await, StatusCode::OK);
}

/// A disk that hangs holds the driver's thread.
#[tokio::test]
async fn a_driver_that_is_held_up_silences_no_probe() {
    let fake = fake(Connections::default()).await;
    // This connection is served on the driver's thread.
    let mut claiming = fake.connect().await;
    let claim = b"GET /v1/registrations/00000000-0000-0000-0000-000000000007 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    claiming.write_all(claim).await.unwrap();
    assert!(some_answer(&mut claiming).await.starts_with("HTTP/1.1 200"));
    let mut probing = fake.connect().await;
    let probe = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    probing.write_all(probe).await.unwrap();
    assert!(some_answer(&mut probing).await.starts_with("HTTP/1.1 200"));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (tell_held, held) = oneshot::channel();
    let nearby = fake.nearby.clone();
    let holding = tokio::spawn(async move {
        let hold = async move {
            tell_held.send(()).unwrap();
            // It ends with an error once the other end is dropped.
            let _ = released.recv();
        };
        nearby.run(hold).await;
    });
    held.await.unwrap();
    claiming.write_all(claim).await.unwrap();
    for mut stream in [probing, fake.connect().await] {
        stream.write_all(probe).await.unwrap();
        assert!(some_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(claiming.try_read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock, "the driver is held");
    drop(release);
    assert!(some_answer(&mut claiming).await.starts_with("HTTP/1.1 200"));
    holding.await.unwrap();
}

async fn some_answer(stream: &mut TcpStream) -> String {
    let mut said = [0; 4096];
    let count = tokio::time::timeout(DEADLINE, stream.read(&mut said)).await.expect("there is an answer").unwrap();
    String::from_utf8_lossy(&said[..count]).into_owned()
}
