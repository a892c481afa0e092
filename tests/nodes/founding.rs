//! How a cluster begins, and what becomes of a node whose directory goes.

use std::sync::Arc;

use forename::Client;
use forename::client::ClientError;
use forename::model::{ClusterId, ProblemType};
use forename::transport::Cuts;

use crate::support::local::{self, Local};
use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{all_members, claim, cluster, configured, eventually, same, user};

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

#[tokio::test]
async fn settings_are_the_clusters_and_take_effect_at_all_members() {
    let links = Arc::new(Cuts::new());
    let a = Local::start("a", links.clone(), None).await;
    let b = Local::start("b", links.clone(), Some(&a)).await;
    let mut nodes = vec![a, b];
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let set = configured(&clients, r#"{"evict_after": "1h", "keep_events": "forever"}"#).await;
    assert_eq!(set.max_clock_skew, forename::model::ClusterSettings::default().max_clock_skew);
    // Another setting, at another member, changes nothing else.
    let others: Vec<_> = clients.iter().rev().cloned().collect();
    let set = configured(&others, r#"{"max_clock_skew": "2s"}"#).await;
    assert_eq!((set.evict_after.to_string(), set.keep_events.to_string()), ("1h".to_owned(), "forever".to_owned()));
    let hasty = serde_json::from_str(r#"{"evict_after": "1ms"}"#).unwrap();
    let refused = clients[0].configure(&hasty).await.unwrap_err();
    assert!(refused.to_string().contains("less than 1s is refused"), "{refused}");
    assert!(clients[0].configure(&Default::default()).await.is_err());

    // They outlive a restart, and a newcomer has them.
    let dir = nodes.pop().unwrap().shutdown().await;
    nodes.push(Local::start_in(dir, "b", links.clone(), None).await);
    nodes.push(Local::start("c", links, Some(&nodes[0])).await);
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    for client in &clients {
        eventually("the settings are in force", async || same(&cluster(client).await?.settings, &set)).await;
    }
    local::shutdown(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_talks_to_the_cluster_that_it_means() {
    let links = Arc::new(Cuts::new());
    let (a, other) = (Local::start("a", links.clone(), None).await, Local::start("other", links.clone(), None).await);
    let b = Local::start("b", links, Some(&a)).await;
    all_members(&[a.client.clone(), b.client.clone()]).await;
    let id = async |client: &Client| cluster(client).await.unwrap().id.unwrap();
    let (first, second) = (id(&a.client).await, id(&other.client).await);
    assert_eq!((id(&b.client).await, a.client.cluster_id()), (first, Some(first)));
    assert_ne!(first, second);

    // A node that is not meant does nothing.
    let wrong = Client::new(other.client.address()).unwrap().of_cluster(first);
    match wrong.register(&user("alice", "ann")).await {
        Err(ClientError::OtherCluster { meant, found, .. }) => assert_eq!((meant, found), (first, second)),
        answer => panic!("{answer:?}"),
    }
    assert!(other.client.name("username", "alice").await.unwrap().available);
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let call =
        plain.get(format!("{}/v1/cluster", other.client.address())).header("Forename-Cluster", first.to_string());
    let answer = call.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["forename-cluster"].to_str().unwrap()),
        (421, &*second.to_string())
    );
    let problem: forename::model::Problem = answer.json().await.unwrap();
    assert_eq!(problem.problem_type, ProblemType::OtherCluster);
    assert!(problem.detail.contains(&first.to_string()) && problem.detail.contains(&second.to_string()), "{problem:?}");

    // So does the command line.
    let show = |cluster: ClusterId| {
        run(command(&[]).args(["cluster", "show", "--cluster", &cluster.to_string(), "--node", other.client.address()]))
    };
    let shown = show(second);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&second.to_string()), "{shown:?}");
    let refused = show(first);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("this client means cluster"), "{refused:?}");
    local::shutdown(vec![a, b, other]).await;
}
