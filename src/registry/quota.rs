//! How much callers may have open: each owner, and each API token.

mod owners;
mod tokens;

pub(super) use self::owners::OwnerQuota;
pub use self::tokens::Charge;
pub(super) use self::tokens::TokenQuota;
