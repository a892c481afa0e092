//! The table of the planted bugs, in Markdown.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use forename::planted::Bug;
use forename_sim::hunt::hunt;

use super::Options;
use crate::command::{End, Ended, quiet_panics};

/// The results of the batches of one bug.
struct Finding {
    bug: Bug,
    /// The number of seeds that each batch took, the least first; none where a batch found nothing.
    taken: Vec<Option<u64>>,
    /// How often each check found the bug.
    checks: BTreeMap<&'static str, usize>,
}

/// Prints the table. The threads share the list of bugs, because a bug is planted for one thread only.
pub(super) fn print(options: &Options) -> Ended {
    quiet_panics();
    let bugs = if options.bugs.is_empty() { Bug::ALL } else { &options.bugs };
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (sender, findings) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..options.jobs.unwrap_or(cores).max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _ = sender.send(batches(*bug, options));
                    eprintln!("{bug:?}");
                }
            });
        }
    });
    drop(sender);
    let mut findings: Vec<Finding> = findings.iter().collect();
    findings.sort_by_key(|finding| Bug::ALL.iter().position(|bug| *bug == finding.bug));
    println!("| bug | what it breaks | found by | median seeds | worst |");
    println!("| --- | --- | --- | --: | --: |");
    findings.iter().for_each(|finding| println!("{}", finding.row(options.seeds)));
    let hidden = findings.iter().any(|finding| finding.taken.iter().any(Option::is_none));
    Ok(if hidden { End::Missed } else { End::Well })
}

fn batches(bug: Bug, options: &Options) -> Finding {
    let mut finding = Finding { bug, taken: Vec::new(), checks: BTreeMap::new() };
    for batch in 0..options.batches {
        let found = hunt(bug, options.first + batch * options.seeds, options.seeds);
        finding.taken.push(found.as_ref().map(|(taken, _)| *taken));
        if let Some((_, failure)) = found {
            *finding.checks.entry(failure.violation().check).or_default() += 1;
        }
    }
    // A batch that found nothing took longer than any batch that found the bug.
    finding.taken.sort_by_key(|taken| taken.unwrap_or(u64::MAX));
    finding
}

impl Finding {
    fn row(&self, most: u64) -> String {
        let count = |taken: Option<&Option<u64>>| match taken {
            Some(Some(taken)) => taken.to_string(),
            Some(None) => format!("more than {most}"),
            None => "none tried".to_owned(),
        };
        let (median, worst) = (count(self.taken.get(self.taken.len() / 2)), count(self.taken.last()));
        let check = self.checks.iter().max_by_key(|(_, times)| **times).map_or("nothing", |(check, _)| *check);
        format!("| `{:?}` | {} | {check} | {median} | {worst} |", self.bug, self.bug.describe())
    }
}
