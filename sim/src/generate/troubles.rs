//! Draws the faults.

use super::swarm::Swarm;
use crate::dice::Dice;
use crate::plan::{CopyRun, Fault, Host, Kind, Pick, Plan, Trouble};

/// For each kind of fault, how often at most it occurs in a seed that has it switched on.
const MOST: [u64; 23] = [6, 4, 4, 1, 3, 5, 5, 4, 4, 4, 6, 2, 3, 3, 4, 4, 5, 2, 2, 2, 2, 2, 2];

/// Draws the faults of a seed.
pub(super) fn faults(seed: u64, plan: &Plan, swarm: &mut Swarm) -> Vec<Fault> {
    let mut faults = Vec::new();
    if swarm.on(10) {
        return faults;
    }
    // Many kinds at once hide each other's effects, so some seeds have most of them and some have few.
    let share = if swarm.on(50) { 15 } else { 40 };
    for (kind, most) in MOST.into_iter().enumerate() {
        if !swarm.on(share) {
            continue;
        }
        let count = Dice::new(seed, "faults", kind as u64).within(1, most);
        for number in 0..count {
            let mut dice = Dice::new(seed, "fault", (kind as u64) << 32 | number);
            let at = dice.below(plan.heal_at.max(1));
            let lasts = if dice.percent(50) { dice.below(2000) } else { dice.below(15_000) };
            faults.extend(trouble(kind, plan, &mut dice).map(|what| Fault { at, lasts, what }));
        }
    }
    faults
}

fn trouble(kind: usize, plan: &Plan, dice: &mut Dice) -> Option<Trouble> {
    let hosts = plan.hosts();
    let host = usize::try_from(dice.below(hosts as u64)).unwrap_or(0);
    let other = (host + 1 + usize::try_from(dice.below((hosts as u64).saturating_sub(1))).unwrap_or(0)) % hosts;
    let pairs = |dice: &mut Dice| -> Vec<(Host, Host)> {
        let all = (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b))).filter(|(a, b)| a != b);
        all.filter(|_| dice.percent(40)).collect()
    };
    let half = |dice: &mut Dice| (0..hosts).filter(|_| dice.percent(50)).collect();
    let around = |dice: &mut Dice, most: u64| {
        i64::try_from(dice.below(2 * most)).unwrap_or(0) - i64::try_from(most).unwrap_or(0)
    };
    if hosts < 2 && matches!(kind, 5..=10 | 12..=16 | 21 | 22) {
        return None;
    }
    Some(match kind {
        0 => Trouble::Crash { host, kept: dice.below(101) },
        1 => Trouble::CrashWithin { host, outputs: usize::try_from(dice.below(4)).unwrap_or(0) },
        2 => Trouble::Pause(host),
        3 => Trouble::DiskFails(host),
        4 => Trouble::SlowDisk(host, dice.within(5, 100)),
        5 => Trouble::Split(half(dice)),
        6 => Trouble::Cut(pairs(dice)),
        7 => Trouble::OneWay(pairs(dice)),
        8 => Trouble::SlowLink(host, other, dice.within(2, 50)),
        9 => Trouble::Lossy(host, other, dice.within(5, 90)),
        10 => Trouble::Kill(host, other),
        11 => Trouble::ClockStep(host, around(dice, 20_000)),
        12 => Trouble::Bridge { over: host, side: half(dice) },
        13 => Trouble::Ring,
        14 => Trouble::Flaps(host, other, *dice.pick(&[50, 300, 1000, 3000])?),
        15 => Trouble::Narrow(host, other, *dice.pick(&[500, 5000, 50_000])?),
        16 => {
            let late = if dice.percent(40) { dice.below(3000) } else { 0 };
            let lost = if late == 0 { *dice.pick(&[30, 80, 100])? } else { 0 };
            Trouble::Picky(Pick { from: host, to: other, kind: *dice.pick(&Kind::ALL)?, lost, late })
        }
        17 => Trouble::DiskFull(host),
        18 => Trouble::ClockStepDown(host, around(dice, 20_000)),
        19 => Trouble::Frozen(host),
        20 => Trouble::Drift(host, around(dice, 50_000)),
        21 => Trouble::OldDisk { host, back: dice.within(100, 15_000), run: copy_run(dice) },
        _ => Trouble::Cloned { host, alone: dice.within(100, 3000), run: copy_run(dice) },
    })
}

/// Draws how a copy of a directory runs.
fn copy_run(dice: &mut Dice) -> CopyRun {
    CopyRun { clock: dice.percent(40), served: dice.percent(50) }
}
