//! Finds out whether a cluster has come to rest and, if not, what is still open.

use forename::clock::NodeId;

use crate::ask::cluster;
use crate::canary;
use crate::plan::Host;
use crate::violation::Violation;
use crate::world::World;
use crate::world::ids::host_of;

/// Returns what is still open; none where the cluster has come to rest.
pub(crate) fn unsettled(world: &mut World) -> Result<Option<String>, Violation> {
    let all_over = world.books.ledger.all_over();
    let present = world.present();
    let members = present.iter().filter(|host| !world.plan.reads(**host)).count();
    for host in present.iter().copied() {
        let Some(replica) = world.machines[host].replica() else { return Ok(Some(format!("host {host} is down"))) };
        if !replica.is_member() && !world.plan.reads(host) {
            return Ok(Some(format!("host {host} is no member")));
        }
        if let Some((node, has, there_are)) = world.books.ledger.lacks(host) {
            return Ok(Some(format!("host {host} has {has} of {there_are} ops of {node}")));
        }
        if replica.watermark() < all_over {
            return Ok(Some(format!("the watermark of host {host} is {}, below {all_over}", replica.watermark())));
        }
    }
    for host in present.iter().copied() {
        let view = cluster(world, host)?;
        if view.as_ref().is_none_or(|view| view.pending > 0 || view.members.len() != members) {
            return Ok(Some(format!("host {host} has undecided registrations")));
        }
        // Until the eviction is done nobody can tell which members a majority needs, so nothing more is decided.
        if view.is_some_and(|view| view.eviction.is_some()) {
            return Ok(Some(format!("host {host} knows of an eviction that is not done")));
        }
        world.members_changed(host);
        if world.books.orders.agreed_to_leave(world.machines[host].node) {
            return Ok(Some(format!("host {host} has agreed to leave, and is still here")));
        }
    }
    if canary::is_restless(world.books.ledger.ops()) {
        return Ok(Some("a canary was claimed".to_owned()));
    }
    let left = |host: &Host| !present.contains(host);
    let open = world.clients.open_calls(&(0..world.machines.len()).filter(left).collect::<Vec<_>>());
    Ok((open > 0).then(|| format!("{open} requests have no reply")))
}

/// Describes the cluster as each node sees it, for the text of a failure.
pub(crate) fn seen(world: &mut World) -> Result<String, Violation> {
    let mut text = String::new();
    for host in world.present() {
        let Some(view) = cluster(world, host)? else {
            text += &format!("; host {host} knows no cluster");
            continue;
        };
        let is = if view.member { "is a member" } else { "is no member" };
        let members: Vec<_> = view.members.iter().map(|member| host_text(member.node)).collect();
        text += &format!("; host {host} {is} and sees {}, {} pending", members.join(" "), view.pending);
        if let Some(eviction) = &view.eviction {
            let waits: Vec<_> = eviction.waiting_for.iter().map(|node| host_text(*node)).collect();
            let goes: Vec<_> = eviction.nodes.iter().map(|node| host_text(*node)).collect();
            let how = if eviction.possible { "waits" } else { "waits in vain" };
            text += &format!(", {} to go, which {how} for {}", goes.join(" "), waits.join(" "));
        }
    }
    Ok(text)
}

/// Returns a host and the incarnation of its node as text.
fn host_text(node: NodeId) -> String {
    match node.incarnation() {
        0 => host_of(node).to_string(),
        life => format!("{}.{life}", host_of(node)),
    }
}

/// Returns true where any node knows of an eviction or a departure that is not done.
pub(crate) fn is_going(world: &mut World) -> Result<bool, Violation> {
    for host in world.present() {
        if cluster(world, host)?.is_some_and(|view| view.eviction.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns true where no process of a node can come back: its machine is lost, has left, or is another node by now.
pub(crate) fn is_dead(world: &World, node: NodeId) -> bool {
    let machine = world.machines.get(host_of(node));
    machine.is_none_or(|machine| machine.stage.is_lost() || machine.stage.has_left() || machine.node != node)
}
