//! The rules of a step, broken on purpose: see [`planted`](crate::planted). Each function is given what a rule says and hands
//! it on, or says something else where the bug is planted that it is for.

use crate::planted::{Bug, is};

/// Whether what depends on a batch may get out.
pub(super) fn is_durable(durable: bool) -> bool {
    durable || is(Bug::SpeakBeforeFsync)
}

/// By how much this node's clock is off.
pub(super) fn suspect(offset: Option<i64>) -> Option<i64> {
    offset.filter(|_| !is(Bug::SuspectTakesNames))
}
