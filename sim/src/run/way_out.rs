//! The end of every run: no cluster is stuck for ever. While more than half of the members are alive, in reach and not
//! asked to leave, an operator who follows the messages of the product evicts the dead. Then everything is decided,
//! clients take new names that are confirmed in the usual time, and a new machine is let in.

use std::collections::BTreeSet;

use forename::clock::NodeId;
use forename::model::{Cluster, NameRef, Status};
use forename::replica::any::{Answer, Request};
use forename::replica::{Command, Refusal, RegisterRequest};
use uuid::Uuid;

use crate::ask::{ask, ask_patiently, cluster};
use crate::plan::{Ending, Host};
use crate::run::failure::Failure;
use crate::run::rest::{is_dead, seen, unsettled};
use crate::violation::{Checked, Violation, broken};
use crate::world::books::orders;
use crate::world::ids::host_of;
use crate::world::net::Micros;
use crate::world::{World, contact, healing, process};

/// The time within which a name that is taken while everything works must be confirmed everywhere. It is the most that
/// a cluster with the slowest links and disks of the plans took in some ten thousand seeds, and half as much again.
const USUAL: Micros = 15_000_000;

/// How far ahead timestamps may be that nodes with right clocks take, in milliseconds: half of `max_clock_skew`.
const AHEAD: u64 = 5000;

/// How often an operator looks at the cluster.
const LOOK: Micros = 1_000_000;

/// The operator.
#[derive(Default)]
struct Operator {
    /// The members that she wanted to evict, and why a node refused it last.
    refusals: Vec<(NodeId, Host, Refusal)>,
}

/// Lets an operator evict the lost members until the cluster has come to rest. Returns false where no way out is owed:
/// the members that nobody asked to go are no majority.
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
        healing::mend_wrong_clocks(world);
        bring_back(world).map_err(Failure::Safety)?;
        operator.acts(world).map_err(Failure::Safety)?;
        let later = world.now + LOOK;
        world.run_until(later).map_err(Failure::Safety)?;
    }
}

impl Operator {
    /// She looks at the cluster as each node shows it, and evicts the dead members that it names, at each node that
    /// accepts it.
    fn acts(&mut self, world: &mut World) -> Checked {
        self.refusals.clear();
        for host in world.present() {
            let Some(view) = cluster(world, host)?.filter(|view| view.member) else { continue };
            for node in named(&view).into_iter().filter(|node| is_dead(world, *node)).collect::<Vec<_>>() {
                let begun = view.members.iter().any(|member| member.node == node && !member.frozen_by.is_empty());
                // Some member has already frozen the dead one, and the others will do so by themselves.
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

/// Returns the members that a node says it waits for, and those that it is not connected to.
fn named(view: &Cluster) -> BTreeSet<NodeId> {
    let waits = view.waiting_for.iter().map(|waiting| waiting.node);
    let unreached = view.members.iter().filter(|member| !member.connected).map(|member| member.node);
    let stay = view.eviction.iter().flat_map(|eviction| &eviction.waiting_for).copied();
    let overdue = view.overdue.iter().flat_map(|overdue| &overdue.waiting_for).map(|waiting| waiting.node);
    let leave = view.leaving_waits_for.iter().flatten().copied();
    let joins = view.newcomers.iter().flat_map(|newcomer| &newcomer.waits_for).chain(&view.joining_waits_for);
    let joins =
        joins.filter(|hindrance| hindrance.reason != "eviction").flat_map(|hindrance| &hindrance.nodes).copied();
    waits.chain(unreached).chain(stay).chain(overdue).chain(leave).chain(joins).collect()
}

/// Brings back nodes that were evicted while they were away and cannot learn it, because all members that they know
/// have left. Their operators do what docs/operations.md says: `forename rejoin`, and a start with `--join`.
pub(crate) fn bring_back(world: &mut World) -> Checked {
    let present = world.present();
    for host in present.iter().copied().filter(|host| is_astray(world, *host)).collect::<Vec<_>>() {
        world.mark("a node that knows nobody any more is told whom to join");
        process::crash(world, host, 100);
        let now = world.now;
        let machine = &mut world.machines[host];
        let restored = machine.restored;
        if let Err(why) = machine.rejoin(now) {
            return broken("rejoin", format!("host {host} cannot rejoin: {why}"));
        }
        // The rejoin loses nothing here, unlike the rejoin of a node whose directory is an old copy.
        machine.restored = restored;
        machine.named.extend(present.iter().filter(|other| **other != host));
        process::start(world, host)?;
    }
    Ok(())
}

/// Returns true where an evicted node believes that it is a member, and no member that it reaches, directly or through
/// other members, knows of the eviction. Newcomers do not count, because a newcomer tells nobody.
fn is_astray(world: &World, host: Host) -> bool {
    let node = world.machines[host].node;
    if !is_member(world, host) || !world.books.ledger.is_out(node) {
        return false;
    }
    let meet = |a: Host, b: Host| world.machines[a].wanted.contains(&b) || world.machines[b].wanted.contains(&a);
    let (mut reached, mut next) = (BTreeSet::from([host]), vec![host]);
    while let Some(from) = next.pop() {
        let met = world.present().into_iter().filter(|to| meet(from, *to) && is_member(world, *to));
        next.extend(met.filter(|to| reached.insert(*to)));
    }
    !reached.iter().any(|other| world.books.ledger.cuts_of(*other).contains_key(&node))
}

/// Returns true where more than half of the members are alive, in reach and not asked to go. An automatic eviction by a
/// majority counts as asking. But where nothing else happens to the membership, that majority must be there to finish
/// the eviction: such evictions do not cross, and the members that agreed to them do not go. Where nodes see different
/// members, each of them must see that majority.
pub(crate) fn is_owed(world: &mut World) -> Result<bool, Violation> {
    let mut any = false;
    for host in world.present() {
        let Some(view) = cluster(world, host)?.filter(|view| view.member) else { continue };
        let going: BTreeSet<NodeId> = view.eviction.iter().flat_map(|eviction| &eviction.nodes).copied().collect();
        let frozen = world.books.roll.frozen();
        let back = |node: NodeId| world.machines.get(host_of(node)).is_some_and(|machine| machine.node > node);
        let other = world.plan.ending != Ending::Healed
            || world.books.orders.anybody_wanted_to_leave()
            || going.iter().any(|node| world.books.orders.wanted_out(*node) || back(*node));
        let asked = |node: NodeId| {
            let silent = other && world.plan.evict_after.is_some() && frozen.contains(&node);
            let wanted = world.books.orders.wanted_out(node) || silent;
            (going.contains(&node) && wanted) || world.books.orders.wanted_to_leave(node)
        };
        let members = view.members.iter().map(|member| member.node);
        let members: Vec<NodeId> = members.collect();
        let stay = members.iter().filter(|node| !is_dead(world, **node) && !asked(**node)).count();
        if 2 * stay <= members.len() {
            return Ok(false);
        }
        any = true;
    }
    Ok(any)
}

/// Checks that a cluster at rest takes new names and lets a newcomer in. Returns false where a member was evicted
/// meanwhile for being silent: that eviction must end first.
pub(crate) fn goes_on(world: &mut World, newcomer: &mut Option<Host>) -> Result<bool, Failure> {
    let mut present = world.present();
    present.retain(|host| !world.plan.reads(*host));
    if present.is_empty() {
        return Ok(true);
    }
    await_the_present(world)?;
    if !takes_names(world, &present)? {
        return Ok(false);
    }
    if newcomer.is_some() {
        return Ok(true);
    }
    let host = world.add_machine();
    *newcomer = Some(host);
    process::start(world, host).map_err(Failure::Safety)?;
    let deadline = world.now + world.plan.patience * 1000;
    while !is_member(world, host) {
        if world.now >= deadline {
            let seen = seen(world).map_err(Failure::Safety)?;
            let text = format!("host {host}, which is new, is not let in{seen}");
            return Err(Failure::Liveness(Violation { check: "bricked", text }));
        }
        let later = world.now + LOOK / 2;
        world.run_until(later).map_err(Failure::Safety)?;
    }
    takes_names(world, &[host])
}

fn is_member(world: &World, host: Host) -> bool {
    world.machines[host].is_member()
}

/// Waits until timestamps are not ahead of the time any more. Where the clocks of many were ahead, timestamps cannot go
/// back, and the time has to catch up with them. Where the clocks of few were ahead, timestamps never are.
fn await_the_present(world: &mut World) -> Result<(), Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    loop {
        let limit = contact::common_time(world) + AHEAD;
        let nodes = world.present().into_iter().map(|host| world.machines[host].node);
        let Some(node) = nodes.into_iter().find(|node| world.books.ledger.promised(*node).millis().0 > limit) else {
            return Ok(());
        };
        if world.now >= deadline {
            let text =
                format!("{node} has promised {}, and it is {}", world.books.ledger.promised(node), limit - AHEAD);
            return Err(Failure::Liveness(Violation { check: "late", text }));
        }
        let later = world.now + LOOK;
        world.run_until(later).map_err(Failure::Safety)?;
    }
}

/// Checks that each of these nodes with a right clock takes a new name, and that the names are confirmed everywhere in
/// the usual time. Returns false where one of the nodes is evicted meanwhile.
fn takes_names(world: &mut World, hosts: &[Host]) -> Result<bool, Failure> {
    let mut taken = Vec::new();
    for host in hosts.iter().copied() {
        let name = format!("afterwards{host}x{}", world.now / 1000);
        let names = vec![NameRef { namespace: "username".to_owned(), name }];
        let request = RegisterRequest { owner: "owner0".to_owned(), names, ..RegisterRequest::default() };
        let life = world.machines[host].life;
        match ask_patiently(world, host, Command::Register(request)).map_err(Failure::Safety)? {
            Some(Ok(Answer::Registration(view))) => taken.push(view.id),
            // Another check has already looked at whether the refusal has a reason.
            Some(Err(Refusal::ClockSuspect { .. })) => world.mark("a node refuses names until its clock is right"),
            // The node was asked to leave, and went down before it could say so.
            Some(Err(Refusal::Leaving)) if world.books.orders.wanted_to_leave(world.machines[host].node) => {
                return Ok(false);
            }
            _ if !is_member(world, host) || world.machines[host].life > life => return Ok(false),
            other => {
                let text = format!("host {host} does not take a new name at the end: {other:?}");
                return Err(Failure::Safety(Violation { check: "refused", text }));
            }
        }
    }
    await_confirmed(world, &taken)
}

/// Waits until the new names are confirmed everywhere, in the usual time.
fn await_confirmed(world: &mut World, taken: &[Uuid]) -> Result<bool, Failure> {
    let deadline = world.now + USUAL;
    let mut open: Vec<(Host, Uuid)> =
        world.present().into_iter().flat_map(|host| taken.iter().map(move |id| (host, *id))).collect();
    loop {
        let mut still = Vec::new();
        for (host, id) in open {
            let answer = ask(world, host, Request::outcome(id, None)).map_err(Failure::Safety)?;
            if !is_member(world, host) && !world.plan.reads(host) {
                return Ok(false);
            }
            let done = matches!(answer, Some(Ok(Answer::Registration(view))) if view.status == Status::Confirmed);
            if !done {
                still.push((host, id));
            }
        }
        let Some((host, id)) = still.first().copied() else { return Ok(true) };
        if world.now >= deadline {
            let text = format!("{id} is not confirmed at host {host} in the usual time, while all are connected");
            return Err(Failure::Liveness(Violation { check: "late", text }));
        }
        open = still;
        let later = world.now + LOOK / 5;
        world.run_until(later).map_err(Failure::Safety)?;
    }
}
