//! The steps of a process: it takes in its inputs, writes what follows from them, and sends its outputs once that is
//! durable.

use forename::clock::Hlc;
use forename::log::Op;
use forename::replica::Input;
use forename::store::schema::{self, Rows};
use forename::store::{Batch, Write};

use crate::plan::Host;
use crate::violation::Checked;
use crate::world::disk::{forgotten, frontiers, logged};
use crate::world::net::Micros;
use crate::world::queue::Event;
use crate::world::seen::Seen;
use crate::world::state::World;
use crate::world::{outputs, process, prospects};

/// Lets the process take in all its inputs, and ends the step.
pub(crate) fn turn(world: &mut World, host: Host, life: u32) -> Checked {
    let time = world.now;
    let machine = &mut world.machines[host];
    let Some(running) = machine.running_mut() else { return Ok(()) };
    let busy_until = running.busy_until;
    if machine.life != life {
        return Ok(());
    }
    if busy_until > time {
        world.at(busy_until, Event::Turn(host, life));
        return Ok(());
    }
    if let Some(running) = machine.running_mut() {
        running.turn_planned = false;
    }
    world.see(&Seen::Turn(host))?;
    prospects::note_shown(world, host);
    prospects::note_caught_up(world, host);
    let machine = &mut world.machines[host];
    let now = machine.now(time);
    let busy_until = time + 20 + machine.dice.below(200);
    let Some(running) = machine.running_mut() else { return Ok(()) };
    running.busy_until = busy_until;
    for input in &running.inbox {
        if let Input::Message { from, message } = input {
            world.books.known.arrived(host, *from, message);
        }
    }
    let (replica, taken) = (&mut running.replica, running.inbox.len());
    running.inbox.drain(..).for_each(|input| replica.handle(now, input));
    let outputs = replica.flush(now);
    let writes = replica.store_mut().take_writes();
    let batch = replica.store().last_batch();
    let other_cuts = world.books.ledger.cuts(host, replica.cuts());
    let (watermark, wake) = (replica.watermark(), replica.wake_at().0.saturating_mul(1000));
    world.note(&Seen::Stepped { host, taken, writes: &writes, outputs: outputs.len() });
    wrote(world, host, batch, writes, watermark)?;
    if other_cuts {
        world.members_changed(host);
    }
    plan_wake(world, host, wake);
    outputs::carry_out(world, host, outputs)
}

fn wrote(world: &mut World, host: Host, batch: Batch, writes: Vec<Write>, watermark: Hlc) -> Checked {
    if world.machines[host].is_failing() {
        return Ok(());
    }
    let ops = logged(&writes);
    if writes.iter().filter_map(schema::Log::written).any(|(_, chunk)| chunk.is_none()) {
        world.mark("ops leave a log");
    }
    // A log is emptied only where a newcomer starts over.
    forgotten(&writes).for_each(|origin| world.books.ledger.forgot(host, origin));
    let given = frontiers(&writes);
    let (node, is_old) = (world.machines[host].node, world.machines[host].is_old());
    ops.iter().filter(|op| op.node == node && !is_old).for_each(|op| world.books.roll.issued(op));
    if world.machines[host].disk.take(batch, writes, &ops) {
        plan_sync(world, host);
    }
    world.see(&Seen::Writes { host, ops: &ops })?;
    for op in &ops {
        world.see(&Seen::Takes { host, op })?;
        world.books.ledger.wrote(host, op.node == node, is_old, op);
        world.see(&Seen::Took { host, op })?;
    }
    let membership = ops.iter().any(|op| op.body().is_membership()) || (ops.is_empty() && !given.is_empty());
    world.books.ledger.given(host, given);
    if membership {
        world.members_changed(host);
        let own: Vec<Op> = ops.into_iter().filter(|op| op.node == node).collect();
        world.see(&Seen::Issued { host, ops: &own })?;
    }
    world.see(&Seen::Watermark { host, watermark })?;
    world.books.ledger.watermark(host, watermark);
    Ok(())
}

fn plan_sync(world: &mut World, host: Host) {
    let machine = &mut world.machines[host];
    let took = world.plan.disk.least + machine.dice.below(world.plan.disk.jitter + 1);
    let (life, upto, took) = (machine.life, machine.disk.covers(), took * machine.drive.slow);
    world.at(world.now + took, Event::Synced(host, life, upto));
}

pub(crate) fn synced(world: &mut World, host: Host, life: u32, upto: Batch) {
    if world.machines[host].life != life {
        return;
    }
    if world.machines[host].drive.full {
        world.mark("a disk is full");
        return process::disk_fails(world, host, "no space left on the device");
    }
    if world.machines[host].disk.synced(upto) {
        plan_sync(world, host);
    }
    world.note(&Seen::Synced(host));
    world.input(host, Input::Persisted(upto));
}

fn plan_wake(world: &mut World, host: Host, wake: Micros) {
    let wake = wake.max(world.now + 1000);
    let machine = &mut world.machines[host];
    let life = machine.life;
    let Some(running) = machine.running_mut() else { return };
    if running.wake_planned.is_none_or(|planned| planned > wake) {
        running.wake_planned = Some(wake);
        world.at(wake, Event::Wake(host, life));
    }
}
