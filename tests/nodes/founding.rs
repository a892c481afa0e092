//! How a cluster begins, and what becomes of a node whose directory goes.

use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{claim, user};

#[tokio::test]
async fn a_node_founds_no_cluster_by_itself() {
    let home = Home::new();
    let mut serve = Serve::new("a");
    serve.founds = false;
    let Err((status, log)) = Process::try_start(&home, &serve).await else { panic!("it founded a cluster") };
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("forename init") && log.contains("--join"), "{log}");
    assert!(!home.data().exists(), "nothing is made");

    let init = || run(command(&[]).arg("init").arg("--data-dir").arg(home.data()));
    let founded = init();
    assert!(founded.status.success(), "{founded:?}");
    let again = init();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("no cluster was founded"), "{again:?}");
    let mut node = Process::start(&home, &serve).await;
    claim(&node.client, &user("alice", "ann")).await;
    assert!(node.terminate().await.success());
}

#[tokio::test]
async fn a_node_whose_directory_is_gone_stops() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    claim(&node.client, &user("alice", "ann")).await;
    let away = home.data().with_extension("away");
    std::fs::rename(home.data(), &away).unwrap();
    assert_eq!(node.ended().await.code(), Some(1));
    let log = home.read_log();
    assert!(log.contains("the node has halted: the data directory") && log.contains("is gone"), "{log}");

    // Back in its place it is as good as before.
    std::fs::rename(&away, home.data()).unwrap();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    assert!(!node.client.name("username", "alice").await.unwrap().available);

    // Another one in its place is none of this node's.
    std::fs::rename(home.data(), &away).unwrap();
    std::fs::create_dir(home.data()).unwrap();
    assert_eq!(node.ended().await.code(), Some(1));
    assert!(home.read_log().contains("is another one than the node was started on"), "{}", home.read_log());
    assert_eq!(std::fs::read_dir(home.data()).unwrap().count(), 0, "nothing is written there");
}
