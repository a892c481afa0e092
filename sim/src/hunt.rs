//! Bugs that are planted on purpose, one at a time, and the number of seeds until a check finds each.

use forename::planted::{Bug, plant};

use crate::generate::{Size, generate};
use crate::run::{Failure, run};

/// Plants a bug on this thread, and runs at most `most` seeds from `first` on until one fails because of it. Returns
/// how many seeds that took, and the failure. A seed that also fails without the bug says nothing about the bug.
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
