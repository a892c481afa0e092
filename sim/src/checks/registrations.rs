//! Every node reports each registration as the oracle does: its outcome, which of its claims have ended, and its names
//! as its owner reads them back.

use std::collections::BTreeSet;

use forename::model::{Registration, Status};
use forename::name::Rules;

use crate::ask::owner_views;
use crate::oracle::{Fate, Place, Verdicts};
use crate::plan::{Host, VAULT};
use crate::violation::{Checked, broken};
use crate::world::World;
use crate::world::ids::host_of;

/// Returns the claims of a registration that have ended, as a node reports it.
pub(crate) fn ended_of(view: &Registration) -> BTreeSet<Place> {
    let ended = view.names.iter().filter(|name| name.ended.is_some());
    ended.map(|name| (name.namespace.clone(), name.key.clone())).collect()
}

pub(crate) fn check(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let firsts = verdicts.by_id();
    let owners: BTreeSet<&String> = firsts.values().map(|(_, fate)| &fate.register.owner).collect();
    let mut seen = BTreeSet::new();
    for owner in owners {
        for view in owner_views(world, host, owner)? {
            // Only its own node knows this registration, and newcomers to which that node gave a snapshot.
            if world.books.rejected_in_the_void(view.id) {
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
            // A disk that was restored from an older copy may lack names that were typed last.
            let here = host_of(stamp.node) == host && !world.machines[host].restored;
            read_back(world, host, &view, here)?;
            seen.insert(view.id);
        }
    }
    // Erased registrations have no owner. Registrations that are over may be forgotten; where the client chose the id,
    // only a month later.
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

/// Checks a private name as its owner reads it back: as typed at the node where it was typed, and empty at all others.
fn read_back(world: &World, host: Host, view: &Registration, here: bool) -> Checked {
    // The node may have forgotten a registration that is over, and have received it again from others when it returned.
    let over = view.names.iter().all(|name| name.ended.is_some());
    for name in view.names.iter().filter(|name| name.namespace == VAULT && name.key.len() == 40) {
        let places = world.books.private.places(&Rules::default_of(VAULT).with_private(true));
        let means = places.get(&(VAULT.to_owned(), name.key.clone()));
        let same = |typed: &String| {
            let rules = Rules::default_of(VAULT);
            rules.key(typed) == rules.key(&name.name)
        };
        let right = if name.name.is_empty() { !here || over } else { means.is_some_and(same) };
        if !right {
            return broken("secret", format!("host {host} shows {:?} for {means:?} of {}", name.name, view.id));
        }
    }
    Ok(())
}
