//! The result of a check.

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The check that found it.
    pub check: &'static str,
    /// What happened.
    pub text: String,
}

/// The result of a check.
pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn broken(check: &'static str, text: String) -> Checked {
    Err(Violation { check, text })
}
