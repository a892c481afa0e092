//! Stops a store, from any thread that meets a failure.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::committer::Work;
use super::shared::Shared;

/// Marks the store as failed, and has the committer tell its owner.
#[derive(Clone)]
pub(super) struct Failer {
    pub(super) shared: Arc<Shared>,
    pub(super) committer: Sender<Work>,
}

impl Failer {
    pub(super) fn fail(&self, doing: &str, error: &dyn Display) {
        self.shared.fail(doing, error);
        // Where the committer has ended there is no owner to tell.
        let _ = self.committer.send(Work::Failed);
    }
}
