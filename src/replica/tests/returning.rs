//! What a node that has come back tells of its life before.

use super::super::feed::EventKind;
use super::super::returning::Void;
use super::*;

/// In its life before, node 1 told of a request that node 2 took, and of a retry that it took itself a little later. Of the
/// two, only the retry is in the state that it came back to; what node 2 took is on its way.
#[test]
fn an_event_about_what_is_on_its_way_is_not_shown_as_one_about_its_retry() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let id = Uuid::from_u128(0x4000_8000_0000_0000_0001);
    let request = RegisterRequest { id: Some(id), ..names(&["alice"]) };
    let taken = cluster.register(2, request.clone()).stamp;
    cluster.pass(100);
    let retry = cluster.register(1, request).stamp;
    let back = cluster.nodes.get_mut(&node(1)).unwrap();
    let end = back.last_event();
    back.registry.store.put(Table::Void, taken.to_bytes().to_vec(), codec::encode(&Void::Heard(id)));
    back.tell(EventKind::Confirmed, taken);
    cluster.settle();
    let read = |cluster: &mut Cluster| {
        let filter = EventFilter::default();
        match cluster.reply(1, Request::Events { after: end, limit: 10, filter }) {
            Ok(Answer::Events(page)) => page.events,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(&mut cluster), vec![], "its reader waits");
    cluster.heal();
    let events = read(&mut cluster);
    let told = events.iter().map(|event| (event.event_type, event.registration.stamp));
    assert!(told.clone().all(|(_, stamp)| stamp == taken && stamp != retry), "{events:?}");
    assert_eq!(told.map(|(kind, _)| kind).next(), Some(EventType::Confirmed));
}
