//! A run: the faults, then the healed cluster and a bound within which everything must be decided, then the comparison
//! of every node with the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use forename::clock::{Hlc, Stamp};
use forename::crdt::Op;
use forename::replica::{Answer, ClusterView, NameRequest, NameStatus, Refusal, Request, Status};
use uuid::Uuid;

use crate::canary;
use crate::ledger::{Checked, Violation, broken};
use crate::oracle::{self, Fate, Verdicts};
use crate::plan::{Host, Plan};
use crate::world::World;

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Something happened that must never happen.
    Safety(Violation),
    /// Something that must happen did not.
    Liveness(Violation),
    /// The replica panicked.
    Crash(Violation),
}

impl Failure {
    /// What was broken.
    #[must_use]
    pub fn violation(&self) -> &Violation {
        let (Self::Safety(violation) | Self::Liveness(violation) | Self::Crash(violation)) = self;
        violation
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// Rare branches that were reached.
    pub marks: BTreeSet<&'static str>,
    /// Tells two runs apart.
    pub hash: u64,
    /// Virtual milliseconds.
    pub lasted: u64,
    /// Steps of replicas.
    pub steps: u64,
    /// Ops that were issued.
    pub ops: usize,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    let (report, _) = run_traced(plan, false);
    report
}

pub(crate) fn run_traced(plan: &Plan, tracing: bool) -> (Report, World) {
    let mut world = World::new(plan.clone(), tracing);
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Failure::Crash(Violation { check: "panic", text: text.unwrap_or_default() }))
        }
    };
    let report = Report {
        failure,
        marks: world.marks.clone(),
        hash: world.hash(),
        lasted: world.now / 1000,
        steps: world.steps,
        ops: world.ledger.op_count(),
    };
    (report, world)
}

fn live(world: &mut World) -> Result<(), Failure> {
    let heal_at = world.plan.heal_at * 1000;
    world.run_until(heal_at).map_err(Failure::Safety)?;
    finish(world)
}

/// The second phase.
pub(crate) fn finish(world: &mut World) -> Result<(), Failure> {
    world.heal().map_err(Failure::Safety)?;
    settle(world)?;
    check_end(world).map_err(Failure::Safety)
}

/// Lets the healed cluster come to rest.
fn settle(world: &mut World) -> Result<(), Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    loop {
        let later = world.now + 500_000;
        world.run_until(later).map_err(Failure::Safety)?;
        match unsettled(world).map_err(Failure::Safety)? {
            None => return Ok(()),
            Some(text) if world.now >= deadline => {
                return Err(Failure::Liveness(Violation { check: "undecided", text }));
            }
            Some(_) => {}
        }
    }
}

/// What is still open; none where the cluster has come to rest.
fn unsettled(world: &mut World) -> Result<Option<String>, Violation> {
    let expiries = world.ledger.ops().filter_map(|op| match &op.body {
        forename::crdt::Body::Register(register) => register.expires,
        _ => None,
    });
    let all_over = expiries.chain([world.ledger.last_op()]).max().unwrap_or_default();
    for host in 0..world.machines.len() {
        let Some(replica) = &world.machines[host].replica else { return Ok(Some(format!("host {host} is down"))) };
        if !replica.is_member() {
            return Ok(Some(format!("host {host} is no member")));
        }
        if !world.ledger.has_all(host) {
            return Ok(Some(format!("host {host} lacks ops")));
        }
        if replica.watermark() < all_over {
            return Ok(Some(format!("the watermark of host {host} is {}, below {all_over}", replica.watermark())));
        }
    }
    for host in 0..world.machines.len() {
        let view = cluster(world, host)?;
        if view.is_none_or(|view| view.pending > 0 || view.members.len() != world.machines.len()) {
            return Ok(Some(format!("host {host} has undecided registrations")));
        }
    }
    if canary::is_restless(world.ledger.ops()) {
        return Ok(Some("a canary was claimed".to_owned()));
    }
    let open = world.clients.open_calls();
    Ok((open > 0).then(|| format!("{open} requests have no reply")))
}

/// Asks a node and waits up to a second for its answer.
pub(crate) fn ask(
    world: &mut World,
    host: Host,
    request: Request,
) -> Result<Option<Result<Answer, Refusal>>, Violation> {
    let number = world.steps << 8 | host as u64;
    let token = world.clients.check(host, number);
    world.request(host, token, request);
    for _ in 0..100 {
        let later = world.now + 10_000;
        world.run_until(later)?;
        if let Some(answer) = world.clients.answer(number) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

fn cluster(world: &mut World, host: Host) -> Result<Option<Box<ClusterView>>, Violation> {
    match ask(world, host, Request::Cluster)? {
        Some(Ok(Answer::Cluster(view))) => Ok(Some(view)),
        _ => Ok(None),
    }
}

/// All nodes against the oracle.
fn check_end(world: &mut World) -> Checked {
    let later = world.now + 3_000_000;
    world.run_until(later)?;
    let time = world.machines.iter().filter_map(|machine| machine.replica.as_ref()).map(|r| r.watermark()).min();
    let ops: Vec<Op> = world.ledger.ops().cloned().collect();
    let verdicts = oracle::judge(&ops, time.unwrap_or(Hlc::ZERO));
    mark_fates(world, &verdicts);
    canary::check(ops.iter())?;
    for id in world.ledger.answered() {
        if verdicts.of_id(id).is_none() {
            return broken("answered", format!("registration {id} was answered and does not exist"));
        }
    }
    for host in 0..world.machines.len() {
        check_events(world, host, &verdicts)?;
        check_registrations(world, host, &verdicts)?;
        check_names(world, host, &verdicts)?;
    }
    Ok(())
}

fn id_of(stamp: Stamp, fate: &Fate) -> Uuid {
    fate.register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(stamp))
}

/// Each node told each outcome once; a newcomer those that were open when it came.
fn check_events(world: &World, host: Host, verdicts: &Verdicts) -> Checked {
    let founder = host < world.plan.founders;
    for (stamp, fate) in verdicts.fates.iter().filter(|(_, fate)| fate.first) {
        let id = id_of(*stamp, fate);
        let wanted = if fate.won { Status::Confirmed } else { Status::Rejected };
        match world.ledger.decided(host).get(&id) {
            Some(status) if *status != wanted => {
                return broken("oracle", format!("host {host} says {id} ({stamp}) is {status:?}, not {wanted:?}"));
            }
            None if founder || stamp.node == world.machines[host].node => {
                return broken("events", format!("host {host} never told that {id} ({stamp}) is {wanted:?}"));
            }
            _ => {}
        }
        if founder && !world.ledger.accepted(host).contains(&id) {
            return broken("events", format!("host {host} never told that {id} ({stamp}) was accepted"));
        }
    }
    Ok(())
}

fn check_registrations(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let firsts: BTreeMap<Uuid, (Stamp, &Fate)> =
        verdicts.fates.iter().filter(|(_, fate)| fate.first).map(|(s, f)| (id_of(*s, f), (*s, f))).collect();
    let owners: BTreeSet<&String> = firsts.values().map(|(_, fate)| &fate.register.owner).collect();
    let mut seen = BTreeSet::new();
    for owner in owners {
        let mut after = None;
        loop {
            let request = Request::Owner { owner: owner.clone(), after, limit: 1000 };
            let Some(Ok(Answer::Registrations(views))) = ask(world, host, request)? else {
                return broken("oracle", format!("host {host} does not answer about {owner}"));
            };
            let Some(last) = views.last() else { break };
            after = Some(last.id);
            for view in views {
                let Some((stamp, fate)) = firsts.get(&view.id) else {
                    return broken("oracle", format!("host {host} knows {} that nobody registered", view.id));
                };
                let wanted = if fate.won { Status::Confirmed } else { Status::Rejected };
                if view.status != wanted || view.stamp != *stamp {
                    let text = format!(
                        "host {host}: {} ({}) is {:?}, not {wanted:?} ({stamp})",
                        view.id, view.stamp, view.status
                    );
                    return broken("oracle", text);
                }
                let ended = view.names.iter().filter(|name| name.ended.is_some());
                let ended: BTreeSet<_> = ended.map(|name| (name.namespace.clone(), name.key.clone())).collect();
                if ended != fate.ended {
                    return broken(
                        "oracle",
                        format!("host {host}: ends of {stamp} are {ended:?}, not {:?}", fate.ended),
                    );
                }
                seen.insert(view.id);
            }
        }
    }
    match firsts.keys().find(|id| !seen.contains(*id)) {
        Some(id) => broken("oracle", format!("host {host} does not list {id}")),
        None => Ok(()),
    }
}

fn check_names(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    for ((namespace, key), holder) in &verdicts.holders {
        let request = NameRequest { namespace: namespace.clone(), name: key.clone() };
        let Some(Ok(Answer::Name(view))) = ask(world, host, Request::Name(request))? else {
            return broken("oracle", format!("host {host} does not answer about {key}"));
        };
        let wanted = holder.and_then(|stamp| verdicts.fates.get(&stamp).map(|fate| id_of(stamp, fate)));
        let status = if holder.is_some() { NameStatus::Held } else { NameStatus::Available };
        if view.registration != wanted || view.status != status {
            let text = format!("host {host}: {key} is {:?} by {:?}, not by {wanted:?}", view.status, view.registration);
            return broken("oracle", text);
        }
    }
    Ok(())
}

fn mark_fates(world: &mut World, verdicts: &Verdicts) {
    for (stamp, fate) in &verdicts.fates {
        if !fate.first {
            world.mark("a later twin loses");
        }
        let feeds = 0..world.machines.len();
        let events = |kind| feeds.clone().any(|host| world.ledger.feed(host).contains(&(kind, *stamp)));
        let (accepted, contested) =
            (events(forename::replica::EventType::Accepted), events(forename::replica::EventType::Contested));
        if !fate.first && accepted {
            world.mark("a later twin comes first");
        }
        if fate.first && !fate.won && !contested {
            world.mark("a rejection without a contest");
        }
        if !fate.won && fate.register.claims.len() > 1 {
            world.mark("a registration that loses one name frees another");
        }
        if fate.register.claims.iter().any(|claim| claim.after.is_some()) {
            world.mark("a tenure follows another");
        }
        if verdicts.fates.keys().any(|other| other.hlc == stamp.hlc && other.node != stamp.node) {
            world.mark("a tie of timestamps");
        }
    }
    let late = world.ledger.ops().any(|op| match &op.body {
        forename::crdt::Body::Activate { registration } => {
            let fate = verdicts.fates.get(registration);
            fate.and_then(|fate| fate.register.expires).is_some_and(|expires| op.hlc >= expires)
        }
        _ => false,
    });
    if late {
        world.mark("activated too late");
    }
}

/// Runs a plan and tells what happened, a line each: the virtual time in milliseconds, the run's hash just after it, and
/// what it was.
#[must_use]
pub fn trace(plan: &Plan) -> (Report, Vec<String>) {
    let (report, world) = run_traced(plan, true);
    (report, world.trace.entries().iter().map(ToString::to_string).collect())
}
