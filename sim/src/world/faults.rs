//! Faults.

use crate::plan::{Host, Trouble};
use crate::violation::Checked;
use crate::world::net::Micros;
use crate::world::queue::Event;
use crate::world::seen::Seen;
use crate::world::state::World;
use crate::world::{connections, process, swaps};

pub(crate) fn fault(world: &mut World, index: usize) -> Checked {
    let plan = world.plan.clone();
    let fault = &plan.faults[index];
    let lasts = fault.lasts * 1000;
    let ends = world.now + lasts;
    let severed = fault.what.severed(plan.hosts());
    world.books.conditions.fault(&fault.what, &severed, world.now, ends);
    world.note(&Seen::Fault { index, what: &fault.what, severed: &severed });
    match &fault.what {
        Trouble::Crash { .. } | Trouble::CrashWithin { .. } | Trouble::ClockStepDown(..) | Trouble::OldDisk { .. } => {
            take_down(world, index, &fault.what);
            // It starts again some time after it died, whenever that was.
            world.at(ends, Event::Start(fault.what.host()));
        }
        Trouble::Cloned { host, alone, .. } => {
            // From now on no other node receives what it sends.
            isolate(world, *host);
            world.at(world.now, Event::CopyDisk(index));
            world.at(world.now + alone * 1000, Event::Swap(index));
            world.at(world.now + alone * 1000 + lasts, Event::Swap(index));
        }
        Trouble::DiskFails(host) => {
            process::disk_fails(world, *host, "an fsync failed");
            world.at(ends, Event::Start(*host));
        }
        Trouble::Pause(host) => {
            if let Some(running) = world.machines[*host].running_mut() {
                running.busy_until = running.busy_until.max(ends);
            }
        }
        Trouble::Kill(a, b) => {
            if let Some(epoch) = world.net.between(*a, *b) {
                connections::close(world, epoch, 50_000);
            }
        }
        Trouble::ClockStep(host, by) => world.machines[*host].clock.step(*by),
        Trouble::Drift(host, drift) => world.machines[*host].clock.drift(world.now, *drift),
        Trouble::Flaps(..) => flap(world, index, ends),
        what => {
            begin(world, index, what);
            world.at(ends, Event::FaultEnds(index));
        }
    }
    Ok(())
}

/// Takes a process down as the fault says.
fn take_down(world: &mut World, index: usize, what: &Trouble) {
    match what {
        Trouble::CrashWithin { host, outputs } => {
            if let Some(running) = world.machines[*host].running_mut() {
                running.dies_after = Some(*outputs);
            }
        }
        Trouble::ClockStepDown(host, by) => {
            process::crash(world, *host, 100);
            world.machines[*host].clock.step(*by);
        }
        Trouble::OldDisk { host, run, .. } => {
            process::crash(world, *host, 100);
            swaps::put_back(world, *host, index, *run);
        }
        Trouble::Crash { host, kept } => process::crash(world, *host, *kept),
        _ => {}
    }
}

pub(crate) fn isolate(world: &mut World, host: Host) {
    for other in (0..world.machines.len()).filter(|other| *other != host) {
        cut(world, host, other);
        cut(world, other, host);
    }
}

/// Begins a fault that lasts.
fn begin(world: &mut World, index: usize, what: &Trouble) {
    match what {
        Trouble::SlowDisk(host, factor) => world.machines[*host].drive.slow = *factor,
        Trouble::DiskFull(host) => world.machines[*host].drive.full = true,
        Trouble::Frozen(host) => world.machines[*host].clock.freeze(world.now),
        Trouble::ClockOff(host, by) => world.machines[*host].clock.step(*by),
        Trouble::SlowLink(a, b, factor) => world.net.slow_down(*a, *b, *factor),
        Trouble::Narrow(a, b, rate) => world.net.narrow(*a, *b, Some(*rate)),
        Trouble::Lossy(a, b, percent) => world.net.lose(*a, *b, *percent),
        Trouble::Picky(pick) => world.net.pick(index, pick),
        what => {
            for (from, to) in what.severed(world.plan.hosts()) {
                cut(world, from, to);
            }
        }
    }
}

pub(crate) fn fault_ends(world: &mut World, index: usize) -> Checked {
    let plan = world.plan.clone();
    let severed = plan.faults[index].what.severed(plan.hosts());
    world.books.conditions.fault(&plan.faults[index].what, &severed, world.now, world.now);
    match &plan.faults[index].what {
        _ if world.net.is_healed() => {}
        Trouble::SlowDisk(host, _) => world.machines[*host].drive.slow = 1,
        Trouble::DiskFull(host) => {
            world.machines[*host].drive.full = false;
            return process::start(world, *host);
        }
        Trouble::Frozen(host) => world.machines[*host].clock.thaw(world.now),
        Trouble::ClockOff(host, by) => world.machines[*host].clock.step(-by),
        Trouble::SlowLink(a, b, _) => world.net.slow_down(*a, *b, 1),
        Trouble::Narrow(a, b, _) => world.net.narrow(*a, *b, plan.links.rate),
        Trouble::Lossy(a, b, _) => world.net.lose(*a, *b, 0),
        Trouble::Picky(pick) => world.net.pick_no_more(index, pick),
        _ => severed.into_iter().for_each(|(from, to)| world.net.mend(from, to)),
    }
    Ok(())
}

/// Cuts a flapping link, and plans its restoration and the next cut.
pub(crate) fn flap(world: &mut World, index: usize, until: Micros) {
    let plan = world.plan.clone();
    let Trouble::Flaps(a, b, period) = &plan.faults[index].what else { return };
    if world.now >= until || world.net.is_healed() {
        return;
    }
    let period = (*period).max(1) * 1000;
    cut(world, *a, *b);
    cut(world, *b, *a);
    world.at((world.now + period).min(until), Event::FaultEnds(index));
    world.at(world.now + 2 * period, Event::Flap(index, until));
}

/// Cuts one direction of a link, until it is mended.
pub(crate) fn cut(world: &mut World, from: Host, to: Host) {
    world.books.conditions.disturb(from, to, world.now);
    world.net.cut(from, to, world.now);
    if let Some(epoch) = world.net.between(from, to) {
        let at = world.now + world.plan.links.idle * 1000;
        world.at(at, Event::IdleCheck(epoch, from, to));
    }
}
