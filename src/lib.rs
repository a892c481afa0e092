//! A masterless registry of unique names.
//!
//! Every node takes registrations on its own, nodes gossip them as operation-based CRDTs over QUIC, the earliest claim
//! to a name wins on every node, and whoever lost is told so, durably.
//!
//! # What is where
//!
//! | module | what |
//! | --- | --- |
//! | [`clock`] | hybrid logical clocks, node ids, stamps |
//! | [`model`] | what clients and nodes say to each other: bodies, answers, problems, limits |
//! | [`name`] | from a name as typed to its canonical form |
//! | [`crdt`] | ops and the registry lattice: tenures, displacement, endings |
//! | [`replica`] | the pure state machine: requests, gossip, finality, membership |
//! | [`store`] | ordered tables: the trait, the schema of keys and rows, in memory, on disk |
//! | [`codec`] | the binary encoding of frames and records |
//! | [`transport`] | QUIC between nodes: identities, join tokens, frames, peers |
//! | [`node`] | the driver: the only owner of a replica and its store |
//! | [`backup`] | all of a node in one file |
//! | `files` | files and directories that only their owner can read |
//! | [`api`] | the HTTP interface |
//! | [`client`] | a client of the HTTP interface |
//! | [`config`] | the settings of a node: file, environment, flags |
//! | [`cli`] | the command line |
//!
//! Data flows one way: request → replica → store → outputs. The modules down to [`codec`], but for the store on
//! disk, know of no socket, thread or clock.
//!
//! # Features
//!
//! `client` builds [`Client`] with `clock` and `model` and nothing else; `node` a node in this process; `cli` the program. All
//! are on by default. `core` is the pure parts, which the simulator is built on.

/// True where the bug of this name is planted; always false without the feature `planted`.
#[cfg(feature = "planted")]
macro_rules! planted {
    ($bug:ident) => {
        crate::planted::is(crate::planted::Bug::$bug)
    };
}
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

pub mod clock;
#[cfg(feature = "core")]
pub mod codec;
#[cfg(feature = "core")]
pub mod crdt;
pub mod model;
#[cfg(feature = "core")]
pub mod name;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(feature = "core")]
pub mod replica;
#[cfg(feature = "core")]
pub mod store;

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod backup;
#[cfg(feature = "cli")]
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
pub mod node;
#[cfg(feature = "node")]
pub mod transport;

#[cfg(feature = "client")]
pub use client::Client;
#[cfg(feature = "node")]
pub use library::{NodeBackup, NodeBatch, NodeEvents};
#[cfg(feature = "node")]
pub use node::Node;
