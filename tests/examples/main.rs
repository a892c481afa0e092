//! Runs the examples as a user would: with real nodes, a real PostgreSQL, and requests like those of a browser.
//!
//! | module | what |
//! | --- | --- |
//! | `signup` | the sign-up application, killed and started again |
//! | `postgres` | a PostgreSQL server for one test |
//! | `saga` | the aggregate and its process manager, stopped after each step |

#![expect(clippy::unwrap_used, reason = "tests end where something is not as it must be")]

mod postgres;
mod saga;
mod signup;

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other stories need more of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::model::{ClusterSettings, ClusterSettingsBody, Keep, Registration, RegistrationBody, Span};
use forename::node::NodeConfig;
use forename::transport::Cuts;

use support::local::Local;
use support::{claim, cluster, eventually};

/// Founds a cluster with a `keep_events` of zero.
async fn forgetful(label: &str, links: Arc<Cuts>) -> Local {
    let keep_events = Some(Keep::For(Span(Duration::ZERO)));
    let settings = ClusterSettings::default().with(&ClusterSettingsBody { keep_events, ..Default::default() });
    let change = |config: &mut NodeConfig| config.found = Some(settings);
    Local::start_otherwise(change, tempfile::tempdir().unwrap(), label, links, None).await
}

/// Registers, and waits until the clock has advanced, so that a later registration does not fall into the same
/// millisecond.
async fn claim_first(client: &Client, body: &RegistrationBody) -> Registration {
    let first = claim(client, body).await;
    eventually("the clock goes on", async || {
        let time = cluster(client).await?.time;
        if time > first.accepted_at { Ok(()) } else { Err(format!("it is {time:?}")) }
    })
    .await;
    first
}
