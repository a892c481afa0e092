//! What must hold: after every step, of whatever is told, and at the end of a run.
//!
//! | module | what |
//! | --- | --- |
//! | `ledger` | after every step: logs, promises, cuts, the feeds, what is said to be final |
//! | `exclusive` | a name has at most one holder at any time |
//! | `held` | what is confirmed is durable on a majority of the members |
//! | `availability` | a request that is refused is refused for a reason |
//! | `issued`, `roll` | who lets in, evicts or leaves may do so, by the membership that follows from its ops |
//! | `confidential`, [`secrets`] | what only members may be told; private names |
//! | `charges` | the limits of callers |
//! | `known` | what nodes have said of themselves, by which an old copy of a directory must be noticed |
//! | `bounds` | what a node keeps is bounded by what lives |
//! | `end`, `reports`, `erasure` | at the end: all nodes against the oracle, the reports, what was erased |
//! | `way_out` | at the end: what an operator and clients can still do |

pub(crate) mod availability;
pub(crate) mod bounds;
pub(crate) mod charges;
pub(crate) mod confidential;
pub(crate) mod end;
pub(crate) mod erasure;
pub(crate) mod exclusive;
pub(crate) mod held;
pub(crate) mod issued;
pub(crate) mod known;
pub(crate) mod ledger;
pub(crate) mod reports;
pub(crate) mod roll;
pub mod secrets;
pub(crate) mod way_out;
