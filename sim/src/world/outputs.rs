//! Carrying out the outputs of replicas: messages go to the network, replies and events to their receivers.

use forename::clock::NodeId;
use forename::log;
use forename::replica::{Lane, Message, Output, SnapshotId};
use forename::store::{Table, Write};

use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::ids::{host_of, is_stranger};
use crate::world::machine::{Directory, Process};
use crate::world::net::Way;
use crate::world::packet::Packet;
use crate::world::queue::Event;
use crate::world::seen::Seen;
use crate::world::state::World;
use crate::world::{connections, feeds, process, replies};

/// Rows in one piece of a snapshot: few, so that a snapshot has several pieces.
const PIECE: usize = 12;

pub(crate) fn carry_out(world: &mut World, host: Host, outputs: Vec<Output>) -> Checked {
    world.see(&Seen::Says { host, outputs: &outputs })?;
    let running = world.machines[host].running_mut().filter(|_| !outputs.is_empty());
    let left = running.and_then(|running| running.dies_after.take());
    for (index, output) in outputs.into_iter().enumerate() {
        if left.is_some_and(|left| index >= left) {
            world.mark("a crash in the middle of a step");
            break;
        }
        carry_out_one(world, host, output)?;
    }
    if left.is_some() {
        process::crash(world, host, 0);
    }
    Ok(())
}

fn send_snapshot(
    world: &mut World,
    host: Host,
    to: NodeId,
    snapshot: SnapshotId,
    after: Option<(Table, Vec<u8>)>,
) -> Checked {
    if after.is_none() {
        let rows = world.machines[host].disk.snapshot();
        world.see(&Seen::Gives { host, to, rows: &rows })?;
        if is_stranger(to) {
            world.mark("a liar is given a snapshot");
            return Ok(());
        }
        if let Some(running) = world.machines[host].running_mut() {
            running.snapshots.insert(to, (snapshot, rows));
        }
        world.mark("a snapshot is sent");
    }
    let kept = world.machines[host].running().and_then(|running| running.snapshots.get(&to));
    let Some((_, rows)) = kept.filter(|(kept, _)| *kept == snapshot).cloned() else { return Ok(()) };
    let is_known = |row: &Write| after.as_ref().is_some_and(|(table, key)| (row.table, &row.key) <= (*table, key));
    let known = rows.partition_point(is_known);
    if known > 0 {
        world.mark("a snapshot goes on where it broke off");
    }
    for piece in rows[known..].chunks(PIECE) {
        connections::send(world, host, host_of(to), Way::Snapshot, Packet::Rows(snapshot, piece.to_vec()));
    }
    connections::send(world, host, host_of(to), Way::Snapshot, Packet::SnapshotEnd(snapshot));
    Ok(())
}

fn carry_out_one(world: &mut World, host: Host, output: Output) -> Checked {
    match output {
        Output::Reply(ready) => {
            ready.tell();
            for (token, reply) in world.take_told() {
                replies::replied(world, host, token, reply)?;
            }
        }
        Output::Log(output) => return carry_out_of_log(world, host, output),
        Output::Events(told) => {
            if let Some(running) = world.machines[host].running_mut() {
                running.last_event = told.last;
            }
            feeds::read_feed(world, host);
        }
        Output::Halt(why) => return halted(world, host, why),
        Output::Rejoin(next) => {
            world.mark("a node comes back after an eviction");
            world.note(&Seen::Returns(host, next));
            process::crash(world, host, 0);
            let machine = &mut world.machines[host];
            machine.came_back = true;
            machine.restored |= machine.is_old();
            machine.directory = Directory::Latest;
            let at = world.now + 10_000;
            world.at(at, Event::Start(host));
        }
        Output::Left => {
            world.mark("a node has left");
            process::crash(world, host, 0);
            let machine = &mut world.machines[host];
            machine.stage = machine.stage.left();
        }
    }
    Ok(())
}

/// Carries out an output of the log.
fn carry_out_of_log(world: &mut World, host: Host, output: log::Output) -> Checked {
    match output {
        log::Output::Send { to, lane, message } => return send(world, host, (to, lane), message),
        log::Output::SendSnapshot { to, snapshot, after } => return send_snapshot(world, host, to, snapshot, after),
        log::Output::Hear { .. } => {}
        log::Output::EndSnapshot { to } => {
            if let Some(running) = world.machines[host].running_mut() {
                running.snapshots.remove(&to);
            }
        }
        log::Output::Peers { members, former: _, barred: _ } => {
            world.see(&Seen::Peers { host, members: &members })?;
            if world.plan.dials.is_none() {
                let members = members.iter().map(|contact| host_of(contact.node));
                let machine = &mut world.machines[host];
                machine.wanted = members.chain(machine.named.iter().copied()).collect();
            }
            if host < world.plan.founders {
                // Founders know each other from their operator until they have each other's contacts.
                let founders = connections::founders_of(world, host);
                world.machines[host].wanted.extend(founders);
            }
            connections::dial_wanted(world, host);
            // A newcomer that has its snapshot has a feed from now on.
            feeds::read_feed(world, host);
        }
    }
    Ok(())
}

/// Sends a message to the network, where the receiver still runs the incarnation that it is for, since a connection
/// belongs to one incarnation.
fn send(world: &mut World, host: Host, (to, lane): (NodeId, Lane), message: Message) -> Checked {
    let checked = world.see(&Seen::Sends { host, to, lane, message: &message });
    if checked.is_err() {
        world.note(&Seen::Stopped { host, to, message: &message });
        return checked;
    }
    let node = world.machines[host].node;
    if let Message::Vector(vector) = &message {
        let own = vector.entries.iter().filter(|entry| entry.origin == node);
        own.for_each(|entry| world.books.ledger.promises(node, entry.promise.hlc));
    }
    let way = if lane == Lane::Bulk { Way::Bulk } else { Way::Ordered };
    if world.machines.get(host_of(to)).is_some_and(|machine| machine.node == to) {
        connections::send(world, host, host_of(to), way, Packet::Message(message));
    }
    Ok(())
}

/// Handles a process that stopped by itself. Where its directory is an old copy, its operator makes it rejoin.
fn halted(world: &mut World, host: Host, why: String) -> Checked {
    world.see(&Seen::Halts(host, &why))?;
    world.mark("a node stops by itself");
    let old_disk = world.machines[host].is_old() && !world.machines[host].is_failing();
    process::crash(world, host, 0);
    if let Process::Down(down) = &mut world.machines[host].process {
        down.halted = Some(why);
    }
    if old_disk {
        world.mark("an old disk is noticed");
        let now = world.now;
        if let Err(why) = world.machines[host].rejoin(now) {
            return broken("rejoin", format!("host {host} cannot rejoin: {why}"));
        }
        let at = world.now + 1_000_000;
        world.at(at, Event::Start(host));
    }
    Ok(())
}
