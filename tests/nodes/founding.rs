//! Tests of how a cluster begins, of its settings, tokens and secret, and of a node whose directory disappears.

use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::client::ClientError;
use forename::model::{ClusterId, ProblemType};
use forename::node::{JoinConfig, NodeConfig};
use forename::transport::Cuts;

use crate::support::local::{self, Local};
use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{DEADLINE, all_members, claim, cluster, configured, eventually, is_out, same, user, within};

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
async fn a_node_that_has_halted_says_why_to_whoever_asks() {
    let place = tempfile::tempdir().unwrap();
    let (dir, away) = (place.path().join("data"), place.path().join("away"));
    forename::Node::init(&dir, &Default::default()).unwrap();
    let node = forename::Node::start(NodeConfig::new(&dir)).await.unwrap();
    std::fs::rename(&dir, &away).unwrap();
    let halted = within("it halts", node.stopped()).await.unwrap_err().to_string();
    assert!(halted.contains("is gone"), "{halted}");
    let refusal = node.cluster().await.unwrap_err();
    assert_eq!(refusal.problem_type, ProblemType::Unavailable);
    assert!(refusal.detail.contains("it has stopped: the data directory"), "{}", refusal.detail);
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

    // Once the directory is back in its place, the node works as before.
    std::fs::rename(&away, home.data()).unwrap();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    assert!(!node.client.name("username", "alice").await.unwrap().available);

    // Another directory in its place is not used by the node.
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
    // A change of another setting, at another member, leaves the first one as it is.
    let others: Vec<_> = clients.iter().rev().cloned().collect();
    let set = configured(&others, r#"{"max_clock_skew": "2s"}"#).await;
    assert_eq!((set.evict_after.to_string(), set.keep_events.to_string()), ("1h".to_owned(), "forever".to_owned()));
    let hasty = serde_json::from_str(r#"{"evict_after": "1ms"}"#).unwrap();
    let refused = clients[0].configure(&hasty).await.unwrap_err();
    assert!(refused.to_string().contains("less than 1s is refused"), "{refused}");
    assert!(clients[0].configure(&Default::default()).await.is_err());

    // The settings survive a restart, and a newcomer has them too.
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

    // A node of another cluster than the client means does nothing.
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

    // The command line checks the cluster too.
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

/// Joins with a token and without an address.
async fn join(label: &str, links: &Arc<Cuts>, token: &str) -> Local {
    let join = JoinConfig { address: None, token: token.to_owned() };
    Local::start_in(tempfile::tempdir().unwrap(), label, links.clone(), Some(join)).await
}

/// Returns the reason why a node cannot join with a token.
async fn refused(token: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let join = Some(JoinConfig { address: None, token: token.to_owned() });
    let config = NodeConfig { join, ..NodeConfig::new(dir.path()) };
    match forename::Node::start(config).await {
        Ok(_) => panic!("it is let in"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_join_token_lets_in_as_many_as_it_was_made_for() {
    let links = Arc::new(Cuts::new());
    let a = Local::start("a", links.clone(), None).await;
    assert!(a.client.mint_token(Some(Duration::from_secs(31 * 24 * 3600))).await.is_err(), "30 days at most");
    assert!(a.client.mint_token_for(0, None).await.is_err());
    let twice = a.client.mint_token_for(2, Some(DEADLINE)).await.unwrap();
    let b = join("b", &links, &twice).await;
    all_members(&[a.client.clone(), b.client.clone()]).await;
    // A token that is made now contains the addresses of both members, and one of them is enough to join.
    let later = b.client.mint_token(None).await.unwrap();
    let c = join("c", &links, &twice).await;
    let mut nodes = vec![a, b, c];
    all_members(&local::clients(&nodes)).await;
    for node in &nodes {
        eventually("all have heard of it", async || same(&cluster(&node.client).await?.members.len(), &3)).await;
    }
    let error = refused(&twice).await;
    assert!(error.contains("as many nodes as it was made for"), "{error}");
    let d = join("d", &links, &later).await;
    nodes.push(d);
    all_members(&local::clients(&nodes)).await;
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn a_token_is_read_from_a_file_and_is_enough_to_join() {
    let (home, newcomer) = (Home::new(), Home::new());
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let printed = run(command(&[]).args(["member", "token", "--node", &node.url()]));
    std::fs::create_dir_all(newcomer.data()).unwrap();
    let file = newcomer.data().with_extension("token");
    std::fs::write(&file, printed.stdout).unwrap();
    let mut serve = Serve::new("b").with(&["--join-token-file".to_owned(), file.display().to_string()]);
    serve.founds = false;
    let joined = Process::start(&newcomer, &serve).await;
    all_members(&[node.client.clone(), joined.client.clone()]).await;
    node.assert_lives();
}

#[tokio::test]
async fn a_banned_node_does_not_come_back_until_it_is_let_in_again() {
    let links = Arc::new(Cuts::new());
    let a = Local::start("a", links.clone(), None).await;
    let b = Local::start("b", links.clone(), Some(&a)).await;
    let c = Local::start("c", links.clone(), Some(&a)).await;
    let clients = [a.client.clone(), b.client.clone(), c.client.clone()];
    all_members(&clients).await;
    let was = cluster(&c.client).await.unwrap().node;
    a.client.ban(was).await.unwrap();
    a.client.evict(was, false).await.unwrap();
    is_out(&b.client, was).await;
    eventually("both know of the ban", async || same(&cluster(&b.client).await?.banned, &vec![was])).await;
    // Without the ban the node would come back at once under this id. With the ban it stays out.
    let next = was.next_incarnation().unwrap();
    eventually("it has begun anew", async || same(&c.node().handle().node(), &next)).await;
    a.client.unban(was).await.unwrap();
    eventually("it is back", async || {
        let cluster = cluster(&c.client).await?;
        same(&(cluster.node, cluster.member), &(next, true))
    })
    .await;
    let ban_itself = a.client.ban(cluster(&a.client).await.unwrap().node).await;
    assert!(ban_itself.is_err());
    local::shutdown(vec![a, b, c]).await;
}

#[tokio::test]
async fn another_secret_makes_old_tokens_worthless_at_all_members() {
    let links = Arc::new(Cuts::new());
    let a = Local::start("a", links.clone(), None).await;
    let b = Local::start("b", links.clone(), Some(&a)).await;
    let c = Local::start("c", links.clone(), Some(&a)).await;
    all_members(&[a.client.clone(), b.client.clone(), c.client.clone()]).await;
    let old = a.client.mint_token_for(9, None).await.unwrap();
    // One member does not run meanwhile.
    let away = c.shutdown().await;
    b.client.rotate_secret().await.unwrap();
    let c = Local::start_in(away, "c", links.clone(), None).await;
    for node in [&a, &b, &c] {
        let at = |token: &str| JoinConfig { address: Some(node.peer.to_string()), token: token.to_owned() };
        eventually("the old token is worthless", async || {
            let dir = tempfile::tempdir().unwrap();
            let started = forename::Node::launch(NodeConfig { join: Some(at(&old)), ..NodeConfig::new(dir.path()) });
            let (node, reception) = started.map_err(|error| error.to_string())?;
            let outcome = reception.outcome().await;
            node.shutdown().await;
            match outcome {
                Err(error) if error.to_string().contains("not one of this cluster") => Ok(()),
                outcome => Err(format!("{outcome:?}")),
            }
        })
        .await;
    }
    // The cluster works as before, and newcomers can join.
    claim(&c.client, &user("alice", "ann")).await;
    let token = c.token().await;
    let d = join("d", &links, &token).await;
    eventually("it is let in", async || same(&cluster(&d.client).await?.member, &true)).await;
    local::shutdown(vec![a, b, c, d]).await;
}
