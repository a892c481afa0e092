//! The rules of a step, broken on purpose: see [`planted`](crate::planted). Each function is given what a rule says and hands
//! it on, or says something else where the bug is planted that it is for.

use crate::planted::{Bug, is};

/// Whether what depends on a batch may get out.
pub(super) fn is_durable(durable: bool) -> bool {
    durable || is(Bug::SpeakBeforeFsync)
}

/// Whether a row of this step may wait to be committed with later ones.
pub(super) fn row_may_wait(may_wait: bool) -> bool {
    may_wait || is(Bug::AllRowsWait)
}

/// Whether an answer of this step depends on the rows that wait.
pub(super) fn is_read(read: bool) -> bool {
    read && !is(Bug::ReadBeforeCommit)
}

/// By how much this node's clock is off.
pub(super) fn suspect(offset: Option<i64>) -> Option<i64> {
    offset.filter(|_| !is(Bug::SuspectTakesNames))
}
