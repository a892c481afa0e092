//! Tests of the commands as a user types them.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::process::{Guarded, Home, Process, Serve, Three, command, lines, run, signal};
use crate::support::{DEADLINE, all_members, eventually, id, same, within};

/// The exit codes in the manual.
const DONE: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const TAKEN: i32 = 3;
const PENDING: i32 = 4;
const UNREACHABLE: i32 = 5;
const NOT_ALLOWED: i32 = 6;
const UNHEALTHY: i32 = 10;

/// A user at a terminal, with the address of a node.
struct User(String);

impl User {
    fn of(node: &Process) -> Self {
        Self(node.url())
    }

    /// Runs a command, whose words are separated by spaces.
    fn types(&self, words: &str) -> Output {
        run(command(&[]).args(words.split(' ')).env("FORENAME_NODE", &self.0))
    }

    /// Runs a command, which must end with this exit code. Returns its output.
    fn gets(&self, exit: i32, words: &str) -> String {
        let output = self.types(words);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(exit), "forename {words}\n{out}{err}");
        let complains = ![DONE, PENDING, UNHEALTHY].contains(&exit);
        assert_eq!(!err.is_empty(), complains, "forename {words}: {err}");
        out.into_owned()
    }

    /// Runs a command, which must end with this exit code. Returns its output as JSON.
    fn reads(&self, exit: i32, words: &str) -> Value {
        let text = self.gets(exit, &format!("{words} --output json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("forename {words}: {error}\n{text}"))
    }

    /// Looks up a name until it is free. The end of a claim is not final at once.
    async fn sees_free(&self, name: &str) {
        let free = async || same(&self.reads(DONE, &format!("show {name}"))["status"], &"available".into());
        eventually(&format!("{name} is free"), free).await;
    }
}

#[tokio::test]
async fn a_user_claims_shows_renames_and_releases() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let user = User::of(&node);

    let text = user.gets(DONE, "claim username/alice --owner ann --wait");
    assert!(text.contains("confirmed owner ann"), "{text}");
    let taken = user.types("claim username/Alice --owner bob");
    assert_eq!(taken.status.code(), Some(TAKEN));
    assert!(String::from_utf8_lossy(&taken.stderr).contains("username/Alice"), "{taken:?}");

    let held = user.reads(DONE, "show username/alice");
    assert_eq!((held["status"].as_str(), held["available"].as_bool()), (Some("held"), Some(false)));
    let shown = user.reads(DONE, &format!("show {}", held["registration"].as_str().unwrap()));
    assert_eq!((shown["owner"].as_str(), shown["status"].as_str()), (Some("ann"), Some("confirmed")));

    user.gets(FAILED, "rename username/alice alicia --owner bob");
    let renamed = user.reads(DONE, "rename username/alice alicia --owner ann --wait");
    assert_eq!(renamed["names"][0]["name"], "alicia");
    user.sees_free("username/alice").await;
    assert_eq!(user.reads(DONE, "show --owner ann")["registrations"].as_array().map(Vec::len), Some(2));

    user.gets(FAILED, "release username/alicia --owner bob");
    user.gets(USAGE, "release username/alicia");
    user.gets(DONE, "release username/alicia --owner ann");
    user.sees_free("username/alicia").await;

    let both = user.reads(DONE, "claim username/carol email/carol@example.org --owner cid --wait");
    assert_eq!(both["names"].as_array().map(Vec::len), Some(2));
    let both = both["id"].as_str().unwrap();
    user.gets(DONE, &format!("release {both}"));
    user.gets(USAGE, "release username/carol --owner cid --erase");
    user.gets(DONE, &format!("release {both} --erase"));
    let erased = async || same(&user.reads(DONE, &format!("show {both}"))["erased"], &true.into());
    eventually("it is erased", erased).await;
    let text = user.gets(DONE, &format!("show {both}"));
    assert!(text.contains("confirmed erased") && !text.contains("carol"), "{text}");
    let text = user.gets(DONE, &format!("explain {both}"));
    assert!(text.contains("was erased") && !text.contains("carol") && !text.contains("owner cid"), "{text}");
}

#[tokio::test]
async fn a_user_reserves_and_activates() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let user = User::of(&node);
    let (reservation, other) = (id(1), id(2));
    let words = format!("claim email/ann@example.org --owner ann --ttl 1h --id {reservation} --wait");
    let reserved = user.reads(DONE, &words);
    assert_eq!(reserved["id"], reservation.to_string());
    assert!(reserved["expires_at"].is_string());
    // The same command again gives the same registration.
    assert_eq!(user.reads(DONE, &words)["stamp"], reserved["stamp"]);
    user.gets(FAILED, &format!("claim email/bob@example.org --owner bob --id {reservation}"));

    let extended = user.reads(DONE, &format!("extend {reservation} --ttl 2h"));
    assert!(extended["expires_at"].as_str() > reserved["expires_at"].as_str(), "{extended}");
    let shorter = user.reads(DONE, &format!("extend {reservation} --ttl 1m"));
    assert_eq!(shorter["expires_at"], extended["expires_at"]);
    user.gets(FAILED, &format!("extend {other} --ttl 1h"));
    user.gets(USAGE, &format!("extend {reservation}"));

    let activated = user.reads(DONE, &format!("activate {reservation}"));
    assert_eq!((activated["activated"].as_bool(), activated.get("expires_at")), (Some(true), None));
    user.gets(FAILED, &format!("activate {other}"));
    user.gets(FAILED, &format!("extend {reservation} --ttl 3h"));
    user.gets(USAGE, "activate username/alice");
}

#[tokio::test]
async fn a_user_watches_and_lets_a_node_in() {
    let (home, newcomer) = (Home::new(), Home::new());
    let node = Process::start(&home, &Serve::new("a")).await;
    let user = User::of(&node);
    let mut watch = command(&[]);
    watch.args(["watch", "--types", "confirmed", "--output", "json"]).env("FORENAME_NODE", &user.0);
    let mut watch = Guarded(watch.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut events = lines(&mut watch.0);
    user.gets(DONE, "claim username/alice --owner ann");
    let event: Value = serde_json::from_str(&within("an event", events.recv()).await.unwrap()).unwrap();
    assert_eq!((&event["specversion"], &event["type"]), (&"1.0".into(), &"forename.registration.confirmed".into()));
    assert_eq!(event["data"]["registration"]["owner"], "ann");

    let printed = user.gets(DONE, "member token --ttl 10m");
    let token = printed.lines().last().unwrap();
    assert_eq!(user.reads(DONE, "member token")["token"].as_str().map(str::len), Some(token.len()));
    let joined = Process::start(&newcomer, &Serve::new("b").join(node.peer, token)).await;
    all_members(&[node.client.clone(), joined.client.clone()]).await;
    let (status, members) = (user.reads(DONE, "status"), user.reads(DONE, "member list"));
    assert_eq!((status["members"].as_array().map(Vec::len), members.as_array().map(Vec::len)), (Some(2), Some(2)));
    let text = user.gets(DONE, "status");
    assert!(text.contains("a member") && text.contains("this node"), "{text}");
}

#[tokio::test]
async fn a_claim_that_cannot_be_decided_exits_as_still_pending() {
    let mut three = Three::start().await;
    three.nodes[2].kill();
    let user = User::of(&three.nodes[0]);
    let pending = user.reads(PENDING, "claim username/alice --owner ann --wait --timeout 100ms");
    assert_eq!((&pending["status"], &pending["waiting_for"][0]["label"]), (&"pending".into(), &"c".into()));
    // A claim that does not wait for its outcome succeeds.
    user.gets(DONE, "claim username/bob --owner ann");
    // Somebody loses patience.
    let mut claim = command(&[]);
    claim.args("claim username/cid --owner ann --wait=always --timeout 60s".split(' ')).env("FORENAME_NODE", &user.0);
    let mut waiting = Guarded(claim.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let taken = async || same(&user.reads(DONE, "show username/cid")["status"], &"pending".into());
    eventually("the claim is taken", taken).await;
    signal("INT", waiting.0.id());
    assert_eq!(waiting.ended().await.code(), Some(FAILED));
    let told = std::io::read_to_string(waiting.0.stderr.take().unwrap()).unwrap();
    assert!(told.contains("forename explain username/cid"), "{told}");
    three.run_again(2).await;
    let id = pending["id"].as_str().unwrap().parse().unwrap();
    let decided = three.nodes[0].client.wait_for(id, DEADLINE).await.unwrap();
    assert!(decided.status.is_final(), "{decided:?}");
}

#[tokio::test]
async fn a_user_evicts_a_member_and_has_another_leave() {
    let mut three = Three::start().await;
    let user = User::of(&three.nodes[0]);
    three.nodes[2].kill();
    user.gets(FAILED, "member evict nobody");
    user.gets(FAILED, "member evict 00000000000000ab");
    let evicted = user.reads(DONE, "member evict c --wait --timeout 60s");
    assert_eq!(evicted["members"].as_array().map(Vec::len), Some(2));
    let out = evicted["evicted"][0]["node"].as_str().unwrap();
    let text = user.gets(DONE, "member list");
    assert!(text.contains(&format!("out for good: {out}")), "{text}");
    user.gets(DONE, "claim username/alice --owner ann --wait --timeout 60s");

    let text = User::of(&three.nodes[1]).gets(DONE, "member leave --wait --timeout 60s");
    assert!(text.contains("has left its cluster"), "{text}");
    assert_eq!(three.nodes[1].ended().await.code(), Some(0));
    user.gets(DONE, "claim username/bob --owner ann --wait --timeout 60s");
    user.gets(FAILED, "member leave");

    // A member that is left alone can begin one eviction, because two members would stay. It cannot finish it.
    let mut three = Three::start().await;
    let user = User::of(&three.nodes[0]);
    three.nodes[1].kill();
    three.nodes[2].kill();
    let pending = user.reads(PENDING, "member evict b --wait --timeout 100ms");
    assert_eq!(pending["eviction"]["possible"], true);
    let text = user.gets(DONE, "member list");
    assert!(text.contains("on the way out") && text.contains("waits for c ("), "{text}");
    user.gets(FAILED, "member evict c");
}

#[tokio::test]
async fn mistakes_are_told_apart() {
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let user = User::of(&node);
    for words in ["", "claim", "claim alice --owner ann", "claim username/alice", "show", "no-such-command"] {
        assert_eq!(user.types(words).status.code(), Some(USAGE), "forename {words}");
    }
    user.gets(USAGE, "claim username/alice --owner ann --timeout 5s");
    user.gets(USAGE, "status --node ftp://127.0.0.1");
    user.gets(USAGE, "serve --http 0.0.0.0:0 --peer 127.0.0.1:0");
    user.gets(USAGE, "serve --join 127.0.0.1:1");
    user.gets(USAGE, "init --evict-after 500ms");
    user.gets(FAILED, &format!("claim username/{} --owner ann", "x".repeat(300)));
    user.gets(FAILED, &format!("show {}", id(7)));
    assert_eq!(user.types("completions bash").status.code(), Some(DONE));
    node.kill();
    user.gets(UNREACHABLE, "status");
    let document = user.reads(UNREACHABLE, "status");
    assert_eq!(document["type"], "urn:forename:problem:unreachable");
    assert!(document["detail"].as_str().unwrap().contains("no answer from the node at"), "{document}");
}

#[tokio::test]
async fn names_with_a_slash_are_reached_with_their_namespace() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let user = User::of(&node);
    user.gets(DONE, "namespace set path --profile opaque");
    user.gets(DONE, "claim --namespace path a/b --owner ann --wait");
    let shown = user.reads(DONE, "show --namespace path a/b");
    assert_eq!((&shown["name"], &shown["owner"]), (&"a/b".into(), &"ann".into()));
    let text = user.gets(DONE, "explain --namespace path a/b");
    assert!(text.contains("path/a/b"), "{text}");
    let text = user.gets(DONE, "release --namespace path a/b --owner ann");
    assert!(text.contains("released path/a/b, of owner ann"), "{text}");
    eventually("it is free", async || {
        same(&user.reads(DONE, "show --namespace path a/b")["status"], &"available".into())
    })
    .await;
}

#[tokio::test]
async fn an_error_is_a_problem_document_for_programs() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let user = User::of(&node);
    user.gets(DONE, "claim username/alice --owner ann --wait");
    let taken = user.reads(TAKEN, "claim username/Alice --owner bob");
    assert_eq!(taken["type"], "urn:forename:problem:name-taken");
    assert_eq!((&taken["status"], &taken["names"][0]["key"]), (&409.into(), &"alice".into()));
    let unknown = user.reads(FAILED, &format!("show {}", id(7)));
    assert_eq!(unknown["type"], "urn:forename:problem:no-registration");
    let wrong = user.reads(USAGE, "show alice");
    assert_eq!((&wrong["type"], wrong.get("status")), (&"urn:forename:problem:usage".into(), None));
    // Exactly one document is printed, also where there is a result.
    let words = format!("claim username/carol --owner cid --id {}", id(1));
    user.gets(DONE, &format!("{words} --wait"));
    user.gets(DONE, "release username/carol --owner cid");
    user.sees_free("username/carol").await;
    assert_eq!(user.reads(FAILED, &words)["names"][0]["ended"], "released");
}

#[tokio::test]
async fn a_command_goes_to_the_next_node_where_one_is_down() {
    let mut three = Three::start().await;
    let nodes: Vec<_> = three.nodes.iter().map(Process::url).collect();
    three.nodes[0].kill();
    let user = User(nodes[..2].join(","));
    let claimed = user.reads(DONE, &format!("claim username/alice --owner ann --id {}", id(1)));
    let shown = user.reads(DONE, &format!("show {}", id(1)));
    assert_eq!((&shown["stamp"], &shown["owner"]), (&claimed["stamp"], &"ann".into()));
    // The same is true where `--node` is given twice instead of once with a comma, and where the first node runs.
    let again = format!("claim username/alice --owner ann --id {} --node {} --node {}", id(1), nodes[2], nodes[0]);
    assert_eq!(user.reads(DONE, &again)["stamp"], claimed["stamp"]);
    three.nodes[1].kill();
    let document = user.reads(UNREACHABLE, "status");
    let detail = document["detail"].as_str().unwrap();
    assert!(detail.contains(&nodes[0]) && detail.contains(&nodes[1]), "{detail}");
}

#[tokio::test]
async fn a_check_says_what_is_wrong() {
    let mut three = Three::start().await;
    let user = User::of(&three.nodes[0]);
    let checked = async || match user.types("status --check").status.code() {
        Some(DONE) => Ok(()),
        other => Err(format!("exit code {other:?}")),
    };
    eventually("the cluster is healthy", checked).await;
    assert_eq!(user.gets(DONE, "status --check"), "healthy\n");
    three.nodes[2].kill();
    let silent = async || {
        let text = user.gets(DONE, "status");
        let row = text.lines().find(|line| line.contains("  c  ")).ok_or("c is not listed")?.to_owned();
        if row.contains("not connected") { Ok(()) } else { Err(row) }
    };
    eventually("the killed member is not called connected", silent).await;
    let text = user.gets(UNHEALTHY, "status --check");
    assert!(text.contains("c ("), "{text}");
    let checked = user.reads(UNHEALTHY, "status --check");
    assert_eq!((&checked["healthy"], checked["wrong"].as_array().map(Vec::is_empty)), (&false.into(), Some(false)));
    assert_eq!(checked["cluster"]["members"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_caller_without_a_token_is_not_allowed() {
    let home = Home::new();
    let made = run(command(&[]).args(["token", "new", "--name", "shop", "--scope", "admin"]));
    let file = home.data().with_extension("toml");
    std::fs::write(&file, &made.stdout).unwrap();
    let serve = Serve::new("a").with(&["--api-tokens".to_owned(), file.display().to_string()]);
    let node = Process::start(&home, &serve).await;
    let user = User::of(&node);
    user.gets(NOT_ALLOWED, "status");
    assert_eq!(user.reads(NOT_ALLOWED, "status")["type"], "urn:forename:problem:unauthorized");
    let secret = home.data().with_extension("secret");
    std::fs::write(&secret, String::from_utf8(made.stderr).unwrap().lines().last().unwrap()).unwrap();
    user.gets(DONE, &format!("status --api-token-file {}", secret.display()));
}

#[tokio::test]
async fn a_label_makes_no_line_and_logs_can_be_json() {
    let home = Home::new();
    let serve = Serve::new("a\nFAKE LINE\u{1b}[2J").with(&["--log-format".to_owned(), "json".to_owned()]);
    let node = Process::start(&home, &serve).await;
    let text = User::of(&node).gets(DONE, "status");
    assert!(text.contains("a\\nFAKE LINE\\u{1b}[2J") && !text.contains("\nFAKE"), "{text}");
    let log = home.read_log();
    assert!(log.lines().count() > 0, "nothing was logged");
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string() && entry["message"].is_string(), "{line}");
    }
}

#[test]
fn the_help_lists_commands_in_groups_and_the_version_says_what_it_speaks() {
    let help = run(command(&[]).arg("--help"));
    let help = String::from_utf8(help.stdout).unwrap();
    for group in ["Names:", "Many names:", "Nodes:", "Data directories of nodes that do not run:", "Besides:"] {
        assert!(help.contains(&format!("\n{group}\n")), "{group}\n{help}");
    }
    assert!(!help.contains("\nOthers:\n") && help.contains("10 'status --check'"), "{help}");
    let lines = |words: &str| {
        let help = run(command(&[]).args(words.split(' ')).env("COLUMNS", "60"));
        String::from_utf8(help.stdout).unwrap()
    };
    let status = lines("status --help");
    assert!(status.contains("PROMISE AGE") && status.lines().all(|line| line.chars().count() <= 60), "{status}");
    let version = lines("--version");
    assert!(version.contains(" (wire 1.0, store 1.0, git "), "{version}");
}

#[tokio::test]
async fn a_demonstration_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = command(&[]);
    demo.arg("demo").env("TMPDIR", temporary.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut demo = Guarded(demo.spawn().unwrap());
    let mut told = lines(&mut demo.0);
    while !within("a hint", told.recv()).await.unwrap().contains("claim username/carol") {}
    assert!(std::fs::read_dir(temporary.path()).unwrap().next().is_some(), "the nodes write somewhere else");
    crate::support::process::signal("TERM", demo.0.id());
    assert_eq!(demo.ended().await.code(), Some(DONE));
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A receiver that answers 200 to everything.
async fn receiver() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(async || "thank you")).await });
    url
}

#[tokio::test]
async fn an_administrator_has_events_posted() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a").with_hooks_on_loopback()).await;
    let (user, url) = (User::of(&node), receiver().await);
    // The commands wait for the receiver, which runs on this thread.
    let types = async |exit: i32, words: String| {
        let user = User(user.0.clone());
        tokio::task::spawn_blocking(move || user.gets(exit, &words)).await.unwrap()
    };
    types(USAGE, "webhook add".to_owned()).await;
    types(FAILED, "webhook add ftp://example.org".to_owned()).await;
    let made = types(DONE, format!("webhook add {url} --types confirmed,rejected -o json")).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(secret.starts_with("whsec_"), "{made}");
    let listed = types(DONE, "webhook list".to_owned()).await;
    assert!(listed.contains(id) && !listed.contains(secret), "{listed}");
    let tested = types(DONE, format!("webhook test {id}")).await;
    assert!(tested.contains("200") || tested.contains("delivered"), "{tested}");
    let rotated: Value =
        serde_json::from_str(&types(DONE, format!("webhook rotate {id} --keep-old 10m -o json")).await).unwrap();
    assert!(rotated["secret"].as_str().is_some_and(|new| new != secret) && rotated["old_secret_until"].is_string());
    let stopped: Value = serde_json::from_str(&types(DONE, format!("webhook stop {id} -o json")).await).unwrap();
    assert_eq!(stopped["active"], false);
    let resumed: Value = serde_json::from_str(&types(DONE, format!("webhook resume {id} -o json")).await).unwrap();
    assert_eq!(resumed["active"], true);
    // It takes a moment until the node delivers to a new webhook.
    let begun = async || {
        let (user, words) = (User(user.0.clone()), format!("webhook dead-letters {id}"));
        let shown = tokio::task::spawn_blocking(move || user.types(&words)).await.unwrap();
        same(&shown.status.code(), &Some(DONE))
    };
    eventually("the node delivers to the webhook", begun).await;
    types(DONE, format!("webhook replay {id}")).await;
    types(DONE, format!("webhook remove {id}")).await;
    types(FAILED, format!("webhook remove {id}")).await;
    types(FAILED, format!("webhook test {id}")).await;
}
