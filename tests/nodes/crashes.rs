//! Tests of nodes that are killed with `kill -9` under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forename::Client;
use forename::model::ProblemType;
use forename::model::{Cursor, EventQuery, EventType, Status};
use forename::model::{Registration, RegistrationBody};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::facts::{agreed, agreed_but_for, feed, registrations};
use crate::support::process::Three;
use crate::support::{claim, claim_until_answered, configured, eventually, id, is_back, is_out, user, user_final};

/// The number of clients at once. Two thirds of them use the node that is killed, and each third name is claimed by two
/// of these.
const WORKERS: usize = 9;
const ROUNDS: usize = 3;
/// The number of answered claims of all clients together between two kills.
const PER_ROUND: usize = 150;

/// The answers that one client got.
#[derive(Default)]
struct Told {
    accepted: BTreeMap<Uuid, (RegistrationBody, Registration)>,
    refused: Vec<Uuid>,
}

/// Clients that claim names until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<Told>>,
}

impl Load {
    fn start(clients: &[Client], mut node_of: impl FnMut(usize) -> usize) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let worker = |worker| {
            let client = clients[node_of(worker)].clone();
            tokio::spawn(work(worker, client, Arc::clone(&stop), Arc::clone(&answered)))
        };
        let workers = (0..WORKERS).map(worker).collect();
        Self { stop, answered, workers }
    }

    async fn answers(&self, count: usize) {
        eventually("the load goes on", async || {
            let answered = self.answered.load(Ordering::Relaxed);
            if answered >= count { Ok(()) } else { Err(format!("{answered} claims are answered, of {count}")) }
        })
        .await;
    }

    async fn finish(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = Vec::new();
        for worker in self.workers {
            told.push(worker.await.unwrap());
        }
        told
    }
}

async fn work(worker: usize, client: Client, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Told {
    let mut told = Told::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Each third name is claimed by three clients with consecutive numbers.
        let rival = if number % 3 == 0 { worker / 3 } else { WORKERS + worker };
        let body = user(&format!("n{rival}x{number}"), &format!("owner{worker}"));
        let body = RegistrationBody { id: Some(id(worker * 1_000_000 + number)), ..body };
        let chosen = body.id.unwrap();
        match claim_until_answered(&client, &body).await {
            Ok(registration) => drop(told.accepted.insert(chosen, (body, registration))),
            Err(error) => match error.problem().map(|problem| problem.problem_type) {
                Some(ProblemType::NameTaken) => told.refused.push(chosen),
                // The first attempt was accepted, and its registration had lost by the time of the second.
                Some(ProblemType::RegistrationRejected) => {
                    let registration = error.problem().and_then(|problem| problem.registration.as_deref());
                    told.accepted.insert(chosen, (body, registration.unwrap().clone()));
                }
                _ => panic!("{error}"),
            },
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    told
}

/// Checks that all nodes have what clients were told.
fn kept(told: &[Told], all: &BTreeMap<Uuid, Registration>) {
    kept_but_for(told, all, |_| false);
}

/// The same check where a node was evicted. Registrations that it had accepted and that were not final may have been
/// registered again, under the same ids.
fn kept_but_for(told: &[Told], all: &BTreeMap<Uuid, Registration>, may_be_void: impl Fn(&Registration) -> bool) {
    let accepted: BTreeMap<_, _> = told.iter().flat_map(|told| &told.accepted).collect();
    for (id, (body, registration)) in &accepted {
        let now = all.get(id).unwrap_or_else(|| panic!("lost: {registration:?}"));
        assert_eq!((&now.owner, &now.names[0].name), (&body.owner, &body.names[0].name));
        let same = (now.stamp, now.node) == (registration.stamp, registration.node);
        assert!(same || may_be_void(registration), "{id} is another registration now: {now:?}");
        if registration.status.is_final() {
            assert_eq!(now.status, registration.status, "{id}: an answer was taken back");
        }
    }
    // Every client repeated each request until it had an answer, so there is no registration that no client knows.
    assert_eq!(all.len(), accepted.len());
    let refused: Vec<_> = told.iter().flat_map(|told| &told.refused).collect();
    assert!(refused.iter().all(|id| !all.contains_key(id)), "a refused claim is registered");
    assert!(!refused.is_empty() || all.values().any(|registration| registration.status == Status::Rejected));
}

/// Follows the feed across all restarts, up to the outcome of the last registration.
fn follow(client: &Client) -> JoinHandle<Vec<(Cursor, EventType, Uuid)>> {
    let mut stream = client.stream(None, EventQuery::default());
    tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let event = stream.next().await.unwrap();
            let registration = &event.data.registration;
            seen.push((event.cursor.unwrap(), event.event_type, registration.id));
            if registration.owner == LAST && event.event_type == EventType::Confirmed {
                return seen;
            }
        }
    })
}

/// The owner of the last registration of a test.
const LAST: &str = "the last";

/// Claims a last name, which ends the followers, and compares what they saw with the feed as it is now.
async fn nothing_missed_or_twice(clients: &[Client], followers: Vec<JoinHandle<Vec<(Cursor, EventType, Uuid)>>>) {
    claim_until_answered(&clients[0], &user("last", LAST)).await.unwrap();
    agreed(clients).await;
    for (client, follower) in clients.iter().zip(followers) {
        let seen = crate::support::within("the stream ends", follower).await.unwrap();
        let feed = feed(client).await;
        let stored = feed.iter().map(|event| (event.cursor.unwrap(), event.event_type, event.data.registration.id));
        assert_eq!(seen, stored.collect::<Vec<_>>(), "{}", client.address());
    }
}

#[tokio::test]
async fn a_node_killed_under_load_again_and_again_loses_nothing() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let followers: Vec<_> = clients.iter().map(follow).collect();
    let load = Load::start(&clients, |worker| if worker % 3 == 2 { worker / 3 } else { 1 });
    for round in 1..=ROUNDS {
        load.answers(round * PER_ROUND).await;
        three.nodes[1].kill();
        three.run_again(1).await;
    }
    load.answers((ROUNDS + 1) * PER_ROUND).await;
    let told = load.finish().await;
    kept(&told, &agreed(&clients).await);

    // A client that asks again with the same ids, at any node, gets the same registrations.
    for (id, (body, registration)) in told.iter().filter_map(|told| told.accepted.last_key_value()) {
        for client in &clients {
            let stamp = match client.register(body).await {
                Ok(again) => again.stamp,
                Err(error) => error.problem().and_then(|problem| problem.registration.as_ref()).unwrap().stamp,
            };
            assert_eq!(stamp, registration.stamp, "{id}");
        }
    }
    nothing_missed_or_twice(&clients, followers).await;
}

#[tokio::test]
async fn all_nodes_killed_at_once_go_on_where_they_were() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let load = Load::start(&clients, |worker| worker % 3);
    load.answers(PER_ROUND).await;
    three.nodes.iter_mut().for_each(crate::support::process::Process::kill);
    for index in 0..3 {
        three.run_again(index).await;
    }
    load.answers(2 * PER_ROUND).await;
    let told = load.finish().await;
    kept(&told, &agreed(&clients).await);
}

#[tokio::test]
async fn nodes_restarted_in_turn_under_load_lose_nothing() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let followers: Vec<_> = clients.iter().map(follow).collect();
    let load = Load::start(&clients, |worker| worker % 3);
    for index in 0..3 {
        load.answers((index + 1) * PER_ROUND).await;
        let ended = three.nodes[index].terminate().await;
        assert_eq!(ended.code(), Some(0), "a stop that was asked for is no failure");
        three.run_again(index).await;
    }
    load.answers(4 * PER_ROUND).await;
    let told = load.finish().await;
    kept(&told, &agreed(&clients).await);
    nothing_missed_or_twice(&clients, followers).await;
}

/// The value of `evict_after` in the next test. It is short, because the test waits for it.
const EVICT_AFTER: &str = "3s";

#[tokio::test]
async fn a_node_killed_under_load_is_evicted_by_itself_and_comes_back() {
    let mut three = Three::start().await;
    let clients = three.clients();
    configured(&clients, &format!(r#"{{"evict_after": "{EVICT_AFTER}"}}"#)).await;
    let load = Load::start(&clients, |worker| worker % 3);
    load.answers(PER_ROUND).await;
    let was = clients[1].cluster().await.unwrap().node;
    three.nodes[1].kill();
    let killed = Instant::now();
    let final_then = registrations(&feed(&clients[0]).await);

    // This is answered only when it is final, which needs the eviction.
    let probe = claim(&clients[0], &user_final("probe", "probe")).await;
    assert_eq!(probe.status, Status::Confirmed);
    eprintln!("no confirmations for {:?}, with members evicted after {EVICT_AFTER}", killed.elapsed());
    is_out(&clients[2], was).await;
    load.answers(2 * PER_ROUND).await;

    three.run_again(1).await;
    is_back(&clients[1], was).await;
    load.answers(4 * PER_ROUND).await;
    let told = load.finish().await;
    let probed = registrations(&feed(&clients[0]).await);
    let all = agreed_but_for(&clients, 1).await;
    for (id, then) in final_then.iter().chain(&probed).filter(|(_, then)| then.status.is_final()) {
        assert_eq!((all[id].status, all[id].stamp), (then.status, then.stamp), "{id}: an outcome was taken back");
    }
    let mut all = all;
    all.remove(&probe.id);
    kept_but_for(&told, &all, |then| then.node == was && !then.status.is_final());
}
