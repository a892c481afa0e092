//! A deterministic simulator of forename clusters.
//!
//! The real replica runs on simulated machines. Virtual time, network, disks and clocks all follow from one seed.
//!
//! | module | content |
//! | --- | --- |
//! | [`plan`] | the plan of a run: everything that is going to happen, as data |
//! | [`generate`], `operators` | generate the plan of a seed |
//! | [`oracle`] | an independent model of the rules |
//! | `world` | virtual time, machines, disks, the network, clients, operators and liars; faults |
//! | `violation` | the result of a check |
//! | [`marks`], `stats` | rare branches; counts |
//! | `trace`, `describe` | a note for each event of a run, and its description in plain words |
//! | `ask` | requests that the simulator itself sends to nodes |
//! | `checks` | the rules that must hold after every step and at the end |
//! | `observers` | the observers of a run: the trace, the counts, the marks, the checks |
//! | [`run`] | the phases of a run |
//! | [`golden`] | seeds whose runs are known by their hashes |
//! | [`canary`] | a failure on purpose |
//! | `hunt` | bugs that are planted on purpose, and how soon they are found (feature `planted`) |
//! | [`scale`] | large clusters, and the cost of spreading and deciding ops in them |
//! | [`report`] | a run as a page: lanes of nodes, messages, faults, outcomes |
//! | [`shrink`] | shrinks a plan to a small one that fails in the same way |
//! | [`story`] | scenarios told in steps |
//!
//! Data flows one way: plan → world → what is seen → observers. The world does not know its observers.

#![forbid(unsafe_code)]

mod ask;
pub mod canary;
mod checks;
mod describe;
pub mod dice;
pub mod generate;
pub mod golden;
#[cfg(feature = "planted")]
pub mod hunt;
pub mod marks;
mod observers;
mod operators;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod run;
pub mod scale;
pub mod shrink;
mod stats;
pub mod story;
mod trace;
mod violation;
mod world;

pub use violation::Violation;
