//! A deterministic simulator of forename clusters.
//!
//! The real replica runs on simulated machines: virtual time, network, disks and clocks, all decided by one seed.
//!
//! | module | what |
//! | --- | --- |
//! | [`plan`] | everything that is going to happen, as data |
//! | [`generate`], `operators` | from a seed to a plan |
//! | `world` | virtual time, machines, disks, the network, clients, operators and liars; what goes wrong with them |
//! | [`checks`] | what must hold, after every step and at the end |
//! | [`oracle`] | an independent model of the rules |
//! | [`run`], `ask` | the phases of a run, and what is asked at its end |
//! | [`marks`] | rare branches |
//! | [`golden`] | seeds whose runs are known |
//! | [`canary`] | a failure on purpose |
//! | `hunt` | bugs on purpose, and how soon they are found (feature `planted`) |
//! | [`scale`] | large clusters, and what spreading and deciding costs them |
//! | `trace`, `describe` | what happened, a note each, and plain words for it |
//! | [`report`] | a run as a page: lanes of nodes, messages, faults, fates |
//! | [`shrink`] | the least plan that fails in the same way |
//! | [`story`] | scenarios told in steps |

#![forbid(unsafe_code)]

mod ask;
pub mod canary;
pub mod checks;
mod describe;
pub mod dice;
pub mod generate;
pub mod golden;
#[cfg(feature = "planted")]
pub mod hunt;
pub mod marks;
mod operators;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod run;
pub mod scale;
pub mod shrink;
pub mod story;
mod trace;
mod world;

pub use checks::ledger::Violation;
