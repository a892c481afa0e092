//! Tests of clients that take as many resources of a node as they can, and of nodes that are asked before they are
//! members.

use std::net::IpAddr;
use std::process::Stdio;

use forename::client::ClientError;
use forename::model::{ProblemType, RegistrationBody, Span};
use forename::node::descriptors;
use serde_json::Value;
use tokio::net::{TcpStream, UdpSocket};

use crate::support::process::{Guarded, Home, Process, Serve, command, run};
use crate::support::{DEADLINE, claim, eventually, skipped, user_final, within};

/// The number of idle connections. A node that accepted all of them would have no descriptor left.
const IDLE: usize = 1100;

#[tokio::test]
async fn idle_connections_take_no_descriptor_from_the_store() {
    if std::process::Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skipped("there is no prlimit to run a node with few descriptors");
    }
    descriptors::raise();
    let home = Home::new();
    let mut serve = Serve::new("a");
    serve.through = vec!["prlimit".to_owned(), "--nofile=400:400".to_owned()];
    let mut node = Process::start(&home, &serve).await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(node.http).await.unwrap());
    }
    // No more connections are accepted from the same address, but from another address they are.
    let elsewhere = crate::support::http().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    for number in 0..20 {
        let body = user_final(&format!("name{number}"), "ann");
        let request = elsewhere.post(format!("{}/v1/registrations", node.url())).json(&body);
        assert_eq!(within("an answer", request.send()).await.unwrap().status(), 201);
    }
    let log = home.read_log();
    assert_eq!(log.matches("connections are turned away").count(), 1, "{log}");
    assert!(log.contains("HTTP takes fewer connections than set"), "{log}");
    drop(idle);
    eventually("the address is let in again", async || node.client.cluster().await.map_err(|error| error.to_string()))
        .await;
    claim(&node.client, &user_final("alice", "ann")).await;
    node.assert_lives();
}

#[tokio::test]
async fn a_node_that_is_still_joining_answers_probes() {
    // A sponsor that never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (home, first) = (Home::new(), Home::new());
    let sponsor = Process::start(&first, &Serve::new("a")).await;
    let token = sponsor.client.mint_token(None).await.unwrap();
    let mut serve = command(&[]);
    serve.args(["serve", "--http", "127.0.0.1:0", "--peer", "127.0.0.1:0", "--token", &token, "--join"]);
    serve.arg(silent.local_addr().unwrap().to_string()).arg("--data-dir").arg(home.data());
    let mut joining = Guarded(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = crate::support::process::lines(&mut joining.0);
    let address = within("serve says where it listens", lines.recv()).await.unwrap();
    let http = crate::support::http().build().unwrap();
    let ask = async |path: &str| within("an answer", http.get(format!("{address}{path}")).send()).await.unwrap();
    assert_eq!(ask("/healthz").await.status(), 200);
    let ready = ask("/readyz").await;
    assert_eq!(ready.status(), 503);
    let why: Value = ready.json().await.unwrap();
    assert_eq!(why["type"], "urn:forename:problem:not-member");
    assert!(why["detail"].as_str().unwrap().contains("still joining"), "{why}");
    assert!(lines.try_recv().is_err(), "it is not in, and does not say so");
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_no_more_registrations() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let alice = claim(&node.client, &user_final("alice", "ann")).await;
    node.terminate().await;
    // No disk has so many free bytes, so the node takes its disk to be low.
    let low = Serve::new("a").with(&["--min-free".to_owned(), u64::MAX.to_string()]);
    let mut node = Process::start(&home, &low).await;
    let refused = eventually("the disk is found to be low", async || {
        let answer = node.client.register(&user_final("bob", "bob")).await;
        answer.err().ok_or_else(|| "it was taken".to_owned())
    })
    .await;
    let problem = refused.problem().unwrap();
    assert_eq!((problem.status, problem.problem_type), (507, ProblemType::DiskLow), "{problem}");
    let http = crate::support::http().build().unwrap();
    let ready = http.get(format!("{}/readyz", node.url())).send().await.unwrap();
    assert_eq!(ready.status(), 507, "it takes no registrations, so it is not ready");
    // Calls that free space still work.
    node.client.release(alice.id).await.unwrap();
    assert!(home.read_log().contains("registrations are refused"));
    node.assert_lives();
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_node_writes_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    assert_eq!(mode(&home.data()), 0o700);
    claim(&node.client, &user_final("alice", "ann")).await;
    for (words, file) in [(["backup"].as_slice(), "backup"), (&["export"], "export")] {
        let file = home.data().with_file_name(file);
        let output = run(command(&[]).args(words).arg(&file).env("FORENAME_NODE", node.url()));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(mode(&file), 0o600, "{words:?}");
    }
    node.terminate().await;
    assert!(!home.read_log().contains("--fix-permissions"));
    std::fs::set_permissions(home.data(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    assert!(home.read_log().contains("mode 755"), "{}", home.read_log());
    assert_eq!(mode(&home.data()), 0o755, "it is warned of, and left as it is");
    node.terminate().await;
    let node = Process::start(&home, &Serve::new("a").with(&["--fix-permissions".to_owned()])).await;
    assert_eq!(mode(&home.data()), 0o700);
    drop(node);
}

#[tokio::test]
async fn a_token_of_one_application_changes_nothing_of_another() {
    let home = Home::new();
    let made = ["form", "shop", "forum"].map(|name| {
        let scope = if name == "form" { "register" } else { "claim" };
        let output = run(command(&[]).args(["token", "new", "--name", name, "--scope", scope]));
        let (lines, secret) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let (lines, secret) = (lines.trim_end(), secret.trim_end());
        (lines.to_owned(), secret.to_owned())
    });
    let file = home.data().with_file_name("tokens.toml");
    std::fs::write(&file, made.iter().map(|(lines, _)| format!("{lines}\n")).collect::<String>()).unwrap();
    let node =
        Process::start(&home, &Serve::new("a").with(&["--api-tokens".to_owned(), file.display().to_string()])).await;
    let [form, shop, forum] = made.map(|(_, secret)| node.client.clone().with_token(&secret).unwrap());
    let kind = |error: ClientError| error.problem().map(|problem| problem.problem_type);

    let reserved = RegistrationBody { ttl: Some(Span(DEADLINE * 60)), ..user_final("alice", "ann") };
    let alice = claim(&shop, &reserved).await;
    assert_eq!(kind(forum.erase(alice.id).await.unwrap_err()), Some(ProblemType::NotOwner));
    assert_eq!(kind(forum.clone().for_owner("bob").release(alice.id).await.unwrap_err()), Some(ProblemType::NotOwner));
    assert_eq!(kind(form.clone().for_owner("ann").activate(alice.id).await.unwrap_err()), Some(ProblemType::Forbidden));
    let taken = form.register(&user_final("Alice", "eve")).await.unwrap_err();
    assert_eq!(taken.problem().map(|problem| problem.names[0].registration), Some(None), "{taken}");
    // The shop may continue with its reservation, and so may a caller that knows the owner.
    shop.extend(alice.id, DEADLINE * 120).await.unwrap();
    forum.clone().for_owner("ann").activate(alice.id).await.unwrap();
    forum.for_owner("ann").erase(alice.id).await.unwrap();
}
