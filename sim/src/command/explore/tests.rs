use std::collections::BTreeSet;

use forename_sim::Violation;
use forename_sim::marks::REQUIRED;
use forename_sim::run::{Failure, Report};

use super::{ROUND, Round};
use crate::command::End;

fn report(marks: &[&'static str], failure: Option<Failure>) -> Report {
    let marks: BTreeSet<_> = marks.iter().copied().collect();
    Report { failure, marks, hash: 0, lasted: 1000, steps: 1, requests: 1, ops: 1 }
}

fn violation() -> Violation {
    Violation { check: "test", text: String::new() }
}

fn round(seeds: u64, marks: &[&'static str]) -> Round {
    let mut round = Round::default();
    (0..seeds).for_each(|seed| round.add(seed, report(marks, None)));
    round
}

#[test]
fn a_round_that_misses_a_required_mark_fails_with_a_code_of_its_own() {
    assert_eq!(round(ROUND, REQUIRED).end(), End::Well);
    let mut missing = round(ROUND, &REQUIRED[1..]);
    assert_eq!(missing.missed(REQUIRED), [REQUIRED[0]]);
    assert_eq!(missing.end(), End::Missed);
    missing.add(ROUND, report(REQUIRED, None));
    assert_eq!(missing.end(), End::Well, "once is enough");
}

#[test]
fn a_few_seeds_need_not_reach_every_mark() {
    assert_eq!(round(ROUND - 1, &[]).end(), End::Well);
}

#[test]
fn of_several_failures_the_gravest_counts_and_marks_do_not() {
    let mut round = round(ROUND, &[]);
    round.add(1, report(&[], Some(Failure::Crash(violation()))));
    assert_eq!(round.end(), End::Panic);
    round.add(2, report(&[], Some(Failure::Liveness(violation()))));
    assert_eq!(round.end(), End::Liveness);
    round.add(3, report(&[], Some(Failure::Safety(violation()))));
    assert_eq!(round.end(), End::Safety);
}
