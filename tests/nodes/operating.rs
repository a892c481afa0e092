//! Tests of the tools of operators: request ids, the audit log, and settings that are checked, shown, and loaded again.

use std::fs;
use std::process::Output;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{claim, eventually, try_claim, user};

/// Adds a token to a file. Returns its secret.
fn token(file: &std::path::Path, name: &str, scope: &str) -> String {
    let made = run(command(&[]).args(["token", "new", "--name", name, "--scope", scope]));
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, before + &String::from_utf8(made.stdout).unwrap()).unwrap();
    String::from_utf8(made.stderr).unwrap().trim().to_owned()
}

async fn logged(home: &Home, what: &str) -> String {
    eventually("it is in the log", async || {
        let log = home.read_log();
        log.lines().find(|line| line.contains(what)).map(str::to_owned).ok_or(log)
    })
    .await
}

#[tokio::test]
async fn a_request_has_an_id_in_its_answer_and_in_the_lines_of_log() {
    let home = Home::new();
    let mut serve = Serve::new("a");
    serve.variables.push(("FORENAME_LOG".to_owned(), "forename=debug".to_owned()));
    let node = Process::start(&home, &serve).await;
    let http = crate::support::http().build().unwrap();
    let asked = async |headers: &[(&str, &str)]| -> HeaderMap {
        let request = http.get(format!("{}/v1/names/username/alice", node.url()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap().headers().clone()
    };
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    assert_eq!(asked(&[("x-request-id", "desk/7")]).await["x-request-id"], "desk/7");
    assert_eq!(asked(&[("traceparent", &parent)]).await["x-request-id"], trace);
    let (own, other) = (asked(&[]).await, asked(&[("x-request-id", "no id \"")]).await);
    assert_ne!(own["x-request-id"], other["x-request-id"]);
    let line = logged(&home, "request{id=\"desk/7\"}: forename::api::observe: answered").await;
    assert!(line.contains("GET /v1/names/{namespace}/{name}") && line.contains("status=200"), "{line}");
    // The path may contain a private name, so it is not in the line.
    assert!(!line.contains("alice"), "{line}");
    // A request that is refused early has an id too.
    let refused = asked(&[("host", "evil.example")]).await;
    assert!(refused.contains_key("x-request-id"), "{refused:?}");
}

#[tokio::test]
async fn what_administrators_do_and_try_is_in_a_log_of_its_own() {
    let home = Home::new();
    let (tokens, audit) = (home.data().with_file_name("tokens.toml"), home.data().with_file_name("audit.log"));
    let (admin, claims) = (token(&tokens, "ops", "admin"), token(&tokens, "shop", "claim"));
    let flags = ["--api-tokens", tokens.to_str().unwrap(), "--audit-log", audit.to_str().unwrap(), "--log", "error"];
    let node = Process::start(&home, &Serve::new("a").with(&flags.map(str::to_owned))).await;
    let http = crate::support::http().build().unwrap();
    let call = async |method: reqwest::Method, path: &str, secret: &str, body: Value| {
        let request = http.request(method, format!("{}{path}", node.url())).bearer_auth(secret).json(&body);
        request.header("x-request-id", "shift-7").send().await.unwrap().status().as_u16()
    };
    use reqwest::Method;
    assert_eq!(call(Method::PATCH, "/v1/cluster/settings", &admin, json!({ "evict_after": "10m" })).await, 200);
    let evict = "/v1/cluster/members/000000000abc0000/evict?force=true";
    assert_eq!(call(Method::POST, evict, &admin, json!({})).await, 404);
    assert_eq!(call(Method::POST, "/v1/cluster/tokens", &claims, json!({})).await, 403);
    assert_eq!(call(Method::POST, "/v1/cluster/tokens", "fna1.00", json!({})).await, 401);
    assert_eq!(call(Method::POST, "/v1/cluster/tokens", &admin, json!({ "uses": 2 })).await, 201);
    assert_eq!(call(Method::PUT, "/v1/namespaces/org", &admin, json!({ "profile": "opaque" })).await, 200);
    // Looking at webhooks is in the log only where it is refused; taking a backup, which has the node's key, always is.
    assert_eq!(call(Method::GET, "/v1/webhooks", &admin, Value::Null).await, 200);
    assert_eq!(call(Method::GET, "/v1/webhooks", &claims, Value::Null).await, 403);
    assert_eq!(call(Method::GET, "/v1/cluster/backup", &admin, Value::Null).await, 200);
    // Acts of callers that are not administrators are not in the audit log.
    let client = node.client.clone().with_token(&claims).unwrap();
    claim(&client, &user("alice", "ann")).await;

    let text = fs::read_to_string(&audit).unwrap();
    let acts: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        acts.iter().map(|act| (act["token"].as_str(), act["act"].as_str(), act["outcome"].as_str())).collect();
    assert_eq!(
        told,
        [
            (Some("ops"), Some("PATCH /v1/cluster/settings"), Some("done")),
            (Some("ops"), Some("POST /v1/cluster/members/{node}/evict"), Some("no-member")),
            (Some("shop"), Some("POST /v1/cluster/tokens"), Some("forbidden")),
            (Some("ops"), Some("POST /v1/cluster/tokens"), Some("done")),
            (Some("ops"), Some("PUT /v1/namespaces/{namespace}"), Some("done")),
            (Some("shop"), Some("GET /v1/webhooks"), Some("forbidden")),
            (Some("ops"), Some("GET /v1/cluster/backup"), Some("done")),
        ]
    );
    assert_eq!(acts[0]["change"], json!({ "evict_after": "10m" }));
    assert_eq!(acts[1]["about"], json!({ "node": "000000000abc0000", "parameters": "force=true" }));
    assert_eq!(acts[3]["change"]["uses"], 2);
    assert!(acts.iter().all(|act| act["address"] == "127.0.0.1" && act["request"] == "shift-7"), "{text}");
    assert!(acts.iter().all(|act| act["time"].is_string()), "{text}");
    assert!(!text.contains("fn1.") && !text.contains(&admin), "a secret is in the audit log: {text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&audit).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The acts are in the node's log too, although its level is that of errors.
    let log = home.read_log();
    assert_eq!(log.matches("an administrator's act").count(), acts.len(), "{log}");
    assert!(!log.contains("forename starts"), "{log}");

    // The audit log is rotated.
    fs::rename(&audit, audit.with_extension("1")).unwrap();
    node.hang_up();
    eventually("the file is opened anew", async || {
        let text = fs::read_to_string(&audit).map_err(|error| error.to_string())?;
        if text.contains("signal HUP") { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test]
async fn settings_are_read_anew_while_the_node_runs() {
    let home = Home::new();
    let file = home.data().with_file_name("forename.toml");
    fs::write(&file, "max_open = 1\nlog = 'info'\n").unwrap();
    let serve = Serve::new("a").with(&["--config".to_owned(), file.display().to_string()]);
    let mut node = Process::start(&home, &serve).await;
    let reserve = async |name: &str| {
        let ttl = Some(forename::model::Span(std::time::Duration::from_secs(3600)));
        let body = forename::model::RegistrationBody { ttl, ..user(name, "ann") };
        node.client.register(&body).await.map(drop).map_err(|error| error.to_string())
    };
    reserve("alice").await.unwrap();
    assert!(reserve("bob").await.unwrap_err().contains("which is the limit"));

    let http = crate::support::http().build().unwrap();
    let asked = async |headers: [&str; 2]| {
        let request =
            http.get(format!("{}/healthz", node.url())).header("host", headers[0]).header("origin", headers[1]);
        request.send().await.unwrap().status().as_u16()
    };
    let listed = ["names.example.org", "https://desk.example.org"];
    assert_eq!(asked(listed).await, 421);

    fs::write(&file, "max_open = oops").unwrap();
    node.hang_up();
    let line = logged(&home, "settings stay as they were").await;
    assert!(line.contains("forename.toml"), "{line}");
    assert!(reserve("bob").await.is_err());

    // Where one setting is wrong the others are not taken either.
    fs::write(&file, "max_open = 3\nhosts = ['names.example.org']\norigins = ['desk.example.org']\n").unwrap();
    node.hang_up();
    logged(&home, "is not the origin of a web page").await;
    assert_eq!((asked(listed).await, reserve("bob").await.is_err()), (421, true));

    fs::write(
        &file,
        "max_open = 3\nlog = 'forename=debug'\nadvertise = '127.0.0.1:9'\nrate = 400\n\
         hosts = ['names.example.org']\norigins = ['https://desk.example.org']\n",
    )
    .unwrap();
    node.hang_up();
    let line = logged(&home, "settings were read anew").await;
    for part in ["max_open from 1 to 3", "log from info to forename=debug", "rate from 5000 to 400"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(
        line.contains(" WARN ") && line.contains("takes_a_restart=\"advertise from none to 127.0.0.1:9\""),
        "{line}"
    );
    eventually("the limit is another one", async || reserve("bob").await).await;
    assert_eq!(asked(listed).await, 200);
    assert_eq!(asked(["names.example.org", "https://evil.example"]).await, 403);
    assert!(try_claim(&node.client, &user("alice", "carol")).await.is_none());
    logged(&home, "answered route=\"POST /v1/registrations\"").await;
    node.assert_lives();
}

/// Runs `forename config` with these words.
fn config(words: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = run(command(&[]).arg("config").args(words));
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn settings_are_checked_and_shown_before_a_node_runs_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("forename.toml");
    fs::write(&file, "name = 'one'\nrate = 70\n").unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(config(&["check", "--config", path]), (Some(0), "ok\n".to_owned()));
    let (code, text) = config(&["check", "--config", path, "--http", "0.0.0.0:7400"]);
    assert!(code == Some(2) && text.contains("--api-tokens"), "{text}");
    let (code, text) = config(&["check", "--config", path, "--log", "forename=loud"]);
    assert!(code == Some(2) && text.contains("does not say what to log"), "{text}");
    let (code, text) = config(&["check", "--config", path, "--api-tokens", "/nonexistent"]);
    assert!(code == Some(2) && text.contains("/nonexistent"), "{text}");
    // `serve` refuses each of these settings, so the check has to name it.
    let audit = dir.path().join("none/audit.log");
    for (words, why) in [
        (["--join-token-file", path], "join token"),
        (["--data-dir", path], "data directory"),
        (["--audit-log", audit.to_str().unwrap()], "audit log"),
    ] {
        let (code, text) = config(&[["check", "--config", path].as_slice(), words.as_slice()].concat());
        assert!(code == Some(2) && text.contains(why), "{words:?}: {text}");
    }
    let (code, text) = config(&["check", "--reader"]);
    assert!(code == Some(2) && text.contains("member token --reader"), "{text}");
    let few = dir.path().join("few.toml");
    fs::write(&few, "name = ''\nmax_connections = 0\n").unwrap();
    let (code, text) = config(&["check", "--config", few.to_str().unwrap()]);
    assert!(code == Some(2) && text.contains("max_connections is 0"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing was made");

    let (code, text) = config(&["show", "--config", path, "--rate", "80", "--token", "fn1.secret"]);
    let line = |setting: &str| {
        let found = text.lines().find(|line| line.split_whitespace().next() == Some(setting));
        found
            .unwrap_or_else(|| panic!("no {setting} in\n{text}"))
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(code, Some(0));
    assert_eq!(
        (line("name"), line("rate"), line("token")),
        ("one file".to_owned(), "80 flag".to_owned(), "(hidden) flag".to_owned())
    );
    assert_eq!((line("http"), line("hosts")), ("127.0.0.1:7400 default".to_owned(), "- default".to_owned()));
    assert!(!text.contains("secret"), "{text}");
    let variable = run(command(&[]).args(["config", "show", "-o", "json"]).env("FORENAME_RATE", "90"));
    let shown: Value = serde_json::from_slice(&variable.stdout).unwrap();
    let rate = shown["settings"].as_array().unwrap().iter().find(|setting| setting["setting"] == "rate");
    assert_eq!(rate, Some(&json!({ "setting": "rate", "value": "90", "source": "environment" })));
}
