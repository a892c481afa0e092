//! A run: the faults, then the healed cluster and a bound within which everything must be decided, then the comparison
//! of every node with the oracle.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use forename::clock::NodeId;

use crate::ask::cluster;
use crate::canary;
use crate::checks::bounds;
use crate::checks::end::check_end;
use crate::checks::ledger::Violation;
use crate::checks::way_out;
use crate::plan::{Ending, Host, Loss, Plan};
use crate::world::World;
use crate::world::machine::host_of;
use crate::world::permanent_loss;
use crate::world::recovery;

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Something happened that must never happen.
    Safety(Violation),
    /// Something that must happen did not.
    Liveness(Violation),
    /// The replica panicked.
    Crash(Violation),
}

impl Failure {
    /// What was broken.
    #[must_use]
    pub fn violation(&self) -> &Violation {
        let (Self::Safety(violation) | Self::Liveness(violation) | Self::Crash(violation)) = self;
        violation
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// Rare branches that were reached.
    pub marks: BTreeSet<&'static str>,
    /// Tells two runs apart.
    pub hash: u64,
    /// Virtual milliseconds.
    pub lasted: u64,
    /// Steps of replicas.
    pub steps: u64,
    /// What clients and operators asked for by the plan.
    pub requests: usize,
    /// Ops that were issued.
    pub ops: usize,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    let (report, _) = run_traced(plan, false);
    report
}

pub(crate) fn run_traced(plan: &Plan, tracing: bool) -> (Report, World) {
    let mut world = World::new(plan.clone(), tracing);
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(_)) if world.witness_gone => {
            world.mark("what an old disk lacks is forgotten");
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
        marks: world.marks.clone(),
        hash: world.hash(),
        lasted: world.now / 1000,
        steps: world.steps,
        requests: plan.actions.len(),
        ops: world.ledger.op_count(),
    };
    (report, world)
}

fn live(world: &mut World) -> Result<(), Failure> {
    let heal_at = world.plan.heal_at * 1000;
    world.run_until(heal_at).map_err(Failure::Safety)?;
    finish(world)
}

/// The second phase, and the checks at its end.
pub(crate) fn finish(world: &mut World) -> Result<(), Failure> {
    come_to_an_end(world)?;
    world.check_exclusive().map_err(Failure::Safety)
}

fn come_to_an_end(world: &mut World) -> Result<(), Failure> {
    recovery::recover(world)?;
    let (lost, how) = match world.plan.ending.clone() {
        Ending::Healed => (Vec::new(), Loss::Down),
        Ending::Lasting { lost, how } => (lost, how),
    };
    world.heal(&lost, how).map_err(Failure::Safety)?;
    if !wait_until_noticed(world)? {
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
        match check_end(world) {
            // An eviction came between.
            Err(_) if lives(world) > before && world.now < deadline => {}
            result => return result.and_then(|()| bounds(world)).map_err(Failure::Safety),
        }
    }
    Ok(())
}

/// What nodes keep is bounded. A node looks every second for what it can drop, so one that was let in just now is given time.
fn bounds(world: &mut World) -> Result<(), Violation> {
    if bounds::check(world).is_err() {
        world.run_until(world.now + 3_000_000)?;
    }
    bounds::check(world)
}

/// Nodes whose data directories were put back reach others by now, who know better. False where these have forgotten it since
/// the copy took its place: then nobody can say what is to come of the run.
fn wait_until_noticed(world: &mut World) -> Result<bool, Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    while let Some(host) = world.machines.iter().position(|machine| machine.put_back) {
        if world.now >= deadline {
            if world.is_past_notice(host) {
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

/// Lets the healed cluster come to rest. False where it never will, and need not: operators have put out so many members
/// that are alive that no majority is left.
fn settle(world: &mut World) -> Result<bool, Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    loop {
        let later = world.now + 500_000;
        world.run_until(later).map_err(Failure::Safety)?;
        world.mend_wrong_clocks();
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

/// Whether all who have the cluster's state have said that they leave, or were lost with their latest directories, and whoever
/// stays has dropped its own: an operator may make a new cluster of one of the directories.
fn nobody_stays(world: &World) -> bool {
    let mut replicas = world.machines.iter().filter_map(|machine| machine.replica.as_ref());
    let left = world.machines.iter().any(|machine| machine.is_up() && world.roll.departs(machine.node));
    let lost = world.marks.contains("an old disk is put back");
    (left || lost) && !replicas.any(|replica| replica.is_member())
}

/// What is still open; none where the cluster has come to rest.
pub(crate) fn unsettled(world: &mut World) -> Result<Option<String>, Violation> {
    let all_over = world.all_over();
    let present = world.present();
    for host in present.iter().copied() {
        let Some(replica) = &world.machines[host].replica else { return Ok(Some(format!("host {host} is down"))) };
        if !replica.is_member() {
            return Ok(Some(format!("host {host} is no member")));
        }
        if let Some((node, has, there_are)) = world.ledger.lacks(host) {
            return Ok(Some(format!("host {host} has {has} of {there_are} ops of {node}")));
        }
        if replica.watermark() < all_over {
            return Ok(Some(format!("the watermark of host {host} is {}, below {all_over}", replica.watermark())));
        }
    }
    for host in present.iter().copied() {
        let view = cluster(world, host)?;
        if view.as_ref().is_none_or(|view| view.pending > 0 || view.members.len() != present.len()) {
            return Ok(Some(format!("host {host} has undecided registrations")));
        }
        // Until it is done nobody can tell what a majority is, so nothing more is decided.
        if view.is_some_and(|view| view.eviction.is_some()) {
            return Ok(Some(format!("host {host} knows of an eviction that is not done")));
        }
        world.watch_members(host);
        if world.orders.agreed_to_leave(world.machines[host].node) {
            return Ok(Some(format!("host {host} has agreed to leave, and is still here")));
        }
    }
    if canary::is_restless(world.ledger.ops()) {
        return Ok(Some("a canary was claimed".to_owned()));
    }
    let left = |host: &Host| !present.contains(host);
    let open = world.clients.open_calls(&(0..world.machines.len()).filter(left).collect::<Vec<_>>());
    Ok((open > 0).then(|| format!("{open} requests have no reply")))
}

/// The cluster as each node sees it, for the text of a failure.
pub(crate) fn seen(world: &mut World) -> Result<String, Violation> {
    let mut text = String::new();
    for host in world.present() {
        let Some(view) = cluster(world, host)? else {
            text += &format!("; host {host} knows no cluster");
            continue;
        };
        let is = if view.member { "is a member" } else { "is no member" };
        let members: Vec<_> = view.members.iter().map(|member| host_text(member.node)).collect();
        text += &format!("; host {host} {is} and sees {}, {} pending", members.join(" "), view.pending);
        if let Some(eviction) = &view.eviction {
            let waits: Vec<_> = eviction.waiting_for.iter().map(|node| host_text(*node)).collect();
            let goes: Vec<_> = eviction.nodes.iter().map(|node| host_text(*node)).collect();
            let how = if eviction.possible { "waits" } else { "waits in vain" };
            text += &format!(", {} to go, which {how} for {}", goes.join(" "), waits.join(" "));
        }
    }
    Ok(text)
}

/// A host and which life of its node it is.
fn host_text(node: NodeId) -> String {
    match node.incarnation() {
        0 => host_of(node).to_string(),
        life => format!("{}.{life}", host_of(node)),
    }
}

/// Whether any node knows of an eviction or a departure that is not done.
fn is_going(world: &mut World) -> Result<bool, Violation> {
    for host in world.present() {
        if cluster(world, host)?.is_some_and(|view| view.eviction.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs a plan and tells what happened, a line each: the virtual time in milliseconds, the run's hash just after it, and
/// what it was.
#[must_use]
pub fn trace(plan: &Plan) -> (Report, Vec<String>) {
    let (report, world) = run_traced(plan, true);
    (report, world.trace.entries().iter().map(ToString::to_string).collect())
}
