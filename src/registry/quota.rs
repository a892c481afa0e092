//! Quotas: how many open registrations an owner or an API token may have, and how many that hold names.

mod held;
mod owners;
mod tokens;
mod totals;

pub(super) use self::owners::OwnerQuota;
pub use self::tokens::Charge;
pub(super) use self::tokens::TokenQuota;
pub(super) use self::totals::Totals;
