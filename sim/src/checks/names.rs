//! Every node reports the same holder of each name as the oracle.

use forename::model::{NameRef, NameStatus};
use forename::replica::any::Answer;
use forename::replica::{NameOf, Refusal};

use crate::ask::{ask_all, ask_at_once};
use crate::oracle::{Place, Verdicts};
use crate::plan::{Host, VAULT};
use crate::violation::{Checked, broken};
use crate::world::World;

pub(crate) fn check(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let places = nameable(world, verdicts);
    let names = places.iter().map(|(place, name)| NameRef { namespace: place.0.clone(), name: name.clone() });
    let mut answers = if host.is_multiple_of(2) {
        ask_all(world, host, names.map(|name| NameOf(name).into()).collect())?.into_iter()
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
        let wanted = holder.and_then(|stamp| verdicts.fates.get(&stamp).map(|fate| fate.id(stamp)));
        let status = if holder.is_some() { NameStatus::Held } else { NameStatus::Available };
        if view.registration != wanted || view.status != status {
            let text = format!("host {host}: {key} is {:?} by {:?}, not by {wanted:?}", view.status, view.registration);
            return broken("oracle", text);
        }
    }
    Ok(())
}

/// Returns the names that were ever claimed, each with a way to write it. Where rules changed while names were taken
/// elsewhere, there may be no name that has a given key; such keys are left out.
pub(crate) fn nameable(world: &World, verdicts: &Verdicts) -> Vec<(Place, String)> {
    let private = world.books.private.places(&verdicts.rules_of(VAULT));
    let meant = |place: &Place| {
        let rules = verdicts.rules_of(&place.0);
        let public = || (rules.key(&place.1).as_ref() == Ok(&place.1)).then(|| place.1.clone());
        if rules.is_private() { private.get(place).cloned() } else { public() }
    };
    verdicts.holders.keys().filter_map(|place| Some((place.clone(), meant(place)?))).collect()
}
