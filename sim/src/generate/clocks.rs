//! Draws the clocks: a little off at all machines, and far off at a minority of them, for a moment or for good.

use super::swarm::Swarm;
use crate::dice::Dice;
use crate::plan::{Ask, Fault, Host, Plan, Trouble, WrongClock};

/// One hour in milliseconds. No run lasts as long, so what a node stamps by a clock that is an hour ahead must never
/// count.
const HOUR: i64 = 3_600_000;

/// How far the clocks of a minority are off, in milliseconds: within what two nodes may differ, beyond it, and far
/// beyond it.
const FAR: [i64; 3] = [8000, 30_000, HOUR];

/// The milliseconds after the start within which a node has heard of a majority, or serves alone.
const BEGUN: u64 = 8000;

/// Draws the offset and the drift at the start for each host.
pub(super) fn clocks(seed: u64, hosts: usize, swarm: &mut Swarm) -> Vec<(i64, i64)> {
    let (skewed, wild) = (swarm.on(60), swarm.on(10));
    let clock = |host: usize| {
        let mut dice = Dice::new(seed, "clock", host as u64);
        let most = if wild { 15_000 } else { 800 };
        let offset = i64::try_from(dice.below(2 * most)).unwrap_or(0) - i64::try_from(most).unwrap_or(0);
        let drift = i64::try_from(dice.below(2000)).unwrap_or(0) - 1000;
        if skewed { (offset, drift) } else { (0, 0) }
    };
    (0..hosts).map(clock).collect()
}

/// Makes the clocks of a minority far off in some seeds: from the start, for a moment, or ahead and behind in turn. In
/// some of these seeds they stay wrong when everything else is healed.
pub(super) fn add_wrong_clocks(seed: u64, plan: &mut Plan) {
    let mut dice = Dice::new(seed, "wrong clocks", 0);
    if plan.hosts() < 2 || !dice.percent(20) {
        return;
    }
    let far = *dice.pick(&FAR).unwrap_or(&FAR[0]);
    let wrong = minority(&mut dice, plan, far);
    for host in wrong.iter().copied() {
        let by = if dice.percent(50) { far } else { -far };
        match dice.below(4) {
            0 => from_the_start(plan, host, by),
            1 => {
                let (at, lasts) = (dice.below(plan.heal_at.max(1)), *dice.pick(&[10, 200, 2000]).unwrap_or(&10));
                plan.faults.push(Fault { at, lasts, what: Trouble::ClockOff(host, by) });
            }
            2 => {
                for turn in 0..dice.within(2, 4) {
                    let (at, lasts) = (dice.below(plan.heal_at.max(1)), dice.below(8000));
                    let by = if turn % 2 == 0 { by } else { -by };
                    plan.faults.push(Fault { at, lasts, what: Trouble::ClockOff(host, by) });
                }
            }
            _ => {}
        }
        if dice.percent(60) {
            plan.wrong_for_good.push(for_good(&mut dice, host, by));
        }
    }
    if far == HOUR {
        keep_in_contact(plan, &wrong);
    }
}

/// Draws less than half of the founders, so that they are a minority at any time; of two machines, one. With clocks
/// that are an hour off it is one machine: two with the same wrong time are a majority for a node that has heard of no
/// others since its start.
fn minority(dice: &mut Dice, plan: &Plan, far: i64) -> Vec<Host> {
    let most = (plan.founders.saturating_sub(1) / 2).max(1);
    let count = if far == HOUR { 1 } else { dice.within(1, most as u64) };
    // The first founder alone founds some clusters, and its time is then the time of the cluster.
    let from = usize::from(plan.founders < 3);
    let mut left: Vec<Host> = (from..plan.hosts()).collect();
    let mut wrong = Vec::new();
    for _ in 0..count {
        if !left.is_empty() {
            wrong.push(left.swap_remove(usize::try_from(dice.below(left.len() as u64)).unwrap_or(0)));
        }
    }
    wrong
}

fn from_the_start(plan: &mut Plan, host: Host, by: i64) {
    plan.clocks.resize(plan.hosts(), (0, 0));
    plan.clocks[host].0 = by;
}

/// Draws a clock that is wrong from the heal on, and later wrong by another amount, or right for a while.
fn for_good(dice: &mut Dice, host: Host, by: i64) -> WrongClock {
    let mut off = vec![(0, by)];
    let mut at = 0;
    for _ in 0..dice.below(4) {
        at += *dice.pick(&[50, 1500, 9000]).unwrap_or(&50);
        off.push((at, *dice.pick(&[by, -by, 0]).unwrap_or(&by)));
    }
    WrongClock { host, off }
}

/// Removes faults that leave nodes out of contact. Nobody tells a node that starts out of contact that its clock is an
/// hour ahead, and what it takes alone waits for an hour, whatever the others do. So a node does not start while its
/// clock is wrong, is not cut off before it has heard the others, and is not left alone by them.
fn keep_in_contact(plan: &mut Plan, wrong: &[Host]) {
    // With two founders, each is the only member that the other hears.
    let may_stop = |host: &Host| plan.founders > 2 && !wrong.contains(host);
    plan.faults.retain(|fault| match &fault.what {
        Trouble::Crash { host, .. } | Trouble::CrashWithin { host, .. } => may_stop(host),
        Trouble::OldDisk { host, .. } | Trouble::Cloned { host, .. } => may_stop(host),
        Trouble::DiskFails(host) | Trouble::DiskFull(host) | Trouble::ClockStepDown(host, _) => may_stop(host),
        Trouble::Pause(_) | Trouble::SlowDisk(..) | Trouble::ClockStep(..) | Trouble::ClockOff(..) => true,
        Trouble::Frozen(_) | Trouble::Drift(..) => true,
        _ => fault.at >= BEGUN,
    });
    plan.actions.retain(|action| action.ask != Ask::Leave || wrong.contains(&action.host));
}
