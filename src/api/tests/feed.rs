//! The event feed: pages, streams, resuming.

use super::*;
use crate::model::{Event, EventData, EventQuery, EventType, Events, Metadata};
use crate::replica::EventsAfter;

/// Answers as a feed that has the events up to the number in `len`, with a limited number of them in one page.
fn feed(len: &Arc<Mutex<u64>>) -> impl FnMut(&Request) -> Reply + Send + 'static {
    let len = Arc::clone(len);
    move |request| {
        let Request::EventsAfter(EventsAfter { after, query, .. }) = request else { panic!("asked {request:?}") };
        let len = *len.lock().unwrap();
        let after = after.map_or(0, |after| after.number);
        let next = len.min(after + query.limit.unwrap() as u64).max(after);
        let events = (after + 1..=next).map(event).collect();
        Ok(Answer::Events(Events { events, next: cursor(next) }))
    }
}

fn event(number: u64) -> Event {
    let mut registration = registration(Status::Confirmed);
    // Newlines in an application's metadata must not end a message.
    registration.metadata = Metadata::new("{\n\"a\":\r\n1}".to_owned()).ok();
    Event {
        specversion: "1.0".to_owned(),
        id: format!("{}/confirmed", registration.id),
        source: format!("/nodes/{NODE}"),
        event_type: EventType::Confirmed,
        subject: registration.id.to_string(),
        time: Time(Millis(1_700_000_000_000)),
        datacontenttype: "application/json".to_owned(),
        cursor: Some(cursor(number)),
        data: EventData { registration, rejected_by: None, name: None, reason: None },
    }
}

/// Reads the stream until it has this number of whole messages.
async fn read(response: &mut Response, messages: usize) -> String {
    let mut text = String::new();
    while text.matches("\n\n").count() < messages {
        let chunk = response.chunk().await.unwrap().expect("the stream goes on");
        text += std::str::from_utf8(&chunk).unwrap();
    }
    text
}

#[tokio::test]
async fn a_page_of_cloud_events() {
    let len = Arc::new(Mutex::new(3));
    let fake = Fake::start(feed(&len)).await;
    let body: Value = fake.get("/v1/events?after=feed-1&limit=2").await.json().await.unwrap();
    assert_eq!(body["next"], "feed-3");
    let events = body["events"].as_array().unwrap();
    assert_eq!(events.iter().map(|event| event["cursor"].as_str().unwrap()).collect::<Vec<_>>(), ["feed-2", "feed-3"]);
    assert_eq!(events[0]["id"], format!("{}/confirmed", events[0]["data"]["registration"]["id"].as_str().unwrap()));
    assert_eq!(events[0]["type"], "forename.registration.confirmed");
    assert_eq!(events[0]["data"]["registration"]["metadata"], json!({"a": 1}));
}

#[tokio::test]
async fn filters_reach_the_node() {
    let fake = Fake::start(feed(&Arc::default())).await;
    let types = "accepted,%20forename.name.ended";
    let id = Uuid::from_u128(7);
    let query = format!(
        "after=feed-4&since=2023-11-14T22:13:20Z&types={types}&owner=o&registration={id}&namespace=org%2F42&origin=local"
    );
    fake.get(&format!("/v1/events?{query}")).await;
    let query = EventQuery {
        since: Some(Time(Millis(1_700_000_000_000))),
        types: vec![EventType::Accepted, EventType::NameEnded],
        owner: Some("o".to_owned()),
        registration: Some(id),
        namespace: Some("org/42".to_owned()),
        local: true,
        limit: Some(100),
    };
    let asked = Request::from(EventsAfter::new(Some(cursor(4)), query.clone()));
    assert_eq!(fake.last(), asked);
    // The typed client writes the same request.
    fake.client.events(Some(cursor(4)), &query).await.unwrap();
    assert_eq!(fake.last(), asked);
}

#[tokio::test]
async fn a_stream_goes_on_as_the_feed_grows() {
    let len = Arc::new(Mutex::new(3));
    let fake = Fake::start(feed(&len)).await;
    let request = fake.http.get(format!("{}/v1/events?after=feed-1&limit=1", fake.base));
    let mut response = request.header("accept", "text/html, text/event-stream;q=0.9").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = read(&mut response, 2).await;
    assert!(text.starts_with("id: feed-2\nevent: forename.registration.confirmed\ndata: {"), "{text}");
    assert!(text.contains("\n\nid: feed-3\n"), "{text}");
    assert!(!text.contains("cursor"), "{text}");
    *len.lock().unwrap() = 4;
    fake.latest.send_replace(cursor(4));
    let text = read(&mut response, 1).await;
    assert!(text.starts_with("id: feed-4\n"), "{text}");
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_id() {
    let fake = Fake::start(feed(&Arc::new(Mutex::new(9)))).await;
    let stream = |last: &'static str| {
        let request =
            fake.http.get(format!("{}/v1/events?after=feed-1", fake.base)).header("accept", "text/event-stream");
        request.header("last-event-id", last).send()
    };
    let text = read(&mut stream("feed-8").await.unwrap(), 1).await;
    assert!(text.starts_with("id: feed-9\n"), "{text}");
    assert_eq!(stream("8").await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refusal_is_no_empty_stream() {
    let fake = Fake::start(|_| Err(replica::Refusal::NotMember)).await;
    let request = fake.http.get(format!("{}/v1/events", fake.base)).header("accept", "text/event-stream");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn events_that_are_no_longer_kept_are_gone_for_pages_and_streams() {
    let fake = Fake::start(|request| match request {
        Request::EventsAfter(EventsAfter { after: None, .. }) => {
            Ok(Answer::Events(Events { events: vec![event(8)], next: cursor(8) }))
        }
        Request::EventsAfter(EventsAfter { after: Some(after), .. }) if after.feed == cursor(0).feed => {
            Err(replica::Refusal::EventsCompacted { after: *after, restart: cursor(7) })
        }
        Request::EventsAfter(EventsAfter { after: Some(after), .. }) => {
            Err(replica::Refusal::CursorUnknown { after: *after, restart: cursor(7) })
        }
        _ => Ok(Answer::Cluster(cluster_view(true))),
    })
    .await;
    for accept in ["application/json", "text/event-stream"] {
        let request = fake.http.get(format!("{}/v1/events?after=feed-3", fake.base)).header("accept", accept);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::GONE, "{accept}");
        assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
        let problem: Problem = response.json().await.unwrap();
        assert_eq!((problem.problem_type, problem.restart), (ProblemType::EventsCompacted, Some(cursor(7))));
        assert!(problem.detail.contains("go on after cursor feed-7"), "{problem}");
        let request = fake.http.get(format!("{}/v1/events?after=dd-3", fake.base)).header("accept", accept);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::GONE, "{accept}");
        let problem: Problem = response.json().await.unwrap();
        assert_eq!((problem.problem_type, problem.restart), (ProblemType::CursorUnknown, Some(cursor(7))));
        assert!(problem.detail.contains("No event is lost") && problem.detail.contains("feed-7"), "{problem}");
    }
    // A stream that resumes gets the same problem, and does not try again.
    let mut stream = fake.client.stream(Some(cursor(3)), EventQuery::default());
    let error = stream.next().await.unwrap_err();
    assert_eq!(error.problem().and_then(|problem| problem.restart), Some(cursor(7)), "{error}");
    // A reader without a cursor begins with the earliest event that is kept.
    let first = fake.client.events(None, &EventQuery::default()).await.unwrap();
    assert_eq!(first.events[0].cursor, Some(cursor(8)));
    let cluster: Value = fake.get("/v1/cluster").await.json().await.unwrap();
    assert_eq!(cluster["events"], json!({"start": "feed-4", "last": "feed-9"}));
    assert_eq!((&cluster["members"][0]["wire"], &cluster["members"][1]["wire"]), (&json!("1.0"), &Value::Null));
}

#[tokio::test]
async fn a_stream_moves_on_past_what_its_reader_does_not_want() {
    let fake = Fake::start(|request| {
        let Request::EventsAfter(EventsAfter { after, .. }) = request else { panic!("asked {request:?}") };
        // Of all events up to 9, the query selects only the fifth.
        let events = after.is_none_or(|after| after.number < 5).then(|| event(5)).into_iter().collect();
        Ok(Answer::Events(Events { events, next: cursor(9) }))
    })
    .await;
    let request = fake.http.get(format!("{}/v1/events?after=feed-1", fake.base)).header("accept", "text/event-stream");
    let text = read(&mut request.send().await.unwrap(), 2).await;
    assert!(text.starts_with("id: feed-5\n") && text.ends_with("\n\nid: feed-9\n\n"), "{text}");
}

/// The first page ends without events, because its read has looked at as many events as it may.
#[tokio::test]
async fn a_stream_from_the_beginning_goes_on_past_a_page_without_events() {
    let fake = Fake::start(|request| match request {
        Request::EventsAfter(EventsAfter { after: None, .. }) => {
            Ok(Answer::Events(Events { events: Vec::new(), next: cursor(5000) }))
        }
        _ => Ok(Answer::Events(Events { events: vec![event(5001)], next: cursor(5001) })),
    })
    .await;
    let request = fake.http.get(format!("{}/v1/events?owner=eve", fake.base)).header("accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    let text = tokio::time::timeout(Duration::from_secs(20), read(&mut response, 1)).await.expect("the next page");
    assert!(text.starts_with("id: feed-5001\n"), "{text}");
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let fake = Fake::start(feed(&Arc::new(Mutex::new(1)))).await;
    let request = fake.http.get(format!("{}/v1/events", fake.base)).header("accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    read(&mut response, 1).await;
    fake.stop.send(()).unwrap();
    assert_eq!(response.chunk().await.unwrap(), None);
    fake.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn streams_end_when_the_node_stops() {
    let fake = Fake::start(feed(&Arc::new(Mutex::new(1)))).await;
    let request = fake.http.get(format!("{}/v1/events", fake.base)).header("accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    read(&mut response, 1).await;
    drop(fake.latest);
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn the_clients_stream_outlives_connections() {
    // The node first refuses, as it does while it joins. Then it answers, then the connection breaks, then it is back.
    let len = Arc::new(Mutex::new(2));
    let mut answer = feed(&len);
    let mut refusals = 1;
    let fake = Fake::start(move |request| {
        if refusals > 0 {
            refusals -= 1;
            return Err(replica::Refusal::NotMember);
        }
        answer(request)
    })
    .await;
    let mut stream = fake.client.stream(None, EventQuery::default());
    let first = stream.next().await.unwrap();
    assert_eq!((first.cursor, first.data.registration.owner.as_str()), (Some(cursor(1)), "user-1"));
    assert_eq!(stream.next().await.unwrap().cursor, Some(cursor(2)));
    assert_eq!(stream.cursor(), Some(cursor(2)));

    let address = fake.base.trim_start_matches("http://").to_owned();
    fake.stop.send(()).unwrap();
    fake.server.await.unwrap().unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let (calls, mut inbox) = mpsc::channel::<replica::Request>(8);
    let (latest, events) = watch::channel(cursor(0));
    *len.lock().unwrap() = 3;
    let mut answer = feed(&len);
    tokio::spawn(async move {
        while let Some(call) = inbox.recv().await {
            let (request, tell) = call.into_any();
            tell(answer(&request));
        }
    });
    let handle = Handle::new(watch::channel(NODE).1, calls, events);
    tokio::spawn(serve(
        listener,
        handle,
        Arc::new(FakeAdmin::in_dir(Path::new("/nonexistent"))),
        Doors::default(),
        std::future::pending(),
    ));
    assert_eq!(stream.next().await.unwrap().cursor, Some(cursor(3)));
    drop(latest);
}
