//! How much callers may have open, and hold: each owner, and each API token.

mod held;
mod owners;
mod tokens;
mod totals;

pub(super) use self::owners::OwnerQuota;
pub use self::tokens::Charge;
pub(super) use self::tokens::TokenQuota;
pub(super) use self::totals::Totals;
