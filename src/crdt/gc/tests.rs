//! A registry that forgets decides as one that remembers everything.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crdts::CmRDT;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::clock::Millis;
use crate::crdt::tests::{Arrivals, Memory, all, claim, empty, logs, op, register, stamp};
use crate::crdt::{ClaimRecord, EndReason, Entry, NameOp, Open, State, Vacancy};
use crate::store::Table;
use crate::store::schema::NameKey;

/// A third of the window, so that ids are used again both within it and after it.
const STEP: u64 = (ID_WINDOW / 3) << 16;

/// Does what the replica does once the ops at or below a timestamp are decided: claims of losers and released claims
/// end.
pub(in crate::crdt) fn end(registry: &mut Memory, ops: &[Entry], upto: Hlc) {
    let decided = |op: &&Entry| op.stamp.hlc <= upto;
    for decided in ops.iter().filter(decided) {
        let stamp = decided.stamp;
        if let NameOp::Erase { registration } = decided.op
            && let Some(mut registration) = Registration::load(&registry.store, registration)
        {
            let claims = registration.claims.iter_mut();
            claims.for_each(|record| record.ended = record.ended.or(Some(EndReason::Released)));
            registration.save(&mut registry.store);
        }
        if let NameOp::Release(released) = &decided.op
            && let Some(mut registration) = Registration::load(&registry.store, released.registration)
        {
            let named = |claim: &crate::crdt::Claim| claim.key == released.key;
            let claims = registration.claims.iter_mut().filter(|record| named(&record.claim));
            claims.for_each(|record| record.ended = record.ended.or(Some(EndReason::Released)));
            registration.save(&mut registry.store);
        }
        let Some(mut registration) = Registration::load(&registry.store, stamp) else { continue };
        if registration.lost && !registration.erased {
            assert!(!registry.lattice.causes(&registry.store, &registration).is_empty(), "{stamp} lost to nobody");
            registration.claims.iter_mut().for_each(|record| record.ended = record.ended.or(Some(EndReason::Rejected)));
            registration.save(&mut registry.store);
        }
    }
}

/// The registrations that may be forgotten: their claims and those of all their twins have ended, and the window of the
/// id has passed.
pub(in crate::crdt) fn over(registry: &Memory, upto: Hlc) -> Vec<Registration> {
    let is_over = |registration: &Registration| {
        registration.stamp.hlc <= upto && registration.claims.iter().all(|claim| claim.ended.is_some())
    };
    let load = |stamp: &Stamp| Registration::load(&registry.store, *stamp).unwrap();
    let all = known(registry).into_iter().map(|stamp| load(&stamp));
    let may_go = |registration: &Registration| {
        let run = registration
            .chosen_id
            .map(|id| registry.lattice.run(&registry.store, id, registration.stamp))
            .unwrap_or_default();
        let passed = |last: &Stamp| upto.millis() > Millis(last.hlc.millis().0 + ID_WINDOW);
        is_over(registration) && run.last().is_none_or(passed) && run.iter().map(load).all(|twin| is_over(&twin))
    };
    all.filter(may_go).collect()
}

/// The stamps of all registrations.
pub(in crate::crdt) fn known(registry: &Memory) -> Vec<Stamp> {
    all::<schema::Registrations, _>(registry, |found| found.key().unwrap())
}

/// Forgets a registration together with its twins.
pub(in crate::crdt) fn forget(registry: &mut Memory, registration: &Registration) {
    let run = registration.chosen_id.map(|id| registry.lattice.run(&registry.store, id, registration.stamp));
    for stamp in run.unwrap_or_else(|| vec![registration.stamp]) {
        if let Some(one) = Registration::load(&registry.store, stamp) {
            registry.lattice.forget(&mut registry.store, &one);
        }
    }
}

pub(in crate::crdt) fn spread(logs: Vec<Vec<Entry>>) -> Vec<Vec<Entry>> {
    let far = |hlc: Hlc| Hlc(hlc.0 * STEP);
    let stamp = |stamp: Stamp| Stamp { hlc: far(stamp.hlc), node: stamp.node };
    let body = |body: NameOp| match body {
        NameOp::Register(register) => {
            let mut register = std::sync::Arc::unwrap_or_clone(register);
            register.claims.iter_mut().for_each(|claim| claim.after = claim.after.map(stamp));
            register.expires = register.expires.map(far);
            NameOp::Register(register.into())
        }
        NameOp::Activate { registration } => NameOp::Activate { registration: stamp(registration) },
        NameOp::Extend { registration, expires } => {
            NameOp::Extend { registration: stamp(registration), expires: far(expires) }
        }
        NameOp::Erase { registration } => NameOp::Erase { registration: stamp(registration) },
        NameOp::Release(mut claim) => {
            claim.registration = stamp(claim.registration);
            NameOp::Release(claim)
        }
        other => other,
    };
    let op = |entry: Entry| Entry { stamp: stamp(entry.stamp), op: body(entry.op), ..entry };
    logs.into_iter().map(|log| log.into_iter().map(op).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Ops arrive in any allowed order; now and then one of two registries forgets some of what is over. The
    /// registrations that both still know are the same in both, and so are the names.
    #[test]
    fn who_forgets_judges_as_who_remembers(
        logs in logs().prop_map(spread),
        picks in prop::collection::vec((0usize..97, 0usize..8), 60..80),
    ) {
        let (mut whole, mut forgetful, mut arrivals) = (empty(), empty(), Arrivals::new(logs));
        for (pick, which) in picks.iter().cycle() {
            let Some(op) = arrivals.next(*pick) else { break };
            whole.apply(op.clone());
            forgetful.apply(op);
            let upto = arrivals.settled();
            end(&mut whole, &arrivals.arrived, upto);
            end(&mut forgetful, &arrivals.arrived, upto);
            let due = over(&forgetful, upto);
            if let Some(registration) = due.get(*which) {
                forgetful.lattice.settle(&mut forgetful.store, upto);
                forget(&mut forgetful, registration);
            }
            for stamp in known(&forgetful) {
                let known = |registry: &Memory| Registration::load(&registry.store, stamp);
                prop_assert_eq!(known(&forgetful), known(&whole));
            }
            for key in ["a", "b", "c"] {
                prop_assert_eq!(forgetful.lattice.vacancy(&forgetful.store, "username", key), whole.lattice.vacancy(&whole.store, "username", key));
            }
            for id in (0..4).map(Uuid::from_u128) {
                let known = |one: &Registration| Registration::load(&forgetful.store, one.stamp).is_some();
                if let Some(registration) = whole.lattice.find(&whole.store, id).filter(known) {
                    prop_assert_eq!(forgetful.lattice.find(&forgetful.store, id), Some(registration));
                }
            }
            let early = |registry: &Memory| all::<schema::Early, _>(registry, |found| (found.key(), found.row())).into_iter().collect::<BTreeSet<_>>();
            prop_assert!(early(&forgetful).is_subset(&early(&whole)));
        }
    }
}

/// The registrations that are to be erased and whose claims have all ended.
pub(in crate::crdt) fn erasable(registry: &Memory, upto: Hlc) -> Vec<Registration> {
    let due = registry.lattice.erasing().iter().filter(|(by, _)| by.hlc <= upto);
    let known = due.filter_map(|(_, stamp)| Registration::load(&registry.store, *stamp));
    known.filter(|known| known.stamp.hlc <= upto && known.claims.iter().all(|claim| claim.ended.is_some())).collect()
}

/// Returns true where some text of an erased registration is left, or a key of it that no other registration has.
fn remains(registry: &Memory, erased: &Registration) -> bool {
    let known = Registration::load(&registry.store, erased.stamp).unwrap();
    let owner = schema::Owners::has(&registry.store, OwnerKey { owner: "o", stamp: erased.stamp });
    let stands = |key: &str| {
        let name = NameKey::new("username", key);
        let mut claims = Vec::new();
        registry.lattice.tenures(&registry.store, "username", key).each(None, &mut |place| {
            claims.push(place.stamp);
            ControlFlow::Continue(())
        });
        let plain =
            schema::Names::has(&registry.store, name) || registry.lattice.hidden(&registry.store, name).is_none();
        plain
            && !claims.is_empty()
            && !claims.into_iter().any(|other| registry.lattice.has_text(&registry.store, other))
    };
    let typed = known.claims.iter().any(|record| !record.claim.name.is_empty());
    owner || typed || !known.owner.is_empty() || erased.claims.iter().any(|record| stands(&record.claim.key))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Ops arrive in any allowed order. One of two registries erases what is to be erased, at arbitrary times, and
    /// forgets some registrations. Both decide all later ops alike, and nothing of the erased text is left.
    #[test]
    fn who_erases_judges_as_who_does_not(
        logs in logs().prop_map(spread),
        picks in prop::collection::vec((0usize..97, 0usize..4, 0usize..6), 60..80),
    ) {
        let (mut whole, mut erasing, mut arrivals) = (empty(), empty(), Arrivals::new(logs));
        for (pick, which, forgets) in picks.iter().cycle() {
            let Some(op) = arrivals.next(*pick) else { break };
            whole.apply(op.clone());
            erasing.apply(op);
            let upto = arrivals.settled();
            end(&mut whole, &arrivals.arrived, upto);
            end(&mut erasing, &arrivals.arrived, upto);
            if let Some(registration) = erasable(&erasing, upto).get(*which).cloned() {
                erasing.lattice.settle(&mut erasing.store, upto);
                erasing.lattice.erase(&mut erasing.store, registration.clone());
                prop_assert!(!remains(&erasing, &registration));
            }
            if let Some(registration) = over(&erasing, upto).get(*forgets) {
                erasing.lattice.settle(&mut erasing.store, upto);
                forget(&mut erasing, registration);
            }
            for stamp in known(&erasing) {
                let fate = |registry: &Memory| {
                    let known = Registration::load(&registry.store, stamp).unwrap();
                    // Whether an ended claim was also released does not matter: in an erased registration a release no
                    // longer matches the claim, because its key is a hash.
                    let given_up = |claim: &ClaimRecord| claim.released || claim.ended.is_some();
                    let ends: Vec<_> = known.claims.iter().map(|claim| (given_up(claim), claim.ended)).collect();
                    (known.lost, known.chosen_id, known.end(), ends)
                };
                prop_assert_eq!(fate(&erasing), fate(&whole), "{}", stamp);
            }
            for key in ["a", "b", "c"] {
                prop_assert_eq!(erasing.lattice.vacancy(&erasing.store, "username", key), whole.lattice.vacancy(&whole.store, "username", key));
                let plain = schema::Names::has(&erasing.store, NameKey::new("username", key));
                let hidden = schema::Erased::has(&erasing.store, NameKey::new("username", &erasing.lattice.hash("username", key)));
                prop_assert!(!(plain && hidden), "{} stands in two places", key);
            }
            let reopened = State::load(erasing.store.clone(), erasing.applied.clone());
            prop_assert_eq!(reopened.lattice.erasing(), erasing.lattice.erasing());
        }
    }
}

#[test]
fn a_name_that_was_erased_is_found_by_its_hash_and_is_plain_again_for_whoever_claims_it() {
    let mut registry = empty();
    registry.apply(op(1, 1, 1, register(Some(7), vec![claim("alice", None)])));
    registry.apply(op(1, 2, 2, NameOp::Erase { registration: stamp(1, 1) }));
    end(&mut registry, &[op(1, 2, 2, NameOp::Erase { registration: stamp(1, 1) })], Hlc(2));
    assert_eq!(erasable(&registry, Hlc(2)).len(), 1);
    registry.lattice.settle(&mut registry.store, Hlc(2));
    let erased = erasable(&registry, Hlc(2)).remove(0);
    registry.lattice.erase(&mut registry.store, erased);
    assert!(registry.lattice.erasing().is_empty());
    assert_eq!((schema::Names::count(&registry.store), schema::Erased::count(&registry.store)), (0, 1));
    for table in Table::ALL {
        let has = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"alice");
        assert!(!registry.store.rows(table).any(|(key, value)| has(key) || has(value)), "{}", table.name());
    }
    assert_eq!(registry.lattice.vacancy(&registry.store, "username", "alice"), Vacancy::Free(Some(stamp(1, 1))));
    assert_eq!(registry.lattice.vacancy(&registry.store, "username", "bob"), Vacancy::Free(None));
    let late = op(2, 1, 3, register(None, vec![claim("alice", None)]));
    assert_eq!(
        registry.apply_entry(&late).unwrap().lost,
        [late.stamp],
        "it comes after one that is known by its stamp"
    );
    registry.apply(op(2, 2, 4, register(None, vec![claim("alice", Some(stamp(1, 1)))])));
    assert_eq!((schema::Names::count(&registry.store), schema::Erased::count(&registry.store)), (1, 0));
    assert_eq!(registry.lattice.vacancy(&registry.store, "username", "alice"), Vacancy::Taken(stamp(4, 2)));
    // A retry that arrives only now is a twin of the erased registration, and is to be erased as well.
    registry.apply(op(3, 1, 5, register(Some(7), vec![claim("alice", None)])));
    assert_eq!(registry.lattice.erasing().iter().collect::<Vec<_>>(), [&(stamp(2, 1), stamp(5, 3))]);
}

#[test]
fn a_name_keeps_one_stamp_of_all_that_is_over() {
    let mut registry = empty();
    let mut after = None;
    for seq in 1..=50 {
        registry.apply(op(1, seq, seq, register(None, vec![claim("alice", after)])));
        let one = stamp(seq, 1);
        let mut registration = Registration::load(&registry.store, one).unwrap();
        registration.claims[0].ended = Some(EndReason::Released);
        registration.save(&mut registry.store);
        registry.lattice.settle(&mut registry.store, Hlc(seq));
        registry.lattice.forget(&mut registry.store, &registration);
        after = Some(one);
        assert_eq!(registry.lattice.vacancy(&registry.store, "username", "alice"), Vacancy::Free(after));
    }
    let open = schema::Names::get(&registry.store, NameKey::new("username", "alice"));
    assert_eq!(open, Some(Open { after: None, leader: stamp(50, 1) }));
    assert_eq!((schema::Claims::count(&registry.store), schema::Followed::count(&registry.store)), (0, 0));
    assert_eq!((schema::Registrations::count(&registry.store), schema::Owners::count(&registry.store)), (0, 0));
}

#[test]
fn whoever_follows_what_was_forgotten_comes_too_late() {
    let mut registry = empty();
    for (seq, after) in [(1, None), (2, Some(stamp(1, 1))), (3, Some(stamp(2, 1)))] {
        registry.apply(op(1, seq, seq, register(None, vec![claim("alice", after)])));
    }
    registry.lattice.settle(&mut registry.store, Hlc(3));
    for hlc in [1, 2] {
        let mut registration = Registration::load(&registry.store, stamp(hlc, 1)).unwrap();
        registration.claims[0].ended = Some(EndReason::Released);
        registry.lattice.forget(&mut registry.store, &registration);
    }
    for (seq, after) in [(1, None), (2, Some(stamp(1, 1))), (3, Some(stamp(2, 1)))] {
        let late = op(2, seq, 10 + seq, register(None, vec![claim("alice", after)]));
        let effects = registry.apply_entry(&late).unwrap();
        assert_eq!(effects.lost, [late.stamp], "follows {after:?}");
    }
    assert_eq!(registry.lattice.vacancy(&registry.store, "username", "alice"), Vacancy::Taken(stamp(3, 1)));
}

#[test]
fn an_id_is_free_again_after_its_window() {
    let mut registry = empty();
    let late = STEP * 3;
    registry.apply(op(1, 1, 1 << 16, register(Some(7), vec![claim("alice", None)])));
    registry.apply(op(2, 1, late + (1 << 16), register(Some(7), vec![claim("bob", None)])));
    registry.apply(op(3, 1, 2 * late + (2 << 16), register(Some(7), vec![claim("carol", None)])));
    let lost = |hlc, node| Registration::load(&registry.store, stamp(hlc, node)).unwrap().lost;
    assert!(lost(late + (1 << 16), 2), "on the last day of the window");
    assert!(!lost(2 * late + (2 << 16), 3), "a millisecond later");
    assert_eq!(
        registry.lattice.find(&registry.store, Uuid::from_u128(7)).unwrap().stamp,
        stamp(2 * late + (2 << 16), 3)
    );
}
