//! The end of every run. While more than half of the members are alive, in reach and asked by nobody to go, nobody is
//! bricked: an operator who follows what the product says puts the dead out, everything is decided, clients take new
//! names and see them confirmed in the usual time, and a fresh machine is let in.

use std::collections::BTreeSet;

use forename::clock::NodeId;
use forename::replica::{Answer, ClusterView, NameRequest, Refusal, RegisterRequest, Request, Status};
use uuid::Uuid;

use crate::ledger::{Checked, Violation, broken};
use crate::machine::{EPOCH, host_of};
use crate::net::Micros;
use crate::orders;
use crate::plan::Host;
use crate::run::{Failure, ask, cluster, seen, unsettled};
use crate::world::World;

/// How long a name that is taken while everything works may take to be confirmed everywhere: what a cluster with the
/// slowest links and disks of the plans took at most in some ten thousand seeds, and half as much again.
const USUAL: Micros = 15_000_000;

/// Timestamps that are ahead by so much are taken by nodes with right clocks, milliseconds: half of `max_clock_skew`.
const AHEAD: u64 = 5000;

/// How often an operator looks.
const LOOK: Micros = 1_000_000;

/// What an operator does.
#[derive(Default)]
struct Operator {
    /// Whom she wanted out, and why a node refused it last.
    refusals: Vec<(NodeId, Host, Refusal)>,
}

/// An operator puts out whoever is lost, until the cluster has come to rest. False where no way out is owed: no majority is
/// left that nobody asked to go.
pub(crate) fn put_out_the_lost(world: &mut World) -> Result<bool, Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    let mut operator = Operator::default();
    loop {
        let Some(open) = unsettled(world).map_err(Failure::Safety)? else { return Ok(true) };
        if !is_owed(world).map_err(Failure::Safety)? {
            return Ok(false);
        }
        if world.now >= deadline {
            let refusals: Vec<_> =
                operator.refusals.iter().map(|(node, by, why)| format!("{node} at host {by}: {why}")).collect();
            let seen = seen(world).map_err(Failure::Safety)?;
            let text = format!("a majority lives, and yet {open}{seen}; refused to the operator: {refusals:?}");
            return Err(Failure::Liveness(Violation { check: "bricked", text }));
        }
        operator.acts(world).map_err(Failure::Safety)?;
        let later = world.now + LOOK;
        world.run_until(later).map_err(Failure::Safety)?;
    }
}

impl Operator {
    /// She looks at the cluster as each node shows it, and puts out the dead whom it names, at any node that takes the order.
    fn acts(&mut self, world: &mut World) -> Checked {
        self.refusals.clear();
        for host in world.present() {
            let Some(view) = cluster(world, host)?.filter(|view| view.member) else { continue };
            for node in named(&view).into_iter().filter(|node| is_dead(world, *node)).collect::<Vec<_>>() {
                let begun = view.members.iter().any(|member| member.node == node && !member.frozen_by.is_empty());
                // Some member has frozen it: the others join by themselves.
                if begun {
                    continue;
                }
                world.mark("an operator puts a lost member out");
                if let Some(Err(refusal)) = ask(world, host, orders::evict(node))? {
                    self.refusals.push((node, host, refusal));
                }
            }
        }
        Ok(())
    }
}

/// Whom a node says that something waits for, and the members that it is not connected to.
fn named(view: &ClusterView) -> BTreeSet<NodeId> {
    let waits = view.waiting_for.iter().map(|waiting| waiting.node);
    let unreached = view.members.iter().filter(|member| !member.connected).map(|member| member.node);
    let stay = view.eviction.iter().flat_map(|eviction| &eviction.waiting_for).copied();
    waits.chain(unreached).chain(stay).collect()
}

/// Whether a node has no process that it could come back with: its machine is lost, or has left, or is another node by now.
fn is_dead(world: &World, node: NodeId) -> bool {
    let machine = world.machines.get(host_of(node));
    machine.is_none_or(|machine| machine.lost || machine.left || machine.node != node)
}

/// Whether more than half of the members are alive, in reach, and asked by nobody to go. Where members are evicted for
/// being silent and an operator wants others out at the same time, both have asked.
pub(crate) fn is_owed(world: &mut World) -> Result<bool, Violation> {
    for host in world.present() {
        let Some(view) = cluster(world, host)?.filter(|view| view.member) else { continue };
        let going: BTreeSet<NodeId> = view.eviction.iter().flat_map(|eviction| &eviction.nodes).copied().collect();
        let frozen = world.roll.frozen();
        let ordered = going.iter().any(|node| world.orders.wanted_out(*node));
        let asked = |node: NodeId| {
            let silent = ordered && world.plan.evict_after.is_some() && frozen.contains(&node);
            let wanted = world.orders.wanted_out(node) || silent;
            (going.contains(&node) && wanted) || world.orders.wanted_to_leave(node)
        };
        let members = view.members.iter().map(|member| member.node);
        let members: Vec<NodeId> = members.collect();
        let stay = members.iter().filter(|node| !is_dead(world, **node) && !asked(**node)).count();
        return Ok(2 * stay > members.len());
    }
    Ok(false)
}

/// A cluster that has come to rest takes new names and lets a newcomer in.
pub(crate) fn goes_on(world: &mut World) -> Result<(), Failure> {
    let present = world.present();
    if present.is_empty() {
        return Ok(());
    }
    await_the_present(world)?;
    let taken = takes_names(world, &present).map_err(Failure::Safety)?;
    await_confirmed(world, &taken)?;
    let newcomer = world.add_machine();
    world.start(newcomer).map_err(Failure::Safety)?;
    let deadline = world.now + world.plan.patience * 1000;
    loop {
        let later = world.now + LOOK / 2;
        world.run_until(later).map_err(Failure::Safety)?;
        let is_in = world.machines[newcomer].replica.as_ref().is_some_and(|replica| replica.is_member());
        if is_in {
            break;
        }
        if world.now >= deadline {
            let seen = seen(world).map_err(Failure::Safety)?;
            let text = format!("host {newcomer}, which is new, is not let in{seen}");
            return Err(Failure::Liveness(Violation { check: "bricked", text }));
        }
    }
    let taken = takes_names(world, &[newcomer]).map_err(Failure::Safety)?;
    await_confirmed(world, &taken)
}

/// Where the clocks of many were ahead, timestamps are ahead of the time now and cannot go back; that is over once the time
/// has caught up with them. Where the clocks of few were, they never are.
fn await_the_present(world: &mut World) -> Result<(), Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    loop {
        let limit = EPOCH + world.now / 1000 + AHEAD;
        let nodes = world.present().into_iter().map(|host| world.machines[host].node);
        let Some(node) = nodes.into_iter().find(|node| world.ledger.promised(*node).millis().0 > limit) else {
            return Ok(());
        };
        if world.now >= deadline {
            let text = format!("{node} has promised {}, and it is {}", world.ledger.promised(node), limit - AHEAD);
            return Err(Failure::Liveness(Violation { check: "late", text }));
        }
        let later = world.now + LOOK;
        world.run_until(later).map_err(Failure::Safety)?;
    }
}

/// A client takes a new name at each of these nodes. Those with right clocks take it.
fn takes_names(world: &mut World, hosts: &[Host]) -> Result<Vec<Uuid>, Violation> {
    let mut taken = Vec::new();
    for host in hosts.iter().copied() {
        let names = vec![NameRequest { namespace: "username".to_owned(), name: format!("afterwards{host}") }];
        let request = RegisterRequest { owner: "owner0".to_owned(), names, ..RegisterRequest::default() };
        match ask(world, host, Request::Register(request))? {
            Some(Ok(Answer::Registration(view))) => taken.push(view.id),
            // That it has a reason for this was looked at already.
            Some(Err(Refusal::ClockSuspect { .. })) => world.mark("a node refuses names until its clock is right"),
            other => broken("refused", format!("host {host} does not take a new name at the end: {other:?}"))?,
        }
    }
    Ok(taken)
}

/// What was just taken is confirmed everywhere in the usual time.
fn await_confirmed(world: &mut World, taken: &[Uuid]) -> Result<(), Failure> {
    let deadline = world.now + USUAL;
    let mut open: Vec<(Host, Uuid)> =
        world.present().into_iter().flat_map(|host| taken.iter().map(move |id| (host, *id))).collect();
    loop {
        let mut still = Vec::new();
        for (host, id) in open {
            let answer = ask(world, host, Request::Registration { id, wait: None }).map_err(Failure::Safety)?;
            let done = matches!(answer, Some(Ok(Answer::Registration(view))) if view.status == Status::Confirmed);
            if !done {
                still.push((host, id));
            }
        }
        let Some((host, id)) = still.first().copied() else { return Ok(()) };
        if world.now >= deadline {
            let text = format!("{id} is not confirmed at host {host} in the usual time, while all are connected");
            return Err(Failure::Liveness(Violation { check: "late", text }));
        }
        open = still;
        let later = world.now + LOOK / 5;
        world.run_until(later).map_err(Failure::Safety)?;
    }
}
