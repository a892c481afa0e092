//! Tests of readers: nodes that take all that the members have, change nothing, and come and go.

use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::model::{NameRef, NameStatus, NamespaceBody, ProblemType, RegistrationBody, Status};
use forename::node::{JoinConfig, Node, NodeConfig};
use forename::transport::Cuts;
use uuid::Uuid;

use crate::support::facts::agreed;
use crate::support::local::{self, Local};
use crate::support::process::{Home, Process, Serve, Three};
use crate::support::{DEADLINE, all_members, claim, cluster, eventually, same, user, user_final, within};

/// Waits until a node shows a registration with this status.
async fn shows(client: &Client, id: Uuid, status: Status) {
    eventually("the reader shows it", async || {
        let found = client.registration(id).await.map_err(|error| error.to_string())?;
        same(&found.status, &status)
    })
    .await;
}

/// Returns how a reader connects through a member.
async fn to_read(sponsor: &Local) -> JoinConfig {
    let token = sponsor.node().mint_reader_token(None).await.unwrap();
    JoinConfig { address: Some(sponsor.peer.to_string()), token }
}

fn reads(config: &mut NodeConfig) {
    (config.reader, config.found) = (true, None);
}

#[tokio::test]
async fn a_killed_reader_is_waited_for_by_nobody_and_catches_up_when_it_runs_again() {
    let three = Three::start().await;
    let clients = three.clients();
    let early = claim(&clients[0], &user_final("alice", "ann")).await;
    let token = clients[0].mint_reader_token(None).await.unwrap();
    assert!(token.starts_with("fnr1."), "{token}");
    let serve = Serve::new("reader").join(three.nodes[1].peer, &token).with(&["--reader".to_owned()]);
    let home = Home::new();
    let mut reader = Process::start(&home, &serve).await;
    shows(&reader.client, early.id, Status::Confirmed).await;

    let view = cluster(&reader.client).await.unwrap();
    assert!(view.reader && !view.member && view.members.len() == 3, "{view:?}");
    eventually("the reader is ready", async || reader.client.ready().await.map_err(|error| error.to_string())).await;
    eventually("it is well", async || same(&cluster(&reader.client).await?.is_healthy(), &true)).await;
    for client in &clients {
        eventually("the member shows the reader", async || same(&cluster(client).await?.readers, &vec![view.node]))
            .await;
        assert_eq!(cluster(client).await.unwrap().members.len(), 3);
    }
    // What is claimed while it looks on is final there too, and the reader never asks to be let in.
    let looked_on = claim(&clients[2], &user_final("bob", "bea")).await;
    shows(&reader.client, looked_on.id, Status::Confirmed).await;
    let lost = reader.client.register(&user("bob", "cid")).await.unwrap_err();
    let lost = lost.problem().unwrap().clone();
    assert_eq!(lost.problem_type, ProblemType::Reader, "{lost:?}");
    assert!(lost.detail.contains(&three.nodes[0].peer.to_string()), "{}", lost.detail);
    let evict = reader.client.evict(clients[0].cluster().await.unwrap().node, false).await.unwrap_err();
    assert_eq!(evict.problem().unwrap().problem_type, ProblemType::Reader);
    let token = reader.client.mint_token(None).await.unwrap_err();
    assert_eq!(token.problem().unwrap().problem_type, ProblemType::Reader, "a reader knows no secret of the cluster");
    let Err(backup) = reader.client.backup().await else { panic!("a reader's directory cannot be restored") };
    assert_eq!(backup.problem().unwrap().problem_type, ProblemType::Reader);

    // A client of both is led on to the member.
    let both = Client::any_of([reader.url(), three.nodes[0].url()]).unwrap();
    let led_on = claim(&both, &user_final("carol", "cid")).await;
    assert_eq!(led_on.status, Status::Confirmed);

    reader.kill();
    let away = within("nobody waits for the reader", claim(&clients[1], &user_final("dora", "dan"))).await;
    assert_eq!(away.status, Status::Confirmed);
    for client in &clients {
        eventually("the reader is forgotten", async || same(&cluster(client).await?.readers, &vec![])).await;
    }
    let reader = Process::start(&home, &serve).await;
    shows(&reader.client, away.id, Status::Confirmed).await;
    // The feeds of the members have everything. What a reader got with its snapshot is not in its feed.
    for registration in agreed(&clients).await.into_values() {
        shows(&reader.client, registration.id, registration.status).await;
    }
}

#[tokio::test]
async fn a_reader_that_was_away_for_longer_than_the_logs_are_kept_takes_the_state_anew() {
    let links = Arc::new(Cuts::new());
    let brief = |config: &mut NodeConfig| config.keep_log = Some(Duration::ZERO);
    let dir = || tempfile::tempdir().unwrap();
    let a = Local::start_otherwise(brief, dir(), "a", links.clone(), None).await;
    let b = Local::start_otherwise(brief, dir(), "b", links.clone(), Some(a.to_join().await)).await;
    let clients = [a.client.clone(), b.client.clone()];
    all_members(&clients).await;
    let early = claim(&a.client, &user_final("alice", "ann")).await;
    let join = to_read(&a).await;
    let reader = Local::start_otherwise(reads, dir(), "reader", links.clone(), Some(join.clone())).await;
    shows(&reader.client, early.id, Status::Confirmed).await;
    let feed = cluster(&reader.client).await.unwrap().events.start;
    let mut home = reader.shutdown().await;
    // The logs are truncated once a second. While the reader is away that goes on, so it has to take the state anew at some
    // time: its feed is another one then.
    let mut round = 0;
    loop {
        round += 1;
        let late = claim(&b.client, &user_final(&format!("late{round}"), "bea")).await;
        let reader = Local::start_otherwise(reads, home, "reader", links.clone(), Some(join.clone())).await;
        shows(&reader.client, late.id, Status::Confirmed).await;
        shows(&reader.client, early.id, Status::Confirmed).await;
        let now = cluster(&reader.client).await.unwrap();
        assert_eq!((now.reader, now.node.incarnation()), (true, 0));
        home = reader.shutdown().await;
        if now.events.start.to_string() != feed.to_string() {
            break;
        }
        assert!(round < 200, "the logs are never truncated");
    }
    local::shutdown(vec![a, b]).await;
}

#[tokio::test]
async fn a_reader_answers_for_private_names_and_does_not_become_a_member() {
    let links = Arc::new(Cuts::new());
    let a = Local::start("a", links.clone(), None).await;
    let private = NamespaceBody { private: true, ..NamespaceBody::default() };
    a.client.set_namespace("email", &private).await.unwrap();
    let name = NameRef { namespace: "email".to_owned(), name: "ann@example.org".to_owned() };
    let body = RegistrationBody { owner: "ann".to_owned(), names: vec![name.clone()], ..user_final("x", "ann") };
    let held = claim(&a.client, &body).await;
    let join = to_read(&a).await;
    let dir = tempfile::tempdir().unwrap();
    let reader = Local::start_otherwise(reads, dir, "reader", links.clone(), Some(join.clone())).await;
    shows(&reader.client, held.id, Status::Confirmed).await;
    // It has the state a moment before the key of private names, and does not say that such a name is free.
    let told = async || match reader.client.name("email", "ANN@example.org").await {
        Ok(name) if name.status == NameStatus::Held => Ok(()),
        Ok(name) => panic!("{:?}", name.status),
        Err(error) => Err(error.to_string()),
    };
    eventually("the reader has the key of private names", told).await;

    let dir = reader.shutdown().await;
    let member = to_join_as(&dir, false, a.to_join().await).await;
    assert!(member.contains("--reader"), "{member}");
    let without = to_join_as(&dir, true, a.to_join().await).await;
    assert!(without.contains("member token --reader"), "{without}");
    let home = tempfile::tempdir().unwrap();
    let token = to_join_as(&home, false, join.clone()).await;
    assert!(token.contains("--reader"), "{token}");
    let dir = a.shutdown().await;
    let turned = to_join_as(&dir, true, join).await;
    assert!(turned.contains("without --reader"), "{turned}");
}

/// Starts a node on a directory where it does not start. Returns why not.
async fn to_join_as(dir: &tempfile::TempDir, reader: bool, join: JoinConfig) -> String {
    let config = NodeConfig { reader, join: Some(join), ..NodeConfig::new(dir.path()) };
    tokio::time::timeout(DEADLINE, Node::start(config)).await.unwrap().unwrap_err().to_string()
}

#[tokio::test]
async fn another_secret_of_the_cluster_shuts_readers_out() {
    let links = Arc::new(Cuts::new());
    let a = Local::start("a", links.clone(), None).await;
    let join = to_read(&a).await;
    let dir = tempfile::tempdir().unwrap();
    let reader = Local::start_otherwise(reads, dir, "reader", links.clone(), Some(join)).await;
    eventually("the reader is connected", async || same(&cluster(&a.client).await?.readers.len(), &1)).await;
    a.client.rotate_secret().await.unwrap();
    eventually("the reader is shut out", async || same(&cluster(&a.client).await?.readers.len(), &0)).await;
    eventually("the reader says that it may be behind", async || match reader.client.ready().await {
        Ok(()) => Err("it is ready".to_owned()),
        Err(error) => Ok(error),
    })
    .await;
    local::shutdown(vec![a, reader]).await;
}
