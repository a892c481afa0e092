//! The registry lattice.

mod op;

pub use op::{Body, Claim, ClaimRef, Op, Register, Seq};
