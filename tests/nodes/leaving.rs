//! Tests of members that are evicted, come back, or leave.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use forename::Client;
use forename::client::ClientError;
use forename::clock::NodeId;
use forename::model::{Cluster, Member, MemberState, Registration};
use forename::model::{ProblemType, Status};
use forename::node::Handle;
use forename::transport::{Cuts, LinkFilter};

use crate::support::facts::{agreed, agreed_but_for, settled};
use crate::support::local::{self, Local};
use crate::support::process::{LABELS, Process, Serve, Three};
use crate::support::{all_members, claim, cluster, eventually, is_back, is_out, same, user, user_final};

/// Finds the id of the member with this label, as a node sees it.
fn node_of(cluster: &Cluster, label: &str) -> NodeId {
    let member = cluster.members.iter().find(|member| member.label == label);
    member.unwrap_or_else(|| panic!("no member {label}: {cluster:?}")).node
}

fn refused_as(refused: Result<Cluster, ClientError>) -> Option<ProblemType> {
    refused.unwrap_err().problem().map(|problem| problem.problem_type)
}

async fn outcome(client: &Client, registration: &Registration) -> Registration {
    eventually(&format!("{} is final", registration.names[0].name), async || {
        let now = client.registration(registration.id).await.map_err(|error| error.to_string())?;
        if now.status.is_final() { Ok(now) } else { Err(format!("{now:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_node_that_is_evicted_by_hand_comes_back_when_it_runs_again() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let c = clients[2].cluster().await.unwrap().node;
    // Only c knows these registrations, because the others do not run.
    three.nodes[0].kill();
    three.nodes[1].kill();
    let theirs = claim(&clients[2], &user("alice", "cid")).await;
    let alone = claim(&clients[2], &user("carol", "cid")).await;
    assert_eq!((theirs.status, alone.status), (Status::Pending, Status::Pending));
    three.nodes[2].kill();
    three.run_again(0).await;
    three.run_again(1).await;

    let waits = claim(&clients[0], &user("alice", "ann")).await;
    assert_eq!(waits.status, Status::Pending);
    assert_eq!(clients[0].cluster().await.unwrap().eviction, None);
    // After the start a and b have not heard from each other yet, so the eviction may be refused at first.
    let begun =
        eventually("Lima is evicted", async || clients[0].evict(c, false).await.map_err(|e| e.to_string())).await;
    assert!(begun.eviction.is_some_and(|eviction| eviction.possible && eviction.nodes == [c]));
    is_out(&clients[1], c).await;
    assert_eq!(outcome(&clients[0], &waits).await.status, Status::Confirmed);
    let done = clients[0].evict(c, false).await.expect("whoever is out already may be asked out again");
    assert_eq!(done.eviction, None);

    three.run_again(2).await;
    let back = is_back(&clients[2], c).await;
    all_members(&clients).await;
    // The client of c asks with the ids that it has.
    let lost = outcome(&clients[2], &theirs).await;
    assert_eq!((lost.status, lost.rejected_by.unwrap().registration), (Status::Rejected, waits.id));
    assert_eq!(outcome(&clients[2], &alone).await.status, Status::Confirmed);
    let all = agreed_but_for(&clients, 2).await;
    assert_eq!((all.len(), all[&alone.id].node), (3, back));

    // A second eviction leads to the incarnation after that, also where the node was killed and started again.
    three.nodes[2].kill();
    clients[1].evict(back, false).await.unwrap();
    is_out(&clients[0], back).await;
    three.run_again(2).await;
    is_back(&clients[2], back).await;
    settled(&clients).await;
}

#[tokio::test]
async fn a_node_leaves_and_the_others_go_on() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let before = claim(&clients[2], &user_final("carol", "cid")).await;
    let c = clients[2].leave().await.unwrap().node;
    assert_eq!(three.nodes[2].ended().await.code(), Some(0));
    assert!(three.nodes[2].printed().await.iter().any(|line| line.contains("has left its cluster")));
    is_out(&clients[0], c).await;
    let left = &clients[..2];
    all_members(left).await;
    assert_eq!(claim(&clients[0], &user_final("alice", "ann")).await.status, Status::Confirmed);
    assert_eq!(agreed(left).await[&before.id].status, Status::Confirmed);

    let again = Process::try_start(&three.homes[2], &Serve::new(LABELS[2])).await;
    let Err((status, log)) = again else { panic!("a node that has left runs again") };
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("has left its cluster"), "{log}");

    // The other member leaves too. The last one has to stay.
    clients[1].leave().await.unwrap();
    assert_eq!(three.nodes[1].ended().await.code(), Some(0));
    assert_eq!(claim(&clients[0], &user_final("bob", "ann")).await.status, Status::Confirmed);
    assert_eq!(refused_as(clients[0].leave().await), Some(ProblemType::LastMember));
}

#[tokio::test]
async fn nobody_is_evicted_without_a_majority_that_stays() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let seen = clients[0].cluster().await.unwrap();
    let (b, c) = (node_of(&seen, "b"), node_of(&seen, "c"));
    three.nodes[1].kill();
    three.nodes[2].kill();
    // Two of three would stay, but this node may be the one that is cut off.
    eventually("neither was heard of just now", async || {
        let seen = cluster(&clients[0]).await?;
        let silent = |member: &&Member| {
            let heard = member.heard_at.map_or(0, |at| at.0.0);
            member.node != seen.node && seen.time.0.0 > heard + 4000
        };
        same(&seen.members.iter().filter(silent).count(), &2)
    })
    .await;
    assert_eq!(refused_as(clients[0].evict(c, false).await), Some(ProblemType::NotInContact));
    clients[0].evict(c, true).await.unwrap();
    clients[0].evict(c, false).await.expect("it has begun");
    assert_eq!(refused_as(clients[0].evict(b, true).await), Some(ProblemType::NoMajority));
    assert_eq!(refused_as(clients[0].evict(seen.node, false).await), Some(ProblemType::InvalidRequest));
    let seen = clients[0].cluster().await.unwrap();
    assert_eq!(seen.eviction.unwrap().waiting_for, [b]);
    let state = |node| seen.members.iter().find(|member| member.node == node).unwrap().state;
    assert_eq!((state(b), state(c)), (MemberState::Member, MemberState::Evicting));
    three.run_again(1).await;
    is_out(&clients[0], c).await;
}

#[tokio::test]
async fn an_evicted_node_that_was_only_cut_off_comes_back_in_its_process() {
    let cuts = Arc::new(Cuts::new());
    let mut nodes = vec![Local::start("a", cuts.clone(), None).await];
    for label in ["b", "c"] {
        let node = Local::start(label, cuts.clone(), Some(&nodes[0])).await;
        nodes.push(node);
    }
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let c = clients[2].cluster().await.unwrap().node;
    nodes[..2].iter().for_each(|other| cuts.cut(other.peer, nodes[2].peer));
    let theirs = claim(&clients[2], &user("alice", "cid")).await;
    let alone = claim(&clients[2], &user("carol", "cid")).await;
    clients[1].evict(c, false).await.unwrap();
    is_out(&clients[0], c).await;
    let ours = claim(&clients[0], &user_final("alice", "ann")).await;
    assert_eq!(ours.status, Status::Confirmed);

    cuts.heal();
    is_back(&clients[2], c).await;
    all_members(&clients).await;
    assert_eq!(outcome(&clients[2], &theirs).await.status, Status::Rejected);
    assert_eq!(outcome(&clients[2], &alone).await.status, Status::Confirmed);
    let all = agreed_but_for(&clients, 2).await;
    assert_eq!(all[&theirs.id].rejected_by.as_ref().map(|by| by.registration), Some(ours.id));
    // The next incarnation has the same addresses and the same handle.
    assert_eq!(nodes[2].handle().node(), c.next_incarnation().unwrap());
    assert!(nodes[2].token().await.starts_with("fn1."));
    local::shutdown(nodes).await;
}

/// The links of a node. A test can cut some of them, and all are cut once the node has another id.
#[derive(Debug, Default)]
struct FirstLifeOnly {
    cuts: Cuts,
    life: OnceLock<(Handle, NodeId)>,
}

impl LinkFilter for FirstLifeOnly {
    fn passes(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.cuts.passes(from, to) && self.life.get().is_none_or(|(handle, id)| handle.node() == *id)
    }
}

#[tokio::test]
async fn a_node_that_stops_on_its_way_back_goes_on_when_it_runs_again() {
    let (free, links) = (Arc::new(Cuts::new()), Arc::new(FirstLifeOnly::default()));
    let a = Local::start("a", free.clone(), None).await;
    let b = Local::start("b", free.clone(), Some(&a)).await;
    let c = Local::start("c", links.clone(), Some(&a)).await;
    let mut nodes = vec![a, b, c];
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let (handle, peer) = (nodes[2].handle(), nodes[2].peer);
    let was = handle.node();
    links.life.set((handle.clone(), was)).unwrap();
    nodes[..2].iter().for_each(|other| links.cuts.cut(other.peer, peer));
    let alone = claim(&clients[2], &user("carol", "cid")).await;
    clients[1].evict(was, false).await.unwrap();
    is_out(&clients[0], was).await;

    // The node is told that it is evicted, and then its links are cut.
    links.cuts.heal();
    let next = was.next_incarnation().unwrap();
    eventually("it knows that it is out", async || same(&handle.node(), &next)).await;
    assert_eq!(refused_as(clients[2].cluster().await), Some(ProblemType::NotMember));
    let token = clients[2].mint_token(None).await.unwrap_err();
    assert_eq!(token.problem().map(|problem| problem.problem_type), Some(ProblemType::NotMember));
    // The registration that its client was told of stays pending.
    let meanwhile = clients[2].registration(alone.id).await.unwrap();
    assert_eq!((meanwhile.status, &meanwhile.names), (Status::Pending, &alone.names));

    let c = nodes.pop().unwrap();
    let dir = c.shutdown().await;
    nodes.push(Local::start_in(dir, "c", free, None).await);
    let clients = local::clients(&nodes);
    is_back(&clients[2], was).await;
    assert_eq!(outcome(&clients[2], &alone).await.status, Status::Confirmed);
    all_members(&clients).await;
    agreed_but_for(&clients, 2).await;
    local::shutdown(nodes).await;
}
