//! The registry as an operation-based CRDT: which claim leads which tenure, and which registrations lost.
//!
//! A [`Lattice`] applies ops of any origin in that origin's order and in any order between origins, and comes to the
//! same state. Its results only grow: a claim once displaced stays so, a registration once lost stays lost. Whether
//! that is *final* depends on what other members hold and promise, which is decided elsewhere: the replica records its
//! verdicts (`rejected`, `ended`) in the same records, and says when a registration that is over may be forgotten.

mod erase;
mod extend;
mod gc;
mod lattice;
mod op;
mod orphan_ops;
#[cfg(feature = "planted")]
mod planted;
mod record;
mod rows;
mod state;
mod tenures;
#[cfg(test)]
mod tests;
mod webhook;

pub use extend::Extensions;
pub use gc::ID_WINDOW;
pub use lattice::{Effects, Lattice};
pub use op::{Claim, ClaimRef, NameOp, Register};
pub use record::{ClaimRecord, EndReason, Namespace, Registration, id_of_stamp, stamp_of_id};
pub use state::{ApplyError, Entry, MergeError, State};
pub use tenures::{ClaimPlace, Followed, Open, Tenures, Vacancy};
pub use webhook::{Hook, HookSecret, Stop, Webhook};
