//! The kinds of failure of a run.

use crate::violation::Violation;

/// The reason why a run failed.
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
    /// Returns the violation.
    #[must_use]
    pub fn violation(&self) -> &Violation {
        let (Self::Safety(violation) | Self::Liveness(violation) | Self::Crash(violation)) = self;
        violation
    }
}
