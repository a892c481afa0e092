//! Bugs on purpose, one at a time: how many seeds it takes until a check finds each.

use forename::planted::{Bug, plant};

use crate::generate::{Size, generate};
use crate::run::{Failure, run};

/// Breaks a rule on this thread and runs seeds from `first` on, at most so many, until one fails: how many that took,
/// and how it failed.
#[must_use]
pub fn hunt(bug: Bug, first: u64, most: u64) -> Option<(u64, Failure)> {
    plant(Some(bug));
    let found = (1..=most).find_map(|count| {
        let report = run(&generate(first + count - 1, Size::default()));
        Some((count, report.failure?))
    });
    plant(None);
    found
}
