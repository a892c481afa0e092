//! How a run fails.

use crate::violation::Violation;

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Something happened that must never happen.
    Safety(Violation),
    /// Something that must happen did not.
    Liveness(Violation),
    /// The replica panicked.
    Crash(Violation),
}

impl Failure {
    /// What was broken.
    #[must_use]
    pub fn violation(&self) -> &Violation {
        let (Self::Safety(violation) | Self::Liveness(violation) | Self::Crash(violation)) = self;
        violation
    }
}
