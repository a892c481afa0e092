//! Tests of the metrics as Prometheus reads them, and of the alerts and the dashboard that use them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use forename::model::WebhookBody;
use serde_json::Value;

use crate::support::process::{Home, Process, Serve};
use crate::support::{all_members, claim, eventually, skipped, try_claim, user, user_final};

/// Makes a command that runs `promtool`, where it is installed.
fn promtool() -> Option<Command> {
    let found = Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success());
    found.then(|| Command::new("promtool"))
}

const NO_PROMTOOL: &str = "there is no promtool of Prometheus to check with";

/// Gives a text to `promtool`. Returns its complaints, where it has any.
fn objections(mut promtool: Command, text: &str) -> Option<String> {
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

async fn scraped(node: &Process, accept: &str) -> String {
    let http = crate::support::http().build().unwrap();
    let request = http.get(format!("{}/metrics", node.url())).header("accept", accept);
    request.send().await.unwrap().text().await.unwrap()
}

/// Returns the value of the only sample with this name and these labels.
fn value(text: &str, sample: &str) -> Option<f64> {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let value = found.next()?.parse().ok();
    assert!(found.next().is_none(), "{sample} is there twice:\n{text}");
    value
}

/// Returns the names of all samples. Those of a histogram have their suffixes.
fn names(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// Returns the lines without their values.
fn series(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}

/// Returns the names of metrics in an expression.
fn used(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("forename_")).map(str::to_owned).collect()
}

async fn two() -> ([Home; 2], [Process; 2]) {
    let homes = [Home::new(), Home::new()];
    let a = Process::start(&homes[0], &Serve::new("a")).await;
    let token = a.client.mint_token(None).await.unwrap();
    let b = Process::start(&homes[1], &Serve::new("b").join(a.peer, &token)).await;
    all_members(&[a.client.clone(), b.client.clone()]).await;
    (homes, [a, b])
}

#[tokio::test]
async fn a_node_counts_what_it_did_and_says_how_the_cluster_is() {
    let (_homes, [mut a, b]) = two().await;
    claim(&a.client, &user_final("alice", "ann")).await;
    assert!(try_claim(&a.client, &user("alice", "bob")).await.is_none());
    let other = b.client.cluster().await.unwrap().node;
    let text = eventually("the counters have moved", async || {
        let text = scraped(&a, "text/plain").await;
        let final_ones = value(&text, "forename_time_to_final_seconds_count");
        let connected = value(&text, &format!("forename_member_connected{{node=\"{other}\"}}"));
        let healthy = value(&text, "forename_cluster_healthy");
        let lag = value(&text, &format!("forename_replication_lag_ops{{node=\"{other}\"}}"));
        let is = (final_ones, connected, healthy, lag) == (Some(1.0), Some(1.0), Some(1.0), Some(0.0));
        if is { Ok(text) } else { Err(text) }
    })
    .await;
    for (sample, expected) in [
        ("forename_registrations_total{outcome=\"accepted\"}", 1.0),
        ("forename_registrations_total{outcome=\"confirmed\"}", 1.0),
        ("forename_registrations_total{outcome=\"refused\"}", 1.0),
        ("forename_registrations_total{outcome=\"rejected\"}", 0.0),
        ("forename_conflicts_total", 0.0),
        ("forename_http_request_seconds_count{route=\"POST /v1/registrations\",status=\"201\"}", 1.0),
        ("forename_http_request_seconds_count{route=\"POST /v1/registrations\",status=\"409\"}", 1.0),
        ("forename_forked_logs", 0.0),
        ("forename_clock_suspect", 0.0),
        ("forename_reservations_overdue", 0.0),
        ("forename_pending", 0.0),
        (&format!("forename_queue_bytes{{peer=\"{other}\"}}"), 0.0),
        (&format!("forename_member_info{{node=\"{other}\",label=\"b\"}}"), 1.0),
    ] {
        assert_eq!(value(&text, sample), Some(expected), "{sample} in\n{text}");
    }
    let some = |sample: &str| value(&text, sample).unwrap_or_else(|| panic!("{sample} is not in\n{text}"));
    assert!(some("forename_fsync_seconds_count") >= 1.0 && some("forename_step_seconds_count") >= 1.0, "{text}");
    assert!(some("forename_events_last") >= 2.0 && some("forename_log_bytes") > 0.0, "{text}");
    assert!(text.contains("forename_store_bytes{table=\"names\"}"), "{text}");

    // The other node has counters of its own.
    let others = scraped(&b, "text/plain").await;
    assert_eq!(value(&others, "forename_registrations_total{outcome=\"accepted\"}"), Some(0.0), "{others}");
    // A reader that asks for OpenMetrics gets it.
    let open = scraped(&a, "application/openmetrics-text;version=1.0.0,text/plain;q=0.3").await;
    assert!(open.ends_with("# EOF\n"), "{open}");

    // Requests that are no calls of the interface make one series at most.
    let http = crate::support::http().build().unwrap();
    let before = series(&text);
    for number in 0..20 {
        let method = reqwest::Method::from_bytes(format!("BREW{number}").as_bytes()).unwrap();
        let json = ("content-type", "application/json");
        let odd = http.request(method, format!("{}/v1/names/n{number}/x", a.url())).header(json.0, json.1);
        assert_eq!(odd.send().await.unwrap().status(), 405);
        assert_eq!(http.get(format!("{}/secret-{number}", a.url())).send().await.unwrap().status(), 404);
    }
    let after = scraped(&a, "text/plain").await;
    let routes = |known: &BTreeSet<String>| {
        known.iter().filter(|series| series.starts_with("forename_http_request_seconds_count")).cloned().collect()
    };
    let (before, after): (BTreeSet<String>, BTreeSet<String>) = (routes(&before), routes(&series(&after)));
    let new: Vec<_> = after.difference(&before).filter(|series| !series.contains("/metrics")).collect();
    assert_eq!(new.len(), 2, "one for 404 and one for 405: {new:?}");
    assert!(new.iter().all(|series| series.contains("route=\"none\"")), "{new:?}");
    a.assert_lives();

    let Some(mut promtool) = promtool() else { return skipped(NO_PROMTOOL) };
    promtool.args(["check", "metrics"]);
    assert_eq!(objections(promtool, &text), None);
}

#[tokio::test]
async fn alerts_and_dashboard_speak_of_what_there_is_and_operators_read_what_to_do() {
    let (_homes, [a, _b]) = two().await;
    claim(&a.client, &user_final("alice", "ann")).await;
    let hook = WebhookBody { url: "https://hooks.example.org/".to_owned(), ..WebhookBody::default() };
    let hook = a.client.make_webhook(&hook).await.unwrap().id;
    let lag = format!("forename_webhook_lag_events{{hook=\"{hook}\"}}");
    eventually("the webhook is measured", async || {
        let text = scraped(&a, "text/plain").await;
        if value(&text, &lag).is_some() { Ok(()) } else { Err(text) }
    })
    .await;
    let known = names(&scraped(&a, "text/plain").await);

    let (alerts, operations) = (file("deploy/alerts.yml"), file("docs/operations.md"));
    let named: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(named.len() > 5, "{named:?}");
    let runbooks: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
    assert_eq!(runbooks.len(), named.len());
    for (alert, runbook) in named.iter().zip(runbooks) {
        assert_eq!(runbook, format!("docs/operations.md#{}", alert.to_lowercase()));
        let section = operations.split_once(&format!("### {alert}\n"));
        let section = section.and_then(|(_, rest)| rest.split("\n#").next());
        assert!(section.is_some_and(|section| section.contains("**Do**")), "{alert} has no section: {section:?}");
    }
    let speaks: BTreeSet<_> = used(&alerts);
    assert!(speaks.is_subset(&known), "of what there is not: {:?}", speaks.difference(&known));

    let dashboard: Value = serde_json::from_str(&file("deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let shown: BTreeSet<_> = expressions.iter().flat_map(|expression| used(expression)).collect();
    assert!(shown.is_subset(&known), "of what there is not: {:?}", shown.difference(&known));
    // The page for operators explains each metric.
    let families = known.iter().map(|name| {
        ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned()
    });
    for family in families {
        assert!(operations.contains(&family), "docs/operations.md does not tell of {family}");
    }

    let Some(mut check) = promtool() else { return skipped(NO_PROMTOOL) };
    check.args(["check", "rules", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts.yml")]);
    assert_eq!(objections(check, ""), None);
    let mut check = promtool().unwrap();
    check.args(["test", "rules", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts_test.yml")]);
    assert_eq!(objections(check, ""), None);
    // All alerts are in the tests.
    let tested = file("deploy/alerts_test.yml");
    assert!(named.iter().all(|alert| tested.contains(&format!("alertname=\"{alert}\""))), "{named:?}");
    // The dashboard's expressions are checked by the same tool, as recording rules.
    let rules = expressions.iter().enumerate().map(|(number, expression)| {
        let expression = expression.replace("$instance", ".*").replace("$__rate_interval", "5m");
        format!("      - record: panel:{number}\n        expr: {}\n", Value::from(expression))
    });
    let text = format!("groups:\n  - name: dashboard\n    rules:\n{}", rules.collect::<String>());
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.yml");
    fs::write(&rules, text).unwrap();
    let mut check = promtool().unwrap();
    check.args(["check", "rules"]).arg(rules);
    assert_eq!(objections(check, ""), None);
}
