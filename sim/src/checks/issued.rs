//! Membership ops are judged when they are issued, against the world: the newcomer's true clock, the machines that have
//! sent something lately, the logs that others have. Where a node cannot know something yet, the check decides in its
//! favour.

use std::collections::BTreeSet;

use forename::clock::NodeId;
use forename::log::{Body, MemberOp, Op, Seq};

use crate::checks::check::Check;
use crate::checks::clocks::{Clocks, LARGEST};
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::contact::clock_of;
use crate::world::ids::host_of;
use crate::world::machine::Machine;
use crate::world::net::Micros;
use crate::world::{Seen, World};

/// Milliseconds by which a newcomer's clock may be wrong, with an allowance for the delay of its message.
const CLOCK: u64 = 10_000 + 3000;

/// All nodes know a clock that was not changed for this many microseconds.
const SETTLED: Micros = 10_000_000;

/// A member is in contact if its promise has moved within three heartbeats; the promise may have travelled over several
/// relays.
const JUST_NOW: Micros = 3_000_000 + 5_000_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Issued {
    clocks: Clocks,
}

impl Check for Issued {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            Seen::Started(host) => self.clocks.forget(*host),
            Seen::Turn(host) if world.machines.len() <= LARGEST => self.clocks.reads(world, *host, |_| {}),
            // Ops that are received in the same step may have arrived after these were issued.
            Seen::Writes { host, ops } if !world.machines[*host].is_old() => {
                let mut own = ops.iter().filter(|op| op.node == world.machines[*host].node);
                return own.try_for_each(|op| match op.body() {
                    Body::Member(MemberOp::Admit { node }) => judge_admission(world, *host, op, *node, &self.clocks),
                    _ => Ok(()),
                });
            }
            Seen::Issued { host, ops } if !world.machines[*host].is_old() => {
                return ops.iter().try_for_each(|op| match op.body() {
                    Body::Member(MemberOp::Freeze { node, .. }) => judge_freeze(world, *host, op, *node),
                    Body::Member(MemberOp::Evict { cuts }) => {
                        judge_eviction(world, *host, &cuts.keys().copied().collect())
                    }
                    Body::Member(MemberOp::Depart) => judge_departure(world, *host, op),
                    _ => Ok(()),
                });
            }
            _ => {}
        }
        Ok(())
    }
}

/// Judges an admission: the issuer must know of no unfinished eviction, have heard from all members just now, and have
/// seen the earlier admissions at most of them; and the newcomer's clock must be right.
fn judge_admission(world: &World, host: Host, op: &Op, newcomer: NodeId, clocks: &Clocks) -> Checked {
    let why = |why: String| broken("admitted", format!("host {host} lets {newcomer} in, though {why}"));
    let mut members = world.books.roll.members(&world.books.ledger, host, world.plan.founders);
    members.remove(&newcomer);
    if let Some(frozen) = world.books.roll.frozen_for(&world.books.ledger, host, world.plan.founders).first() {
        return why(format!("the eviction of {frozen} is not done"));
    }
    if let Some(silent) = members.iter().find(|member| is_silent(world, host, **member)) {
        return why(format!("{silent} has said nothing for long"));
    }
    for (origin, seq) in world.books.roll.admissions(&world.books.ledger, host) {
        let earlier = members.contains(&origin) && (origin, seq) != (op.node, op.seq);
        let holds = |member: &&NodeId| {
            !is_present_as(world, **member) || is_old(world, **member) || has(world, **member, origin, seq)
        };
        let hold = members.iter().filter(holds).count();
        if earlier && 2 * hold <= members.len() {
            return why(format!("{hold} of {} members have the admission {origin}#{seq}", members.len()));
        }
    }
    match off_by(world, host, &members, host_of(newcomer), clocks) {
        Some(off) if off > CLOCK + delay(world) => why(format!("its clock is off by {off} ms")),
        _ => Ok(()),
    }
}

/// Judges a freeze that begins an eviction by an operator's order: the issuer must be in contact with a majority that
/// would stay.
fn judge_freeze(world: &World, host: Host, op: &Op, whom: NodeId) -> Checked {
    let others = world
        .books
        .roll
        .freezes(&world.books.ledger, host)
        .any(|(by, seq, node)| node == whom && (by, seq) != (op.node, op.seq));
    // A host that stood still reads in one step the messages that arrived meanwhile, in any order relative to the
    // operator's order.
    let stood_still = world.books.conditions.was_upset(host, world.now.saturating_sub(JUST_NOW));
    let begins = !others && !stood_still && world.plan.evict_after.is_none() && is_present_as(world, whom);
    if !begins {
        return Ok(());
    }
    let members = world.books.roll.members(&world.books.ledger, host, world.plan.founders);
    let going = world.books.roll.going(&world.books.ledger, host);
    let heard = |member: &&NodeId| !going.contains(member) && !is_silent(world, host, **member);
    let count = members.iter().filter(heard).count();
    if 2 * count <= members.len() {
        let text = format!("host {host} begins to evict {whom}, and hears {count} of {} members", members.len());
        return broken("evicts", text);
    }
    Ok(())
}

/// Judges the first declaration of an eviction: the issuer must have the freezes of all members that stay, and these
/// must be a majority, except where the evicted nodes have returned as later incarnations.
fn judge_eviction(world: &World, host: Host, whom: &BTreeSet<NodeId>) -> Checked {
    let mut others = (0..world.machines.len()).filter(|other| *other != host);
    let done = others.any(|other| whom.iter().any(|node| world.books.ledger.cuts_of(other).contains_key(node)));
    if done || !whom.iter().all(|node| is_present_as(world, *node)) {
        return Ok(());
    }
    let members = world.books.roll.members(&world.books.ledger, host, world.plan.founders);
    let stay: Vec<_> = members.difference(whom).copied().collect();
    let freezes: BTreeSet<_> =
        world.books.roll.freezes(&world.books.ledger, host).map(|(by, _, node)| (by, node)).collect();
    // The freeze may be an op of another copy of that member's directory, which the roll does not know.
    let beside = |by: NodeId, node: NodeId| {
        let freezes = |op: &Op| {
            op.node == by && matches!(*op.body(), Body::Member(MemberOp::Freeze { node: of, .. }) if of == node)
        };
        world.books.ledger.all_ops().any(freezes)
    };
    let has_frozen = |by: NodeId, node: NodeId| {
        freezes.contains(&(by, node)) || world.books.ledger.has_beside(by) && beside(by, node)
    };
    let text = format!("host {host} declares {whom:?} out");
    if let Some(by) = stay.iter().find(|by| whom.iter().any(|node| !has_frozen(**by, *node))) {
        return broken("evicted", format!("{text}, and {by} has not frozen them all"));
    }
    if stay.len() <= whom.len() {
        return broken("evicted", format!("{text}, and {} stay", stay.len()));
    }
    Ok(())
}

/// Judges a departure: the other members must have the node's ops, and at least one of them must stay.
fn judge_departure(world: &World, host: Host, op: &Op) -> Checked {
    let members = world.books.roll.members(&world.books.ledger, host, world.plan.founders);
    let others: BTreeSet<_> = members.into_iter().filter(|member| *member != op.node).collect();
    let stays = |member: &&NodeId| is_present_as(world, **member) && !has_departed(world, **member);
    if others.iter().filter(stays).count() == 0 {
        return broken("departs", format!("host {host} departs, and nobody stays"));
    }
    let lacks = |member: &&NodeId| {
        is_present_as(world, **member) && !is_old(world, **member) && !has(world, **member, op.node, op.seq - 1)
    };
    if let Some(lacks) = others.iter().find(lacks) {
        return broken("departs", format!("host {host} departs, and {lacks} does not have its ops"));
    }
    Ok(())
}

/// Returns true where a node has issued its `Depart`, and has not lost it in a crash.
fn has_departed(world: &World, node: NodeId) -> bool {
    let (machine, log) = (&world.machines[host_of(node)], world.books.ledger.log(node));
    let is_kept = |seq: Seq| machine.disk.log(node) >= seq || machine.is_up() && log.len() as Seq >= seq;
    world.books.roll.departure(node).is_some_and(is_kept)
}

/// Returns true where the node is the incarnation that its machine runs now, or would run if it were up.
fn is_present_as(world: &World, node: NodeId) -> bool {
    world.machines.get(host_of(node)).is_some_and(|machine| machine.node == node)
}

/// Returns true where the data directory of a node was replaced by an older copy. The ledger does not know all ops of
/// such a node.
fn is_old(world: &World, node: NodeId) -> bool {
    let machine = &world.machines[host_of(node)];
    machine.is_old() || machine.halted().is_some()
}

/// Returns true where a node has a log up to an op, in memory or on its disk.
fn has(world: &World, node: NodeId, origin: NodeId, seq: Seq) -> bool {
    let applied = |host: Host| world.books.ledger.applied(host).get(&origin).copied().unwrap_or(0);
    let most = |machine: &Machine| applied(machine.host).max(machine.disk.log(origin));
    node == origin || world.machines.get(host_of(node)).is_some_and(|machine| most(machine) >= seq)
}

/// Returns true where a member cannot have been heard just now, because it has sent nothing to anybody for long. Always
/// false where messages are slow, and in large clusters, where they travel over many relays.
fn is_silent(world: &World, host: Host, member: NodeId) -> bool {
    let links = &world.plan.links;
    // Nothing follows from a member's silence where the host itself stood still and reads earlier messages only now, or
    // where another node that passes messages on became reachable only now, or can pass on the right ones only now.
    let sound = |other: &Machine| {
        let disturbed = world.books.conditions.disturbed_at(host, other.host);
        let since = world.net.sound_since(host, other.host).map(|since| since.max(disturbed));
        other.host == host || !other.is_up() || since.is_some_and(|since| since + JUST_NOW < world.now)
    };
    let slow = links.least + links.jitter > 300_000
        || !world.machines.iter().all(sound)
        || world.machines.len() > world.plan.spread.small
        || world.books.conditions.was_upset(host, world.now.saturating_sub(JUST_NOW));
    // A newcomer may not have sent anything yet.
    let since = world
        .books
        .conditions
        .said(member)
        .filter(|_| host_of(member) != host && !slow && is_present_as(world, member));
    since.is_some_and(|since| since + JUST_NOW < world.now)
}

/// Returns by how many milliseconds a newcomer's clock differs from cluster time, in the most favourable case: cluster
/// time lies between the least and the greatest of the members' clocks, in truth or by the host's readings. None where
/// one of these clocks was changed lately.
fn off_by(world: &World, host: Host, members: &BTreeSet<NodeId>, newcomer: Host, clocks: &Clocks) -> Option<u64> {
    let hosts = members.iter().map(|member| host_of(*member)).chain([host, newcomer]);
    let quiet = |host: Host| world.books.conditions.is_clock_settled(host, world.now.saturating_sub(SETTLED));
    if !hosts.filter(|host| *host < world.machines.len()).all(quiet) {
        return None;
    }
    let times = || members.iter().flat_map(|member| clocks.times_of(world, host, *member));
    let (first, last) = (times().min()?, times().max()?);
    let clock = clock_of(world, newcomer);
    Some(clock.abs_diff(clock.clamp(first, last)))
}

/// Returns by how many milliseconds a delay can make a sender's clock look late: some messages take ten times as long
/// as others.
fn delay(world: &World) -> u64 {
    (world.plan.links.least + world.plan.links.jitter) / 100
}
