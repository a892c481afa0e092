//! Generates the plan of a seed. Each seed switches whole kinds of operation and fault on or off (swarm testing: Groce
//! et al., "Swarm Testing", 2012), because what is always on hides what happens without it.

mod clocks;
mod lies;
mod plots;
mod swarm;
mod troubles;
mod workload;

use forename::replica::GossipLimits;

use crate::dice::Dice;
use crate::operators::add_operators;
use crate::plan::{Disk, Ending, Host, Joiner, Links, Loss, Plan, Trouble};
pub use swarm::Size;
use swarm::Swarm;

/// Returns the plan of a seed.
#[must_use]
pub fn generate(seed: u64, size: Size) -> Plan {
    let mut dice = Dice::new(seed, "shape", 0);
    let mut swarm = Swarm::new(seed);
    let most = if dice.percent(15) { size.hosts + 3 } else { size.hosts };
    let hosts = usize::try_from(dice.within(1, most as u64)).unwrap_or(1);
    let joining = if swarm.on(60) { usize::try_from(dice.below(hosts as u64)).unwrap_or(0) } else { 0 };
    let plot = plots::Plot::of(seed, size.hosts);
    let (founders, joining) = plot.as_ref().map_or((hosts - joining, joining), |plot| (plot.founders, plot.joining));
    let hosts = founders + joining;
    let lasts = dice.within(size.lasts / 3, size.lasts);
    let clocks = clocks::clocks(seed, hosts, &mut swarm);
    let mut plan = Plan {
        seed,
        founders,
        joiners: joiners(seed, founders..hosts, founders, lasts),
        links: links(&mut dice, &mut swarm),
        disk: Disk { least: dice.within(50, 2000), jitter: if swarm.on(60) { dice.within(0, 30_000) } else { 0 } },
        clocks,
        evict_after: None,
        keep_log: 60_000,
        snapshot_ttl: 3_600_000,
        keep_events: None,
        promise_every: 1000,
        acquainted: false,
        dials: None,
        spread: spread(&mut Dice::new(seed, "spread", 0), &mut swarm),
        actions: Vec::new(),
        faults: Vec::new(),
        lies: Vec::new(),
        heal_at: lasts,
        ending: ending(&mut Dice::new(seed, "ending", 0), hosts, &mut swarm),
        wrong_for_good: Vec::new(),
        recovers: None,
        patience: 120_000,
    };
    if plan.ending == Ending::Healed {
        // Where machines stay lost, a node that lacks truncated ops could not take the state anew: the lost members
        // would have to agree.
        plan.keep_log = *Dice::new(seed, "keep log", 0).pick(&[0, 1000, 60_000]).unwrap_or(&0);
    }
    plan.actions = workload::actions(seed, &plan, size, &mut swarm);
    plan.faults = troubles::faults(seed, &plan, &mut swarm);
    plan.lies = lies::lies(seed, &plan, &mut swarm);
    plan.snapshot_ttl = Dice::new(seed, "snapshot ttl", 0).within(10_000, 40_000);
    // With old copies all events are kept: what is undecided only in an old directory is registered again, although it
    // may be forgotten elsewhere because it is over.
    let is_copy = |fault: &crate::plan::Fault| matches!(fault.what, Trouble::OldDisk { .. } | Trouble::Cloned { .. });
    if plan.ending == Ending::Healed && !plan.faults.iter().any(is_copy) {
        let kept = [None, None, None, Some(300), Some(2000)];
        plan.keep_events = *Dice::new(seed, "keep events", 0).pick(&kept).unwrap_or(&None);
    }
    // Promises are frequent in few seeds, and less frequent than by default, because each promise costs a step at every
    // other node. Stories use the default.
    let often = [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 300, 100];
    plan.promise_every = *Dice::new(seed, "promise every", 0).pick(&often).unwrap_or(&1000);
    match plot {
        Some(plot) => plot.lay_out(&mut plan),
        None => add_operators(seed, &mut plan),
    }
    clocks::add_wrong_clocks(seed, &mut plan);
    let mut dice = Dice::new(seed, "recovery", 0);
    if plan.evict_after.is_none() && !plan.faults.iter().any(is_copy) && dice.percent(8) {
        plan.recovers = usize::try_from(dice.below(plan.hosts() as u64)).ok();
    }
    plan
}

/// Sets small limits in some seeds, so that a few nodes act as a large cluster, and a few ops as many.
fn spread(dice: &mut Dice, swarm: &mut Swarm) -> GossipLimits {
    let mut spread = GossipLimits::default();
    let few = |dice: &mut Dice, most: u64| usize::try_from(dice.within(1, most)).unwrap_or(1);
    if swarm.on(25) {
        (spread.small, spread.fanout) = (few(dice, 4), few(dice, 3));
    }
    // The limit is not so small that catching up takes minutes over a slow link.
    if swarm.on(25) {
        spread.ops = 4 + few(dice, 20);
    }
    if swarm.on(25) {
        spread.bytes = 500 + few(dice, 4000);
    }
    if swarm.on(15) {
        spread.lag = dice.within(1, 20);
    }
    spread
}

/// Draws how the run ends. In some seeds some machines are lost for good.
fn ending(dice: &mut Dice, hosts: usize, swarm: &mut Swarm) -> Ending {
    if !swarm.on(25) || hosts < 2 {
        return Ending::Healed;
    }
    let most = if dice.percent(70) { (hosts as u64 - 1) / 2 } else { hosts as u64 - 1 };
    let count = dice.within(1, most.max(1));
    let mut left: Vec<Host> = (0..hosts).collect();
    let mut lost = Vec::new();
    for _ in 0..count {
        lost.push(left.swap_remove(usize::try_from(dice.below(left.len() as u64)).unwrap_or(0)));
    }
    lost.sort_unstable();
    let how = *dice.pick(&[Loss::Down, Loss::Cut, Loss::Mute]).unwrap_or(&Loss::Down);
    Ending::Lasting { lost, how }
}

fn joiners(seed: u64, hosts: std::ops::Range<Host>, founders: usize, lasts: u64) -> Vec<Joiner> {
    // In one of ten seeds the last machine is a reader, to which no newcomer goes.
    let reader = Dice::new(seed, "reader", 0).percent(10).then(|| hosts.end - 1);
    let mut shape = Dice::new(seed, "joiners", 0);
    // In half of the seeds all newcomers start at about the same time, mostly early.
    let (from, within) = if shape.percent(50) { (shape.below(lasts / 2), 400) } else { (0, lasts) };
    let joiner = |host: Host| {
        let mut dice = Dice::new(seed, "joiner", host as u64);
        // A newcomer may also ask another newcomer.
        let sponsor = if dice.percent(60) { dice.below(founders as u64) } else { dice.below(host as u64) };
        let sponsor = usize::try_from(sponsor).unwrap_or(0);
        // Some newcomers reach two machines at once, and either of them may let them in.
        let also = usize::try_from(dice.below(host as u64)).unwrap_or(0);
        let also = (dice.percent(40) && also != sponsor).then_some(also);
        Joiner { at: from + dice.below(within), sponsor, also, reader: Some(host) == reader }
    };
    hosts.map(joiner).collect()
}

fn links(dice: &mut Dice, swarm: &mut Swarm) -> Links {
    let least = *dice.pick(&[100, 1000, 20_000, 80_000]).unwrap_or(&100);
    Links {
        least,
        jitter: if swarm.on(70) { dice.within(0, least * 3) } else { 0 },
        slow: if swarm.on(30) { 5 } else { 0 },
        loss: if swarm.on(30) { dice.within(1, 20) } else { 0 },
        twice: if swarm.on(30) { dice.within(1, 10) } else { 0 },
        idle: *dice.pick(&[200, 1000, 5000]).unwrap_or(&1000),
        rate: swarm.on(15).then(|| dice.within(5000, 200_000)),
    }
}
