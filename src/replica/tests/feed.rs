//! The feed of a node that has come back under its next incarnation.

use serde_json::{Value, json};

use super::*;
use crate::model::Event;

/// Returns a page of a node's feed: the numbers and ids of its events, and the cursor after it.
fn page(cluster: &mut Cluster, id: NodeId, after: Option<Cursor>) -> Result<(Vec<(u64, String)>, Cursor), Refusal> {
    let token = cluster.next_token;
    cluster.next_token += 1;
    let request = EventsAfter::new(after, page_of(1000));
    cluster
        .nodes
        .get_mut(&id)
        .unwrap()
        .handle(cluster.now, Input::Request(Request::from(request).with(cluster.replies.to(token))));
    cluster.settle();
    match cluster.replies.remove(&token).expect("answered") {
        Ok(Answer::Events(page)) => {
            let events = page.events.iter().map(|event| (event.cursor.unwrap().number, event.id.clone())).collect();
            Ok((events, page.next))
        }
        Err(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

/// Has node 1 go on under its next incarnation, alone in a new cluster. Returns its new id.
fn recovered(cluster: &mut Cluster) -> NodeId {
    let store = cluster.nodes.remove(&node(1)).unwrap().into_store();
    let replica = Replica::open(config(1), store, None, cluster.now).unwrap();
    let (store, next) = replica.recover(ClusterId::from_random([8; 16]), [8; 32]).unwrap();
    let mut config = config(1);
    (config.log.contact.node, config.log.seed) = (next, 77);
    cluster.nodes.insert(next, Replica::open(config, store, None, cluster.now).unwrap());
    next
}

/// The feed of the next incarnation tells anew, in steps, what the node accepted, and it accepts more names meanwhile.
#[test]
fn the_feed_of_the_next_life_tells_anew_what_the_node_accepted_and_sends_readers_there() {
    let mut cluster = Cluster::founded(1);
    let took: Vec<_> = (0..700).map(|n| cluster.claim(1, &format!("name{n}")).id).collect();
    let (old, reader) = page(&mut cluster, node(1), None).unwrap();
    assert_eq!(old.len(), 1000);
    let next = recovered(&mut cluster);
    let refused = page(&mut cluster, next, Some(reader)).unwrap_err();
    let Refusal::CursorUnknown { after, restart } = refused else { panic!("{refused:?}") };
    assert_eq!((after, restart.number), (reader, 0));
    cluster.pass(10_000);
    let (mut told, mut after) = (Vec::new(), Some(restart));
    loop {
        let (events, end) = page(&mut cluster, next, after).unwrap();
        if events.is_empty() {
            break;
        }
        after = Some(end);
        told.extend(events);
    }
    assert!((1..).zip(&told).all(|(number, (is, _))| number == *is), "no gaps");
    let wanted = took.iter().flat_map(|id| [format!("{id}/accepted"), format!("{id}/confirmed")]);
    assert_eq!(told.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    assert_eq!(
        page(&mut cluster, next, Some(Cursor { number: 9999, ..restart })).unwrap_err(),
        Refusal::CursorUnknown { after: Cursor { number: 9999, ..restart }, restart }
    );
}

/// A node has come back under its next incarnation. Its feed repeats all that the node accepted, with the time of the
/// repetition. A webhook that was made meanwhile does not get what is older than itself.
#[test]
fn a_reader_leaves_out_repeated_events_that_are_older_than_itself() {
    let mut cluster = Cluster::founded(1);
    let old = cluster.claim(1, "old").id;
    let early = cluster.reserve(1, "early", 60_000);
    assert!(cluster.reply(1, Command::Activate { id: early }).is_ok());
    let (kept, _expired) = (cluster.reserve(1, "kept", 60_000), cluster.reserve(1, "expired", 1000));
    cluster.pass(5000);
    let made = cluster.now.wall;
    cluster.pass(1000);
    assert!(cluster.reply(1, Command::Activate { id: kept }).is_ok());
    assert!(cluster.reply(1, Command::Release { id: old }).is_ok());
    let new = cluster.claim(1, "new").id;
    cluster.pass(2000);
    let next = recovered(&mut cluster);
    cluster.pass(2000);
    let mut read = |since_made| {
        let token = cluster.next_token;
        cluster.next_token += 1;
        let request = EventsAfter::new(None, page_of(100)).since_made(since_made);
        let request = Request::from(request).with(cluster.replies.to(token));
        cluster.nodes.get_mut(&next).unwrap().handle(cluster.now, Input::Request(request));
        cluster.settle();
        match cluster.replies.remove(&token) {
            Some(Ok(Answer::Events(page))) => page.events.into_iter().map(|event| event.id).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert!(read(None).len() > 10);
    let since = SinceMade { until: u64::MAX, made, undecided: made };
    let wanted = [
        format!("{old}/ended/username/old"),
        format!("{kept}/activated"),
        format!("{new}/accepted"),
        format!("{new}/confirmed"),
    ];
    assert_eq!(read(Some(since)), wanted);
    // The oldest registration that was undecided then may have been decided later.
    let undecided = read(Some(SinceMade { undecided: Millis(0), ..since }));
    assert!(undecided.contains(&format!("{old}/confirmed")) && !undecided.contains(&format!("{old}/accepted")));
    assert!(
        read(Some(SinceMade { until: 0, ..since })).len() > 10,
        "what is later than the repetition is not left out"
    );
}

/// The content of an event is fixed when it is written.
#[test]
fn an_event_read_again_later_says_the_same() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let read = |cluster: &mut Cluster| match cluster.reply(1, EventsAfter::new(None, page_of(10))) {
        Ok(Answer::Events(page)) => page.events,
        other => panic!("{other:?}"),
    };
    let reservation = cluster.reserve(1, "alice", 60_000);
    let early = read(&mut cluster);
    assert_eq!(early[0].data.registration.status, Status::Pending);
    assert!(early[0].data.registration.expires_at.is_some());
    cluster.heal();
    assert!(cluster.reply(1, Command::Activate { id: reservation }).is_ok());
    cluster.pass(2000);
    let later = read(&mut cluster);
    assert_eq!(later[0], early[0], "although it is confirmed and permanent by now");
    let kinds: Vec<_> = later.iter().map(|event| (event.event_type, event.data.registration.activated)).collect();
    let wanted = [(EventType::Accepted, false), (EventType::Confirmed, false), (EventType::Activated, true)];
    assert_eq!(kinds, wanted);
}

/// Returns the last event about the end of a registration's only name, as JSON.
fn last_end(cluster: &mut Cluster) -> Value {
    let Ok(Answer::Events(page)) = cluster.reply(1, EventsAfter::new(None, page_of(100))) else { panic!("no feed") };
    let event = page.events.into_iter().rfind(|event| event.event_type == EventType::NameEnded).unwrap();
    let value = serde_json::to_value(&event).unwrap();
    assert_eq!(serde_json::from_value::<Event>(value.clone()).unwrap(), event);
    value
}

#[test]
fn an_event_is_a_cloud_event_which_forgets_who_was_erased() {
    let mut cluster = Cluster::founded(1);
    let alice = NameRef { namespace: "org/42/handle".into(), name: "Alice".into() };
    let id = cluster.register(1, RegisterRequest { names: vec![alice], ttl: Some(5000), ..names(&[]) }).id;
    cluster.pass(9000);
    let value = last_end(&mut cluster);
    assert_eq!(value["specversion"], "1.0");
    assert_eq!(value["id"], format!("{id}/ended/org/42/handle/alice"));
    assert_eq!(value["source"], format!("/nodes/{}", node(1)));
    assert_eq!(value["type"], "forename.name.ended");
    assert_eq!(value["subject"], "org/42/handle/Alice");
    assert!(value["time"].as_str().is_some_and(|time| time.parse::<Time>().is_ok()), "{value}");
    assert_eq!(value["datacontenttype"], "application/json");
    assert!(value["cursor"].as_str().is_some_and(|cursor| cursor.ends_with("-3")), "{value}");
    assert_eq!(
        value["data"]["name"],
        json!({
            "namespace": "org/42/handle", "name": "Alice", "key": "alice", "ended": "expired",
        })
    );
    assert_eq!(value["data"]["reason"], "expired");
    assert!(cluster.reply(1, Command::Erase { id }).is_ok());
    cluster.pass(3000);
    let value = last_end(&mut cluster);
    assert_eq!(value["id"], format!("{id}/ended/org/42/handle/#0"));
    assert_eq!((&value["subject"], &value["data"]["reason"]), (&json!(id), &json!("expired")));
    assert_eq!((&value["data"]["registration"]["erased"], value["data"].get("name")), (&json!(true), None));
}

#[test]
fn a_rejection_says_twice_what_it_was_lost_to() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let winner = cluster.claim(1, "alice").id;
    cluster.pass(100);
    cluster.claim(2, "alice");
    cluster.heal();
    let Ok(Answer::Events(page)) = cluster.reply(1, EventsAfter::new(None, page_of(100))) else { panic!("no feed") };
    let event = page.events.into_iter().find(|event| event.event_type == EventType::Rejected).unwrap();
    assert_eq!(event.data.rejected_by.as_ref().map(|by| by.registration), Some(winner));
    assert_eq!(event.data.rejected_by, event.data.registration.rejected_by);
}
