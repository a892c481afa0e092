//! A round of seeds, each with another cluster and other faults, and the marks that the round must reach.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use forename_sim::generate::{Size, generate};
use forename_sim::marks;
use forename_sim::run::run;

/// The number of seeds takes about half a minute on two cores in a test build.
const SEEDS: u64 = 3000;

#[test]
fn all_seeds_end_well_and_reach_the_rare_branches() {
    let next = AtomicU64::new(1);
    let reached = Mutex::new(BTreeSet::new());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let report = run(&generate(seed, Size::default()));
                    reached.lock().unwrap_or_else(PoisonError::into_inner).extend(report.marks);
                    if let Some(failure) = report.failure {
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push((seed, failure));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let again = "cargo run --release -p forename-sim -- run --seed N shows them";
    assert!(failures.is_empty(), "{again}: {failures:#?}");
    let reached = reached.into_inner().unwrap_or_else(PoisonError::into_inner);
    let missed: Vec<_> = marks::REQUIRED.iter().filter(|mark| !reached.contains(*mark)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 2, 3, 50, 1000] {
        let plan = generate(seed, Size::default());
        assert_eq!(run(&plan).hash, run(&plan).hash, "seed {seed}");
    }
}
