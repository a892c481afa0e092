//! Tests of the sign-up application as a process, with requests like those of a browser.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use forename::Client;
use forename::model::{Cursor, EventQuery, Status};
use forename::transport::Cuts;
use reqwest::Url;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::postgres::Postgres;
use crate::support::local::{self, Local};
use crate::support::process::{Guarded, lines};
use crate::support::{all_members, claim, eventually, same, user, within};
use crate::{claim_first, forgetful};

/// An answer as a browser sees it.
struct Page {
    status: u16,
    text: String,
}

impl Page {
    #[track_caller]
    fn says(&self, status: u16, text: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(text), "no {text:?} in {}", self.text);
    }

    /// The owner that the form on the page is for.
    fn owner(&self) -> Uuid {
        between(&self.text, "name=\"owner\" value=\"", "\"").parse().unwrap()
    }
}

#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split_once(after).unwrap().0
}

/// The application. It is killed at the end of the test.
struct App {
    child: Guarded,
    base: Url,
    browser: reqwest::Client,
}

impl App {
    async fn start(postgres: &Postgres, database: &str, nodes: &[&str], settings: &[(&str, &str)]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(postgres.dir().join("signup.log")).unwrap();
        let mut command = Command::new(program());
        command.envs([("DATABASE_URL", database), ("NODES", &nodes.join(",")), ("LISTEN", "127.0.0.1:0")]);
        command.envs([("ANSWER_WITHIN", "30s"), ("VERIFY_WITHIN", "3d"), ("RUST_LOG", "info")]);
        command.envs(settings.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut child = Guarded(child);
        let printed = within("the application says where it listens", lines(&mut child.0).recv()).await;
        let log = || std::fs::read_to_string(postgres.dir().join("signup.log")).unwrap();
        let base = printed.unwrap_or_else(|| panic!("it does not start: {}", log())).parse().unwrap();
        Self { child, base, browser: crate::support::http().build().unwrap() }
    }

    /// Kills the application like `kill -9`.
    fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    async fn get(&self, path: &str) -> Page {
        let response = self.browser.get(self.base.join(path).unwrap()).send().await.unwrap();
        Page { status: response.status().as_u16(), text: response.text().await.unwrap() }
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let form = Url::parse_with_params("http://form/", fields).unwrap();
        let form = form.query().unwrap_or_default().to_owned();
        let request = self.browser.post(self.base.join(path).unwrap()).body(form);
        let response = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        Page { status: response.status().as_u16(), text: response.text().await.unwrap() }
    }

    /// Opens the form, fills it in and sends it.
    async fn sign_up(&self, username: &str, email: &str) -> (Uuid, Page) {
        let form = self.get("/").await;
        form.says(200, "Sign up");
        let owner = form.owner();
        (owner, self.sign_up_as(owner, username, email).await)
    }

    async fn sign_up_as(&self, owner: Uuid, username: &str, email: &str) -> Page {
        let owner = owner.to_string();
        let fields =
            [("owner", owner.as_str()), ("username", username), ("email", email), ("display_name", "<i>Al</i>")];
        self.post("/", &fields).await
    }

    /// Loads the account's page until it shows this standing.
    async fn stands(&self, owner: Uuid, standing: &str) -> Page {
        eventually("the account's page shows what became of it", async || {
            let page = self.get(&format!("/account/{owner}")).await;
            same(&between(&page.text, "data-standing=\"", "\""), &standing)?;
            Ok(page)
        })
        .await
    }
}

/// Cargo builds the examples with the tests, next to them.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/signup");
    assert!(program.exists(), "cargo build --example signup is needed first: there is no {}", program.display());
    program
}

async fn two_nodes(cuts: &Arc<Cuts>) -> Vec<Local> {
    let a = Local::start("a", cuts.clone(), None).await;
    let b = Local::start("b", cuts.clone(), Some(&a)).await;
    let nodes = vec![a, b];
    all_members(&local::clients(&nodes)).await;
    nodes
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn number(database: &tokio_postgres::Client, query: &str) -> i64 {
    database.query_one(query, &[]).await.unwrap().get(0)
}

/// Counts the mails to an owner about something.
async fn mails(database: &tokio_postgres::Client, owner: Uuid, about: &str) -> i64 {
    let query = "select count(*) from mail where owner = $1 and about::text = $2";
    database.query_one(query, &[&owner, &about]).await.unwrap().get(0)
}

/// Returns the cursor of the only feed that the application follows.
async fn cursor(database: &tokio_postgres::Client) -> Option<Cursor> {
    let row = database.query_opt("select cursor from feed", &[]).await.unwrap()?;
    Some(row.get::<_, &str>(0).parse().unwrap())
}

/// Waits until the application has applied all events that the node has told so far.
async fn all_is_read(database: &tokio_postgres::Client, node: &Client) {
    let last = node.cluster().await.unwrap().events.last;
    eventually("the feed is read to its end", async || {
        let read = cursor(database).await;
        let done = read.is_some_and(|read| read.feed == last.feed && read.number >= last.number);
        if done { Ok(()) } else { Err(format!("read up to {read:?} of {last}")) }
    })
    .await;
}

#[tokio::test]
async fn alice_signs_up_and_whoever_comes_next_is_told_in_the_same_request() {
    let Some(postgres) = Postgres::start().await else { return };
    let nodes = two_nodes(&Arc::new(Cuts::new())).await;
    let (here, there) = (postgres.database("here").await, postgres.database("there").await);
    let app = App::start(&postgres, &here, &[nodes[0].client.address()], &[]).await;
    let other = App::start(&postgres, &there, &[nodes[1].client.address()], &[]).await;

    let (alice, page) = app.sign_up("alice", "").await;
    page.says(201, "Welcome, &lt;i&gt;Al&lt;/i&gt;");
    app.stands(alice, "active").await.says(200, "<b>alice</b> is yours");

    // Bob asks at the other node, with another database, for another spelling of the name.
    let (bob, page) = other.sign_up("Alice", "bob@example.org").await;
    page.says(409, "Alice is not available. Free are <b>");
    assert_eq!(page.owner(), bob);
    other.stands(bob, "unavailable").await;
    // Text that people type is escaped, both in the form and beside it.
    let (_, page) = other.sign_up("\"><script> alert('&')</script>", "").await;
    let escaped = "&quot;&gt;&lt;script&gt; alert(&#39;&amp;&#39;)&lt;/script&gt;";
    page.says(422, &format!("{escaped} cannot be used: "));
    page.says(422, &format!("name=\"username\" value=\"{escaped}\""));
    assert!(!page.text.contains("<script") && !page.text.contains("<i>"), "{}", page.text);

    // The form comes back filled in, so that it can be sent with one of the free names. The address is still free too.
    let free = between(&page_with_alternatives(&other, bob).await, "Free are <b>", "</b>").to_owned();
    other.sign_up_as(bob, &free, "bob@example.org").await.says(201, "follow the link");
    other.stands(bob, "reserved").await;

    // A form that is sent twice is one sign-up.
    app.sign_up_as(alice, "alice", "").await.says(201, "Welcome");
    let of_alice = nodes[1].client.owner(&alice.to_string(), None, None).await.unwrap().registrations;
    assert_eq!(of_alice.len(), 1, "{of_alice:?}");
    // Nobody got a mail about an outcome that a page has shown.
    let database = postgres.connect("there").await;
    all_is_read(&database, &nodes[1].client).await;
    assert_eq!(number(&database, "select count(*) from mail where about <> 'reserved'").await, 0);
    local::shutdown(nodes).await;
}

async fn page_with_alternatives(app: &App, owner: Uuid) -> String {
    let page = app.sign_up_as(owner, "alice", "bob@example.org").await;
    page.says(409, "alice is not available");
    page.text
}

#[tokio::test]
async fn who_loses_across_a_cut_is_told_once_also_where_the_application_dies_in_between() {
    let Some(postgres) = Postgres::start().await else { return };
    let cuts = Arc::new(Cuts::new());
    let nodes = two_nodes(&cuts).await;
    let (url, database) = (postgres.database("signup").await, postgres.connect("signup").await);
    let node = &nodes[1].client;
    let start = async || App::start(&postgres, &url, &[node.address()], &[("ANSWER_WITHIN", "200ms")]).await;
    let app = start().await;

    cuts.cut(nodes[0].peer, nodes[1].peer);
    claim_first(&nodes[0].client, &user("alice", "ann")).await;
    let (bob, page) = app.sign_up("alice", "bob@example.org").await;
    page.says(202, "We will tell you by mail");
    let (cid, page) = app.sign_up("carol", "").await;
    page.says(202, "We will tell you on");
    app.stands(bob, "pending").await.says(200, "still making sure");

    // The application is killed within the transaction that tells bob: after his account was changed and before his
    // mail is written.
    let mut blocker = postgres.connect("signup").await;
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("lock table mail in exclusive mode").await.unwrap();
    cuts.heal();
    let waits = "select count(*) from pg_locks where not granted";
    eventually("the application waits to write", async || same(&number(&database, waits).await, &1)).await;
    app.kill();
    lock.rollback().await.unwrap();
    let busy = "select count(*) from pg_locks join pg_class on relation = pg_class.oid where relname = 'account' and \
                mode = 'RowExclusiveLock'";
    eventually("its transaction is gone", async || same(&number(&database, busy).await, &0)).await;
    assert_eq!(mails(&database, bob, "unavailable").await, 0);
    let app = start().await;
    let page = app.stands(bob, "unavailable").await;
    page.says(200, "alice is not available after all");
    assert_eq!(page.owner(), bob);
    app.stands(cid, "active").await;

    // Nobody is told anything twice, even where the feed is read again from the first event on.
    app.kill();
    database.execute("update feed set cursor = split_part(cursor, '-', 1) || '-0'", &[]).await.unwrap();
    let app = start().await;
    all_is_read(&database, node).await;
    assert_eq!(mails(&database, bob, "unavailable").await, 1);
    assert_eq!(number(&database, "select count(*) from mail").await, 1);

    app.sign_up_as(bob, "bobby", "bob@example.org").await;
    app.stands(bob, "reserved").await;
    local::shutdown(nodes).await;
}

/// Makes the page's change of the account wait until the feed has queued the mail. The page's statement is the one that
/// does not change the secret.
const THE_FEED_IS_FASTER: &str = "
    create function wait_for_mail() returns trigger language plpgsql as $$ begin
        while current_query() not like '%secret%' and not exists (select from mail) loop
            perform pg_sleep(0.01);
        end loop;
        return null;
    end $$;
    create trigger wait before update on account for each statement execute function wait_for_mail()";

#[tokio::test]
async fn who_loses_while_the_page_waits_is_told_by_the_page_alone() {
    let Some(postgres) = Postgres::start().await else { return };
    let cuts = Arc::new(Cuts::new());
    let nodes = two_nodes(&cuts).await;
    let (url, database) = (postgres.database("signup").await, postgres.connect("signup").await);
    let node = &nodes[1].client;
    let app = App::start(&postgres, &url, &[node.address()], &[("ANSWER_WITHIN", "60s")]).await;
    database.batch_execute(THE_FEED_IS_FASTER).await.unwrap();
    cuts.cut(nodes[0].peer, nodes[1].peer);
    claim_first(&nodes[0].client, &user("alice", "ann")).await;
    let heal = async {
        let taken = async || same(&node.cluster().await.map_err(|error| error.to_string())?.pending, &1);
        eventually("the node has taken it", taken).await;
        cuts.heal();
    };
    let ((bob, page), ()) = tokio::join!(app.sign_up("alice", "bob@example.org"), heal);
    page.says(409, "alice is not available. Free are <b>");
    app.stands(bob, "unavailable").await;
    all_is_read(&database, node).await;
    assert_eq!(number(&database, "select count(*) from mail").await, 0);
    let queued = "select last_value from pg_sequences where sequencename = 'mail_id_seq'";
    assert_eq!(number(&database, queued).await, 1, "the feed was not faster, so this shows nothing");
    local::shutdown(nodes).await;
}

const PEOPLE: usize = 24;

#[tokio::test]
async fn killed_again_and_again_while_it_catches_up_it_tells_everybody_once() {
    let Some(postgres) = Postgres::start().await else { return };
    let cuts = Arc::new(Cuts::new());
    let nodes = two_nodes(&cuts).await;
    let (url, database) = (postgres.database("signup").await, postgres.connect("signup").await);
    let node = &nodes[1].client;
    let start = async || App::start(&postgres, &url, &[node.address()], &[("ANSWER_WITHIN", "0s")]).await;
    let app = start().await;
    cuts.cut(nodes[0].peer, nodes[1].peer);
    let mut losers = Vec::new();
    for number in 0..PEOPLE {
        claim_first(&nodes[0].client, &user(&format!("person{number}"), "ann")).await;
        let (owner, page) = app.sign_up(&format!("person{number}"), "").await;
        page.says(202, "We will tell you");
        losers.push(owner);
    }
    app.kill();
    cuts.heal();
    eventually("all is decided", async || same(&node.cluster().await.unwrap().pending, &0)).await;

    let told = "select count(*) from mail";
    for part in 1..5 {
        let app = start().await;
        let enough = i64::try_from(part * PEOPLE / 6).unwrap();
        eventually("some more are told", async || {
            let told = number(&database, told).await;
            if told >= enough { Ok(()) } else { Err(format!("{told} are told")) }
        })
        .await;
        app.kill();
    }
    let app = start().await;
    for owner in losers {
        app.stands(owner, "unavailable").await;
        assert_eq!(mails(&database, owner, "unavailable").await, 1);
    }
    all_is_read(&database, node).await;
    assert_eq!(number(&database, told).await, i64::try_from(PEOPLE).unwrap());
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn an_address_is_reserved_until_it_is_verified_or_free_again() {
    let Some(postgres) = Postgres::start().await else { return };
    let node = Local::start("a", Arc::new(Cuts::new()), None).await;
    let (url, database) = (postgres.database("signup").await, postgres.connect("signup").await);
    let app = App::start(&postgres, &url, &[node.client.address()], &[]).await;

    let (ann, page) = app.sign_up("ann", "Ann@Example.org").await;
    page.says(201, "follow the link");
    app.stands(ann, "reserved").await;
    let (_, page) = app.sign_up("anna", "ann@example.org").await;
    page.says(409, "ann@example.org is not available");
    let outbox = app.get("/outbox").await;
    outbox.says(200, "To Ann@Example.org: The name ann is yours once you have verified this address.");
    let link = between(&outbox.text, "href=\"", "\"").to_owned();
    // Opening the link changes nothing, because mail filters open links.
    app.get(&link).await.says(200, "Ann@Example.org is mine");
    assert_eq!(mails(&database, ann, "active").await, 0);
    app.stands(ann, "reserved").await;
    app.post(&link, &[]).await.says(200, "ann is yours");
    app.stands(ann, "active").await;
    app.post(&link, &[]).await.says(200, "ann is yours");
    app.get(&format!("/verify/{}", Uuid::nil())).await.says(404, "No such link");
    app.kill();

    let app = App::start(&postgres, &url, &[node.client.address()], &[("VERIFY_WITHIN", "1s")]).await;
    let (dan, page) = app.sign_up("dan", "dan@example.org").await;
    page.says(201, "follow the link");
    app.stands(dan, "ended").await.says(200, "not verified in time, so the name dan is free again");
    assert_eq!(mails(&database, dan, "ended").await, 1);
    let late = database.query_one("select secret from account where owner = $1", &[&dan]).await.unwrap();
    if let Some(secret) = late.get::<_, Option<Uuid>>(0) {
        app.post(&format!("/verify/{secret}"), &[]).await.says(410, "too late");
    }
    // Both names are free again for anybody.
    app.sign_up_as(dan, "dan", "").await.says(201, "all set");
    app.stands(dan, "active").await;
    assert!(node.client.name("email", "dan@example.org").await.unwrap().available);
    local::shutdown(vec![node]).await;
}

#[tokio::test]
async fn where_the_first_node_is_gone_the_second_answers_and_what_nobody_answered_is_asked_again() {
    let Some(postgres) = Postgres::start().await else { return };
    let node = Local::start("a", Arc::new(Cuts::new()), None).await;
    let (url, database) = (postgres.database("signup").await, postgres.connect("signup").await);
    let (gone, alive) = (nobody().await, node.client.address().to_owned());
    let app = App::start(&postgres, &url, &[&gone, &alive], &[]).await;
    let (alice, page) = app.sign_up("alice", "").await;
    page.says(201, "Welcome");
    app.stands(alice, "active").await;
    // Where no request was sent no node can have accepted it, so the refusal counts at once.
    let (_, page) = app.sign_up("alice", "").await;
    page.says(409, "alice is not available");
    app.kill();

    let app = App::start(&postgres, &url, &[&gone], &[]).await;
    let (carol, page) = app.sign_up("carol", "").await;
    page.says(202, "We will tell you");
    let (bob, page) = app.sign_up("alice", "bob@example.org").await;
    page.says(202, "We will tell you");
    app.stands(bob, "requested").await;
    app.kill();

    let app = App::start(&postgres, &url, &[&alive], &[]).await;
    app.stands(carol, "active").await;
    app.stands(bob, "unavailable").await.says(200, "Please choose another one");
    assert_eq!(mails(&database, bob, "unavailable").await, 1);
    local::shutdown(vec![node]).await;
}

#[tokio::test]
async fn what_was_told_while_nobody_listened_for_too_long_is_read_from_the_registrations() {
    let Some(postgres) = Postgres::start().await else { return };
    let cuts = Arc::new(Cuts::new());
    let a = forgetful("a", cuts.clone()).await;
    let b = Local::start("b", cuts.clone(), Some(&a)).await;
    let nodes = vec![a, b];
    all_members(&local::clients(&nodes)).await;
    let (url, database) = (postgres.database("signup").await, postgres.connect("signup").await);
    let node = &nodes[1].client;
    let start = async || App::start(&postgres, &url, &[node.address()], &[("ANSWER_WITHIN", "0s")]).await;
    let app = start().await;
    cuts.cut(nodes[0].peer, nodes[1].peer);
    claim_first(&nodes[0].client, &user("alice", "ann")).await;
    let (bob, _) = app.sign_up("alice", "").await;
    let (carol, _) = app.sign_up("carol", "").await;
    app.stands(bob, "pending").await;
    app.stands(carol, "pending").await;
    app.kill();
    let read = cursor(&database).await;

    cuts.heal();
    let mut others = 0;
    eventually("the node has forgotten what the application has not read", async || {
        // The newest events stay whatever their age is, until later events push them out.
        others += 1;
        claim(node, &user(&format!("other{others}"), "cid")).await;
        match node.events(read, &EventQuery::default()).await {
            Ok(page) => Err(format!("it still has {} events", page.events.len())),
            Err(error) => same(&error.problem().and_then(|problem| problem.restart).is_some(), &true),
        }
    })
    .await;
    let of_bob = &node.owner(&bob.to_string(), None, None).await.unwrap().registrations[0];
    assert_eq!(of_bob.status, Status::Rejected);

    let app = start().await;
    app.stands(bob, "unavailable").await;
    app.stands(carol, "active").await;
    let (dave, _) = app.sign_up("dave", "").await;
    app.stands(dave, "active").await;
    all_is_read(&database, node).await;
    assert_eq!(mails(&database, bob, "unavailable").await, 1);
    assert_eq!(number(&database, "select count(*) from mail").await, 1);
    local::shutdown(nodes).await;
}
