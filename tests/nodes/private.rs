//! Private names: whoever may only claim cannot find out whether an address is taken, and no other node comes to see it.

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

/// Addresses of each kind that are asked for.
const PROBES: usize = 300;
/// Shuffles of the measured times.
const SHUFFLES: usize = 2000;

fn secret(file: &Path, words: &str) -> String {
    let output = run(command(&[]).args(["token", "new"]).args(words.split(' ')));
    let (lines, secret) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let (lines, secret) = (lines.trim_end(), secret.trim_end());
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, format!("{before}{lines}\n")).unwrap();
    secret.to_owned()
}

/// A node whose addresses are private: who may do everything, and who may only claim.
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

/// One answer, and how long it took.
struct Answer {
    took: Duration,
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// All of it but for ids, stamps and times.
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
        // A stamp is as long as its counter has digits.
        let stamp = serde_json::from_str::<Value>(&self.body).unwrap()["stamp"].as_str().unwrap().len();
        let headers = self.headers.iter().map(|(name, value)| match name.as_str() {
            "date" => (name.to_string(), String::new()),
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

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

/// How far the medians of two kinds of answers are apart, as a part of the median of all, and how often a shuffle of the
/// same times shows as much.
fn compared(taken: &[Duration], free: &[Duration]) -> (f64, f64, f64) {
    let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    let (taken, free) = (seconds(taken), seconds(free));
    let apart = |a: &[f64], b: &[f64]| (median(&mut a.to_vec()) - median(&mut b.to_vec())).abs();
    let found = apart(&taken, &free);
    let mut all = [taken.clone(), free].concat();
    let middle = median(&mut all.clone());
    // Any shuffle will do, but the same in each run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut as_much = 0;
    for _ in 0..SHUFFLES {
        for index in (1..all.len()).rev() {
            all.swap(index, draw(index + 1));
        }
        as_much += usize::from(apart(&all[..taken.len()], &all[taken.len()..]) >= found);
    }
    (found / middle, as_much as f64 / SHUFFLES as f64, middle)
}

/// Asks for addresses that are taken and for ones that are not in turn. Returns the times of both.
async fn probed(guarded: &Guarded, ttl: Option<&str>, round: &str) -> (Vec<Duration>, Vec<Duration>) {
    let url = format!("{}/v1/registrations", guarded.node.url());
    let http = crate::support::http().build().unwrap();
    let body = |namespace: &str, name: String| {
        let names = json!([{"namespace": namespace, "name": name}]);
        json!({"owner": "eve", "names": names, "ttl": ttl, "wait": "final", "timeout": "10s"})
    };
    let (mut taken, mut free, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..PROBES {
        let known = ask(&http, &url, &guarded.claims, &body("email", format!("known-{number:04}@example.org"))).await;
        let fresh = format!("{round}-{number:04}@example.org");
        let fresh = ask(&http, &url, &guarded.claims, &body("email", fresh)).await;
        shapes.extend([known.shape(), fresh.shape()]);
        taken.push(known.took);
        free.push(fresh.took);
    }
    let first = shapes[0].clone();
    assert_eq!((first.0, &first.2["status"]), (202, &json!("pending")), "{first:?}");
    for (number, shape) in shapes.iter().enumerate() {
        assert_eq!(*shape, first, "answer {number} tells whether the address is taken");
    }
    (taken, free)
}

#[tokio::test]
async fn an_address_that_is_taken_is_answered_as_one_that_is_not() {
    let guarded = Guarded::start().await;
    for number in 0..PROBES {
        claim(&guarded.operator, &address(&format!("known-{number:04}"), "ann")).await;
    }
    // Whoever may read is told at once.
    let taken = guarded.operator.register(&address("Known-0000", "bob")).await.unwrap_err();
    assert!(taken.is_taken(), "{taken}");

    probed(&guarded, Some("1h"), "fresi").await;
    // Where a disk has a bad moment it does not have it three times. A machine without one does not get past the first.
    let mut told = Vec::new();
    for round in ["freea", "freeb", "freec"] {
        let (taken, free) = probed(&guarded, None, round).await;
        let (apart, chance, middle) = compared(&taken, &free);
        told.push((apart, chance, middle));
        if apart < 0.25 || chance > 0.001 {
            break;
        }
    }
    let (apart, chance, middle) = told.last().copied().unwrap();
    let text = format!("{:.1} % of {:.0} µs, p = {chance}", apart * 100.0, middle * 1e6);
    // For docs/benchmarks.md.
    if let Ok(file) = std::env::var("FORENAME_MEASURED") {
        fs::write(file, format!("{told:?}\n{text}\n{}\n", early_refusal(&guarded).await)).unwrap();
    }
    assert!(apart < 0.25 || chance > 0.001, "whether an address is taken shows by the time: {text}");

    // Every outcome is at the feed.
    let mut events =
        guarded.operator.stream(None, EventQuery { owner: Some("eve".to_owned()), ..EventQuery::default() });
    let wanted = PROBES * (1 + told.len());
    let (mut confirmed, mut rejected) = (0, 0);
    while confirmed < wanted || rejected < wanted {
        match events.next().await.unwrap().event_type {
            EventType::Confirmed => confirmed += 1,
            EventType::Rejected => rejected += 1,
            _ => {}
        }
    }
}

/// The same statistic where a taken name is refused at once: user names, which are public.
async fn early_refusal(guarded: &Guarded) -> String {
    let url = format!("{}/v1/registrations", guarded.node.url());
    let http = crate::support::http().build().unwrap();
    let body = |name: String| json!({"owner": "eve", "names": [{"namespace": "username", "name": name}]});
    let (mut taken, mut free) = (Vec::new(), Vec::new());
    ask(&http, &url, &guarded.claims, &body("known".to_owned())).await;
    for number in 0..PROBES {
        taken.push(ask(&http, &url, &guarded.claims, &body("known".to_owned())).await.took);
        free.push(ask(&http, &url, &guarded.claims, &body(format!("free{number}"))).await.took);
    }
    let (apart, chance, middle) = compared(&taken, &free);
    format!("refused at once: {:.1} % of {:.0} µs, p = {chance}", apart * 100.0, middle * 1e6)
}

/// Whether some file below a directory has these bytes.
fn has(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return has(&path, bytes);
        }
        // One that is gone since it was listed has nothing.
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
    // Whoever may not read whether they are private is refused as well.
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
