//! Connections of machines: dialing, messages, and connections that break.

use std::collections::BTreeSet;

use forename::clock::NodeId;
use forename::replica::{Input, Message};

use crate::dice::Dice;
use crate::plan::Host;
use crate::world::net::{Epoch, Micros, Way, pair};
use crate::world::packet::Packet;
use crate::world::queue::Event;
use crate::world::seen::Seen;
use crate::world::state::World;

/// Microseconds between attempts to dial again. A guess at what the driver does.
const REDIAL: Micros = 200_000;

pub(crate) fn send(world: &mut World, from: Host, to: Host, way: Way, packet: Packet) {
    let bytes = if world.net.is_narrow(from, to) { packet.size() } else { 0 };
    let parcel = (way, packet.kind(), bytes);
    let (epoch, arrivals) = world.net.send((from, to), parcel, world.now, &world.plan.links);
    world.note(&Seen::Sent { from, to, packet: &packet, arrivals: &arrivals });
    if arrivals.is_empty() && way == Way::Snapshot && world.net.reaches(epoch, to) {
        // A stream loses nothing from its middle, so a loss ends the connection.
        world.mark("a snapshot is cut off");
        close(world, epoch, 1000);
    }
    if let Some((last, earlier)) = arrivals.split_last() {
        let node = world.machines[from].node;
        if matches!(&packet, Packet::Message(message) if is_promise(message, node)) {
            world.books.conditions.says(node, world.now);
        }
        world.books.known.left(world.machines[from].node, &packet, &world.machines[from].disk);
        for at in earlier {
            world.at(*at, Event::Arrive { epoch, from, to, packet: packet.clone() });
        }
        world.at(*last, Event::Arrive { epoch, from, to, packet });
    }
}

pub(crate) fn arrive(world: &mut World, epoch: Epoch, from: Host, to: Host, packet: Packet) {
    if !world.net.reaches(epoch, to) {
        world.mark("a sent message dies with its connection");
        world.note(&Seen::Died { from, to });
        return;
    }
    // The sender is the node that was connected, which may no longer be the present node of that host.
    let (a, b) = world.dials.met.get(&epoch).copied().unwrap_or_default();
    let from = if from < to { a } else { b };
    let input = match packet {
        Packet::Message(message) => Input::Message { from, message },
        Packet::Rows(snapshot, rows) => Input::SnapshotRows { from, snapshot, rows },
        Packet::SnapshotEnd(snapshot) => Input::SnapshotEnd { from, snapshot },
    };
    world.input(to, input);
}

/// Returns the founders that a founder dials by itself.
pub(crate) fn founders_of(world: &World, host: Host) -> BTreeSet<Host> {
    let founders = world.plan.founders;
    let mut dice = Dice::new(world.plan.seed, "dials", host as u64);
    match world.plan.dials.filter(|dials| *dials + 1 < founders) {
        None => (0..founders).filter(|other| *other != host).collect(),
        Some(dials) => {
            let mut chosen = BTreeSet::new();
            while chosen.len() < dials {
                let other = usize::try_from(dice.below(founders as u64)).unwrap_or(0);
                if other != host {
                    chosen.insert(other);
                }
            }
            chosen
        }
    }
}

pub(crate) fn dial_wanted(world: &mut World, host: Host) {
    let free = |peer: &Host| *peer != host && world.net.between(host, *peer).is_none();
    let peers: Vec<_> = world.machines[host].wanted.iter().copied().filter(free).collect();
    for (a, b) in peers.into_iter().map(|peer| pair(host, peer)) {
        if world.dials.planned.insert((a, b)) {
            let at = world.now + 1000 + world.machines[host].dice.below(20_000);
            world.at(at, Event::Dial(a, b));
        }
    }
}

pub(crate) fn dial(world: &mut World, a: Host, b: Host) {
    world.dials.planned.remove(&(a, b));
    let wants = |x: Host, y: Host| world.machines[x].is_up() && world.machines[x].wanted.contains(&y);
    if !wants(a, b) && !wants(b, a) {
        return;
    }
    // Of two newcomers neither can check the other's token.
    let knows = |x: Host| world.machines[x].is_installed();
    let up = world.machines[a].is_up() && world.machines[b].is_up() && (knows(a) || knows(b));
    let up = up && may_meet(world, a, b);
    let free = world.net.between(a, b).is_none() && !world.net.is_cut(a, b) && !world.net.is_cut(b, a);
    if up && free {
        let epoch = world.net.connect(a, b, world.now);
        world.dials.met.insert(epoch, (world.machines[a].node, world.machines[b].node));
        world.note(&Seen::Connected { a, b, epoch });
        world.input(a, Input::Connected(world.machines[b].node));
        world.input(b, Input::Connected(world.machines[a].node));
        for (host, peer) in [(a, b), (b, a)] {
            if world.plan.reads(peer) {
                world.input(host, Input::Reads(world.machines[peer].node));
            }
        }
    } else if world.dials.planned.insert((a, b)) {
        let at = world.now + REDIAL + world.machines[a].dice.below(REDIAL);
        world.at(at, Event::Dial(a, b));
    }
}

/// Returns true where two machines may connect. After a recovery the new cluster has other tokens and keys: machines
/// outside of it reach only the machine where it was made, and not each other.
fn may_meet(world: &World, a: Host, b: Host) -> bool {
    let cluster = |x: Host| world.machines[x].replica()?.founding().map(|founding| founding.id);
    world.recovered.is_none_or(|new| a == new || b == new || [a, b].iter().all(|x| cluster(*x) == cluster(new)))
}

/// Breaks a connection. Its ends learn of it within this many microseconds.
pub(crate) fn close(world: &mut World, epoch: Epoch, within: Micros) {
    let ends = world.net.close(epoch);
    let [a, b] = ends[..] else { return };
    for (host, peer) in [(a, b), (b, a)] {
        let at = world.now + 1 + world.machines[host].dice.below(within + 1);
        world.at(at, Event::HangUp(epoch, host, peer));
    }
}

pub(crate) fn hang_up(world: &mut World, epoch: Epoch, host: Host, peer: Host) {
    if world.net.hang_up(epoch, host) {
        // The peer may run another incarnation by now, so the one that was connected is named.
        let (a, b) = world.dials.met.get(&epoch).copied().unwrap_or_default();
        world.input(host, Input::Disconnected(if host < peer { b } else { a }));
        dial_wanted(world, host);
        dial_wanted(world, peer);
    }
}

/// Returns true where a message carries the promise of the node that sent it, or an op of that node. The op may let its
/// peers believe a promise that they have received before.
fn is_promise(message: &Message, node: NodeId) -> bool {
    match message {
        Message::Vector(vector) => vector.entries.iter().any(|entry| entry.origin == node),
        Message::Ops { ops, .. } => ops.iter().any(|op| op.node == node),
        _ => false,
    }
}
