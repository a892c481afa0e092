//! A deterministic simulator of forename clusters.
//!
//! The real replica runs on simulated machines: virtual time, network, disks and clocks, all decided by one seed.
//!
//! | module | what |
//! | --- | --- |
//! | [`plan`] | everything that is going to happen, as data |
//! | [`generate`], `operators` | from a seed to a plan |
//! | `world`, `queue`, `outputs` | virtual time, what happens in it, and what comes out of replicas |
//! | `machine`, `disk`, `net`, `wires`, `faults` | what replicas run on, and what goes wrong |
//! | `copies`, `known` | data directories that are not the latest, and whether that must be noticed |
//! | `clients`, `feeds` | what is asked, and what is told |
//! | `ledger` | checks after every step |
//! | `availability` | whether what is refused has a reason |
//! | `issued` | whether who lets in, evicts or leaves may do so |
//! | `orders`, `roll` | what operators ordered, and who is a member by the ops that a host has |
//! | `exclusive` | a name has at most one holder at any time |
//! | `liar`, `confidential` | somebody who is no member and lies, and what only members may be told |
//! | `bounds` | what a node keeps is bounded by what lives |
//! | `held` | what is confirmed is durable on a majority of the members |
//! | [`secrets`] | private names, and that nobody else comes to see them |
//! | [`oracle`] | an independent model of the rules |
//! | [`run`], `end`, `ask` | the phases of a run, the checks at its end, and what these ask |
//! | `recovery` | a new cluster is made of what one machine has |
//! | `lasting` | the end of a run after which some machines stay lost |
//! | `way_out` | what an operator and clients can still do at the end |
//! | [`marks`] | rare branches |
//! | [`golden`] | seeds whose runs are known |
//! | [`canary`] | a failure on purpose |
//! | `hunt` | bugs on purpose, and how soon they are found (feature `planted`) |
//! | [`scale`] | large clusters, and what spreading and deciding costs them |
//! | `trace`, `words` | what happened, a note each, and plain words for it |
//! | [`report`] | a run as a page: lanes of nodes, messages, faults, fates |
//! | [`shrink`] | the least plan that fails in the same way |
//! | [`story`] | scenarios told in steps |

#![forbid(unsafe_code)]

mod ask;
mod availability;
mod bounds;
pub mod canary;
mod charges;
mod clients;
mod confidential;
mod copies;
pub mod dice;
mod disk;
mod end;
mod exclusive;
mod faults;
mod feeds;
pub mod generate;
pub mod golden;
mod held;
#[cfg(feature = "planted")]
pub mod hunt;
mod issued;
mod known;
mod lasting;
mod ledger;
mod liar;
mod machine;
pub mod marks;
mod net;
mod operators;
pub mod oracle;
mod orders;
mod outputs;
pub mod plan;
mod queue;
mod recovery;
mod remains;
pub mod report;
mod reports;
mod roll;
pub mod run;
pub mod scale;
pub mod secrets;
pub mod shrink;
pub mod story;
mod trace;
mod way_out;
mod wires;
mod words;
mod world;

pub use ledger::Violation;
