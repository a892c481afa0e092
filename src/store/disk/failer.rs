//! Stops a store from whichever thread met the failure.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::committer::Work;
use super::shared::Shared;

/// Says that the store failed, and has its owner told.
#[derive(Clone)]
pub(super) struct Failer {
    pub(super) shared: Arc<Shared>,
    pub(super) committer: Sender<Work>,
}

impl Failer {
    pub(super) fn fail(&self, doing: &str, error: &dyn Display) {
        self.shared.fail(doing, error);
        // Where the committer has ended there is nobody to tell.
        let _ = self.committer.send(Work::Failed);
    }
}
