//! The end of a run in which some machines stay lost: down, cut off, mute, or stopped for good. The others are the
//! core. They must agree on all that any of them holds, answer all requests, decide everything that can be decided
//! without the lost machines, and nothing else. Where members come or go at the same time, the next phase decides
//! (`way_out`): an operator evicts the lost, and then everything is decided.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId, Stamp};
use forename::log::{Body, MemberOp, Op};
use forename::model::{Cluster, NameRef, Registration, Status};
use forename::replica::any::Answer;
use forename::replica::{Command, Refusal, RegisterRequest};

use crate::ask::{ask, cluster, owner_views};
use crate::checks::registrations::ended_of;
use crate::checks::rules;
use crate::oracle::{self, Verdicts};
use crate::plan::Host;
use crate::run::failure::Failure;
use crate::run::rest::{is_dead, seen};
use crate::violation::{Checked, Violation, broken};
use crate::world::World;
use crate::world::net::Micros;

/// The machines that are left, and what the lost ones promised.
struct Core {
    hosts: Vec<Host>,
    lost: Vec<Host>,
    promised: BTreeMap<NodeId, Hlc>,
}

/// The ops that the core holds together, and what follows from them.
struct Truth {
    /// The members that are lost.
    silent: BTreeSet<NodeId>,
    /// True where the core is a majority of the members.
    majority: bool,
    watermark: Hlc,
    /// The verdicts by all ops that the core holds.
    known: Verdicts,
    /// The verdicts by the ops at or below the watermark. There are no other ops there.
    early: Verdicts,
}

/// How long members that come or go are waited for, in microseconds. They may make no progress before an operator
/// evicts the lost.
const MOVING: Micros = 20_000_000;

/// What is still waited for, none where nothing is; or the rule that was broken.
type Open = Result<Option<String>, Violation>;

/// Lets the core come to rest without the lost machines, and checks its state then.
pub(crate) fn finish(world: &mut World, lost: &[Host]) -> Result<(), Failure> {
    let all = 0..world.machines.len();
    let core = Core {
        hosts: all.filter(|host| !lost.contains(host) && !world.machines[*host].stage.has_left()).collect(),
        lost: lost.to_vec(),
        promised: lost
            .iter()
            .map(|host| world.machines[*host].node)
            .map(|n| (n, world.books.ledger.promised(n)))
            .collect(),
    };
    // Until connections to the lost are given up, the last readings of their clocks still count. A node that starts
    // waits for a majority to compare logs with.
    let later = world.now + world.plan.links.idle * 1000 + 6_000_000;
    world.run_until(later).map_err(Failure::Safety)?;
    core.claims(world).map_err(Failure::Safety)?;
    let began = world.now;
    let deadline = began + world.plan.patience * 1000;
    loop {
        let later = world.now + 1_000_000;
        world.run_until(later).map_err(Failure::Safety)?;
        if core.is_put_out(world) {
            world.mark("those who are lost put out the others");
            break;
        }
        match core.open(world).map_err(Failure::Safety)? {
            None => break,
            Some(_) if world.now >= began + MOVING && core.moves(world).map_err(Failure::Safety)? => {
                world.mark("machines are lost while members come or go");
                break;
            }
            Some(text) if world.now >= deadline => {
                let text = format!("{text}{}", seen(world).map_err(Failure::Safety)?);
                return Err(Failure::Liveness(Violation { check: "core", text }));
            }
            Some(_) => {}
        }
    }
    world.mark(if 2 * core.hosts.len() > world.machines.len() { "a majority lives on" } else { "a minority lives on" });
    Ok(())
}

impl Core {
    /// Returns the hosts of the core that have a state. A newcomer whose sponsor is lost has none.
    fn installed(&self, world: &World) -> Vec<Host> {
        let installed = |host: &&Host| {
            let replica = world.machines[**host].replica();
            replica.is_some_and(|replica| replica.founding().is_some())
        };
        self.hosts.iter().filter(installed).copied().collect()
    }

    /// Returns the hosts of the core that know themselves to be members.
    fn members(&self, world: &World) -> Vec<Host> {
        let member = |host: &Host| world.machines[*host].is_member();
        self.installed(world).into_iter().filter(member).collect()
    }

    /// Returns true where a member of the core is evicted. That happens where the lost ones, which cannot be heard,
    /// were a majority and evicted it for being silent.
    fn is_put_out(&self, world: &World) -> bool {
        let members = self.members(world);
        members.iter().any(|host| world.books.ledger.is_out(world.machines[*host].node))
    }

    /// Returns true where members come or go, so that it is not clear what can be decided without the lost ones.
    fn moves(&self, world: &mut World) -> Result<bool, Violation> {
        let node = |host: Host| world.machines[host].node;
        let leaves = self.hosts.iter().any(|host| world.books.orders.wanted_to_leave(node(*host)));
        let members = self.members(world);
        if leaves || members.len() < self.installed(world).len() {
            return Ok(true);
        }
        for host in members {
            if cluster(world, host)?.is_some_and(|view| view.eviction.is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks that each member answers a client that claims a new name.
    fn claims(&self, world: &mut World) -> Checked {
        for host in self.installed(world) {
            let member = |world: &World| world.machines[host].is_member();
            if !member(world) {
                continue;
            }
            let names = vec![NameRef { namespace: "username".to_owned(), name: format!("latecomer{host}") }];
            let request = RegisterRequest { owner: "owner0".to_owned(), names, ..RegisterRequest::default() };
            match ask(world, host, Command::Register(request))? {
                // Another check has already looked at whether the refusal has a reason.
                Some(Ok(Answer::Registration(_)) | Err(Refusal::ClockSuspect { .. } | Refusal::Leaving)) => {}
                // The node has just learnt that it is evicted.
                Some(Err(Refusal::NotMember)) | None if !member(world) => {}
                other => return broken("core", format!("host {host} does not take a new name: {other:?}")),
            }
        }
        Ok(())
    }

    /// Returns what the core has yet to do.
    fn open(&self, world: &mut World) -> Open {
        if let Some(host) = self.hosts.iter().find(|host| !world.machines[**host].is_up()) {
            return Ok(Some(format!("host {host} is down")));
        }
        // A newcomer that waits for a lost machine decides nothing.
        let members = self.members(world);
        let Some(first) = members.first().copied() else { return Ok(None) };
        if let Some(host) =
            members.iter().find(|host| world.books.ledger.applied(**host) != world.books.ledger.applied(first))
        {
            return Ok(Some(format!("host {host} and host {first} hold different ops")));
        }
        let mut views = Vec::new();
        for host in &members {
            match cluster(world, *host)? {
                Some(view) => views.push(view),
                None => return Ok(Some(format!("host {host} does not say what it knows of the cluster"))),
            }
        }
        if views.iter().any(|view| view.eviction.is_some()) {
            return Ok(Some("an eviction or a departure is under way".to_owned()));
        }
        let truth = match self.truth(world, first, &views)? {
            Ok(truth) => truth,
            Err(text) => return Ok(Some(text)),
        };
        for host in &members {
            let open = truth.check(world, *host);
            let now = world.machines[*host].replica().map(|replica| replica.watermark());
            if !truth.silent.is_empty() && now != Some(truth.watermark) {
                // The last message of a lost machine was still on its way.
                return Ok(Some(format!("the watermark of host {host} moves")));
            }
            if let Some(text) = open? {
                return Ok(Some(text));
            }
        }
        let calls = world.clients.open_calls(&self.lost);
        Ok((calls > 0).then(|| format!("{calls} requests have no reply")))
    }

    /// Returns what follows from the ops of the core, or the reason why that is not known yet.
    #[allow(clippy::type_complexity)]
    fn truth(&self, world: &World, first: Host, views: &[Cluster]) -> Result<Result<Truth, String>, Violation> {
        let applied = world.books.ledger.applied(first);
        let held = |op: &&Op| applied.get(&op.node).is_some_and(|seq| op.seq <= *seq);
        let ops: Vec<&Op> = world.books.ledger.ops().filter(held).collect();
        let members: BTreeSet<_> = views[0].members.iter().map(|view| view.node).collect();
        // Earlier incarnations of any machine promise nothing more either.
        let silent: BTreeSet<_> = members.iter().copied().filter(|node| is_dead(world, *node)).collect();
        let watermark = views.iter().map(|view| view.watermark).min().unwrap_or_default();
        for node in &silent {
            let limit = self.limit(world, *node, &ops);
            if let Some(view) = views.iter().find(|view| view.watermark > limit) {
                let text = format!("{} is at {}, above the last word of {node}: {limit}", view.node, view.watermark);
                broken("core", text)?;
            }
        }
        // The greatest promise of a lost member that any host of the core may believe.
        let word = |node: &NodeId| {
            let said = views.iter().flat_map(|view| &view.members).filter(|view| view.node == *node);
            said.map(|view| view.promise).max().unwrap_or_default()
        };
        let least = silent.iter().map(word).min().unwrap_or_else(|| world.books.ledger.all_over());
        let apart = !silent.is_empty() && views.iter().any(|view| view.watermark != watermark);
        if watermark < least || apart {
            return Ok(Err(format!("the watermark is {watermark}, below {least}, or not the same everywhere")));
        }
        Ok(Ok(Truth {
            // Members among the newcomers that are still joining count in the majority that must hold an op.
            majority: 2 * (members.len() - silent.len()) > views[0].members.len(),
            silent,
            watermark,
            early: oracle::judge(ops.iter().copied().filter(|op| op.hlc <= watermark), watermark),
            known: oracle::judge(ops, watermark),
        }))
    }

    /// Returns the greatest timestamp that a lost member has promised or used. For a member that said nothing it is
    /// that of its admission.
    fn limit(&self, world: &World, node: NodeId, ops: &[&Op]) -> Hlc {
        let words = ops.iter().filter(|op| match op.body() {
            _ if op.node == node => true,
            Body::Member(MemberOp::Admit { node: admitted }) => *admitted == node,
            _ => false,
        });
        let promised = self.promised.get(&node).copied().unwrap_or_else(|| world.books.ledger.promised(node));
        words.map(|op| op.hlc).chain([promised]).max().unwrap_or_default()
    }
}

impl Truth {
    /// Returns what a host has yet to decide.
    fn check(&self, world: &mut World, host: Host) -> Open {
        let firsts = self.known.by_id();
        let owners: BTreeSet<_> = firsts.values().map(|(_, fate)| fate.register.owner.clone()).collect();
        let mut seen = 0;
        for owner in owners {
            for view in owner_views(world, host, &owner)? {
                // A void registration stays at the node that took it, and at newcomers that had a snapshot from that
                // node.
                let rejected = view.status == Status::Rejected && world.books.ledger.is_in_the_void(view.id);
                if rejected || world.books.rejected_in_the_void(view.id) {
                    continue;
                }
                let Some((stamp, _)) = firsts.get(&view.id).filter(|(stamp, _)| *stamp == view.stamp) else {
                    return Ok(Some(format!("host {host} shows {} at {}, which is another's", view.id, view.stamp)));
                };
                seen += 1;
                let open = if *stamp <= self.last() { self.below(host, &view)? } else { self.above(host, &view)? };
                if open.is_some() {
                    return Ok(open);
                }
            }
        }
        rules::check(world, host, &self.known)?;
        // An erased registration has no owner any more; one that is to be erased may still have its owner.
        let erased = firsts.values().filter(|(_, fate)| fate.erased).count();
        let right = (firsts.len() - erased..=firsts.len()).contains(&seen);
        Ok((!right).then(|| format!("host {host} lists {seen} of {} registrations", firsts.len())))
    }

    /// Returns the greatest stamp at the watermark.
    fn last(&self) -> Stamp {
        Stamp { hlc: self.watermark, node: NodeId(u64::MAX) }
    }

    /// Checks a registration at or below the watermark. All earlier ops have arrived, so with a majority it is decided.
    fn below(&self, host: Host, view: &Registration) -> Open {
        let Some(fate) = self.early.fates.get(&view.stamp) else { return Ok(None) };
        let wanted = if fate.won { Status::Confirmed } else { Status::Rejected };
        if view.status.is_final() && view.status != wanted {
            broken("core", format!("host {host}: {} is {:?}, not {wanted:?}", view.stamp, view.status))?;
        }
        let ended = ended_of(view);
        if let Some(place) = ended.iter().find(|place| !fate.ended.contains(*place)) {
            broken("core", format!("host {host}: the claim of {} to {place:?} has ended too early", view.stamp))?;
        }
        let open = self.majority && (!view.status.is_final() || ended != fate.ended);
        Ok(open.then(|| format!("host {host}: {} is {:?}, ended {ended:?}", view.stamp, view.status)))
    }

    /// Checks a registration above the watermark. A lost member may have an earlier op, so nothing is confirmed or
    /// ends, and the node names the members that it waits for.
    fn above(&self, host: Host, view: &Registration) -> Open {
        let Some(fate) = self.known.fates.get(&view.stamp) else { return Ok(None) };
        let chosen = fate.register.id.is_some();
        let early = view.status == Status::Confirmed || (view.status == Status::Rejected && (chosen || fate.won));
        if early || !ended_of(view).is_empty() {
            let text =
                format!("host {host}: {} is {:?} above the watermark {}", view.stamp, view.status, self.watermark);
            broken("core", text)?;
        }
        if view.status == Status::Rejected {
            return Ok(None);
        }
        if self.majority && !chosen && !fate.won {
            return Ok(Some(format!("host {host}: {} lost and is {:?}", view.stamp, view.status)));
        }
        let waits: BTreeSet<_> = view.waiting_for.iter().map(|waiting| waiting.node).collect();
        let right = !waits.is_empty() && waits.is_subset(&self.silent);
        Ok((!right).then(|| format!("host {host}: {} waits for {waits:?}, not for {:?}", view.stamp, self.silent)))
    }
}
