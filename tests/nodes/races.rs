//! Tests of claims to the same names at the same time.

use std::collections::BTreeMap;

use forename::Client;
use forename::model::Registration;
use forename::model::{ProblemType, Status};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use crate::support::facts::{agreed, settled};
use crate::support::process::Three;
use crate::support::{claim, try_claim, user, user_final};

const NAMES: usize = 1000;
/// The number of claims to different names that are under way at once on each node.
const AT_ONCE: usize = 32;

/// Asks all nodes for the name at the same moment. Returns the registrations that were not refused at once.
async fn race(clients: &[Client], name: String) -> Vec<Registration> {
    let bodies = ["ann", "bob", "cid"].map(|owner| user(&name, owner));
    let answers = join_all(clients.iter().zip(&bodies).map(|(client, body)| try_claim(client, body))).await;
    answers.into_iter().flatten().collect()
}

async fn names_agree(clients: &[Client], winners: &BTreeMap<String, uuid::Uuid>) {
    let checks = clients.iter().flat_map(|client| winners.iter().map(move |(name, winner)| (client, name, *winner)));
    let check = async |(client, name, winner): (&Client, &String, uuid::Uuid)| {
        let view = client.name("username", name).await.unwrap();
        assert_eq!(view.registration, Some(winner), "{name} at {}", client.address());
    };
    stream::iter(checks).map(check).buffer_unordered(AT_ONCE).collect::<()>().await;
}

#[tokio::test]
async fn a_thousand_names_claimed_at_all_nodes_at_once_have_one_winner_each() {
    let three = Three::start().await;
    let clients = three.clients();
    let races = stream::iter((0..NAMES).map(|number| race(&clients, format!("name{number:04}"))));
    let accepted: Vec<Registration> = races.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.concat();

    let all = agreed(&clients).await;
    assert_eq!(all.len(), accepted.len(), "a registration was lost, or appeared from nowhere");
    assert!(accepted.iter().all(|registration| all.contains_key(&registration.id)));
    let of_status = |status| all.values().filter(move |registration: &&Registration| registration.status == status);
    assert!(of_status(Status::Rejected).count() > 0, "no two claims were ever concurrent");
    let winners: BTreeMap<_, _> =
        of_status(Status::Confirmed).map(|winner| (winner.names[0].name.clone(), winner.id)).collect();
    assert_eq!((winners.len(), of_status(Status::Confirmed).count()), (NAMES, NAMES));
    for loser in of_status(Status::Rejected) {
        // The event contains the first earlier claim that the node learnt of.
        let loser = clients[0].registration(loser.id).await.unwrap();
        let by = loser.rejected_by.as_ref().unwrap();
        assert_eq!(by.registration, winners[&loser.names[0].name], "{loser:?}");
    }
    names_agree(&clients, &winners).await;
}

#[tokio::test]
async fn who_waits_for_the_outcome_hears_it_in_the_same_request() {
    let three = Three::start().await;
    let clients = three.clients();
    let registration = claim(&clients[0], &user_final("alice", "ann")).await;
    assert_eq!((registration.status, registration.waiting_for.len()), (Status::Confirmed, 0));

    for number in 0..20 {
        let name = format!("racer{number}");
        let bodies = ["ann", "bob", "cid"].map(|owner| user_final(&name, owner));
        let answers = join_all(clients.iter().zip(&bodies).map(|(client, body)| client.register(body))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 2), "{name}");
        assert_eq!(won.into_iter().flatten().next().map(|winner| winner.status), Some(Status::Confirmed));
        for error in lost.into_iter().filter_map(Result::err) {
            let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
            let kinds = [ProblemType::NameTaken, ProblemType::RegistrationRejected];
            assert!(kinds.contains(&problem.problem_type), "{problem:?}");
            assert_eq!(problem.status, 409);
        }
    }
    settled(&clients).await;
}

#[tokio::test]
async fn http_says_201_once_it_is_final_and_202_before() {
    let three = Three::start().await;
    let http = crate::support::http().build().unwrap();
    let url = format!("{}/v1/registrations", three.nodes[1].url());
    let post = async |body| http.post(&url).json(&body).send().await.unwrap().status().as_u16();
    assert_eq!(post(user_final("alice", "ann")).await, 201);
    // This request does not wait for the outcome, which cannot be final before the other members have answered.
    assert_eq!(post(user("bob", "ann")).await, 202);
    assert_eq!(post(user("alice", "bob")).await, 409);
    agreed(&three.clients()).await;
}
