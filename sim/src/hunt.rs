//! Bugs on purpose, one at a time: how many seeds it takes until a check finds each.

use forename::planted::{Bug, plant};

use crate::generate::{Size, generate};
use crate::run::{Failure, run};

/// Breaks a rule on this thread and runs seeds from `first` on, at most so many, until one fails by it: how many that
/// took, and how it failed. A seed that also fails with nothing broken says nothing about the bug.
#[must_use]
pub fn hunt(bug: Bug, first: u64, most: u64) -> Option<(u64, Failure)> {
    (1..=most).find_map(|count| {
        let plan = generate(first + count - 1, Size::default());
        plant(Some(bug));
        let failure = run(&plan).failure;
        plant(None);
        failure.filter(|_| run(&plan).failure.is_none()).map(|failure| (count, failure))
    })
}
