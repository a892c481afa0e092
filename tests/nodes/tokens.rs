//! Tests of API tokens, as an operator makes them and callers use them.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::process::{Home, Process, Serve, command, run};

/// Runs `forename` with these words and this token.
fn typed(words: &str, address: &str, token: Option<&str>) -> Output {
    let mut command = command(&[]);
    command.args(words.split(' ')).env("FORENAME_NODE", address);
    if let Some(token) = token {
        command.env("FORENAME_API_TOKEN", token);
    }
    run(&mut command)
}

/// Makes a token. Returns the lines for the file, and the secret.
fn made(words: &str) -> (String, String) {
    let output = run(command(&[]).args(["token", "new"]).args(words.split(' ')));
    assert!(output.status.success(), "{output:?}");
    let (lines, secret) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let secret = secret.trim_end();
    assert!(!secret.is_empty() && !lines.contains(secret), "stdout is for the file of tokens: {lines}");
    (lines.trim_end().to_owned(), secret.to_owned())
}

/// The exit code of a command that the token does not allow.
const NOT_ALLOWED: i32 = 6;

#[tokio::test]
async fn a_node_with_tokens_lets_in_who_shows_one_and_for_what_it_is_good() {
    let home = Home::new();
    let (claims, claiming) = made("--name shop --scope claim --max-open 2");
    let (reads, reading) = made("--name desk --scope read");
    let (admin, administrating) = made("--name ops --scope admin");
    let file = home.data().with_file_name("tokens.toml");
    std::fs::write(&file, format!("{claims}\n{reads}\n{admin}\n")).unwrap();
    let serve = Serve::new("a").with(&["--api-tokens".to_owned(), file.display().to_string()]);
    // A node without tokens does not listen beyond loopback. With tokens it may.
    let everywhere = serve.clone().at(([0, 0, 0, 0], 0).into(), ([127, 0, 0, 1], 0).into());
    let mut node = Process::start(&home, &everywhere).await;
    node.terminate().await;
    let mut node = Process::start(&home, &serve).await;
    let address = node.url();
    let typed = |words: &str, token: Option<&str>| {
        let output = typed(words, &address, token);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };

    let (code, text) = typed("claim username/alice --owner ann", None);
    assert_eq!(code, Some(NOT_ALLOWED), "{text}");
    assert!(text.contains("API token") && text.contains("FORENAME_API_TOKEN"), "{text}");
    let (code, text) = typed("claim username/alice --owner ann", Some("fna1.0000"));
    assert_eq!(code, Some(NOT_ALLOWED), "{text}");
    assert!(text.contains("none of this node's") && !text.contains("fna1.0000"), "{text}");

    assert_eq!(typed("claim username/alice --owner ann --wait", Some(&claiming)).0, Some(0));
    let (code, text) = typed("show username/alice", Some(&claiming));
    assert!(code == Some(NOT_ALLOWED) && text.contains("lacks the scope 'read'"), "{text}");
    assert_eq!(typed("show username/alice", Some(&reading)).0, Some(0));
    let (code, text) = typed("claim username/bob --owner bob", Some(&reading));
    assert!(code == Some(NOT_ALLOWED) && text.contains("lacks the scope 'register'"), "{text}");
    let (code, text) = typed("member token", Some(&claiming));
    assert!(code == Some(NOT_ALLOWED) && text.contains("lacks the scope 'admin'"), "{text}");
    assert_eq!(typed("member token", Some(&administrating)).0, Some(0));
    let backup = home.data().with_file_name("backup");
    let take = format!("backup {}", backup.display());
    assert_eq!(typed(&take, Some(&reading)).0, Some(NOT_ALLOWED));
    assert_eq!(typed(&take, Some(&administrating)).0, Some(0));

    // The limit of the token holds for all owners together, also after a restart.
    let reserve = |name: &str| typed(&format!("claim username/{name} --owner o-{name} --ttl 1h"), Some(&claiming));
    assert_eq!((reserve("bob").0, reserve("carol").0), (Some(0), Some(0)));
    assert!(reserve("dave").1.contains("the API token \"shop\" has 2 registrations"));
    node.terminate().await;
    let node = Process::start(&home, &serve.at(node.http, node.peer)).await;
    assert!(reserve("dave").1.contains("the API token \"shop\" has 2 registrations"));
    assert_eq!(typed("claim username/dave --owner dave --ttl 1h", Some(&administrating)).0, Some(0));

    // A program can use a token too, also for a stream of events.
    let client = node.client.clone().with_token(&reading).unwrap();
    let mut events = client.stream(None, forename::model::EventQuery::default());
    assert!(events.next().await.is_ok());
    let http = crate::support::http().build().unwrap();
    assert_eq!(http.get(format!("{address}/readyz")).send().await.unwrap().status(), 200);
    let answer = http.get(format!("{address}/v1/events")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("www-authenticate")), (401, true));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["type"], json!("urn:forename:problem:unauthorized"));

    let log = home.read_log();
    assert!(![claiming, reading, administrating].iter().any(|secret| log.contains(secret)), "a secret is in the log");
}

#[tokio::test]
async fn beyond_loopback_it_takes_tokens_or_a_decision() {
    let home = Home::new();
    let serve = Serve::new("a").at(([0, 0, 0, 0], 0).into(), ([127, 0, 0, 1], 0).into());
    let Err((status, log)) = Process::try_start(&home, &serve).await else { panic!("it serves strangers") };
    assert_eq!(status.code(), Some(2));
    assert!(log.contains("--api-tokens") && log.contains("--insecure"), "{log}");
    let empty = home.data().with_file_name("tokens.toml");
    std::fs::write(&empty, "").unwrap();
    let serve = serve.with(&["--api-tokens".to_owned(), empty.display().to_string()]);
    let Err((status, log)) = Process::try_start(&home, &serve).await else { panic!("it serves strangers") };
    assert_eq!(status.code(), Some(2));
    assert!(log.contains("has no [[api_token]]"), "{log}");
}

#[tokio::test]
async fn tokens_are_changed_while_the_node_runs() {
    let home = Home::new();
    let (old, secret) = made("--name desk --scope read");
    let (new, renewed) = made("--name desk --scope read");
    let file = home.data().with_file_name("tokens.toml");
    std::fs::write(&file, &old).unwrap();
    let serve = Serve::new("a").with(&["--api-tokens".to_owned(), file.display().to_string()]);
    let node = Process::start(&home, &serve).await;
    let http = crate::support::http().build().unwrap();
    let get = |secret: &str| http.get(format!("{}/v1/events", node.url())).bearer_auth(secret);
    let mut stream = get(&secret).header("accept", "text/event-stream").send().await.unwrap();
    let status = async |secret: &str| get(secret).send().await.unwrap().status().as_u16();
    assert_eq!((stream.status().as_u16(), status(&secret).await, status(&renewed).await), (200, 200, 401));

    // A file that is not valid is not used.
    std::fs::write(&file, "").unwrap();
    node.hang_up();
    eventually("it has looked at the file", async || {
        let log = home.read_log();
        if log.contains("settings stay as they were") { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(status(&secret).await, 200);
    std::fs::write(&file, &new).unwrap();
    node.hang_up();
    eventually("the new secret is good", async || match status(&renewed).await {
        200 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    assert_eq!(status(&secret).await, 401);
    // The stream ends, so its reader has to show its token again.
    while stream.chunk().await.unwrap().is_some() {}
}
