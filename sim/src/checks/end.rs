//! The end of a run at which all nodes are compared with the oracle.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId, Stamp};
use forename::crdt::{Body, Op};
use forename::replica::{Answer, NameRequest, NameStatus, Refusal, RegistrationView, Request, RulesVersion, Status};
use uuid::Uuid;

use crate::ask::{ask_all, ask_at_once, owner_views};
use crate::canary;
use crate::checks::erasure;
use crate::checks::ledger::{Checked, broken};
use crate::checks::reports;
use crate::checks::secrets::VAULT;
use crate::oracle::{self, Fate, Place, Verdicts};
use crate::plan::Host;
use crate::world::World;
use crate::world::machine::host_of;

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
        erasure::check(world, host, &verdicts)?;
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

/// The readers of each node know each outcome; those of a newcomer the ones that were open when it came. Those of a node that
/// came back know what became of all that it accepted in any life.
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
            None if founder || (host_of(stamp.node) == host && !forgot) => {
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

/// The registrations that stand for their ids, and what became of them.
pub(crate) fn fates_by_id(verdicts: &Verdicts) -> BTreeMap<Uuid, (Stamp, &Fate)> {
    verdicts.fates.iter().filter(|(_, fate)| fate.first).map(|(s, f)| (id_of(*s, f), (*s, f))).collect()
}

/// The claims of a registration that have ended, as a node sees it.
pub(crate) fn ended_of(view: &RegistrationView) -> BTreeSet<Place> {
    let ended = view.names.iter().filter(|name| name.ended.is_some());
    ended.map(|name| (name.namespace.clone(), name.key.clone())).collect()
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
