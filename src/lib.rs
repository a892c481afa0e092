//! A masterless registry of unique names.
//!
//! Every node takes registrations on its own, nodes gossip them as operation-based CRDTs over QUIC, the earliest claim
//! to a name wins on every node, and whoever lost is told so, durably.
//!
//! # What to use
//!
//! * [`Client`] talks to a node over HTTP. With `default-features = false, features = ["client"]` nothing of the node is
//!   built.
//! * [`Node`] is a node in your own process, with the same calls, but those about webhooks. Its settings are in [`node`] and [`config`].
//! * [`model`] has what the calls take and give.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use forename::model::{NameRef, RegistrationBody, Status, Wait};
//! use forename::node::NodeConfig;
//!
//! forename::Node::init("./forename-data", &Default::default())?; // founds a cluster, once
//! let node = forename::Node::start(NodeConfig::new("./forename-data")).await?;
//! let carol = NameRef { namespace: "username".into(), name: "carol".into() };
//! let wait = Some(Wait::Final);
//! let body = RegistrationBody { owner: "user-17".into(), names: vec![carol], wait, ..Default::default() };
//! assert_eq!(node.register(&body).await?.status, Status::Confirmed);
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | module | what |
//! | --- | --- |
//! | `clock` | hybrid logical clocks, node ids, stamps |
//! | [`model`] | what clients and nodes say to each other: bodies, answers, problems, limits |
//! | `name` | from a name as typed to its canonical form |
//! | `crdt` | what ops say about names, and the lattice that they make: tenures, displacement, endings |
//! | `log` | the pure state machine that decides when an op counts: members, promises, gossip |
//! | `registry` | the pure state machine that decides what becomes of names: requests, verdicts, events |
//! | `replica` | composes the two into a node's state machine: one step, boot, what is done to a stopped node |
//! | `store` | ordered tables: the trait, the schema of keys and rows, in memory, on disk |
//! | `codec` | the binary encoding of frames and records |
//! | `transport` | QUIC between nodes: identities, join tokens, frames, peers |
//! | `metrics` | what is counted and measured of a node |
//! | [`node`] | the driver: the only owner of a replica and its store |
//! | `audit` | what administrators did |
//! | `traces` | spans for OpenTelemetry |
//! | `backup` | all of a node in one file |
//! | `files` | files and directories that only their owner can read |
//! | `api` | the HTTP interface |
//! | `library` | the calls of a client on a node in this process |
//! | [`client`] | a client of the HTTP interface |
//! | [`config`] | the settings of a node: file, environment, flags |
//! | `cli` | the command line |
//!
//! Data flows one way: request → replica → store → outputs. No two of these modules use each other in a circle: a test
//! (`tests/modules`) watches that. The modules down to `codec`, but for the store on disk, know of no socket, thread or
//! clock.
//!
//! The modules that have no link here are public for this repository's simulator, tests, benches and program alone, which
//! drive the parts by themselves. They are left out of the documentation, and change without notice.
//!
//! # Features
//!
//! | feature | what it builds |
//! | --- | --- |
//! | `client` | [`Client`], with `clock` and `model` and nothing else |
//! | `node` | [`Node`]: sockets, disk, the HTTP interface |
//! | `cli` | the program `forename`, with the other two |
//! | `core` | the pure parts, for the simulator |
//! | `otel` | spans of requests and outcomes, exported to OpenTelemetry |
//!
//! The first three are on by default.

/// Puts the planted bugs between a rule and whoever asks: `planted!(log::is_heard(rule))` is what the rule says, with the
/// feature `planted` as the function of that name in `log/planted.rs` hands it on. Arguments after the first are what such
/// a function needs to know. `planted!(do …)` calls it there and nothing here.
#[cfg(feature = "planted")]
macro_rules! planted {
    ($module:ident::$rule:ident($($said:expr),+)) => {
        crate::$module::planted::$rule($($said),+)
    };
    (do $module:ident::$rule:ident($($argument:expr),+)) => {
        crate::$module::planted::$rule($($argument),+)
    };
}
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($module:ident::$rule:ident($said:expr $(, $more:expr)*)) => {
        $said
    };
    (do $module:ident::$rule:ident($($argument:expr),+)) => {};
}

#[doc(hidden)]
pub mod clock;
#[cfg(feature = "core")]
#[doc(hidden)]
pub mod codec;
#[cfg(feature = "core")]
#[doc(hidden)]
pub mod crdt;
#[cfg(feature = "core")]
#[doc(hidden)]
pub mod log;
pub mod model;
#[cfg(feature = "core")]
#[doc(hidden)]
pub mod name;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
#[cfg(feature = "core")]
#[doc(hidden)]
pub mod registry;
#[cfg(feature = "core")]
#[doc(hidden)]
pub mod replica;
#[cfg(feature = "core")]
#[doc(hidden)]
pub mod store;

#[cfg(feature = "node")]
#[doc(hidden)]
pub mod api;
#[cfg(feature = "node")]
mod audit;
#[cfg(feature = "node")]
#[doc(hidden)]
pub mod backup;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "node")]
pub mod config;
#[cfg(feature = "node")]
mod files;
#[cfg(feature = "node")]
mod library;
#[cfg(feature = "node")]
mod metrics;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
mod traces;
#[cfg(feature = "node")]
#[doc(hidden)]
pub mod transport;

#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "node")]
pub use library::{NodeBackup, NodeBatch, NodeEvents};
#[cfg(feature = "node")]
pub use node::Node;
