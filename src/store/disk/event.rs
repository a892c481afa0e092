//! The events of a store for its owner.

use std::time::Duration;

use crate::store::{Batch, StoreFailure};

/// An event of the committer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskEvent {
    /// All batches up to this one are durable. The numbers rise, and some are skipped.
    Persisted {
        /// The number of the batch.
        batch: Batch,
        /// The time that writing and syncing the log took.
        took: Duration,
    },
    /// The store stopped. This is its last event.
    Failed(StoreFailure),
}
