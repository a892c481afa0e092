//! Tests of the integration with a machine's tools: a service manager, a health check, man(1).

use std::process::{Command, Output};

use tokio::net::UnixDatagram;

use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{eventually, skipped, within};

fn ready(address: &str) -> Output {
    run(command(&[]).args(["status", "--ready", "--node", address]))
}

#[tokio::test]
async fn a_service_manager_is_told_when_a_node_serves_and_when_it_stops() {
    let (home, place) = (Home::new(), tempfile::tempdir().unwrap());
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let hear = async || {
        let mut told = [0; 256];
        let len = within("the service manager hears something", socket.recv(&mut told)).await.unwrap();
        String::from_utf8_lossy(&told[..len]).trim().to_owned()
    };
    let mut serve = Serve::new("a");
    serve.variables.push(("NOTIFY_SOCKET".to_owned(), path.display().to_string()));
    let mut node = Process::start(&home, &serve).await;
    assert_eq!(hear().await, "READY=1");
    // The node is ready when it says so, so services that start after it can call it.
    assert!(ready(&node.url()).status.success());
    assert!(node.terminate().await.success());
    assert_eq!(hear().await, "STOPPING=1");
}

#[tokio::test]
async fn a_health_check_asks_whether_this_node_takes_registrations() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let well = ready(&node.url());
    assert_eq!((well.status.code(), String::from_utf8_lossy(&well.stdout).trim()), (Some(0), "ready"));
    node.terminate().await;
    assert_eq!(ready(&node.url()).status.code(), Some(5), "nobody is there");
    // No disk has so many free bytes, so the node takes its disk to be nearly full.
    let low = Serve::new("a").with(&["--min-free".to_owned(), u64::MAX.to_string()]);
    let node = Process::start(&home, &low).await;
    let output = eventually("the disk is found to be low", async || {
        let output = ready(&node.url());
        if output.status.code() == Some(10) { Ok(output) } else { Err(format!("{output:?}")) }
    })
    .await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("bytes free"), "{output:?}");
}

#[test]
fn each_command_has_a_page_of_the_manual() {
    let place = tempfile::tempdir().unwrap();
    let hand = place.path().join("hand");
    assert!(run(command(&[]).arg("man").arg(&hand)).status.success());
    for page in ["forename", "forename-serve", "forename-member-evict", "forename-status"] {
        let text = std::fs::read_to_string(hand.join(page).with_extension("1")).unwrap();
        assert!(text.contains(".SH SYNOPSIS") && text.contains(".TH"), "{page}: {text}");
    }
    let Ok(found) = Command::new("man").arg("--version").output() else { return skipped("there is no man") };
    assert!(found.status.success());
    let mut man = Command::new("man");
    man.args(["--warnings", "--local-file"]).arg(hand.join("forename-serve.1"));
    let shown = run(man.env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat").env("MANWIDTH", "600"));
    let (text, warnings) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(text.contains("--data-dir") && warnings.is_empty(), "{text}{warnings}");
}
