//! What the store tells its owner.

use crate::store::{Batch, StoreFailure};

/// What the committer has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskEvent {
    /// All batches up to this one survive a crash. Numbers rise; some are skipped.
    Persisted(Batch),
    /// The store stopped. This is its last event.
    Failed(StoreFailure),
}
