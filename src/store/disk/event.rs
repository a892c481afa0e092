//! The events of a store for its owner.

use crate::store::{Batch, StoreFailure};

/// A message of a store to the driver that owns it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskEvent {
    /// All batches up to this one are durable. The numbers rise, and some are skipped.
    Persisted(Batch),
    /// The store stopped. This is its last event.
    Failed(StoreFailure),
}
