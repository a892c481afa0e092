//! What nodes can know of each other at a moment: which nodes are in contact, and the median of their clocks.

use forename::clock::NodeId;

use crate::plan::{Host, Plan};
use crate::world::ids::host_of;
use crate::world::net::Micros;
use crate::world::state::World;

/// Microseconds after which two nodes that could communicate know that they are in contact: ten heartbeats.
pub(crate) const KNOWN: Micros = 10_000_000;

/// Milliseconds between two vectors to a peer while nothing is undecided, as the replica has them.
const HEARTBEAT: u64 = 1000;

/// Returns the wall-clock time that a machine shows, in milliseconds since 1970.
pub(crate) fn clock_of(world: &World, host: Host) -> i64 {
    i64::try_from(world.machines[host].now(world.now).wall.0).unwrap_or(i64::MAX)
}

/// Returns the lower median of the clocks of the machines that are present, in milliseconds.
pub(crate) fn common_time(world: &World) -> u64 {
    let clocks = world.present().into_iter().map(|host| clock_of(world, host)).collect();
    u64::try_from(lower_median(clocks)).unwrap_or(0)
}

/// Returns true where a host knows a node as a member.
pub(crate) fn knows_member(world: &World, host: Host, node: NodeId) -> bool {
    world.books.members(host).contains(&node)
}

/// Returns true where a host's node may leave or be evicted: by an order, because it was silent, or because its
/// directory is an old copy.
pub(crate) fn may_go(world: &World, host: Host) -> bool {
    let (node, books) = (world.machines[host].node, &world.books);
    let ordered = books.orders.wanted_out(node) || books.orders.wanted_to_leave(node) || books.roll.departs(node);
    let heard = world.machines.iter().any(|other| other.host != host && in_contact(world, host, other.node, world.now));
    let old = world.machines[host].is_old();
    ordered || old || books.roll.frozen().contains(&node) || (world.plan.evict_after.is_some() && !heard)
}

/// Returns true where two nodes have been able to communicate for long enough before some time: neither their link nor
/// their machines had a fault.
pub(crate) fn in_contact(world: &World, host: Host, node: NodeId, at: Micros) -> bool {
    let other = host_of(node);
    if other == host {
        return world.machines[host].node == node;
    }
    let up = world.machines.get(other).is_some_and(|machine| machine.is_up() && machine.node == node);
    let Some(since) = world.net.sound_since(host, other).filter(|_| up) else { return false };
    let conditions = &world.books.conditions;
    let slow = |host: Host| world.machines[host].drive.slow > 1 || world.machines[host].drive.full;
    let since = since.max(conditions.disturbed_at(host, other));
    let since = since.max(conditions.upset_until(host)).max(conditions.upset_until(other));
    since + KNOWN <= at && !slow(host) && !slow(other)
}

/// Returns true where even the slowest message between two machines without a fault arrives before its sender is taken for
/// silent. A message holds up all that follow it.
pub(crate) fn hears_in_time(plan: &Plan) -> bool {
    let heartbeat = plan.evict_after.map_or(HEARTBEAT, |after| HEARTBEAT.min(after / 4));
    let (links, times) = (&plan.links, if plan.links.slow > 0 { 10 } else { 1 });
    // Two heartbeats are up to a quarter farther apart, and the third one that is missing makes a member silent.
    (links.least + links.jitter) * times * 4 < 7 * heartbeat * 1000
}

/// Returns the middle of an odd number of values, and the lower one of the two in the middle of an even number.
pub(crate) fn lower_median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}
