//! Shrinks a plan to a small one that fails in the same way. Entries are taken out as long as the failure stays (Zeller
//! and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).

use forename::replica::GossipLimits;

use crate::plan::{Ask, Ending, Otherwise, Plan};
use crate::run::{Failure, run};

/// Shrinks a plan that fails; none where the plan does not fail.
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

/// Returns true where two failures are of the same kind and of the same check. Their texts may differ.
fn alike(a: &Failure, b: &Failure) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && a.violation().check == b.violation().check
}

/// Returns the number of entries in a plan.
fn size(plan: &Plan) -> usize {
    let lost = if let Ending::Lasting { lost, .. } = &plan.ending { lost.len() } else { 0 };
    plan.actions.len() + plan.faults.len() + plan.lies.len() + plan.hosts() + lost
}

/// A list of entries in a plan, as two functions: one returns its length, the other takes a range out.
type List = (fn(&Plan) -> usize, fn(&mut Plan, std::ops::Range<usize>));

const LISTS: [List; 4] = [
    (|plan| plan.lies.len(), |plan, range| drop(plan.lies.drain(range))),
    (|plan| plan.faults.len(), |plan, range| drop(plan.faults.drain(range))),
    (|plan| plan.actions.len(), |plan, range| drop(plan.actions.drain(range))),
    (Plan::hosts, |plan, range| {
        for host in range.rev() {
            *plan = plan.without(host).unwrap_or_else(|| plan.clone());
        }
    }),
];

/// Takes out smaller and smaller ranges, down to single entries.
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

fn keep(plan: &mut Plan, same: &dyn Fn(&Plan) -> bool, change: impl Fn(&mut Plan)) {
    let mut candidate = plan.clone();
    change(&mut candidate);
    if candidate != *plan && same(&candidate) {
        *plan = candidate;
    }
}

/// Simplifies what is left: equal links, fast disks, right clocks, one node for all clients, short faults.
fn simplify(plan: &mut Plan, same: &dyn Fn(&Plan) -> bool) {
    let plainer: [fn(&mut Plan); 10] = [
        |plan| plan.ending = Ending::Healed,
        |plan| plan.recovers = None,
        |plan| plan.spread = GossipLimits::default(),
        |plan| (plan.links.jitter, plan.links.slow, plan.links.rate) = (0, 0, None),
        |plan| (plan.links.loss, plan.links.twice) = (0, 0),
        |plan| plan.disk.jitter = 0,
        |plan| plan.clocks.clear(),
        |plan| plan.actions.iter_mut().for_each(|action| action.host = 0),
        |plan| plan.actions.iter_mut().for_each(|action| action.otherwise = Otherwise::GivesUp),
        |plan| plan.joiners.iter_mut().for_each(|joiner| joiner.also = None),
    ];
    for change in plainer {
        keep(plan, same, change);
    }
    for host in 0..plan.clocks.len() {
        keep(plan, same, |plan| plan.clocks[host] = (0, 0));
    }
    for place in 0..plan.actions.len() {
        keep(plan, same, |plan| plainer_ask(&mut plan.actions[place].ask));
    }
    for place in 0..plan.faults.len() {
        for _ in 0..10 {
            keep(plan, same, |plan| plan.faults[place].lasts /= 2);
        }
    }
    let faults = plan.faults.iter().map(|fault| fault.at).chain(plan.lies.iter().map(|lie| lie.at));
    let end = plan.actions.iter().map(|action| action.at).chain(faults).max();
    keep(plan, same, |plan| plan.heal_at = end.unwrap_or(0) + 1);
}

fn plainer_ask(ask: &mut Ask) {
    match ask {
        Ask::Register(wish) => {
            wish.names.truncate(1);
            (wish.ttl, wish.wait) = (None, None);
            wish.discreet = false;
        }
        Ask::Show(_, wait) => *wait = None,
        Ask::Rules(book) => book.reserved.truncate(1),
        Ask::Import(_, count, metadata) => (*count, *metadata) = (count.div_ceil(2), 0),
        _ => {}
    }
}
