//! Nodes of an older wire version beside new ones: a cluster that is upgraded node by node.

use std::sync::Arc;

use forename::Client;
use forename::replica::Status;
use forename::transport::{Cuts, WireVersion};

use crate::support::facts::agreed;
use crate::support::local::{self, Local};
use crate::support::process::{Home, Process, Serve, Three};
use crate::support::{all_members, claim, cluster, eventually, same, user, user_final};

/// A registration at each node, confirmed at each.
async fn each_confirms(clients: &[Client], round: &str) {
    for (number, client) in clients.iter().enumerate() {
        let registered = claim(client, &user_final(&format!("{round}{number}"), "ann")).await;
        assert_eq!(registered.status, Status::Confirmed, "{registered:?}");
    }
}

/// Waits until a node shows which versions it and the others speak, by label.
async fn shows(client: &Client, wanted: [(&str, &str); 3]) {
    eventually("the versions are shown", async || {
        let members = cluster(client).await?.members;
        let mut shown: Vec<_> = members.iter().map(|m| (m.label.as_str(), m.wire.as_deref().unwrap_or("-"))).collect();
        shown.sort_unstable();
        same(&shown.as_slice(), &wanted.as_slice())
    })
    .await;
}

/// Two claims to one name from both sides of a cut around the last node: the earlier wins everywhere.
async fn a_conflict_resolves(cuts: &Cuts, nodes: &[Local], name: &str) {
    let (clients, last) = (local::clients(nodes), nodes.len() - 1);
    nodes[..last].iter().for_each(|other| cuts.cut(other.peer, nodes[last].peer));
    let mut claims = [claim(&clients[last], &user(name, "ann")).await, claim(&clients[0], &user(name, "bob")).await];
    // Within a millisecond either may be the earlier one.
    claims.sort_by_key(|claim| claim.stamp);
    cuts.heal();
    let all = agreed(&clients).await;
    let outcomes = claims.map(|claim| all[&claim.id].status);
    assert_eq!(outcomes, [Status::Confirmed, Status::Rejected]);
}

#[tokio::test]
async fn a_cluster_is_upgraded_node_by_node() {
    let (cuts, older) = (Arc::new(Cuts::new()), WireVersion::of_minor(0).unwrap());
    let a = Local::start("a", cuts.clone(), None).await;
    let b = Local::start("b", cuts.clone(), Some(&a)).await;
    let join = Some(a.to_join().await);
    let c = Local::start_speaking(older, tempfile::tempdir().unwrap(), "c", cuts.clone(), join).await;
    let mut nodes = vec![a, b, c];
    all_members(&local::clients(&nodes)).await;
    shows(&nodes[0].client, [("a", "1.2"), ("b", "1.2"), ("c", "1.0")]).await;
    shows(&nodes[2].client, [("a", "1.2"), ("b", "1.2"), ("c", "1.0")]).await;
    each_confirms(&local::clients(&nodes), "mixed").await;
    a_conflict_resolves(&cuts, &nodes, "alice").await;

    // The last of the older ones is upgraded: the same directory, the present version.
    let before = nodes[2].handle().node();
    let dir = nodes.pop().unwrap().shutdown().await;
    nodes.push(Local::start_in(dir, "c", cuts.clone(), None).await);
    assert_eq!(nodes[2].handle().node(), before);
    all_members(&local::clients(&nodes)).await;
    shows(&nodes[0].client, [("a", "1.2"), ("b", "1.2"), ("c", "1.2")]).await;
    each_confirms(&local::clients(&nodes), "upgraded").await;
    a_conflict_resolves(&cuts, &nodes, "bob").await;
    assert_eq!(agreed(&local::clients(&nodes)).await.len(), 10);
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn processes_that_are_pinned_to_an_older_version_run_and_one_of_the_future_is_refused() {
    let three = Three::start_with(&["--wire-minor", "0"]).await;
    each_confirms(&three.clients(), "pinned").await;
    agreed(&three.clients()).await;

    let future = Serve::new("future").with(&["--wire-minor".to_owned(), "99".to_owned()]);
    let Err((status, log)) = Process::try_start(&Home::new(), &future).await else {
        panic!("a node speaks what it does not know");
    };
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("no wire minor 99"), "{log}");
}
