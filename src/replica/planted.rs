//! The rules of a step, broken on purpose: see [`planted`](crate::planted). Each function gets the result of a rule and
//! returns it unchanged, or a wrong one where its bug is planted.

use crate::planted::{Bug, is};

/// Changes whether the outputs that depend on a batch may be handed out.
pub(super) fn is_durable(durable: bool) -> bool {
    durable || is(Bug::SpeakBeforeFsync)
}

/// Changes whether a row of this step may wait to be committed with later ones.
pub(super) fn row_may_wait(may_wait: bool) -> bool {
    may_wait || is(Bug::AllRowsWait)
}

/// Changes whether an answer of this step depends on the rows that wait.
pub(super) fn is_read(read: bool) -> bool {
    read && !is(Bug::ReadBeforeCommit)
}

/// Changes by how much this node's clock is off.
pub(super) fn suspect(offset: Option<i64>) -> Option<i64> {
    offset.filter(|_| !is(Bug::SuspectTakesNames))
}
