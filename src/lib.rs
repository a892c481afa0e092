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
//! | [`name`] | from a name as typed to its canonical form |
//! | [`crdt`] | ops and the registry lattice: tenures, displacement, endings |
//! | [`replica`] | the pure state machine: requests, gossip, finality, membership |
//! | [`store`] | ordered tables: the trait, the schema of keys and rows, in memory, on disk |
//! | [`codec`] | the binary encoding of frames and records |
//! | [`transport`] | QUIC between nodes: identities, join tokens, frames, peers |
//! | [`node`] | the driver: the only owner of a replica and its store |
//! | [`backup`] | all of a node in one file |
//! | [`api`] | the HTTP interface |
//! | [`client`] | a client of the HTTP interface |
//! | [`config`] | the settings of a node: file, environment, flags |
//! | [`cli`] | the command line |
//!
//! Data flows one way: request → replica → store → outputs. The first six modules know of no socket, thread or clock
//! and build without the feature `node`.

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
pub mod codec;
pub mod crdt;
pub mod name;
#[cfg(feature = "planted")]
pub mod planted;
pub mod replica;
pub mod store;

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod backup;
#[cfg(feature = "node")]
pub mod cli;
#[cfg(feature = "node")]
pub mod client;
#[cfg(feature = "node")]
pub mod config;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod transport;

#[cfg(feature = "node")]
pub use client::Client;
