//! A run: the faults, then the healed cluster and a bound within which everything must be decided, then the comparison
//! of every node with the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use forename::clock::{Hlc, NodeId, Stamp};
use forename::crdt::{Body, Op};
use forename::replica::{
    Answer, ClusterView, NameRequest, NameStatus, Refusal, RegistrationView, Reply, Request, RulesVersion, Status,
    limits,
};
use uuid::Uuid;

use crate::bounds;
use crate::canary;
use crate::lasting;
use crate::ledger::{Checked, Violation, broken};
use crate::machine::host_of;
use crate::oracle::{self, Fate, Place, Verdicts};
use crate::plan::{Ending, Host, Loss, Plan};
use crate::recovery;
use crate::remains;
use crate::reports;
use crate::secrets::VAULT;
use crate::way_out;
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
    /// What clients and operators asked for by the plan.
    pub requests: usize,
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
        requests: plan.actions.len(),
        ops: world.ledger.op_count(),
    };
    (report, world)
}

fn live(world: &mut World) -> Result<(), Failure> {
    let heal_at = world.plan.heal_at * 1000;
    world.run_until(heal_at).map_err(Failure::Safety)?;
    finish(world)
}

/// The second phase, and the checks at its end.
pub(crate) fn finish(world: &mut World) -> Result<(), Failure> {
    come_to_an_end(world)?;
    world.check_exclusive().map_err(Failure::Safety)
}

fn come_to_an_end(world: &mut World) -> Result<(), Failure> {
    recovery::recover(world)?;
    let (lost, how) = match world.plan.ending.clone() {
        Ending::Healed => (Vec::new(), Loss::Down),
        Ending::Lasting { lost, how } => (lost, how),
    };
    world.heal(&lost, how).map_err(Failure::Safety)?;
    if !wait_until_noticed(world)? {
        return Ok(());
    }
    if lost.is_empty() {
        if !settle(world)? {
            return Ok(());
        }
    } else {
        lasting::finish(world, &lost)?;
        if !way_out::put_out_the_lost(world)? {
            world.mark("no majority is left");
            return Ok(());
        }
    }
    let lives = |world: &World| world.machines.iter().map(|machine| u64::from(machine.life)).sum::<u64>();
    let deadline = world.now + world.plan.patience * 1000;
    let (mut newcomer, mut gone_on) = (None, false);
    while settle(world)? {
        if !gone_on {
            gone_on = way_out::goes_on(world, &mut newcomer)?;
            if !gone_on && world.now >= deadline {
                let text = "members are evicted again and again, though all are connected".to_owned();
                return Err(Failure::Liveness(Violation { check: "bricked", text }));
            }
            continue;
        }
        let before = lives(world);
        match check_end(world) {
            // An eviction came between.
            Err(_) if lives(world) > before && world.now < deadline => {}
            result => return result.and_then(|()| bounds::check(world)).map_err(Failure::Safety),
        }
    }
    Ok(())
}

/// Nodes whose data directories were put back reach others by now, who know better. False where these have forgotten it since
/// the copy took its place: then nobody can say what is to come of the run.
fn wait_until_noticed(world: &mut World) -> Result<bool, Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    while let Some(host) = world.machines.iter().position(|machine| machine.put_back) {
        if world.now >= deadline {
            if world.is_past_notice(host) {
                world.mark("what an old disk lacks is forgotten");
                return Ok(false);
            }
            let text = format!("host {host} goes on with an old disk");
            return Err(Failure::Liveness(Violation { check: "halt", text }));
        }
        let later = world.now + 500_000;
        world.run_until(later).map_err(Failure::Safety)?;
    }
    Ok(true)
}

/// Lets the healed cluster come to rest. False where it never will, and need not: operators have put out so many members
/// that are alive that no majority is left.
fn settle(world: &mut World) -> Result<bool, Failure> {
    let deadline = world.now + world.plan.patience * 1000;
    loop {
        let later = world.now + 500_000;
        world.run_until(later).map_err(Failure::Safety)?;
        world.mend_clocks_of_newcomers();
        match unsettled(world).map_err(Failure::Safety)? {
            None => return Ok(true),
            Some(text) if world.now >= deadline => {
                if nobody_stays(world) {
                    world.mark("nobody is left who has the state");
                    return Ok(false);
                }
                let going = is_going(world).map_err(Failure::Safety)?;
                if going && !way_out::is_owed(world).map_err(Failure::Safety)? {
                    world.mark("evictions that crossed");
                    return Ok(false);
                }
                let check = if going { "bricked" } else { "undecided" };
                let text = format!("{text}{}", seen(world).map_err(Failure::Safety)?);
                return Err(Failure::Liveness(Violation { check, text }));
            }
            Some(_) => {}
        }
    }
}

/// Whether all who have the cluster's state have said that they leave, or were lost with their latest directories, and whoever
/// stays has dropped its own: an operator may make a new cluster of one of the directories.
fn nobody_stays(world: &World) -> bool {
    let mut replicas = world.machines.iter().filter_map(|machine| machine.replica.as_ref());
    let left = world.machines.iter().any(|machine| machine.is_up() && world.roll.departs(machine.node));
    let lost = world.marks.contains("an old disk is put back");
    (left || lost) && !replicas.any(|replica| replica.is_member())
}

/// What is still open; none where the cluster has come to rest.
pub(crate) fn unsettled(world: &mut World) -> Result<Option<String>, Violation> {
    let all_over = world.all_over();
    let present = world.present();
    for host in present.iter().copied() {
        let Some(replica) = &world.machines[host].replica else { return Ok(Some(format!("host {host} is down"))) };
        if !replica.is_member() {
            return Ok(Some(format!("host {host} is no member")));
        }
        if let Some((node, has, there_are)) = world.ledger.lacks(host) {
            return Ok(Some(format!("host {host} has {has} of {there_are} ops of {node}")));
        }
        if replica.watermark() < all_over {
            return Ok(Some(format!("the watermark of host {host} is {}, below {all_over}", replica.watermark())));
        }
    }
    for host in present.iter().copied() {
        let view = cluster(world, host)?;
        if view.as_ref().is_none_or(|view| view.pending > 0 || view.members.len() != present.len()) {
            return Ok(Some(format!("host {host} has undecided registrations")));
        }
        // Until it is done nobody can tell what a majority is, so nothing more is decided.
        if view.is_some_and(|view| view.eviction.is_some()) {
            return Ok(Some(format!("host {host} knows of an eviction that is not done")));
        }
        world.watch_members(host);
        if world.orders.agreed_to_leave(world.machines[host].node) {
            return Ok(Some(format!("host {host} has agreed to leave, and is still here")));
        }
    }
    if canary::is_restless(world.ledger.ops()) {
        return Ok(Some("a canary was claimed".to_owned()));
    }
    let left = |host: &Host| !present.contains(host);
    let open = world.clients.open_calls(&(0..world.machines.len()).filter(left).collect::<Vec<_>>());
    Ok((open > 0).then(|| format!("{open} requests have no reply")))
}

/// The cluster as each node sees it, for the text of a failure.
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

/// A host and which life of its node it is.
fn host_text(node: NodeId) -> String {
    match node.incarnation() {
        0 => host_of(node).to_string(),
        life => format!("{}.{life}", host_of(node)),
    }
}

/// Whether any node knows of an eviction or a departure that is not done.
fn is_going(world: &mut World) -> Result<bool, Violation> {
    for host in world.present() {
        if cluster(world, host)?.is_some_and(|view| view.eviction.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Asks a node and waits up to a second for its answer.
pub(crate) fn ask(
    world: &mut World,
    host: Host,
    request: Request,
) -> Result<Option<Result<Answer, Refusal>>, Violation> {
    Ok(ask_all(world, host, vec![request])?.pop())
}

/// The same of a node that may have just started: it answers once it has compared its log with its peers', or when its time
/// for that is over.
pub(crate) fn ask_patiently(
    world: &mut World,
    host: Host,
    request: Request,
) -> Result<Option<Result<Answer, Refusal>>, Violation> {
    let (number, token) = world.clients.check(host);
    world.request(host, token, request);
    for _ in 0..700 {
        let later = world.now + 10_000;
        world.run_until(later)?;
        if world.clients.answered(&[number]) {
            break;
        }
    }
    Ok(world.clients.answer(number))
}

/// Asks a node several things at once and waits up to a second for its answers; fewer where it does not give all.
pub(crate) fn ask_all(
    world: &mut World,
    host: Host,
    requests: Vec<Request>,
) -> Result<Vec<Result<Answer, Refusal>>, Violation> {
    let mut numbers = Vec::with_capacity(requests.len());
    for request in requests {
        let (number, token) = world.clients.check(host);
        world.request(host, token, request);
        numbers.push(number);
    }
    for _ in 0..500 {
        let later = world.now + 2000;
        world.run_until(later)?;
        if world.clients.answered(&numbers) {
            break;
        }
    }
    Ok(numbers.iter().map_while(|number| world.clients.answer(*number)).collect())
}

pub(crate) fn cluster(world: &mut World, host: Host) -> Result<Option<Box<ClusterView>>, Violation> {
    match ask(world, host, Request::Cluster)? {
        Some(Ok(Answer::Cluster(view))) => Ok(Some(view)),
        _ => Ok(None),
    }
}

/// All nodes against the oracle.
pub(crate) fn check_end(world: &mut World) -> Checked {
    let later = world.now + 3_000_000;
    world.run_until(later)?;
    let present = world.present();
    let replicas = present.iter().filter_map(|host| world.machines[*host].replica.as_ref());
    let time = replicas.map(|replica| replica.watermark()).min();
    let ops: Vec<Op> = world.ledger.ops().cloned().collect();
    let verdicts = oracle::judge(&ops, time.unwrap_or(Hlc::ZERO));
    world.mark_fates(&verdicts);
    canary::check(ops.iter())?;
    world.ledger.forget_the_void();
    world.check_secrets(&verdicts)?;
    for id in world.ledger.answered() {
        // Its node was put out for longer than it keeps the event that told of the rejection, or never comes back.
        let lost = |node: NodeId| world.machines.get(host_of(node)).is_some_and(|machine| machine.lost);
        let gone = world.plan.keep_events.is_some() || world.ledger.origins_of(id).all(lost);
        let untold = gone && world.ledger.is_in_the_void(id);
        if verdicts.of_id(id).is_none() && !world.ledger.rejected_in_the_void(id) && !untold {
            return broken("answered", format!("registration {id} was answered and does not exist"));
        }
    }
    for (namespace, told) in world.ledger.told_rules() {
        let stands = verdicts.rules.get(namespace).is_some_and(|(stamp, _)| stamp >= told);
        let gone = world.machines.get(host_of(told.node)).is_some_and(|machine| machine.lost);
        if !stands && !gone && !world.ledger.set_again(namespace, *told) {
            return broken("answered", format!("the rules of {told} for {namespace} were answered, and are lost"));
        }
    }
    for host in present.iter().copied() {
        world.ledger.check_cuts(host)?;
        world.check_charges(host, &verdicts)?;
        check_events(world, host, &verdicts)?;
        check_registrations(world, host, &verdicts)?;
        check_names(world, host, &verdicts)?;
        check_rules(world, host, &verdicts)?;
        remains::check(world, host, &verdicts)?;
    }
    // That of one node takes as long as all the rest.
    let some = usize::try_from(world.plan.seed).unwrap_or(0) % present.len().max(1);
    present.get(some).map_or(Ok(()), |host| reports::check(world, *host, &verdicts))
}

impl World {
    /// When all that was issued is over: the last op, or the last end of a reservation.
    pub(crate) fn all_over(&self) -> Hlc {
        let expiries = self.ledger.ops().filter_map(|op| match &op.body {
            Body::Register(register) => register.expires,
            Body::Extend { expires, .. } => Some(*expires),
            _ => None,
        });
        expiries.chain([self.ledger.last_op()]).max().unwrap_or_default()
    }
}

/// The id of a registration, chosen or not.
pub(crate) fn id_of(stamp: Stamp, fate: &Fate) -> Uuid {
    fate.register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(stamp))
}

/// Each node told each outcome once; a newcomer those that were open when it came.
fn check_events(world: &World, host: Host, verdicts: &Verdicts) -> Checked {
    // A node that came back knows of what was decided without it as a newcomer does.
    let founder = host < world.plan.founders && !world.machines[host].came_back && !world.ledger.missed(host);
    // Cut off for longer than anything is kept, and evicted then.
    let too_late = world.machines[host].came_back && world.plan.keep_events.is_some();
    let forgot = too_late || world.ledger.missed(host);
    for (stamp, fate) in verdicts.fates.iter().filter(|(_, fate)| fate.first) {
        let id = id_of(*stamp, fate);
        let wanted = if fate.won { Status::Confirmed } else { Status::Rejected };
        match world.ledger.decided(host).get(&id) {
            Some(status) if *status != wanted => {
                return broken("oracle", format!("host {host} says {id} ({stamp}) is {status:?}, not {wanted:?}"));
            }
            None if founder || (host_of(stamp.node) == host && !forgot && !is_past(world, host, id, fate)) => {
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

/// Whether readers of a host were told what became of a registration before its feed was put back, and it is over, so that
/// it need not be known any more.
fn is_past(world: &World, host: Host, id: Uuid, fate: &Fate) -> bool {
    let over = fate.register.claims.iter().all(|c| fate.ended.contains(&(c.namespace.clone(), c.key.clone())));
    (fate.erased || over) && world.ledger.was_told(host, id)
}

/// The registrations that stand for their ids, and what became of them.
pub(crate) fn fates_by_id(verdicts: &Verdicts) -> BTreeMap<Uuid, (Stamp, &Fate)> {
    verdicts.fates.iter().filter(|(_, fate)| fate.first).map(|(s, f)| (id_of(*s, f), (*s, f))).collect()
}

/// The claims of a registration that have ended, as a node sees it.
pub(crate) fn ended_of(view: &RegistrationView) -> BTreeSet<Place> {
    let ended = view.names.iter().filter(|name| name.ended.is_some());
    ended.map(|name| (name.namespace.clone(), name.key.clone())).collect()
}

/// All registrations of an owner, as a node sees them.
pub(crate) fn owner_views(world: &mut World, host: Host, owner: &str) -> Result<Vec<RegistrationView>, Violation> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let request = Request::Owner { owner: owner.to_owned(), after, limit: 1000 };
        let Some(Ok(Answer::Registrations(views))) = ask(world, host, request)? else {
            let text = format!("host {host} does not answer about {owner}");
            return Err(Violation { check: "oracle", text });
        };
        let Some(last) = views.last() else { return Ok(all) };
        after = Some(last.id);
        all.extend(views);
    }
}

fn check_registrations(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let firsts = fates_by_id(verdicts);
    let owners: BTreeSet<&String> = firsts.values().map(|(_, fate)| &fate.register.owner).collect();
    let mut seen = BTreeSet::new();
    for owner in owners {
        for view in owner_views(world, host, owner)? {
            // Its own node keeps it, and newcomers that this node gave a snapshot.
            if world.ledger.rejected_in_the_void(view.id) {
                continue;
            }
            let Some((stamp, fate)) = firsts.get(&view.id) else {
                return broken("oracle", format!("host {host} knows {} that nobody registered", view.id));
            };
            let wanted = if fate.won { Status::Confirmed } else { Status::Rejected };
            if view.status != wanted || view.stamp != *stamp {
                let (id, at, is) = (view.id, view.stamp, view.status);
                return broken("oracle", format!("host {host}: {id} ({at}) is {is:?}, not {wanted:?} ({stamp})"));
            }
            let ended = ended_of(&view);
            if ended != fate.ended {
                let text = format!("host {host}: ends of {stamp} are {ended:?}, not {:?}", fate.ended);
                return broken("oracle", text);
            }
            // A disk that was put back may lack what was typed last.
            let here = host_of(stamp.node) == host && !world.machines[host].restored;
            world.check_read_back(host, &view, here)?;
            seen.insert(view.id);
        }
    }
    // What was erased is nobody's. What is over may be forgotten; where a client chose the id, only a month later.
    let forgetful = world.plan.keep_events.is_some();
    let may_be_missing = |fate: &Fate| {
        let over = fate.register.claims.iter().all(|c| fate.ended.contains(&(c.namespace.clone(), c.key.clone())));
        fate.erased || (over && fate.register.id.is_none() && forgetful)
    };
    let missing: Vec<_> = firsts.iter().filter(|(id, _)| !seen.contains(*id)).collect();
    if missing.iter().any(|(_, (_, fate))| !fate.erased) {
        world.mark("a registration that is over is forgotten");
    }
    match missing.into_iter().find(|(_, (_, fate))| !may_be_missing(fate)).map(|(id, _)| id) {
        Some(id) => broken("oracle", format!("host {host} does not list {id}")),
        None => Ok(()),
    }
}

/// The names that were ever claimed, each with a way to write it. Where rules were set while names were taken elsewhere, a
/// key need not be a name that has this key: such ones are left out.
pub(crate) fn nameable(world: &World, verdicts: &Verdicts) -> Vec<(Place, String)> {
    let private = world.secrets.places(&verdicts.rules_of(VAULT));
    let meant = |place: &Place| {
        let rules = verdicts.rules_of(&place.0);
        let public = || (rules.key(&place.1).as_ref() == Ok(&place.1)).then(|| place.1.clone());
        if rules.is_private() { private.get(place).cloned() } else { public() }
    };
    verdicts.holders.keys().filter_map(|place| Some((place.clone(), meant(place)?))).collect()
}

fn check_names(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let places = nameable(world, verdicts);
    let names = places.iter().map(|(place, name)| NameRequest { namespace: place.0.clone(), name: name.clone() });
    let mut answers = if host.is_multiple_of(2) {
        ask_all(world, host, names.map(Request::Name).collect())?.into_iter()
    } else {
        ask_at_once(world, host, &names.collect::<Vec<_>>())?.into_iter()
    };
    for (place, name) in places {
        let (holder, (namespace, key)) = (verdicts.holders[&place], &place);
        let forbidden = holder.is_none() && verdicts.rules_of(namespace).check(&name, key).is_err();
        let view = match answers.next() {
            Some(Ok(Answer::Name(view))) if !forbidden => view,
            Some(Err(Refusal::InvalidName { .. })) if forbidden => continue,
            other => {
                let text =
                    format!("host {host} answers about {key}, which may be claimed or not ({forbidden}): {other:?}");
                return broken("oracle", text);
            }
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

/// Asks about many names in few requests, and answers as if each had been asked about by itself.
fn ask_at_once(world: &mut World, host: Host, names: &[NameRequest]) -> Result<Vec<Reply>, Violation> {
    let requests = names.chunks(limits::MAX_CHECKED).map(|names| Request::Names(names.to_vec())).collect();
    let mut views = Vec::new();
    for answer in ask_all(world, host, requests)? {
        match answer {
            Ok(Answer::Names(some)) => views.extend(some.into_iter().map(|view| view.map(Answer::Name))),
            other => views.push(other),
        }
    }
    Ok(views)
}

/// Every node has the rules that were set last.
pub(crate) fn check_rules(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let requests = verdicts.rules.keys().cloned().map(Request::Namespace).collect();
    let answers = ask_all(world, host, requests)?;
    let shown = answers.into_iter().filter_map(|answer| match answer {
        Ok(Answer::Namespace(view)) => Some((view.version, view.rules)),
        _ => None,
    });
    let shown: Vec<_> = shown.collect();
    let wanted: Vec<_> =
        verdicts.rules.values().map(|(stamp, rules)| (RulesVersion::Set(*stamp), rules.clone())).collect();
    if shown == wanted {
        return Ok(());
    }
    broken("oracle", format!("host {host} has the rules {shown:?}, not {wanted:?}"))
}

/// Runs a plan and tells what happened, a line each: the virtual time in milliseconds, the run's hash just after it, and
/// what it was.
#[must_use]
pub fn trace(plan: &Plan) -> (Report, Vec<String>) {
    let (report, world) = run_traced(plan, true);
    (report, world.trace.entries().iter().map(ToString::to_string).collect())
}
