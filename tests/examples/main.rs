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
