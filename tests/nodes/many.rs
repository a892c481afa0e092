//! Tests of many names at once on real nodes: batches, interrupted imports, exports, and reports of conflicts.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use forename::model::ProblemType;
use forename::model::{Conflict, ConflictStatus, RegistrationBody};
use forename::model::{NameQuery, Precedence, Status};
use forename::transport::Cuts;
use futures_util::stream;
use serde_json::Value;

use crate::support::facts::settled;
use crate::support::local::{Local, clients, shutdown};
use crate::support::process::{Guarded, Home, Process, Serve, command, run};
use crate::support::{all_members, claim, eventually, id, same, user, user_final};

/// Runs a command at a node. Returns its exit code and its output.
fn types(node: &Process, words: &[&str]) -> (Option<i32>, String) {
    types_at(&node.url(), words)
}

fn types_at(url: &str, words: &[&str]) -> (Option<i32>, String) {
    let output: Output = run(command(&[]).args(words).env("FORENAME_NODE", url));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!error.contains("panicked"), "forename {words:?}: {error}");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[tokio::test]
async fn a_batch_registers_each_line_by_itself_and_again_elsewhere() {
    let links = Arc::new(Cuts::new());
    let first = Local::start("a", links.clone(), None).await;
    let nodes = vec![Local::start("b", links, Some(&first)).await, first];
    let clients = clients(&nodes);
    all_members(&clients).await;
    let bodies: Vec<_> = (0..1000)
        .map(|n| RegistrationBody { id: Some(id(n)), ..user(&format!("name{}", n % 900), &format!("owner{n}")) })
        .collect();
    for client in [&clients[0], &clients[0], &clients[1]] {
        let mut answers = client.register_all(stream::iter(bodies.clone())).await.unwrap();
        for n in 0..1000 {
            let answer = answers.next().await.unwrap().unwrap();
            assert_eq!(answer.line, n as u64 + 1);
            match answer.registration {
                Some(registration) => assert_eq!((registration.id, n < 900), (id(n), true)),
                None => {
                    let problem = answer.problem.unwrap();
                    assert_eq!((problem.problem_type, n >= 900), (ProblemType::NameTaken, true));
                }
            }
        }
        assert!(answers.next().await.unwrap().is_none());
        settled(&clients).await;
    }
    let page = clients[1].names(&NameQuery { limit: Some(1000), ..NameQuery::default() }, "", None).await.unwrap();
    assert_eq!((page.names.len(), page.next), (900, None));
    shutdown(nodes).await;
}

/// Exports the names of a namespace with their owners.
fn exported(node: &Process, namespace: &str) -> Vec<(String, String)> {
    let (exit, text) = types(node, &["export", "--namespace", namespace]);
    assert_eq!(exit, Some(0));
    let text_of = |value: &Value| value.as_str().unwrap().to_owned();
    text.lines().map(json).map(|line| (text_of(&line["name"]), text_of(&line["owner"]))).collect()
}

fn rows(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("owner{n},Name{n:05},n{n}@example.org,\"{{\"\"n\"\":{n}}}\"\n")).collect()
}

const HEADER: &str = "owner,name,name:email,metadata\n";

#[tokio::test]
async fn a_table_is_imported_once_however_often_and_exported_again() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    claim(&node.client, &user_final("name00002", "somebody")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("people.csv");
    let bad = "owner,with too many,cells,{},more\n,nobody,,\nowner,not a name,,\n";
    fs::write(&file, format!("{HEADER}{}{bad}{}", rows(0, 1500), rows(1500, 3000))).unwrap();
    let file = file.to_str().unwrap();
    let import = ["import", file, "--namespace", "username", "--output", "json"];
    for _ in 0..2 {
        let (exit, text) = types(&node, &import);
        assert_eq!(exit, Some(1), "{text}");
        let summary = json(&text);
        assert_eq!((&summary["rows"], &summary["refused"], &summary["taken"]), (&3003.into(), &4.into(), &1.into()));
        assert_eq!((&summary["confirmed"], &summary["skipped"]), (&2999.into(), &0.into()), "{text}");
        let report = fs::read_to_string(summary["report"].as_str().unwrap()).unwrap();
        let lines: Vec<_> = report.lines().map(json).collect();
        let mut numbers: Vec<_> = lines.iter().map(|line| line["line"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [4, 1502, 1503, 1504]);
        let taken = lines.iter().find(|line| line["line"] == 4).unwrap();
        assert!(taken["reason"].as_str().unwrap().contains("username/Name00002"), "{taken}");
    }
    assert!(!Path::new(&format!("{file}.checkpoint")).exists());
    let names = exported(&node, "username");
    assert_eq!(names.len(), 3000);
    assert!(names.contains(&("name00002".to_owned(), "somebody".to_owned())));
    assert_eq!(exported(&node, "email").len(), 2999);
    assert_eq!(exported(&node, "other").len(), 0);

    // Another cluster can import what one has exported, in both formats.
    let (other_home, out) = (Home::new(), dir.path().join("out"));
    let other = Process::start(&other_home, &Serve::new("b")).await;
    let out = out.to_str().unwrap();
    for (format, namespace) in [("csv", "username"), ("ndjson", "email")] {
        let export = ["export", out, "--format", format, "--namespace", namespace];
        assert_eq!(types(&node, &export).0, Some(0));
        assert_eq!(types(&node, &export).0, Some(1), "the file is there");
        let (exit, text) = types(&other, &["import", out, "--format", format]);
        assert_eq!(exit, Some(0), "{text}");
        assert_eq!(exported(&other, namespace), exported(&node, namespace));
        fs::remove_file(out).unwrap();
    }
    let query = NameQuery { namespace: Some("email".to_owned()), limit: Some(1) };
    let email = other.client.names(&query, "n7@", None).await.unwrap().names.remove(0);
    assert_eq!(email.metadata.unwrap().as_str(), "{\"n\":7}");
}

#[tokio::test]
async fn an_import_leaves_no_report_of_an_earlier_one() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("people.csv");
    let report = dir.path().join("people.csv.refused");
    for (name, exit) in [("not a name", 1), ("alice", 0)] {
        fs::write(&file, format!("owner,name\nann,{name}\n")).unwrap();
        let (code, text) = types(&node, &["import", file.to_str().unwrap(), "--namespace", "username"]);
        assert_eq!((code, report.exists()), (Some(exit), exit == 1), "{text}");
    }
}

#[tokio::test]
async fn an_import_that_is_cut_short_goes_on_where_it_was() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("people.csv");
    fs::write(&file, format!("{HEADER}{}", rows(0, 25_000))).unwrap();
    let file = file.to_str().unwrap();
    let checkpoint = format!("{file}.checkpoint");
    let words = ["import", file, "--namespace", "username", "--output", "json"];
    let mut first = command(&[]);
    first.args(words).env("FORENAME_NODE", node.url()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = Guarded(first.spawn().unwrap());
    eventually("the first rows are registered", async || {
        if Path::new(&checkpoint).exists() { Ok(()) } else { Err("there is no checkpoint".to_owned()) }
    })
    .await;
    node.kill();
    first.0.kill().unwrap();
    first.ended().await;

    let node = Process::start(&home, &Serve::new("a")).await;
    let (exit, text) = types(&node, &words);
    assert_eq!(exit, Some(0), "{text}");
    let summary = json(&text);
    let (skipped, rows) = (summary["skipped"].as_u64().unwrap(), summary["rows"].as_u64().unwrap());
    assert!(skipped >= 10_000 && skipped + rows == 25_000, "{text}");
    assert_eq!(exported(&node, "username").len(), 25_000);

    // The checkpoint of another file is not used for this one.
    fs::write(&checkpoint, format!("{{\"rows\":3,\"last\":\"{}\"}}", id(1))).unwrap();
    assert_eq!(types(&node, &words).0, Some(1));
    let (exit, text) =
        types(&node, &["import", file, "--namespace", "username", "--skip", "24990", "--output", "json"]);
    assert_eq!((exit, &json(&text)["rows"]), (Some(0), &10.into()), "{text}");
}

#[tokio::test]
async fn rows_from_standard_input() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let input = "{\"owner\":\"ann\",\"name\":\"alice\",\"namespace\":\"username\"}\nnonsense\n{\"owner\":\"bob\",\"names\":[{\"namespace\":\"username\",\"name\":\"bob\"}]}\n";
    let path = home.data().join("input");
    fs::write(&path, input).unwrap();
    let mut import = command(&[]);
    import.args(["import", "--wait"]).env("FORENAME_NODE", node.url()).stdin(fs::File::open(&path).unwrap());
    let output = import.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("2 confirmed, 0 pending, 1 refused"), "{out}");
    assert!(err.contains("\"line\":2"), "{err}");
}

#[tokio::test]
async fn an_owner_has_a_limit_on_reservations() {
    let home = Home::new();
    let serve = Serve::new("a").with(&["--max-open".to_owned(), "2".to_owned()]);
    let node = Process::start(&home, &serve).await;
    let reserve = |name: &str| RegistrationBody { ttl: Some("1h".parse().unwrap()), ..user_final(name, "eve") };
    let first = claim(&node.client, &reserve("a")).await;
    claim(&node.client, &reserve("b")).await;
    let refused = node.client.register(&reserve("c")).await.unwrap_err();
    let problem = refused.problem().unwrap();
    assert_eq!((problem.problem_type, problem.status, problem.limit), (ProblemType::TooManyOpen, 429, Some(2)));
    node.client.activate(first.id).await.unwrap();
    eventually("the owner has room again", async || match node.client.register(&reserve("c")).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

#[tokio::test]
async fn a_key_of_any_text_is_one_registration_at_both_nodes() {
    let links = Arc::new(Cuts::new());
    let first = Local::start("a", links.clone(), None).await;
    let nodes = vec![Local::start("b", links, Some(&first)).await, first];
    let clients = clients(&nodes);
    all_members(&clients).await;
    let http = crate::support::http().build().unwrap();
    let mut ids = Vec::new();
    for client in [&clients[0], &clients[0], &clients[1]] {
        let request =
            http.post(format!("{}/v1/registrations", client.address())).header("Idempotency-Key", "form 7/ann");
        let response = request.json(&user_final("alice", "ann")).send().await.unwrap();
        assert_eq!(response.status(), 201);
        ids.push(response.json::<Value>().await.unwrap()["id"].clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    settled(&clients).await;
    shutdown(nodes).await;
}

fn claims(conflict: &Conflict) -> Vec<(&str, Status)> {
    conflict.claims.iter().map(|claim| (claim.owner.as_str(), claim.status)).collect()
}

// The nodes of this process need to run while commands are run, so the runtime has several threads.
#[tokio::test(flavor = "multi_thread")]
async fn both_nodes_report_the_same_conflict_and_say_why() {
    let links = Arc::new(Cuts::new());
    let first = Local::start("a", links.clone(), None).await;
    let nodes = vec![Local::start("b", links.clone(), Some(&first)).await, first];
    let clients = clients(&nodes);
    all_members(&clients).await;
    links.cut(nodes[0].peer, nodes[1].peer);
    let mut both = [claim(&clients[1], &user("Alice", "ann")).await, claim(&clients[0], &user("Alice", "bob")).await];
    both.sort_by_key(|registration| registration.stamp);
    let [won, lost] = both;
    let same_time = won.stamp.hlc == lost.stamp.hlc;
    let why = if same_time { Precedence::LowestNode } else { Precedence::EarliestTimestamp };
    claim(&clients[0], &user("bob", "bob")).await;
    links.heal();
    settled(&clients).await;
    for client in &clients {
        let page = client.conflicts(&NameQuery::default(), None, None).await.unwrap();
        let [conflict] = page.conflicts.as_slice() else { panic!("{page:?}") };
        assert_eq!((conflict.winner, conflict.why), (won.id, why));
        assert_eq!(conflict.status, ConflictStatus::Final);
        assert!(conflict.final_at.is_some());
        let outcomes = [(won.owner.as_str(), Status::Confirmed), (lost.owner.as_str(), Status::Rejected)];
        assert_eq!(claims(conflict), outcomes);
        let explained = client.explain_registration(lost.id).await.unwrap();
        assert!(explained.summary.contains(&format!("owner {} claimed username/Alice", won.owner)), "{explained}");
        let history = client.history("username", "ALICE", None).await.unwrap();
        same(&history.tenures[0].losers[0].registration, &lost.id).unwrap();

        let prints = |words: &[&str], wanted: &[&str]| {
            let (exit, text) = types_at(client.address(), words);
            assert_eq!(exit, Some(0), "{words:?}");
            wanted.iter().for_each(|wanted| assert!(text.contains(wanted), "{words:?}: no {wanted} in\n{text}"));
        };
        let (won, lost) = (won.id.to_string(), lost.id.to_string());
        prints(&["conflicts"], &["username/Alice  won", "lost", &won, &lost]);
        prints(
            &["conflicts", "--output", "csv"],
            &["namespace,key,status,why,final_at,outcome,", "username,alice,final,"],
        );
        prints(&["conflicts", "--output", "json", "--namespace", "username"], &[&won, "\"status\":\"final\""]);
        prints(&["conflicts", "--namespace", "email"], &["no name was claimed more than once"]);
        prints(&["explain", "username/alice"], &["The rule: Of several claims", &lost]);
        prints(&["show", "username/alice", "--history"], &["username/alice held", "until now", &lost]);
        let (exit, text) = types_at(client.address(), &["claim", "username/alice", "--owner", "eve", "--suggest", "2"]);
        assert_eq!((exit, text.contains("free: alice1, alice2")), (Some(3), true), "{text}");
        let words = ["claim", "username/alice", "--owner", "eve", "--suggest", "2", "--output", "json"];
        let (exit, text) = types_at(client.address(), &words);
        let told: serde_json::Value = serde_json::from_str(&text).expect("one document");
        assert_eq!((exit, &told["names"][0]["suggestions"][1]), (Some(3), &"alice2".into()), "{text}");
    }
    shutdown(nodes).await;
}

#[tokio::test]
async fn an_import_that_is_only_tried_registers_nothing_and_says_what_would_be_refused() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    claim(&node.client, &user_final("bob", "earlier")).await;
    let file = home.data().with_extension("csv");
    let report = home.data().with_extension("report");
    fs::write(&file, "owner,name\nann,alice\nbea,Bob\ncid,a b\n").unwrap();
    let words = ["import", file.to_str().unwrap(), "--namespace", "username", "--dry-run", "--output", "json"];
    let words: Vec<_> = words.into_iter().chain(["--report", report.to_str().unwrap()]).collect();
    let (code, summary) = types(&node, &words);
    let summary = json(&summary);
    // One name is taken and one is not valid, so the exit code is not the one for names that are taken only.
    assert_eq!(code, Some(1), "{summary}");
    let count = |what: &str| summary[what].as_u64();
    assert_eq!(
        (count("rows"), count("possible"), count("refused"), count("taken")),
        (Some(3), Some(1), Some(2), Some(1))
    );
    let refused: Vec<_> = fs::read_to_string(&report).unwrap().lines().map(json).collect();
    assert_eq!(refused.iter().map(|row| row["line"].as_u64()).collect::<Vec<_>>(), [Some(3), Some(4)]);
    assert!(node.client.name("username", "alice").await.unwrap().registration.is_none());
    assert!(!home.data().with_extension("csv.checkpoint").exists(), "there is nothing to go on with");
    // The same command without the flag registers the names that are possible, and then they are not possible any more.
    let words: Vec<_> = words.into_iter().filter(|word| *word != "--dry-run").collect();
    assert_eq!(json(&types(&node, &words).1)["refused"], 2);
    assert!(node.client.name("username", "alice").await.unwrap().registration.is_some());
}
