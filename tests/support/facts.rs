//! The invariants of all nodes once everything is decided.

use std::collections::{BTreeMap, BTreeSet};

use forename::Client;
use forename::clock::{NodeId, Stamp};
use forename::model::{Event, Registration};
use forename::model::{EventQuery, EventType, Status};
use uuid::Uuid;

use super::{cluster, eventually, same};

/// The largest page that a node returns.
const PAGE: usize = 1000;

/// Waits until all nodes have the same ops and nothing is pending.
pub(crate) async fn settled(clients: &[Client]) {
    eventually("all nodes have the same ops and all is final", async || {
        let mut first: Option<BTreeMap<NodeId, u64>> = None;
        for client in clients {
            let cluster = cluster(client).await?;
            same(&cluster.pending, &0)?;
            let applied: BTreeMap<_, _> = cluster.members.iter().map(|member| (member.node, member.applied)).collect();
            same(&applied, first.get_or_insert_with(|| applied.clone()))?;
        }
        Ok(())
    })
    .await;
}

/// Reads the whole feed as it is when the reading begins: under load it may grow as fast as it is read. Checks that its events
/// are numbered from 1 without a gap and that each is told once.
pub(crate) async fn feed(client: &Client) -> Vec<Event> {
    let last = client.cluster().await.expect("a node says how far its feed goes").events.last.number;
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().and_then(|event| event.cursor);
        if after.is_some_and(|after| after.number >= last) {
            break;
        }
        let query = EventQuery { limit: Some(PAGE), ..EventQuery::default() };
        let page = client.events(after, &query).await.expect("a node gives its feed");
        if page.events.is_empty() {
            break;
        }
        events.extend(page.events);
    }
    let cursors: Vec<_> = events.iter().filter_map(|event| event.cursor).collect();
    let odd = (1..).zip(&cursors).find(|(number, cursor)| cursor.number != *number);
    assert_eq!((odd, cursors.len()), (None, events.len()), "the cursors of {}", client.address());
    let ids: BTreeSet<_> = events.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), events.len(), "{} tells something twice", client.address());
    events
}

/// The registrations in a node's feed, each in the state of its last event.
pub(crate) fn registrations(feed: &[Event]) -> BTreeMap<Uuid, Registration> {
    feed.iter().map(|event| (event.data.registration.id, event.data.registration.clone())).collect()
}

fn count(feed: &[Event], event_type: EventType) -> BTreeMap<Uuid, usize> {
    let mut counts = BTreeMap::new();
    for event in feed.iter().filter(|event| event.event_type == event_type) {
        *counts.entry(event.data.registration.id).or_default() += 1;
    }
    counts
}

/// Checks that each registration was accepted once and has exactly one outcome in this feed.
fn told_once(feed: &[Event], registrations: &BTreeMap<Uuid, Registration>) {
    let once = |status: Option<Status>| {
        let of_status = registrations.values().filter(|registration| status.is_none_or(|s| registration.status == s));
        of_status.map(|registration| (registration.id, 1)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(count(feed, EventType::Accepted), once(None));
    assert_eq!(count(feed, EventType::Confirmed), once(Some(Status::Confirmed)));
    assert_eq!(count(feed, EventType::Rejected), once(Some(Status::Rejected)));
}

/// Waits until everything is final and checks the invariants: the nodes know the same registrations with the same
/// outcome, no stamp is used twice, no name has two winners, and each feed has every event once. Returns the
/// registrations.
pub(crate) async fn agreed(clients: &[Client]) -> BTreeMap<Uuid, Registration> {
    settled(clients).await;
    let mut agreed: Option<BTreeMap<Uuid, Registration>> = None;
    for client in clients {
        let feed = feed(client).await;
        let here = registrations(&feed);
        told_once(&feed, &here);
        for registration in here.values() {
            assert!(registration.status.is_final(), "{registration:?}");
            assert_eq!(registration.rejected_by.is_some(), registration.status == Status::Rejected);
        }
        let there = agreed.get_or_insert_with(|| here.clone());
        assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>(), "{}", client.address());
        for (id, registration) in &here {
            assert_eq!(verdict(registration), verdict(&there[id]), "{id} at {}", client.address());
        }
    }
    let agreed = agreed.expect("there is a node");
    let stamps: BTreeSet<_> = agreed.values().map(|registration| registration.stamp).collect();
    assert_eq!(stamps.len(), agreed.len(), "a stamp was used twice");
    one_winner(&agreed);
    agreed
}

/// The same check for a node that was given the state meanwhile. Its feed may lack the acceptance of other nodes'
/// claims. It must not have an event twice, and must have the outcome of every registration in it.
fn told_again(feed: &[Event]) {
    let registrations = registrations(feed);
    assert!(count(feed, EventType::Accepted).values().all(|count| *count == 1), "an acceptance was told twice");
    for (event_type, status) in [(EventType::Confirmed, Status::Confirmed), (EventType::Rejected, Status::Rejected)] {
        let once = registrations.values().filter(|registration| registration.status == status);
        assert_eq!(count(feed, event_type), once.map(|registration| (registration.id, 1)).collect());
    }
}

/// The same as [`agreed`], where one node was evicted and is back. Its feed lacks outcomes that were decided while it
/// was away. It must not have an event twice, and the node must know all registrations.
pub(crate) async fn agreed_but_for(clients: &[Client], away: usize) -> BTreeMap<Uuid, Registration> {
    settled(clients).await;
    let mut others = clients.to_vec();
    let back = others.remove(away);
    let all = agreed(&others).await;
    let feed = feed(&back).await;
    told_again(&feed);
    for registration in all.values() {
        let there = back.registration(registration.id).await.expect("who is back knows all registrations");
        assert_eq!(verdict(&there), verdict(registration), "{}", back.address());
    }
    all
}

/// The part of a registration that is the same at all nodes and never changes. The claim that a rejected one lost to is
/// left out, because each node's event names the one that it knew then.
fn verdict(registration: &Registration) -> (&str, &str, Status, Stamp, bool) {
    let name = &registration.names[0].name;
    (&registration.owner, name, registration.status, registration.stamp, registration.rejected_by.is_some())
}

/// Checks that no two claims that have not ended are to one name, and that each loser lost to an earlier claim.
fn one_winner(registrations: &BTreeMap<Uuid, Registration>) {
    let mut holders = BTreeMap::new();
    for registration in registrations.values().filter(|registration| registration.status == Status::Confirmed) {
        for claim in registration.names.iter().filter(|claim| claim.ended.is_none()) {
            let other = holders.insert((&claim.namespace, &claim.key), registration.id);
            assert_eq!(other, None, "{}/{} has two holders", claim.namespace, claim.key);
        }
    }
    for loser in registrations.values() {
        if let Some(by) = &loser.rejected_by {
            assert!(by.stamp < loser.stamp, "{loser:?} lost to a later claim");
        }
    }
}
