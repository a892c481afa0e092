//! The least plan that fails in the same way: entries are taken out for as long as the failure stays (Zeller and
//! Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).

use crate::plan::Plan;
use crate::run::{Failure, run};

/// Shrinks a plan that fails; none where it does not.
#[must_use]
pub fn shrink(plan: &Plan) -> Option<(Plan, Failure)> {
    let failure = run(plan).failure?;
    let same = |candidate: &Plan| run(candidate).failure.is_some_and(|other| alike(&failure, &other));
    let mut least = plan.clone();
    loop {
        let before = size(&least);
        for list in LISTS {
            take_out(&mut least, list, &same);
        }
        simplify(&mut least, &same);
        if size(&least) == before {
            let failure = run(&least).failure?;
            return Some((least, failure));
        }
    }
}

/// Two failures are one where the same check of the same kind found them; what it says may differ.
fn alike(a: &Failure, b: &Failure) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && a.violation().check == b.violation().check
}

fn size(plan: &Plan) -> usize {
    plan.actions.len() + plan.faults.len() + plan.joiners.len()
}

/// A list of a plan's entries: its length, and taking a stretch out of it.
type List = (fn(&Plan) -> usize, fn(&mut Plan, std::ops::Range<usize>));

const LISTS: [List; 3] = [
    (|plan| plan.faults.len(), |plan, range| drop(plan.faults.drain(range))),
    (|plan| plan.actions.len(), |plan, range| drop(plan.actions.drain(range))),
    // Only the last machines can go: the others' places have to stay what they are.
    (|plan| plan.joiners.len(), |plan, range| without_machines(plan, range)),
];

fn without_machines(plan: &mut Plan, range: std::ops::Range<usize>) {
    if range.end < plan.joiners.len() {
        return;
    }
    plan.joiners.truncate(range.start);
    let hosts = plan.hosts();
    plan.clocks.truncate(hosts);
    plan.actions.retain(|action| action.host < hosts);
    plan.faults.retain(|fault| fault.what.hosts().iter().all(|host| *host < hosts));
}

/// Takes out ever smaller stretches, down to single entries.
fn take_out(plan: &mut Plan, (length, remove): List, same: &dyn Fn(&Plan) -> bool) {
    let mut stretch = length(plan);
    while stretch > 0 {
        let mut from = 0;
        while from < length(plan) {
            let mut candidate = plan.clone();
            remove(&mut candidate, from..(from + stretch).min(length(plan)));
            if size(&candidate) < size(plan) && same(&candidate) {
                *plan = candidate;
            } else {
                from += stretch;
            }
        }
        stretch /= 2;
    }
}

/// Makes what is left plainer: even links, a quick disk, right clocks.
fn simplify(plan: &mut Plan, same: &dyn Fn(&Plan) -> bool) {
    let plainer: [fn(&mut Plan); 4] = [
        |plan| (plan.links.jitter, plan.links.slow) = (0, 0),
        |plan| (plan.links.loss, plan.links.twice) = (0, 0),
        |plan| plan.disk.jitter = 0,
        |plan| plan.clocks.iter_mut().for_each(|clock| *clock = (0, 0)),
    ];
    for change in plainer {
        let mut candidate = plan.clone();
        change(&mut candidate);
        if candidate != *plan && same(&candidate) {
            *plan = candidate;
        }
    }
}
