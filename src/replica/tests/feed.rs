//! The feed of a node that has come back.

use super::*;

/// A page of a node's feed: numbers, ids of events, and where the next page begins.
fn page(cluster: &mut Cluster, id: NodeId, after: Option<Cursor>) -> Result<(Vec<(u64, String)>, Cursor), Refusal> {
    let token = cluster.next_token;
    cluster.next_token += 1;
    let request = Request::Events { after, limit: 1000, filter: EventFilter::default() };
    cluster.nodes.get_mut(&id).unwrap().handle(cluster.now, Input::Request(request.with(cluster.replies.to(token))));
    cluster.settle();
    match cluster.replies.remove(&token).expect("answered") {
        Ok(Answer::Events(page)) => {
            let events = page.events.iter().map(|event| (event.cursor.number, event.id())).collect();
            Ok((events, page.next))
        }
        Err(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

/// Node 1 and node 2 each took a name; what node 1 took is told anew in its next life, in steps, and in between it takes more.
#[test]
fn the_feed_of_the_next_life_tells_anew_what_the_node_accepted_and_sends_readers_there() {
    let mut cluster = Cluster::founded(1);
    let took: Vec<_> = (0..700).map(|n| cluster.claim(1, &format!("name{n}")).id).collect();
    let (old, reader) = page(&mut cluster, node(1), None).unwrap();
    assert_eq!(old.len(), 1000);
    let store = cluster.nodes.remove(&node(1)).unwrap().into_store();
    let replica = Replica::open(config(1), store, None, cluster.now).unwrap();
    let (store, next) = replica.recover(ClusterId::from_random([8; 16]), [8; 32]).unwrap();
    let mut config = config(1);
    (config.log.contact.node, config.log.seed) = (next, 77);
    cluster.nodes.insert(next, Replica::open(config, store, None, cluster.now).unwrap());
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

/// What an event says is what it said when it was told.
#[test]
fn an_event_read_again_later_says_the_same() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let read = |cluster: &mut Cluster| match cluster
        .reply(1, Request::Events { after: None, limit: 10, filter: EventFilter::default() })
    {
        Ok(Answer::Events(page)) => page.events,
        other => panic!("{other:?}"),
    };
    let reservation = cluster.reserve(1, "alice", 60_000);
    let early = read(&mut cluster);
    assert_eq!(early[0].registration.status, Status::Pending);
    assert!(early[0].registration.expires.is_some());
    cluster.heal();
    assert!(cluster.reply(1, Request::Activate { id: reservation }).is_ok());
    cluster.pass(2000);
    let later = read(&mut cluster);
    assert_eq!(later[0], early[0], "although it is confirmed and permanent by now");
    let kinds: Vec<_> = later.iter().map(|event| (event.event_type, event.registration.activated)).collect();
    let wanted = [(EventType::Accepted, false), (EventType::Confirmed, false), (EventType::Activated, true)];
    assert_eq!(kinds, wanted);
}
