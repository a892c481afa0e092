//! The clock's rule, broken on purpose: see [`planted`](crate::planted).

use super::{Hlc, Millis};
use crate::planted::{Bug, is};

/// Returns the timestamp that is promised at a time.
pub(super) fn promised(promised: Hlc, now: Millis) -> Hlc {
    if is(Bug::ClockGoesBack) { Hlc::from_millis(now) } else { promised }
}
