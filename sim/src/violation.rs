//! What a check says of a run.

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which check found it.
    pub check: &'static str,
    /// How.
    pub text: String,
}

/// The result of a check.
pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn broken(check: &'static str, text: String) -> Checked {
    Err(Violation { check, text })
}
