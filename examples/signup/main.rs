//! A sign-up web application whose user names and e-mail addresses are unique at forename. See README.md beside this
//! file for how to run it.
//!
//! | file | what |
//! | --- | --- |
//! | `web.rs` | the pages' handlers: what a browser asks |
//! | `pages.rs` | HTML |
//! | `registry.rs` | asking forename, at whichever node answers |
//! | `feed.rs` | following forename's event feed into the read model |
//! | `database.rs` | the read model in PostgreSQL; `schema.sql` has its tables |
//!
//! The application may be killed at any moment and is simply started again. A sign-up is stored before forename is
//! asked, under the id that forename uses for it. Its outcome comes from the feed, and each event is applied in one
//! transaction with the cursor.

#![allow(clippy::disallowed_methods, reason = "an application chooses ids at random")]

mod database;
mod feed;
mod pages;
mod registry;
mod web;

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::model::Span;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use self::database::Database;

/// Any failure that a visitor cannot do anything about.
type Failure = Box<dyn Error + Send + Sync>;

/// The state that all parts share.
struct App {
    database: Database,
    /// A client of the nodes, nearest first, with a token that may read the feed and activate. Any node will do.
    nodes: Client,
    /// A client of the same nodes for the public sign-up form. Its API token has the scope `register` only.
    front: Client,
    /// The time that a visitor waits for the answer to be final.
    answer_within: Duration,
    /// The time for which names stay reserved for a person whose address is not verified.
    verify_within: Duration,
}

/// Returns a setting from the environment.
fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Makes a client of the nodes, with this token where it is not empty.
fn nodes(addresses: &str, token: &str) -> Result<Client, Failure> {
    let client = Client::any_of(addresses.split(',').map(str::trim))?;
    Ok(if token.is_empty() { client } else { client.with_token(token)? })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let addresses = setting("NODES", "http://127.0.0.1:7400");
    let nodes = |token: &str| nodes(&addresses, &setting(token, ""));
    let app = Arc::new(App {
        database: Database::new(&setting("DATABASE_URL", "postgresql:///signup?host=/run/postgresql"))?,
        nodes: nodes("TOKEN")?,
        front: nodes("REGISTER_TOKEN")?,
        answer_within: setting("ANSWER_WITHIN", "5s").parse::<Span>()?.0,
        verify_within: setting("VERIFY_WITHIN", "3d").parse::<Span>()?.0,
    });
    // A failure should show at the start and not at the first visitor.
    app.database.connect().await?;
    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:8080")).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;

    tokio::spawn(feed::follow(app.clone()));
    tokio::spawn(registry::ask_again(app.clone()));
    axum::serve(listener, web::routes(app)).await?;
    Ok(())
}
