//! Tests of private names: a caller that may only claim cannot find out whether an address is taken, and no other node
//! stores the address.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use forename::Client;
use forename::model::{EventQuery, EventType, NameStatus, Status};
use forename::model::{NameRef, NamespaceBody, RegistrationBody};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{claim, eventually, same};

/// The number of addresses of each kind that are asked for.
const PROBES: usize = 20;
/// The same number where times are measured.
const MEASURED: usize = 300;
/// The number of lines in a batch.
const BATCH: usize = 50_000;

fn secret(file: &Path, words: &str) -> String {
    let output = run(command(&[]).args(["token", "new"]).args(words.split(' ')));
    let (lines, secret) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let (lines, secret) = (lines.trim_end(), secret.trim_end());
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, format!("{before}{lines}\n")).unwrap();
    secret.to_owned()
}

/// A node whose addresses are private, with the token of a caller that may do everything and that of a caller that may
/// only claim.
struct Guarded {
    home: Home,
    node: Process,
    admin: String,
    operator: Client,
    claims: String,
}

impl Guarded {
    async fn start() -> Self {
        let home = Home::new();
        let file = home.data().with_file_name("tokens.toml");
        let admin = secret(&file, "--name ops --scope admin");
        let claims = secret(&file, "--name form --scope claim");
        let serve = Serve::new("a").with(&["--api-tokens".to_owned(), file.display().to_string()]);
        let node = Process::start(&home, &serve).await;
        let operator = node.client.clone().with_token(&admin).unwrap();
        let private = NamespaceBody { private: true, ..NamespaceBody::default() };
        operator.set_namespace("email", &private).await.unwrap();
        Self { home, node, admin, operator, claims }
    }
}

fn address(name: &str, owner: &str) -> RegistrationBody {
    let name = NameRef { namespace: "email".to_owned(), name: format!("{name}@example.org") };
    RegistrationBody { owner: owner.to_owned(), names: vec![name], ..RegistrationBody::default() }
}

/// An answer, and the time that it took.
struct Answer {
    took: Duration,
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The answer without ids, stamps and times.
    fn shape(&self) -> (u16, Vec<(String, String)>, Value) {
        let mut body: Value = serde_json::from_str(&self.body).unwrap();
        for (name, value) in body.as_object_mut().unwrap() {
            if ["id", "stamp", "accepted_at", "expires_at"].contains(&name.as_str()) {
                *value = json!("");
            }
        }
        for name in body["names"].as_array_mut().unwrap() {
            for field in ["name", "key"] {
                name[field] = json!(name[field].as_str().unwrap().len());
            }
        }
        // The length of a stamp depends on the number of digits of its counter.
        let stamp = serde_json::from_str::<Value>(&self.body).unwrap()["stamp"].as_str().unwrap().len();
        let headers = self.headers.iter().map(|(name, value)| match name.as_str() {
            // The id of a request is a counter of all requests.
            "date" | "x-request-id" => (name.to_string(), String::new()),
            "location" => (name.to_string(), value.len().to_string()),
            "content-length" => {
                assert_eq!(value, &self.body.len().to_string());
                (name.to_string(), (self.body.len() - stamp).to_string())
            }
            _ => (name.to_string(), value.to_str().unwrap().to_owned()),
        });
        (self.status, headers.collect(), body)
    }
}

#[expect(clippy::disallowed_methods, reason = "how long an answer takes is what is tested")]
async fn ask(http: &reqwest::Client, url: &str, token: &str, body: &Value) -> Answer {
    let request = http.post(url).bearer_auth(token).json(body).build().unwrap();
    let begin = Instant::now();
    let response = http.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.unwrap();
    Answer { took: begin.elapsed(), status, headers, body }
}

/// The quartiles of the times of answers, in microseconds.
fn quartiles(times: &[Duration]) -> [u128; 3] {
    let mut times: Vec<_> = times.iter().map(Duration::as_micros).collect();
    times.sort_unstable();
    [1, 2, 3].map(|quarter| times[times.len() * quarter / 4])
}

/// Asks for a taken address and a free one in turn. Returns the times of both kinds.
async fn probed(
    guarded: &Guarded,
    namespace: &str,
    probes: usize,
    ttl: Option<&str>,
    round: &str,
) -> [Vec<Duration>; 2] {
    let url = format!("{}/v1/registrations", guarded.node.url());
    let http = crate::support::http().build().unwrap();
    let body = |name: String| {
        let names = json!([{"namespace": namespace, "name": name}]);
        json!({"owner": "eve", "names": names, "ttl": ttl, "wait": "final", "timeout": "10s"})
    };
    let (mut taken, mut free, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..probes {
        let known = ask(&http, &url, &guarded.claims, &body(format!("known-{number:07}@example.org"))).await;
        let fresh = ask(&http, &url, &guarded.claims, &body(format!("{round}-{number:07}@example.org"))).await;
        shapes.extend([known.shape(), fresh.shape()]);
        taken.push(known.took);
        free.push(fresh.took);
    }
    let first = shapes[0].clone();
    assert_eq!((first.0, &first.2["status"]), (202, &json!("pending")), "{first:?}");
    for (number, shape) in shapes.iter().enumerate() {
        assert_eq!(*shape, first, "answer {number} tells whether the address is taken");
    }
    [taken, free]
}

/// Registers this number of addresses.
async fn fill(guarded: &Guarded, names: usize) {
    for first in (0..names).step_by(BATCH) {
        let bodies = (first..names.min(first + BATCH)).map(|number| address(&format!("known-{number:07}"), "ann"));
        let bodies: Vec<_> = bodies.collect();
        let mut answers = guarded.operator.register_all(futures_util::stream::iter(bodies)).await.unwrap();
        while let Some(line) = answers.next().await.unwrap() {
            assert!(line.registration.is_some(), "{line:?}");
        }
    }
}

/// Only the contents of the answers are asserted. Their times are printed (`--nocapture`). They are meaningful with a
/// store that is larger than its caches: `FORENAME_NAMES=500000` fills one, in some minutes.
#[tokio::test]
async fn an_address_that_is_taken_is_answered_as_one_that_is_not() {
    let guarded = Guarded::start().await;
    let measured = std::env::var("FORENAME_NAMES").ok().map(|names| (names.parse().unwrap(), MEASURED));
    let (names, probes): (usize, usize) = measured.unwrap_or((PROBES, PROBES));
    fill(&guarded, names.max(probes)).await;
    // A caller that may read is told at once.
    let taken = guarded.operator.register(&address("Known-0000000", "bob")).await.unwrap_err();
    assert!(taken.is_taken(), "{taken}");

    for (ttl, round) in [(Some("1h"), "fresi"), (None, "freea")] {
        let [taken, free] = probed(&guarded, "email", probes, ttl, round).await;
        println!(
            "quartiles in µs of {names} taken addresses {:?}, of free ones {:?}",
            quartiles(&taken),
            quartiles(&free)
        );
    }

    // Every outcome is in the feed.
    let mut events =
        guarded.operator.stream(None, EventQuery { owner: Some("eve".to_owned()), ..EventQuery::default() });
    let (mut confirmed, mut rejected) = (0, 0);
    while confirmed < 2 * probes || rejected < 2 * probes {
        match events.next().await.unwrap().event_type {
            EventType::Confirmed => confirmed += 1,
            EventType::Rejected => rejected += 1,
            _ => {}
        }
    }
}

/// Returns true where a file below a directory contains these bytes.
fn has(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return has(&path, bytes);
        }
        // A file that was removed after it was listed counts as empty.
        fs::read(&path).unwrap_or_default().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn the_address_stays_at_the_node_that_was_asked() {
    let guarded = Guarded::start().await;
    let token = guarded.operator.mint_token(None).await.unwrap();
    let home = Home::new();
    let other = Process::start(&home, &Serve::new("b").join(guarded.node.peer, &token)).await;
    crate::support::all_members(&[guarded.operator.clone(), other.client.clone()]).await;
    let ann = claim(&guarded.operator, &address("Ann.Lovelace", "ann")).await;
    eventually("the other node knows", async || {
        let status = other.client.registration(ann.id).await.map_err(|error| error.to_string())?.status;
        same(&status, &Status::Confirmed)
    })
    .await;
    let held = other.client.name("email", "ann.lovelace@example.org").await.unwrap();
    assert_eq!((held.status, held.registration), (NameStatus::Held, Some(ann.id)));
    let there = other.client.registration(ann.id).await.unwrap();
    assert_eq!((there.names[0].name.as_str(), &there.names[0].key), ("", &ann.names[0].key));
    let here = guarded.operator.registration(ann.id).await.unwrap();
    assert_eq!(here.names[0].name, "Ann.Lovelace@example.org");
    let shown = run(command(&[]).args(["show", &ann.id.to_string(), "--node", &other.url()]));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("email/(private)"), "{shown:?}");
    let raw = crate::support::http().build().unwrap();
    let raw = raw.get(format!("{}/v1/namespaces/email/names", other.url())).send().await.unwrap();
    let raw: Value = raw.json().await.unwrap();
    assert_eq!((raw["names"][0]["owner"].as_str(), raw["names"][0].get("name")), (Some("ann"), None));
    for text in ["Ann.Lovelace", "ann.lovelace"] {
        assert!(!has(&home.data(), text.as_bytes()), "{text} is in the other node's directory");
    }
    assert!(has(&guarded.home.data(), b"Ann.Lovelace"), "its own node has it");
    assert!(!has(&guarded.home.data(), b"ann.lovelace"), "but not its canonical form");
}

#[tokio::test]
async fn an_import_of_addresses_makes_no_ids_that_tell_them() {
    let guarded = Guarded::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("people.csv");
    fs::write(&file, "owner,name\nann,ann@example.org\n").unwrap();
    let import = |token: &str, more: &[&str]| {
        let file = file.to_str().unwrap();
        let words = [&["import", file, "--namespace", "email", "--wait", "--output", "json"], more].concat();
        let mut import = command(&[]);
        import.args(words).env("FORENAME_NODE", guarded.node.url()).env("FORENAME_API_TOKEN", token);
        run(&mut import)
    };
    // A caller that may not read whether names are private is refused too.
    for token in [&guarded.admin, &guarded.claims] {
        let refused = import(token, &[]);
        let why = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(2) && why.contains("line 2") && why.contains("--ids-under"), "{why}");
    }
    assert!(
        guarded.operator.owner("ann", None, None).await.unwrap().registrations.is_empty(),
        "nothing was registered"
    );
    let secret = ["--ids-under", "7d9f1a52-52a3-4be5-90c5-0d1c6a9f3b11"];
    for _ in 0..2 {
        let done = import(&guarded.admin, &secret);
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success() && text.contains("\"confirmed\":1"), "{text}");
    }
    assert_eq!(guarded.operator.owner("ann", None, None).await.unwrap().registrations.len(), 1);
}
