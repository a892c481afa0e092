//! Tests of the lines in the log: one for each event, and no warning where there is nothing to be done.

use std::process::Output;

use forename::Client;

use crate::support::process::{Home, Three, command, run};
use crate::support::{all_members, claim, is_back, is_out, user, user_final};

/// Warnings that tell the operator what to do. A very slow machine may cause one of them.
const TO_BE_ACTED_ON: [&str; 1] = ["nothing becomes final; look whether these members run"];

/// Returns the warnings and errors of a node's processes that an operator cannot act on.
fn alarms(home: &Home) -> Vec<String> {
    let log = home.read_log();
    let alarms = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
    let idle = alarms.filter(|line| !TO_BE_ACTED_ON.iter().any(|known| line.contains(known)));
    idle.map(str::to_owned).collect()
}

/// Runs a command that must succeed, while the nodes of this process go on.
async fn does(words: &str, client: &Client) -> Output {
    let mut asked = command(&[]);
    asked.args(words.split(' ')).env("FORENAME_NODE", client.address());
    let output = tokio::task::spawn_blocking(move || run(&mut asked)).await.unwrap();
    assert!(output.status.success(), "forename {words}: {output:?}");
    output
}

#[tokio::test]
async fn restarts_returns_and_restores_raise_no_alarm_and_have_a_line_each() {
    let mut three = Three::start().await;
    let clients = three.clients();
    claim(&clients[0], &user_final("alice", "ann")).await;
    // One peer is restarted, and another one is killed and runs again.
    assert!(three.nodes[1].terminate().await.success());
    three.run_again(1).await;
    all_members(&clients).await;
    three.nodes[2].kill();
    three.run_again(2).await;
    all_members(&clients).await;
    claim(&clients[2], &user_final("bob", "ann")).await;

    // A member is evicted while it does not run, and comes back with registrations that only it had.
    let was = clients[2].cluster().await.unwrap().node;
    three.nodes[2].kill();
    let output = does("member evict c", &clients[0]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("c is evicted: of what it issued the first "), "{text}");
    is_out(&clients[1], was).await;
    three.run_again(2).await;
    let back = is_back(&clients[2], was).await;
    all_members(&clients).await;
    claim(&clients[2], &user_final("carol", "cid")).await;

    // A node is restored from a backup.
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("backup");
    does(&format!("backup {}", file.display()), &clients[2]).await;
    claim(&clients[2], &user("dora", "cid")).await;
    assert!(three.nodes[2].terminate().await.success());
    std::fs::remove_dir_all(three.homes[2].data()).unwrap();
    does(&format!("restore {} --data-dir {}", file.display(), three.homes[2].data().display()), &clients[0]).await;
    three.run_again(2).await;
    is_back(&clients[2], back).await;
    all_members(&clients).await;
    claim(&clients[2], &user_final("eve", "cid")).await;
    for node in &mut three.nodes {
        assert!(node.terminate().await.success());
    }

    for home in &three.homes {
        assert_eq!(alarms(home), [""; 0], "in the whole log:\n{}", home.read_log());
    }
    let log = three.homes[0].read_log();
    let lines = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines("a member has joined"), 2, "{log}");
    assert_eq!(lines("an operator evicts a member"), 1, "{log}");
    assert_eq!(lines("act=\"POST /v1/cluster/members/{node}/evict\""), 1, "{log}");
    assert_eq!(
        lines("the eviction of a member has begun"),
        2,
        "one by hand, one of the life before the restore: {log}"
    );
    assert_eq!(lines("the eviction of a member is done"), 2, "{log}");
    assert_eq!(lines("a member is back under its next incarnation"), 2, "{log}");
    let begun = log.lines().find(|line| line.contains("the eviction of a member has begun")).unwrap();
    assert!(begun.contains("label=\"c\"") && begun.contains("frozen_by=\"a ("), "{begun}");
}
