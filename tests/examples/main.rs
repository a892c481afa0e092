//! The examples as somebody would run them: real nodes, a real PostgreSQL, a browser's requests.
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

use forename::Client;
use forename::model::{Registration, RegistrationBody};

use support::{claim, cluster, eventually};

/// Registers, and waits until the clock has gone on: whoever registers next does so later, and not in the same millisecond.
async fn claim_first(client: &Client, body: &RegistrationBody) -> Registration {
    let first = claim(client, body).await;
    eventually("the clock goes on", async || {
        let time = cluster(client).await?.time;
        if time > first.accepted_at { Ok(()) } else { Err(format!("it is {time:?}")) }
    })
    .await;
    first
}
