//! Starts and ends of processes.

use std::collections::BTreeSet;

use forename::replica::{Input, OpenError, Replica};

use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::ids::host_of;
use crate::world::machine::{Down, Process};
use crate::world::queue::Event;
use crate::world::seen::Seen;
use crate::world::state::World;
use crate::world::{connections, feeds, prospects};

/// Starts a machine's process. Does nothing where it runs, or is gone for good.
pub(crate) fn start(world: &mut World, host: Host) -> Checked {
    let now = world.now;
    let machine = &mut world.machines[host];
    if machine.stage.is_gone() {
        return Ok(());
    }
    let Process::Down(Down { swapped, .. }) = machine.process else { return Ok(()) };
    if let Err(error) = machine.start(now, &world.plan) {
        if error == OpenError::Left {
            // It died between its last fsync and its last output.
            machine.stage = machine.stage.left();
            return Ok(());
        }
        return broken("start", format!("host {host} does not start: {error}"));
    }
    world.books.ledger.restarted(host, &world.machines[host], swapped);
    if let Some(last) = world.machines[host].replica().filter(|_| swapped).map(Replica::last_event) {
        world.books.feeds.put_back(host, last);
    }
    world.books.conditions.started(host, now);
    world.note(&Seen::Started(host));
    world.members_changed(host);
    let wanted = wanted_at_first(world, host);
    let machine = &mut world.machines[host];
    // It may have died before it reported its return.
    machine.came_back |= machine.replica().is_some_and(|replica| replica.returning().is_some());
    machine.wanted = wanted;
    machine.wanted.extend(machine.named.iter().copied());
    world.plan_turn(host);
    feeds::read_feed(world, host);
    connections::dial_wanted(world, host);
    Ok(())
}

/// Returns the hosts that a host dials first: those that it knew before it was evicted, the other founders, or its
/// sponsor.
fn wanted_at_first(world: &World, host: Host) -> BTreeSet<Host> {
    let founders = world.plan.founders;
    if let Some(back) = world.machines[host].replica().and_then(Replica::returning) {
        return match world.recovered {
            // Its operator makes it join the new cluster.
            Some(new) => BTreeSet::from([new]),
            None => back.contacts.iter().map(|contact| host_of(contact.node)).collect(),
        };
    }
    if host < founders {
        return connections::founders_of(world, host);
    }
    match world.plan.joiners.get(host - founders) {
        Some(joiner) => [joiner.sponsor].into_iter().chain(joiner.also).collect(),
        None => world.present().into_iter().filter(|other| *other != host).collect(),
    }
}

/// Ends a process. Of the batches that were being written, this percentage becomes durable.
pub(crate) fn crash(world: &mut World, host: Host, kept: u64) {
    if !world.machines[host].is_up() {
        return;
    }
    prospects::witness_goes(world, host);
    world.books.known.forgot(host, world.machines[host].node);
    if world.machines[host].replica().is_some_and(Replica::has_waiting_rows) {
        world.mark("a crash loses rows that wait");
    }
    if world.machines[host].die(kept) > 0 {
        world.mark("a crash loses a batch");
    }
    prospects::proof_goes(world, host);
    world.note(&Seen::Crashed(host));
    world.books.orders.lost(host);
    for slot in world.clients.lost(host) {
        let at = world.now + 300_000;
        world.at(at, Event::Again(slot, (host + 1) % world.machines.len()));
    }
    for (epoch, peer) in world.net.of(host) {
        world.net.close(epoch);
        world.net.hang_up(epoch, host);
        // The peer may have been down before and be up again; nothing else makes it dial in this case.
        connections::dial_wanted(world, peer);
        let at = world.now + world.machines[host].dice.below(world.plan.links.idle * 1000);
        world.at(at, Event::HangUp(epoch, peer, host));
    }
}

/// Makes the store of a running process fail, so that the process must stop.
pub(crate) fn disk_fails(world: &mut World, host: Host, why: &str) {
    if let Some(running) = world.machines[host].running_mut() {
        running.replica.store_mut().poison(why);
        running.failing = true;
        world.input(host, Input::Wake);
    }
}
