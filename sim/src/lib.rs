//! A deterministic simulator of forename clusters.
//!
//! The real replica runs on simulated machines. Virtual time, network, disks and clocks all follow from one seed.
//!
//! | module | what |
//! | --- | --- |
//! | [`plan`] | everything that is going to happen, as data |
//! | [`generate`], `operators` | from a seed to a plan |
//! | [`oracle`] | an independent model of the rules |
//! | `world` | virtual time, machines, disks, the network, clients, operators and liars; what goes wrong with them |
//! | `violation` | what a check says |
//! | [`marks`], `stats` | rare branches; what is counted |
//! | `trace`, `describe` | what happened, a note each, and plain words for it |
//! | `ask` | requests of the simulator's own |
//! | `checks` | what must hold, after every step and at the end |
//! | `observers` | those who look on: the trace, the counts, the marks, the checks |
//! | [`run`] | the phases of a run |
//! | [`golden`] | seeds whose runs are known |
//! | [`canary`] | a failure on purpose |
//! | `hunt` | bugs on purpose, and how soon they are found (feature `planted`) |
//! | [`scale`] | large clusters, and what spreading and deciding costs them |
//! | [`report`] | a run as a page: lanes of nodes, messages, faults, fates |
//! | [`shrink`] | the least plan that fails in the same way |
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
