//! Every bug that is planted in the replica is found within a fixed number of seeds, and none without one.
#![cfg(feature = "planted")]

use forename::planted::{Bug, plant};
use forename_sim::generate::{Size, generate};
use forename_sim::run::run;

/// No planted bug hides for longer.
const SEEDS: u64 = 400;

#[test]
fn each_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut hidden = Vec::new();
    for bug in Bug::ALL {
        plant(Some(bug));
        let found = (1..=SEEDS).find_map(|seed| Some((seed, run(&generate(seed, Size::default())).failure?)));
        match found {
            Some((seed, failure)) => println!("{bug:?}: seed {seed}: {}", failure.violation().check),
            None => hidden.push(bug),
        }
    }
    plant(None);
    let _ = std::panic::take_hook();
    assert!(hidden.is_empty(), "not found within {SEEDS} seeds: {hidden:?}");
}

#[test]
fn a_planted_bug_shrinks_to_what_it_needs() {
    plant(Some(Bug::TwinCountedAsLoser));
    let (plan, failure) = forename_sim::shrink::shrink(&generate(1, Size::default())).expect("it is found by seed 1");
    plant(None);
    assert_eq!(failure.violation().check, "events");
    assert!(plan.actions.len() + plan.faults.len() <= 5, "a claim and its retry: {plan:#?}");
    let text = serde_json::to_string(&plan).expect("a plan is data");
    assert_eq!(serde_json::from_str::<forename_sim::plan::Plan>(&text).expect("a plan is data"), plan);
}
