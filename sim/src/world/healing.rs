//! The end of faults: everything is repaired at once when the faults end, and clocks that stay wrong are set right
//! later.

use std::collections::BTreeSet;

use forename::replica::Input;

use crate::plan::{Host, Loss};
use crate::violation::Checked;
use crate::world::contact::{common_time, knows_member, may_go};
use crate::world::ids::EPOCH;
use crate::world::machine::WELL;
use crate::world::queue::Event;
use crate::world::seen::Seen;
use crate::world::state::World;
use crate::world::{connections, faults, process};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Returns the hosts whose clocks are not set right. They are a minority of the members, since with a wrong majority
/// nobody can tell which time is right.
fn stay_wrong(world: &mut World) -> Vec<Host> {
    let (plan, present) = (world.plan.clone(), world.present());
    // Only members count that all members know, because members come and go.
    let knows = |host: Host, of: Host| knows_member(world, of, world.machines[host].node);
    let members: Vec<Host> = present.iter().copied().filter(|host| knows(*host, *host)).collect();
    let agreed = |host: &Host| members.iter().all(|of| knows(*host, *of));
    let members: Vec<Host> = members.iter().copied().filter(agreed).collect();
    let stay = members.iter().filter(|host| !may_go(world, **host)).count();
    let wrong: Vec<_> = plan.wrong_for_good.iter().filter(|wrong| members.contains(&wrong.host)).collect();
    if 2 * wrong.len() >= stay {
        return Vec::new();
    }
    for clock in &wrong {
        for (after, off) in &clock.off {
            world.at(world.now + after * 1000, Event::ClockTurns(clock.host, *off));
        }
    }
    if !wrong.is_empty() {
        world.mark("a clock stays wrong");
    }
    wrong.iter().map(|clock| clock.host).collect()
}

/// Sets clocks right that were to stay wrong, where an operator would. A node that was evicted, and whose clock is
/// wrong, waits outside until its operator, who is told so, sets the clock right. Where so few members are left that
/// wrong clocks are no minority any more, a node with a right clock waits as well; its operator then sets the members'
/// clocks right.
pub(crate) fn mend_wrong_clocks(world: &mut World) {
    let present = world.present();
    let sees = |of: Host, host: Host| knows_member(world, of, world.machines[host].node);
    let members: BTreeSet<Host> = present.iter().copied().filter(|host| sees(*host, *host)).collect();
    // Members that are down count too, because what is known of their clocks is kept.
    let all = (0..world.machines.len()).filter(|host| members.iter().any(|of| sees(*of, *host)));
    let wrong = members.iter().filter(|host| is_wrong_for_good(world, **host)).count();
    let is_minority = 2 * wrong < all.count();
    for host in present {
        let outside = !members.contains(&host);
        if (outside || !is_minority) && is_wrong_for_good(world, host) {
            world.mark(if outside {
                "a newcomer waits until its clock is right"
            } else {
                "wrong clocks are no minority of those left"
            });
            set_right_for_good(world, host);
        }
    }
}

fn set_right_for_good(world: &mut World, host: Host) {
    let (now, era) = (world.now, era(world));
    world.machines[host].clock.mend(now, era);
    world.books.conditions.clock_set(host, now);
}

/// Returns by how many milliseconds the right time differs from virtual time. This is zero, except where a story has
/// set all clocks ahead by days to let much time pass.
fn era(world: &World) -> i64 {
    let ahead = i64::try_from(common_time(world)).unwrap_or(0) - i64::try_from(EPOCH + world.now / 1000).unwrap_or(0);
    if ahead.abs() > DAY { ahead } else { 0 }
}

/// Returns true where a machine's clock stays wrong to the end.
pub(crate) fn is_wrong_for_good(world: &World, host: Host) -> bool {
    !world.machines[host].clock.is_mended() && world.plan.wrong_for_good.iter().any(|wrong| wrong.host == host)
}

pub(crate) fn clock_turns(world: &mut World, host: Host, off: i64) {
    if world.machines[host].clock.is_mended() {
        return;
    }
    let now = world.now;
    world.machines[host].clock.set_off(now, off);
    world.books.conditions.clock_set(host, now);
}

/// Repairs links, disks, clocks and machines, except machines that are lost for good.
pub(crate) fn heal(world: &mut World, lost: &[Host], how: Loss) -> Checked {
    for epoch in world.net.clogged(world.now) {
        connections::close(world, epoch, 1000);
    }
    world.net.heal();
    world.note(&Seen::Healed);
    for host in lost {
        let machine = &mut world.machines[*host];
        machine.stage = machine.stage.lost(how);
    }
    let (now, wrong, era) = (world.now, stay_wrong(world), era(world));
    for host in 0..world.machines.len() {
        world.books.conditions.healed(host, now);
        let machine = &mut world.machines[host];
        machine.drive = WELL;
        if let Some(running) = machine.running_mut() {
            running.dies_after = None;
            running.busy_until = running.busy_until.min(now);
            running.turn_planned = false;
        }
        let down = machine.is_failing() || machine.stage.is_gone();
        if !lost.contains(&host) && !wrong.contains(&host) {
            machine.clock.set_right(now, era);
        }
        if down {
            process::crash(world, host, 0);
        }
        process::start(world, host)?;
        // A process that stood still had its next step planned for later.
        world.input(host, Input::Wake);
    }
    for host in (0..world.machines.len()).filter(|host| !lost.contains(host)) {
        for other in lost.iter().copied().filter(|_| how != Loss::Down) {
            faults::cut(world, other, host);
            if how == Loss::Cut {
                faults::cut(world, host, other);
            }
        }
        // An operator who sees that the sponsor is gone names other members.
        if world.machines[host].replica().is_some_and(|replica| !replica.is_member()) {
            let others = (0..world.machines.len()).filter(|other| *other != host);
            let machine = &mut world.machines[host];
            machine.named.extend(others);
            machine.wanted.extend(machine.named.iter().copied());
            connections::dial_wanted(world, host);
        }
    }
    Ok(())
}
