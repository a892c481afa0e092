//! Tests of the dashboard in a real browser. They are skipped where there is no Chromium.

use std::sync::Arc;

use forename::model::{NameStatus, Status, WebhookBody};
use forename::transport::Cuts;

use crate::support::browser::{Page, chromium};
use crate::support::local::{self, Local};
use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{all_members, claim, user, user_final};

/// An expression that is true once the feed shows an owner's registration in this state.
fn row(owner: &str, state: &str) -> String {
    format!(
        "[...document.querySelectorAll('#feed > .{state}')].some(row => row.textContent.includes('for {owner} at'))"
    )
}

/// An expression that is true once the page shows this verdict.
fn verdict(word: &str) -> String {
    format!("document.querySelector('#verdict-title').textContent === '{word}'")
}

#[tokio::test]
async fn a_cut_a_conflict_the_heal_and_an_eviction_are_seen_without_a_reload() {
    let Some(program) = chromium() else { return skipped() };
    let cuts = Arc::new(Cuts::new());
    let mut nodes = vec![Local::start("Frankfurt", cuts.clone(), None).await];
    for label in ["Virginia", "Sydney"] {
        let node = Local::start(label, cuts.clone(), Some(&nodes[0])).await;
        nodes.push(node);
    }
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let mut page = Page::open(program, clients[2].address()).await;
    page.shows("that all is well", &verdict("Healthy")).await;
    page.shows("three members", "document.querySelectorAll('#members > .card').length === 3").await;
    page.shows("that there is no backup", "document.querySelector('#backups-age').textContent === 'never'").await;
    let mut backup = nodes[2].node().backup().await.unwrap();
    while backup.next().await.unwrap().is_some() {}
    page.shows("the backup", "/ s ago$/.test(document.querySelector('#backups-age').textContent)").await;
    page.value("window.opened = 'once'").await;

    // A name is claimed with the form, and its outcome replaces `pending`.
    page.types("#look-name", "carol").await;
    page.types("#claim-owner", "cid").await;
    page.click("#claim-form button").await;
    page.shows("carol's outcome", &row("cid", "confirmed")).await;
    page.click("#look-form button").await;
    page.shows("who holds carol", "document.querySelector('#look-answer .answer').dataset.state === 'held'").await;
    page.shows("a tenure", "document.querySelectorAll('.timeline .tenure.open').length === 1").await;
    assert_eq!(clients[0].name("username", "carol").await.unwrap().status, NameStatus::Held);

    for other in &nodes[..2] {
        cuts.cut(nodes[2].peer, other.peer);
    }
    let first = claim(&clients[0], &user("alice", "ann")).await;
    page.types("#look-name", "alice").await;
    page.types("#claim-owner", "bob").await;
    page.click("#claim-form button").await;
    page.shows("that bob waits", &row("bob", "pending")).await;
    page.shows("the cut", &verdict("Degraded")).await;
    page.shows(
        "whom bob waits for",
        "/for bob.*waits for .*not heard of .*not heard of/s.test(document.querySelector('#pending').innerText)",
    )
    .await;
    page.shows(
        "that it may be cut off itself",
        "document.querySelector('#verdict').innerText.includes('it may be cut off itself')",
    )
    .await;
    page.shows(
        "two members out of reach",
        "document.querySelectorAll('#members > .card:not([data-state=connected])').length === 2",
    )
    .await;
    page.shows(
        "that the explanation follows",
        "document.querySelector('#look-answer').innerText.includes('it is not connected')",
    )
    .await;
    pictures(&mut page, "cut").await;

    cuts.heal();
    page.shows("that bob has lost", &row("bob", "rejected")).await;
    page.shows("that ann has won", &row("ann", "confirmed")).await;
    page.shows("the heal", &verdict("Healthy")).await;
    page.shows("the conflict", "document.querySelector('#conflicts > [data-key=alice]').innerText.includes('ann')")
        .await;
    page.shows("that nothing waits", "document.querySelector('#pending').children.length === 0").await;
    page.click("#feed > .rejected .loss a").await;
    let winner = format!("document.querySelector('#look-answer h3').innerText.includes('{}')", first.id);
    page.shows("the winner", &winner).await;
    pictures(&mut page, "healed").await;

    // A member that is gone is evicted once the user has typed its label.
    let gone = nodes.remove(1);
    let node = gone.node().handle().node();
    gone.shutdown().await;
    let card = format!("#members > [data-node='{node}']");
    page.shows("that one is gone", &format!("document.querySelector(\"{card}\").dataset.state === 'lost'")).await;
    page.shows("what to do", "[...document.querySelectorAll('#verdict code')].some(of => of.innerText.startsWith('forename member evict Virginia'))").await;
    page.click(&format!("{card} .evict > button")).await;
    page.types(&format!("{card} input"), "Sydney").await;
    assert_eq!(page.value(&format!("document.querySelector(\"{card} form .danger\").disabled")).await, true);
    page.types(&format!("{card} input"), "Virginia").await;
    page.shows("that it can be evicted", &format!("!document.querySelector(\"{card} form .danger\").disabled")).await;
    page.click(&format!("{card} form .danger")).await;
    page.shows("the eviction", "document.querySelectorAll('#members > .card').length === 2").await;
    page.shows("that all is well again", &verdict("Healthy")).await;

    // The feed does not move while it is paused.
    page.value("document.activeElement.blur()").await;
    page.press("p").await;
    let late = claim(&clients[0], &user_final("dave", "dan")).await;
    assert_eq!(late.status, Status::Confirmed);
    page.shows("that something is new", "/go on \\(\\d+ new\\)/.test(document.querySelector('#feed-pause').innerText)")
        .await;
    assert_eq!(page.value(&row("dan", "confirmed")).await, false);
    page.press("p").await;
    page.shows("what came meanwhile", &row("dan", "confirmed")).await;

    assert_eq!(page.value("window.opened").await, "once", "the page was loaded anew");
    assert_eq!(page.value("document.documentElement.dataset.error ?? null").await, serde_json::Value::Null);
    drop(page);
    local::shutdown(nodes).await;
}

/// Takes pictures of the page with a light and a dark color scheme and on a phone. The page must not be wider than the
/// phone.
async fn pictures(page: &mut Page, name: &str) {
    for (kind, width, dark) in [("light", 1280, false), ("dark", 1280, true), ("phone", 390, false)] {
        page.looks(width, dark).await;
        page.picture(&format!("dashboard-{name}-{kind}")).await;
        let wide = page.value("document.documentElement.scrollWidth").await.as_u64().unwrap();
        assert!(wide <= u64::from(width), "{name} {kind}: {wide} pixels wide");
    }
    page.looks(1280, false).await;
}

#[tokio::test]
async fn a_node_with_tokens_shows_what_the_token_may_see() {
    let Some(program) = chromium() else { return skipped() };
    let home = Home::new();
    let file = home.data().with_extension("toml");
    let mut tokens = String::new();
    let mut secrets = Vec::new();
    for (name, scopes) in [("looks", &["read"][..]), ("desk", &["read", "claim"])] {
        let mut new = command(&[]);
        new.args(["token", "new", "--name", name]);
        for scope in scopes {
            new.args(["--scope", scope]);
        }
        let made = run(&mut new);
        tokens += &String::from_utf8(made.stdout).unwrap();
        secrets.push(
            String::from_utf8(made.stderr)
                .unwrap()
                .split_whitespace()
                .find(|word| word.starts_with("fna1."))
                .unwrap()
                .to_owned(),
        );
    }
    std::fs::write(&file, tokens).unwrap();
    let serve = Serve::new("a").with(&["--api-tokens".to_owned(), file.display().to_string()]);
    let mut node = Process::start(&home, &serve).await;

    let mut page = Page::open(program, &node.url()).await;
    page.shows("that it asks for a token", "!document.querySelector('#token-form').hidden").await;
    page.types("#token", "fna1.wrong").await;
    page.click("#token-form button").await;
    page.shows("why it asks again", "document.querySelector('#token-why').innerText.includes('none of this node')")
        .await;
    page.types("#token", &secrets[0]).await;
    page.click("#token-form button").await;
    page.shows("the verdict", &verdict("Healthy")).await;
    page.shows("that the stream goes on", "document.querySelector('#feed-state').innerText === 'live'").await;
    assert_eq!(page.value("document.querySelector('#claim-form').hidden").await, true);
    assert_eq!(page.value("document.querySelector('#token').value").await, "");

    page.click("#forget").await;
    page.shows("that it asks anew", "!document.querySelector('#token-form').hidden").await;
    page.types("#token", &secrets[1]).await;
    page.click("#token-form button").await;
    page.shows("the form for claims", "!document.querySelector('#claim-form').hidden").await;
    // Text that people type is escaped.
    page.types("#look-name", "<img src=x onerror=alert(1)>").await;
    page.types("#claim-owner", "<script>alert(1)</script>").await;
    page.click("#claim-form button").await;
    page.shows("why that is no name", "document.querySelector('#look-answer .error').innerText.includes('<img src=x')")
        .await;
    page.types("#look-name", "mallory").await;
    page.click("#claim-form button").await;
    page.shows("an owner as it was typed", &row("<script>alert(1)</script>", "confirmed")).await;
    assert_eq!(page.value("document.querySelectorAll('img, main script').length").await, 0);

    // The page of a node that does not answer says that its values are old.
    node.kill();
    page.shows("that what it shows is old", "!document.querySelector('#stale').hidden").await;
    assert_eq!(page.value("document.documentElement.dataset.error ?? null").await, serde_json::Value::Null);
    page.picture("dashboard-stale").await;
}

#[tokio::test]
async fn the_feed_is_filtered_rules_and_webhooks_are_shown_and_a_node_that_leaves_says_so() {
    let Some(program) = chromium() else { return skipped() };
    let cuts = Arc::new(Cuts::new());
    let a = Local::start("Frankfurt", cuts.clone(), None).await;
    let b = Local::start("Virginia", cuts.clone(), Some(&a)).await;
    all_members(&[a.client.clone(), b.client.clone()]).await;
    claim(&a.client, &user_final("alice", "ann")).await;
    claim(&b.client, &user_final("barney", "bob")).await;
    let mut page = Page::open(program, a.client.address()).await;
    page.shows("ann's outcome", &row("ann", "confirmed")).await;
    page.shows("bob's outcome", &row("bob", "confirmed")).await;

    page.types("#feed-filter", "alice").await;
    let shown = "[...document.querySelectorAll('#feed > li')].filter(row => !row.hidden).map(row => row.innerText)";
    page.shows("ann's alone", &format!("(({shown}).length > 0 && ({shown}).every(text => text.includes('ann')))"))
        .await;
    page.value("document.activeElement.blur()").await;
    page.press("/").await;
    page.shows("where to type a name", "document.activeElement.id === 'look-name'").await;
    page.shows("how far the watermark is behind", "document.querySelector('#lag svg') !== null").await;

    let rules = "#namespaces > [data-namespace=username]";
    page.click(&format!("{rules} summary")).await;
    page.shows("the rules", &format!("document.querySelector('{rules}').innerText.includes('reserved')")).await;

    assert_eq!(page.value("document.querySelector('#webhooks-link').hidden").await, true);
    let body = WebhookBody { url: "https://hooks.example.org/".to_owned(), ..WebhookBody::default() };
    let hook = a.client.make_webhook(&body).await.unwrap().id;
    let hook = format!("document.querySelector(\"[data-webhook='{hook}']\").innerText.includes('hooks.example.org')");
    page.shows("the webhook", &hook).await;
    assert_eq!(page.value("document.querySelector('#webhooks-link').hidden").await, false);

    // It cannot hand over what nobody else can take now.
    cuts.cut(a.peer, b.peer);
    claim(&a.client, &user("carol", "cid")).await;
    a.client.leave().await.unwrap();
    page.shows("that it takes no registrations", &verdict("Read-only")).await;
    page.shows(
        "how to take that back",
        "[...document.querySelectorAll('#verdict code')].some(of => of.innerText.startsWith('forename member leave --cancel'))",
    )
    .await;
    page.picture("dashboard-leaving").await;
    a.client.stay().await.unwrap();
    cuts.heal();
    page.shows("that all is well", &verdict("Healthy")).await;
    assert_eq!(page.value("document.documentElement.dataset.error ?? null").await, serde_json::Value::Null);
    drop(page);
    local::shutdown(vec![a, b]).await;
}

fn skipped() {
    crate::support::skipped("there is no chromium to open the dashboard with");
}
