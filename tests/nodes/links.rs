//! Tests of cut links between nodes of this process.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use forename::Client;
use forename::model::{EventType, Registration, RegistrationBody, Span, Status, Wait, WaitReason};
use forename::transport::{Cuts, LinkFilter};

use crate::support::facts::{agreed, feed};
use crate::support::local::{self, Local};
use crate::support::{all_members, claim, eventually, same, user, user_final, within};

const LABELS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Waits until the registration waits for exactly these members, and checks that it stays undecided.
async fn waits_for(client: &Client, registration: &Registration, labels: &[&str]) -> Registration {
    eventually("a pending registration says whom it waits for", async || {
        let now = client.registration(registration.id).await.map_err(|error| error.to_string())?;
        let mut waiting: Vec<_> = now.waiting_for.iter().map(|member| member.label.as_str()).collect();
        waiting.sort_unstable();
        same(&waiting.as_slice(), &labels)?;
        assert!(!now.status.is_final(), "{now:?}");
        Ok(now)
    })
    .await
}

#[tokio::test]
async fn two_halves_take_claims_on_their_own_and_agree_once_healed() {
    let cuts = Arc::new(Cuts::new());
    let mut nodes = vec![Local::start(LABELS[0], cuts.clone(), None).await];
    for label in &LABELS[1..] {
        let node = Local::start(label, cuts.clone(), Some(&nodes[0])).await;
        nodes.push(node);
    }
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let (left, right) = nodes.split_at(2);
    left.iter().for_each(|a| right.iter().for_each(|b| cuts.cut(a.peer, b.peer)));

    let first = claim(&clients[0], &user("alice", "ann")).await;
    let second = claim(&clients[2], &user("alice", "bob")).await;
    let third = claim(&clients[4], &user("carol", "cid")).await;
    let fourth = claim(&clients[1], &user("dave", "dan")).await;
    waits_for(&clients[0], &first, &["c", "d", "e"]).await;
    waits_for(&clients[0], &fourth, &["c", "d", "e"]).await;
    // Even a majority cannot decide while others may have issued earlier claims.
    waits_for(&clients[3], &second, &["a", "b"]).await;
    waits_for(&clients[3], &third, &["a", "b"]).await;
    let status = clients[2].cluster().await.unwrap();
    assert_eq!((status.pending, status.waiting_for.len()), (2, 2));

    cuts.heal();
    let all = agreed(&clients).await;
    let outcome = |registration: &Registration| all[&registration.id].status;
    // Two claims within one millisecond may have their stamps in the other order.
    let (winner, loser, at) =
        if first.stamp < second.stamp { (&first, &second, &clients[2]) } else { (&second, &first, &clients[0]) };
    assert_eq!(outcome(winner), Status::Confirmed);
    assert_eq!(outcome(loser), Status::Rejected);
    assert_eq!(all[&loser.id].rejected_by.as_ref().map(|by| by.registration), Some(winner.id));
    assert_eq!((outcome(&third), outcome(&fourth)), (Status::Confirmed, Status::Confirmed));
    // The node that accepted the loser told an early event about it before the outcome.
    let told: Vec<_> = feed(at).await.into_iter().filter(|event| event.data.registration.id == loser.id).collect();
    assert_eq!(told.iter().filter(|event| event.event_type == EventType::Rejected).count(), 1);
    assert_eq!(told.last().map(|event| event.event_type), Some(EventType::Rejected));
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn whoever_waits_is_answered_at_once_where_a_member_that_is_needed_is_out_of_reach() {
    let cuts = Arc::new(Cuts::new());
    let mut nodes = vec![Local::start(LABELS[0], cuts.clone(), None).await];
    for label in &LABELS[1..3] {
        let node = Local::start(label, cuts.clone(), Some(&nodes[0])).await;
        nodes.push(node);
    }
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    for other in &nodes[..2] {
        cuts.cut(other.peer, nodes[2].peer);
    }

    let within_a_minute = Some(Span(Duration::from_secs(60)));
    let waits = |name, wait| RegistrationBody { wait: Some(wait), timeout: within_a_minute, ..user(name, "ann") };
    // The request comes while the third node may still answer, so it waits until that node is known to be silent. The
    // other request waits on.
    let told =
        within("an answer before the time is over", clients[0].register(&waits("alice", Wait::Final))).await.unwrap();
    assert_eq!(told.status, Status::Pending);
    let waited_for: Vec<_> = told.waiting_for.iter().map(|member| (member.label.as_str(), member.reason)).collect();
    assert_eq!(waited_for, [("c", WaitReason::OutOfReach)]);
    let always = waits("anna", Wait::Always);
    let waiting = clients[0].register(&always);
    tokio::pin!(waiting);
    let bob = waits("bob", Wait::Final);
    let at_once = clients[0].register(&bob);
    let told = tokio::select! {
        biased;
        told = &mut waiting => panic!("nothing is decided: {told:?}"),
        told = at_once => told.unwrap(),
    };
    assert_eq!(told.status, Status::Pending);

    cuts.heal();
    assert_eq!(within("the outcome", waiting).await.unwrap().status, Status::Confirmed);
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn a_name_released_on_one_side_of_a_cut_stays_taken_until_all_know() {
    let cuts = Arc::new(Cuts::new());
    let a = Local::start("a", cuts.clone(), None).await;
    let b = Local::start("b", cuts.clone(), Some(&a)).await;
    let c = Local::start("c", cuts.clone(), Some(&a)).await;
    let nodes = vec![a, b, c];
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let held = claim(&clients[0], &user_final("alice", "ann")).await;
    nodes[1..].iter().for_each(|other| cuts.cut(nodes[0].peer, other.peer));

    clients[0].release(held.id).await.unwrap();
    let refused = clients[0].register(&user("alice", "bob")).await.unwrap_err();
    assert!(refused.is_taken(), "{refused}");

    cuts.heal();
    let after = eventually("the freed name can be had", async || {
        clients[1].register(&user_final("alice", "bob")).await.map_err(|error| error.to_string())
    })
    .await;
    let all = agreed(&clients).await;
    assert_eq!((all[&held.id].status, all[&after.id].status), (Status::Confirmed, Status::Confirmed));
    local::shutdown(nodes).await;
}

/// A filter that passes only datagrams from or to one node, once that node is set.
#[derive(Debug, Default)]
struct OnlyThrough(OnceLock<SocketAddr>);

impl LinkFilter for OnlyThrough {
    fn passes(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.0.get().is_none_or(|middle| from == *middle || to == *middle)
    }
}

#[tokio::test]
async fn nodes_that_reach_each_other_only_through_a_third_join_converge_and_confirm() {
    let links = Arc::new(OnlyThrough::default());
    let a = Local::start("a", links.clone(), None).await;
    let b = Local::start("b", links.clone(), Some(&a)).await;
    links.0.set(b.peer).unwrap();
    let c = Local::start("c", links.clone(), Some(&b)).await;
    let nodes = vec![a, b, c];
    let clients = local::clients(&nodes);
    all_members(&clients).await;

    let from_a = claim(&clients[0], &user_final("alice", "ann")).await;
    let from_c = claim(&clients[2], &user_final("carol", "cid")).await;
    assert_eq!((from_a.status, from_c.status), (Status::Confirmed, Status::Confirmed));
    let connected = clients[0].cluster().await.unwrap().members;
    let connected: Vec<_> = connected.iter().filter(|member| member.connected).map(|member| &member.label).collect();
    assert!(!connected.iter().any(|label| *label == "c"), "a and c are connected, so this shows nothing");
    let all = agreed(&clients).await;
    assert_eq!(all.len(), 2);
    local::shutdown(nodes).await;
}
