//! Tests of joins, leaves and evictions that cross, as they happen to operators of real processes. No node is stuck,
//! and each wait says what it waits for.

use forename::Client;
use forename::client::ClientError;
use forename::clock::NodeId;
use forename::model::{ProblemType, Status};

use crate::support::facts::agreed;
use crate::support::process::{Home, Process, Serve, Three};
use crate::support::{all_members, claim, cluster, eventually, is_out, user_final};

async fn node_of(client: &Client) -> NodeId {
    client.cluster().await.unwrap().node
}

/// Options for a node that joins through a member.
async fn joins(label: &str, sponsor: &Process) -> Serve {
    let token = sponsor.client.mint_token(None).await.unwrap();
    Serve::new(label).join(sponsor.peer, &token)
}

/// Registers a name at every node, and checks that it becomes final and all agree.
async fn all_go_on(clients: &[Client], round: &str) {
    all_members(clients).await;
    for (number, client) in clients.iter().enumerate() {
        let taken = claim(client, &user_final(&format!("{round}{number}"), "ann")).await;
        assert_eq!(taken.status, Status::Confirmed);
    }
    agreed(clients).await;
}

/// Evicts a node. Tries again while the asked node has not heard of enough others, as an operator would.
async fn evict(by: &Client, node: NodeId) {
    eventually("the eviction begins", async || match by.evict(node, false).await {
        Ok(_) => Ok(()),
        Err(error) if kind(&error) == Some(ProblemType::NotInContact) => Err(error.to_string()),
        Err(error) => panic!("{error}"),
    })
    .await;
}

fn kind(error: &ClientError) -> Option<ProblemType> {
    error.problem().map(|problem| problem.problem_type)
}

/// Waits until a node has not heard of another one for some heartbeats.
async fn misses(client: &Client, node: NodeId) {
    eventually("it was not heard of for long", async || {
        let seen = cluster(client).await?;
        let heard = seen.members.iter().find(|member| member.node == node).and_then(|member| member.heard_at);
        let silent = seen.time.0.0 > heard.map_or(0, |at| at.0.0) + 4000;
        if silent { Ok(()) } else { Err(format!("{heard:?} at {:?}", seen.time)) }
    })
    .await;
}

#[tokio::test]
async fn a_replacement_that_is_started_before_the_dead_node_is_evicted_gets_in() {
    let mut three = Three::start().await;
    let [a, b, _] = &three.clients()[..] else { panic!("not three") };
    let dead = node_of(&three.nodes[2].client).await;
    three.nodes[2].kill();
    misses(a, dead).await;
    let (home, serve) = (Home::new(), joins("d", &three.nodes[1]).await);
    let operator = async {
        eventually("somebody says what the newcomer waits for", async || {
            let waiting = cluster(a).await?.newcomers;
            let newcomer = waiting.iter().find(|newcomer| newcomer.label == "d").ok_or("nobody waits")?;
            let silent = newcomer.waits_for.iter().any(|why| why.reason == "silent" && why.nodes == [dead]);
            if silent { Ok(()) } else { Err(format!("{newcomer:?}")) }
        })
        .await;
        evict(b, dead).await;
    };
    let (d, ()) = tokio::join!(Process::start(&home, &serve), operator);
    is_out(a, dead).await;
    all_go_on(&[a.clone(), b.clone(), d.client.clone()], "three").await;
}

#[tokio::test]
async fn a_node_that_leaves_while_another_joins_leaves_and_the_other_is_in() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let c = node_of(&clients[2]).await;
    let (home, serve) = (Home::new(), joins("d", &three.nodes[0]).await);
    let leaves = async {
        eventually("it agrees to leave", async || clients[2].leave().await.map_err(|error| error.to_string())).await;
        assert_eq!(three.nodes[2].ended().await.code(), Some(0));
    };
    let (d, ()) = tokio::join!(Process::start(&home, &serve), leaves);
    is_out(&clients[0], c).await;
    all_go_on(&[clients[0].clone(), clients[1].clone(), d.client.clone()], "left").await;
}

#[tokio::test]
async fn a_node_that_leaves_while_another_is_dead_waits_for_its_eviction_and_says_so() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let (b, c) = (node_of(&clients[1]).await, node_of(&clients[2]).await);
    three.nodes[2].kill();
    misses(&clients[1], c).await;
    clients[1].leave().await.unwrap();
    eventually("it says whom it waits for", async || {
        let waits = cluster(&clients[1]).await?.leaving_waits_for.ok_or("it does not leave")?;
        if waits.contains(&c) { Ok(()) } else { Err(format!("for {waits:?}")) }
    })
    .await;
    evict(&clients[0], c).await;
    assert_eq!(three.nodes[1].ended().await.code(), Some(0));
    is_out(&clients[0], b).await;
    is_out(&clients[0], c).await;
    all_go_on(&clients[..1], "alone").await;
}

#[tokio::test]
async fn of_three_that_are_told_to_leave_at_once_one_stays_and_goes_on() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let told = clients.iter().map(Client::leave);
    let told = futures_util::future::join_all(told).await;
    assert!(told.iter().any(Result::is_ok), "{told:?}");
    let mut left = Vec::new();
    eventually("two have left", async || {
        for (index, node) in three.nodes.iter_mut().enumerate() {
            if !left.contains(&index) && node.has_ended() {
                left.push(index);
            }
        }
        if left.len() == 2 { Ok(()) } else { Err(format!("{left:?} have")) }
    })
    .await;
    let stays = (0..3).find(|index| !left.contains(index)).unwrap();
    let stays = &clients[stays..=stays];
    all_go_on(stays, "alone").await;
    let refused = stays[0].leave().await;
    assert_eq!(refused.as_ref().err().and_then(kind), Some(ProblemType::LastMember), "{refused:?}");
}

#[tokio::test]
async fn a_newcomer_whose_sponsor_dies_gets_in_through_another() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let c = node_of(&clients[2]).await;
    let (home, serve) = (Home::new(), joins("d", &three.nodes[2]).await);
    // The newcomer has the address of its sponsor only, so it waits until the sponsor is there again or it has learnt
    // of other members from it.
    let operator = async {
        eventually("the sponsor has heard of it", async || {
            let known = cluster(&clients[2]).await?;
            let joins = known.members.len() == 4 || !known.newcomers.is_empty();
            if joins { Ok(()) } else { Err("it has not".to_owned()) }
        })
        .await;
        three.nodes[2].kill();
        evict(&clients[0], c).await;
        is_out(&clients[1], c).await;
    };
    let (d, ()) = tokio::join!(Process::start(&home, &serve), operator);
    all_go_on(&[clients[0].clone(), clients[1].clone(), d.client.clone()], "three").await;
}
