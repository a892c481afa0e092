//! Tests of one node that runs again on the same directory: its feed goes on, its timestamps do not go back with the
//! clock, and two processes cannot use the directory at once.

use forename::model::{EventQuery, EventType, Status};

use crate::support::clocks::Clock;
use crate::support::facts::{agreed, feed};
use crate::support::process::{Home, Process, Serve};
use crate::support::{claim, user_final, within};

#[tokio::test]
async fn a_stream_resumes_by_its_last_event_across_a_restart() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let mut stream = node.client.stream(None, EventQuery::default());
    let first = claim(&node.client, &user_final("alice", "ann")).await;
    let mut seen = Vec::new();
    let wanted = [EventType::Accepted, EventType::Confirmed];
    for _ in wanted {
        seen.push(within("an event", stream.next()).await.unwrap());
    }
    // The events of the second registration are written while no reader is connected.
    let (http, peer) = (node.http, node.peer);
    assert_eq!(node.terminate().await.code(), Some(0));
    let node = Process::start(&home, &Serve::new("a").at(http, peer)).await;
    let second = claim(&node.client, &user_final("bob", "ann")).await;
    for _ in wanted {
        seen.push(within("an event", stream.next()).await.unwrap());
    }
    let told: Vec<_> = seen.iter().map(|event| (event.event_type, event.data.registration.id)).collect();
    let expected = [first.id, second.id].map(|id| wanted.map(|event_type| (event_type, id))).concat();
    assert_eq!(told, expected);
    assert!((1..).zip(&seen).all(|(number, event)| event.cursor.unwrap().number == number), "{seen:?}");
    // The events that were told are the events that are stored.
    let stored: Vec<_> = feed(&node.client).await.into_iter().map(|event| event.id).collect();
    assert_eq!(seen.into_iter().map(|event| event.id).collect::<Vec<_>>(), stored);
}

#[tokio::test]
async fn a_clock_set_back_an_hour_between_runs_does_no_harm() {
    let Some(clock) = Clock::new() else { return };
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let before = claim(&node.client, &user_final("alice", "ann")).await;
    assert_eq!(node.terminate().await.code(), Some(0));

    let mut back = Serve::new("a");
    clock.set(-3600);
    back.variables = clock.variables();
    let node = Process::start(&home, &back).await;
    let time = node.client.cluster().await.unwrap().time;
    assert!(time < before.accepted_at, "the clock was not set back");
    let after = claim(&node.client, &user_final("bob", "ann")).await;
    assert!(after.stamp > before.stamp, "{} does not follow {}", after.stamp, before.stamp);
    let third = claim(&node.client, &user_final("carol", "ann")).await;
    assert!(third.stamp > after.stamp);
    let all = agreed(std::slice::from_ref(&node.client)).await;
    assert_eq!(all.len(), 3);
    assert!(all.values().all(|registration| registration.status == Status::Confirmed));
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_its_owner_lives_on() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let Err((status, log)) = Process::try_start(&home, &Serve::new("b")).await else {
        panic!("two nodes run on one directory");
    };
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("is in use by another process"), "{log}");
    claim(&node.client, &user_final("alice", "ann")).await;
    node.assert_lives();
}
