//! The rows of a name agree with a plain list of its tenures and claims, in any order of events.

use std::collections::{BTreeMap, BTreeSet};

use crdts::CmRDT;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::crdt::gc::is_twin;
use crate::crdt::gc::tests::{end, erasable, forget, known, over, spread};
use crate::crdt::tests::{Arrivals, Memory, empty, logs};
use crate::crdt::{EndReason, Entry, NameOp};
use crate::store::memory::MemoryStore;

const KEYS: [&str; 3] = ["a", "b", "c"];

/// All claims to all names and the claims that they follow, as plain lists from which nothing is removed.
#[derive(Default)]
struct Model {
    tenures: BTreeMap<String, BTreeMap<Option<Stamp>, BTreeSet<Stamp>>>,
    ids: BTreeMap<Uuid, BTreeSet<Stamp>>,
    ended: BTreeSet<(Stamp, String)>,
}

impl Model {
    fn apply(&mut self, op: &Entry) {
        let NameOp::Register(register) = &op.op else { return };
        for claim in &register.claims {
            let tenures = self.tenures.entry(claim.key.clone()).or_default();
            tenures.entry(claim.after).or_default().insert(op.stamp);
        }
        if let Some(id) = register.id {
            self.ids.entry(id).or_default().insert(op.stamp);
        }
    }

    fn leader(&self, key: &str, after: Option<Stamp>) -> Option<Stamp> {
        self.tenures.get(key)?.get(&after)?.first().copied()
    }

    fn is_displaced(&self, key: &str, claim: Stamp) -> bool {
        let tenures = self.tenures.get(key).into_iter().flatten();
        let mut tenures = tenures.filter(|(_, claims)| claims.contains(&claim));
        tenures.any(|(after, claims)| {
            claims.first() != Some(&claim) || after.is_some_and(|after| self.is_displaced(key, after))
        })
    }

    fn has_lost(&self, claim: Stamp) -> bool {
        let twin = |ids: &BTreeSet<Stamp>| {
            ids.contains(&claim) && ids.range(..claim).next_back().is_some_and(|before| is_twin(*before, claim))
        };
        self.ids.values().any(twin) || KEYS.iter().any(|key| self.is_displaced(key, claim))
    }

    fn vacancy(&self, key: &str) -> Vacancy {
        let mut after = None;
        while let Some(leader) = self.leader(key, after) {
            if !self.ended.contains(&(leader, key.to_owned())) {
                return Vacancy::Taken(leader);
            }
            after = Some(leader);
        }
        Vacancy::Free(after)
    }

    fn history(&self, key: &str) -> Vec<ClaimPlace> {
        let tenures = self.tenures.get(key).into_iter().flatten();
        tenures
            .flat_map(|(after, claims)| claims.iter().map(|stamp| ClaimPlace { after: *after, stamp: *stamp }))
            .collect()
    }
}

fn history(registry: &Memory, key: &str, from: Option<ClaimPlace>) -> Vec<ClaimPlace> {
    let mut history = Vec::new();
    registry.lattice.tenures(&registry.store, "username", key).each(from, &mut |place| {
        history.push(place);
        ControlFlow::Continue(())
    });
    history
}

/// The rows agree with the model on who holds each name, who has lost, and the history of the name as far as it is
/// remembered.
fn same(registry: &Memory, model: &Model) -> Result<(), TestCaseError> {
    for stamp in known(registry) {
        let registration = Registration::load(&registry.store, stamp).unwrap();
        prop_assert_eq!(registration.lost, model.has_lost(stamp), "{}", stamp);
    }
    for key in KEYS {
        prop_assert_eq!(registry.lattice.vacancy(&registry.store, "username", key), model.vacancy(key), "{}", key);
        let holder = registry.lattice.tenures(&registry.store, "username", key).holder().map(|holder| holder.stamp);
        prop_assert_eq!(holder, if let Vacancy::Taken(leader) = model.vacancy(key) { Some(leader) } else { None });
        let is_known = |place: &ClaimPlace| registry.lattice.has_text(&registry.store, place.stamp);
        let shown = history(registry, key, None);
        prop_assert!(shown.is_sorted_by(|a, b| a < b));
        let all: Vec<_> = shown.iter().copied().filter(is_known).collect();
        let wanted: Vec<_> = model.history(key).into_iter().filter(is_known).collect();
        prop_assert_eq!(&all, &wanted, "{}", key);
        let tenures = registry.lattice.tenures(&registry.store, "username", key);
        prop_assert_eq!(tenures.last(), shown.last().map(|place| place.after));
        for (index, place) in shown.iter().enumerate() {
            prop_assert_eq!(&history(registry, key, Some(*place)), &shown[index..], "a page from {:?}", place);
        }
        for ClaimPlace { after, stamp } in all {
            let by = tenures.displaced_by(after, stamp);
            prop_assert_eq!(by.is_some(), model.is_displaced(key, stamp), "{} by {:?}", stamp, by);
        }
    }
    Ok(())
}

/// The rows agree with the model, and the claim that is said to have displaced another one is the nearest that did.
fn displaced_by_the_nearest(registry: &Memory, model: &Model) -> Result<(), TestCaseError> {
    for key in KEYS {
        for place in model.history(key) {
            let mut nearest = place;
            while model.leader(key, nearest.after) == Some(nearest.stamp)
                && let Some(before) = nearest.after
                && let Some(next) = model.history(key).into_iter().find(|next| next.stamp == before)
            {
                nearest = next;
            }
            let by = model.leader(key, nearest.after).filter(|leader| *leader != nearest.stamp);
            prop_assert_eq!(
                registry.lattice.tenures(&registry.store, "username", key).displaced_by(place.after, place.stamp),
                by,
                "{:?}",
                place
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Claims arrive in any allowed order, and any of them end at any time.
    #[test]
    fn the_rows_of_a_name_say_what_a_list_of_its_claims_does(
        logs in logs(),
        picks in prop::collection::vec((0usize..97, 0usize..97, any::<bool>()), 60..80),
    ) {
        let (mut registry, mut model, mut arrivals) = (empty(), Model::default(), Arrivals::new(logs));
        for (pick, ends, twice) in picks.iter().cycle() {
            let Some(op) = arrivals.next(*pick) else { break };
            registry.apply(op.clone());
            model.apply(&op);
            let all = known(&registry);
            for which in [*ends, *pick].into_iter().take(1 + usize::from(*twice)) {
                let Some(stamp) = all.get(which % all.len().max(1) + which % 2) else { continue };
                let mut registration = Registration::load(&registry.store, *stamp).unwrap();
                let index = which % registration.claims.len();
                registration.claims[index].ended = Some(EndReason::Released);
                model.ended.insert((*stamp, registration.claims[index].claim.key.clone()));
                registration.save(&mut registry.store);
            }
            same(&registry, &model)?;
            displaced_by_the_nearest(&registry, &model)?;
        }
    }

    /// Claims arrive in any allowed order, and registrations that are over are erased or forgotten.
    #[test]
    fn what_is_forgotten_changes_nothing_of_what_the_rows_say(
        logs in logs().prop_map(spread),
        picks in prop::collection::vec((0usize..97, 0usize..4, 0usize..6), 60..80),
    ) {
        let (mut registry, mut model, mut arrivals) = (empty(), Model::default(), Arrivals::new(logs));
        for (pick, erases, forgets) in picks.iter().cycle() {
            let Some(op) = arrivals.next(*pick) else { break };
            registry.apply(op.clone());
            model.apply(&op);
            let upto = arrivals.settled();
            let keys = |registration: &Registration| -> Vec<_> {
                let ended = registration.claims.iter().filter(|record| record.ended.is_some());
                ended.map(|record| (registration.stamp, record.claim.key.clone())).collect()
            };
            end(&mut registry, &arrivals.arrived, upto);
            for stamp in known(&registry) {
                model.ended.extend(keys(&Registration::load(&registry.store, stamp).unwrap()));
            }
            if let Some(registration) = erasable(&registry, upto).get(*erases).cloned() {
                registry.lattice.settle(&mut registry.store, upto);
                registry.lattice.erase(&mut registry.store, registration);
            }
            if let Some(registration) = over(&registry, upto).get(*forgets) {
                registry.lattice.settle(&mut registry.store, upto);
                forget(&mut registry, registration);
            }
            same(&registry, &model)?;
        }
        prop_assert!(leftovers(&registry.store, &registry).is_empty(), "{:?}", leftovers(&registry.store, &registry));
    }
}

/// Rows in [`schema::Followed`] about claims that nobody follows, and which the name need not remember.
fn leftovers(store: &MemoryStore, registry: &Memory) -> Vec<(Stamp, Followed)> {
    let mut leftovers = Vec::new();
    schema::Followed::each(store, &Span::all(), |found| {
        let (key, followed) = (found.key().unwrap(), found.row());
        let tenures = registry.lattice.tenures(&registry.store, key.name.namespace, key.name.key);
        let needed = match followed {
            Followed::Displaced(_) => tenures.leader(Some(key.stamp)).is_some(),
            Followed::Forgotten => history(registry, key.name.key, None).iter().any(|place| place.stamp == key.stamp),
        };
        leftovers.extend((!needed).then_some((key.stamp, followed)));
    });
    leftovers
}
