//! Recovery from a disaster: all machines are down, and a new cluster is made from one directory.
//!
//! The new cluster goes on alone and decides by itself everything that was open. Then the other machines come back
//! under their next ids, and register anew what the directory lacked. This is done only where the directory has
//! everything that a final outcome may rest on, because a disaster that loses more takes such outcomes back.

use crate::ask::cluster;
use crate::plan::{Ending, Host};
use crate::run::failure::Failure;
use crate::violation::Violation;
use crate::world::machine::{Machine, Stage, WELL};
use crate::world::{World, process};

/// The time in microseconds within which the new cluster's only member must have decided everything: the grace of its
/// start, and some time for its clock, which may have to pass its last promise.
const WITHIN: u64 = 30_000_000;

/// Makes a new cluster from a host's directory, where the plan says so.
pub(crate) fn recover(world: &mut World) -> Result<(), Failure> {
    let Some(host) = world.plan.recovers.filter(|_| world.plan.ending == Ending::Healed) else { return Ok(()) };
    let is_member = world.machines[host].is_member();
    for other in 0..world.machines.len() {
        process::crash(world, other, 0);
    }
    if !is_member || !may_recover(world, host) {
        return Ok(());
    }
    world.mark("a cluster is recovered");
    // There are no more faults, and no other machine runs yet.
    world.net.heal();
    world.machines.iter_mut().filter(|machine| machine.host != host).for_each(|machine| machine.stage = Stage::Waiting);
    let now = world.now;
    let recovered = world.machines[host].recover(now);
    recovered.map_err(|why| failed(format!("no cluster can be made of host {host}: {why}")))?;
    world.recovered = Some(host);
    let machine = &mut world.machines[host];
    machine.drive = WELL;
    machine.clock.set_right(now, 0);
    process::start(world, host).map_err(Failure::Safety)?;
    world.books.ledger.founded_anew(world.machines[host].node);
    let deadline = world.now + WITHIN;
    loop {
        let later = world.now + 500_000;
        world.run_until(later).map_err(Failure::Safety)?;
        match open(world, host).map_err(Failure::Safety)? {
            None => break,
            Some(text) if world.now >= deadline => {
                return Err(Failure::Liveness(Violation { check: "recovery", text }));
            }
            Some(_) => {}
        }
    }
    // The others start one after the other. Several that met before they heard of the new cluster would decide
    // something as the old cluster.
    for other in (0..world.machines.len()).filter(|other| *other != host) {
        world.machines[other].stage = Stage::Present;
        // Its operator is told the address of the new cluster.
        world.machines[other].named.insert(host);
        world.machines[other].clock.set_right(world.now, 0);
        process::start(world, other).map_err(Failure::Safety)?;
        let deadline = world.now + WITHIN;
        while world.now < deadline && world.books.ledger.out().any(|node| node == world.machines[other].node) {
            let later = world.now + 100_000;
            world.run_until(later).map_err(Failure::Safety)?;
        }
    }
    Ok(())
}

fn failed(text: String) -> Failure {
    Failure::Safety(Violation { check: "recovery", text })
}

/// Returns true where a host's directory is that of a member, and has everything that a final outcome may rest on.
fn may_recover(world: &World, host: Host) -> bool {
    let machine = &world.machines[host];
    let watermark = world.books.ledger.greatest_watermark();
    let early = watermark.max(world.books.outcomes.latest());
    let has_all = world.books.ledger.ops().filter(|op| op.hlc <= early).all(|op| op.seq <= machine.disk.log(op.node));
    let alone = world.machines.iter().any(|machine| machine.is_old() || machine.stage.has_left());
    // A machine with a state of the old cluster must be known to this directory and must know it. Otherwise it would be
    // a stranger to the new cluster, or would not find it.
    let known = world.books.ledger.known_by(&machine.disk, world.plan.founders);
    let knows_it =
        |other: &Machine| world.books.ledger.known_by(&other.disk, world.plan.founders).contains(&machine.node);
    let whole = || world.machines.iter().filter(|other| other.disk.is_whole());
    let all_known = whole().all(|other| known.contains(&other.node) && knows_it(other));
    let is_out = world.books.ledger.out().any(|node| node == machine.node);
    has_all && all_known && machine.disk.is_whole() && !alone && !is_out && !machine.stage.is_gone()
}

/// Returns what the new cluster's only member has yet to do.
fn open(world: &mut World, host: Host) -> Result<Option<String>, Violation> {
    let Some(view) = cluster(world, host)? else { return Ok(Some(format!("host {host} does not answer"))) };
    let alone = view.member && view.members.len() == 1;
    Ok(match view.pending {
        _ if !alone => Some(format!("host {host} is not the only member of what it was made")),
        0 => None,
        pending => Some(format!("host {host} alone leaves {pending} registrations open")),
    })
}
