//! A run: the faults, then the healed cluster with a bound within which everything must be decided, then the comparison
//! of every node with the oracle.

mod failure;
mod permanent_loss;
mod recovery;
mod rest;
mod way_out;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use forename::clock::Hlc;
use forename::log::Op;

use crate::checks::{QUESTIONS, QUESTIONS_TO_ONE, bounds};
use crate::dice::mix;
use crate::observers::Observers;
use crate::oracle;
use crate::plan::{Ending, Loss, Plan};
use crate::violation::{Checked, Violation};
use crate::world::net::Micros;
use crate::world::{World, healing, prospects};
pub use failure::Failure;
use rest::{is_going, seen, unsettled};

/// The time within which an evicted node learns of its eviction, if anybody whom it reaches knows of it.
const ASTRAY: Micros = 10_000_000;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The failure, where the run failed.
    pub failure: Option<Failure>,
    /// The rare branches that were reached.
    pub marks: BTreeSet<&'static str>,
    /// A number that tells two runs apart.
    pub hash: u64,
    /// The virtual time in milliseconds.
    pub lasted: u64,
    /// The number of steps of replicas.
    pub steps: u64,
    /// The number of requests of clients and operators in the plan.
    pub requests: usize,
    /// The number of ops that were issued.
    pub ops: usize,
}

/// The world of a run, and its observers.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) world: World,
    pub(crate) observers: Rc<RefCell<Observers>>,
}

impl Run {
    pub(crate) fn new(plan: Plan, tracing: bool) -> Self {
        let observers = Rc::new(RefCell::new(Observers::new(tracing)));
        Self { world: World::new(plan, observers.clone()), observers }
    }

    /// Returns a number that tells two runs apart.
    fn hash(&self) -> u64 {
        mix(self.observers.borrow().trace.hash() ^ self.world.now)
    }

    /// Runs the phases after the faults, and the checks at their end.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        come_to_an_end(self)?;
        self.observers.borrow_mut().at_end(&self.world).map_err(Failure::Safety)
    }

    /// Compares all nodes with the oracle.
    pub(crate) fn compare(&mut self) -> Checked {
        compare(&mut self.world, &self.observers)
    }
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    let (report, _) = run_traced(plan, false);
    report
}

/// Runs a plan that is kept as JSON.
///
/// # Panics
/// Panics where the run fails, with the failure.
#[expect(clippy::expect_used, reason = "tests call it")]
pub fn runs_well(plan: &str) {
    let plan = serde_json::from_str(plan).expect("it is a plan");
    assert_eq!(run(&plan).failure, None);
}

pub(crate) fn run_traced(plan: &Plan, tracing: bool) -> (Report, Run) {
    let mut run = Run::new(plan.clone(), tracing);
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut run)));
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(_)) if run.world.copies.witness_gone => {
            run.world.mark("what an old disk lacks is forgotten");
            None
        }
        Ok(Err(failure)) => Some(failure),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Failure::Crash(Violation { check: "panic", text: text.unwrap_or_default() }))
        }
    };
    let report = Report {
        failure,
        marks: run.observers.borrow().marks.reached().clone(),
        hash: run.hash(),
        lasted: run.world.now / 1000,
        steps: run.observers.borrow().stats.steps,
        requests: plan.actions.len(),
        ops: run.world.books.ledger.op_count(),
    };
    (report, run)
}

fn live(run: &mut Run) -> Result<(), Failure> {
    let heal_at = run.world.plan.heal_at * 1000;
    run.world.run_until(heal_at).map_err(Failure::Safety)?;
    run.finish()
}

fn come_to_an_end(run: &mut Run) -> Result<(), Failure> {
    let Run { world, observers } = run;
    recovery::recover(world)?;
    let (lost, how) = match world.plan.ending.clone() {
        Ending::Healed => (Vec::new(), Loss::Down),
        Ending::Lasting { lost, how } => (lost, how),
    };
    healing::heal(world, &lost, how).map_err(Failure::Safety)?;
    if !wait_until_noticed(world)? {
        // Nobody can tell the copy from the original any more, so the checks at the end cannot judge what the copy did.
        world.copies.witness_gone = true;
        return Ok(());
    }
    if lost.is_empty() {
        if !settle(world)? {
            return Ok(());
        }
    } else {
        permanent_loss::finish(world, &lost)?;
        if !way_out::put_out_the_lost(world)? {
            world.mark("no majority is left");
            return Ok(());
        }
    }
    let lives = |world: &World| world.machines.iter().map(|machine| u64::from(machine.life)).sum::<u64>();
    let deadline = world.now + world.plan.patience * 1000;
    let (mut newcomer, mut gone_on) = (None, false);
    while settle(world)? {
        if !gone_on {
            gone_on = way_out::goes_on(world, &mut newcomer)?;
            if !gone_on && world.now >= deadline {
                let text = "members are evicted again and again, though all are connected".to_owned();
                return Err(Failure::Liveness(Violation { check: "bricked", text }));
            }
            continue;
        }
        let before = lives(world);
        match compare(world, observers) {
            // A member was evicted during the comparison, so it is repeated.
            Err(_) if lives(world) > before && world.now < deadline => {}
            result => return result.and_then(|()| bounds(world)).map_err(Failure::Safety),
        }
    }
    Ok(())
}

/// Compares all nodes with the oracle.
fn compare(world: &mut World, observers: &RefCell<Observers>) -> Checked {
    let later = world.now + 3_000_000;
    world.run_until(later)?;
    let present = world.present();
    let replicas = present.iter().filter_map(|host| world.machines[*host].replica());
    let time = replicas.map(|replica| replica.watermark()).min();
    let ops: Vec<Op> = world.books.ledger.ops().cloned().collect();
    let verdicts = oracle::judge(&ops, time.unwrap_or(Hlc::ZERO));
    world.books.ledger.forget_the_void();
    observers.borrow_mut().at_rest(&verdicts, world)?;
    for host in present.iter().copied() {
        QUESTIONS.iter().try_for_each(|ask| ask(world, host, &verdicts))?;
    }
    let some = usize::try_from(world.plan.seed).unwrap_or(0) % present.len().max(1);
    let one = present.get(some).copied();
    one.map_or(Ok(()), |host| QUESTIONS_TO_ONE.iter().try_for_each(|ask| ask(world, host, &verdicts)))
}

/// Checks that what nodes keep is bounded. A node drops what it can once a second, so a node that was let in just now
/// is given time.
fn bounds(world: &mut World) -> Result<(), Violation> {
    if bounds::check(world).is_err() {
        world.run_until(world.now + 3_000_000)?;
    }
    bounds::check(world)
}

/// Waits until each node whose data directory was put back has noticed it: it reaches others by now, which know more.
/// Returns false where these have forgotten it since the copy took its place, because then nobody can say how the run
/// must end.
fn wait_until_noticed(world: &mut World) -> Result<bool, Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    while let Some(host) = world.machines.iter().position(|machine| machine.is_old()) {
        if world.now >= deadline {
            if prospects::is_past_notice(world, host) {
                world.mark("what an old disk lacks is forgotten");
                return Ok(false);
            }
            let text = format!("host {host} goes on with an old disk");
            return Err(Failure::Liveness(Violation { check: "halt", text }));
        }
        let later = world.now + 500_000;
        world.run_until(later).map_err(Failure::Safety)?;
    }
    Ok(true)
}

/// Lets the healed cluster come to rest. Returns false where it never will, and need not: operators have evicted so
/// many live members that no majority is left.
fn settle(world: &mut World) -> Result<bool, Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    let astray_at = world.now + ASTRAY;
    loop {
        let later = world.now + 500_000;
        world.run_until(later).map_err(Failure::Safety)?;
        healing::mend_wrong_clocks(world);
        if world.now >= astray_at {
            way_out::bring_back(world).map_err(Failure::Safety)?;
        }
        match unsettled(world).map_err(Failure::Safety)? {
            None => return Ok(true),
            Some(text) if world.now >= deadline => {
                if nobody_stays(world) {
                    world.mark("nobody is left who has the state");
                    return Ok(false);
                }
                let going = is_going(world).map_err(Failure::Safety)?;
                if going && !way_out::is_owed(world).map_err(Failure::Safety)? {
                    world.mark("evictions that crossed");
                    return Ok(false);
                }
                let check = if going { "bricked" } else { "undecided" };
                let text = format!("{text}{}", seen(world).map_err(Failure::Safety)?);
                return Err(Failure::Liveness(Violation { check, text }));
            }
            Some(_) => {}
        }
    }
}

/// Returns true where no node is a member any more, because the members have said that they leave, or the latest
/// directories were lost, and every node that stays has dropped its state. An operator may then make a new cluster of
/// one of the directories.
fn nobody_stays(world: &World) -> bool {
    let mut replicas = world.machines.iter().filter_map(|machine| machine.replica());
    let left = world.machines.iter().any(|machine| machine.is_up() && world.books.roll.departs(machine.node));
    let lost = world.copies.put_back;
    (left || lost) && !replicas.any(|replica| replica.is_member())
}

/// Runs a plan and returns what happened, one line for each event: the virtual time in milliseconds, the hash of the
/// run just after it, and what happened.
#[must_use]
pub fn trace(plan: &Plan) -> (Report, Vec<String>) {
    let (report, run) = run_traced(plan, true);
    let lines = run.observers.borrow().trace.entries().iter().map(ToString::to_string).collect();
    (report, lines)
}
