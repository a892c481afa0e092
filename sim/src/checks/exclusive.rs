//! A name has at most one holder at any time.
//!
//! The check `tenure` looks at one tenure: of all claims that follow the same claim at most one is confirmed. This
//! check looks across tenures, at everything that any client or reader was told at any node: a claim is confirmed only
//! after every earlier confirmed claim to the name has ended. A claim ends by a release or an erasure, by the rename
//! that replaced it, or by its expiry; and the end must be earlier than the claim that follows, or be that claim
//! itself: a respelling.

use std::collections::BTreeMap;

use forename::clock::{Hlc, Stamp};
use forename::crdt::{ClaimRef, NameOp, Register};
use forename::log::{Body, Op};
use forename::model::Status;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::{self, Place, Verdicts};
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::{Seen, World};

/// The claims that were reported as confirmed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exclusive {
    /// By name: each claim, with the host that reported it first.
    confirmed: BTreeMap<Place, BTreeMap<Stamp, Host>>,
    /// The greatest watermark that any node has had.
    watermark: Hlc,
}

impl Exclusive {
    /// Notes that a node's watermark rises.
    fn watermark(&mut self, watermark: Hlc) {
        self.watermark = self.watermark.max(watermark);
    }

    /// Checks a registration that is reported as confirmed. `ops` are those that count as far as is known now; an end
    /// that turns out to be void later is found at the end of the run.
    fn confirmed<'a>(
        &mut self,
        host: Host,
        stamp: Stamp,
        register: &Register,
        ops: impl Iterator<Item = &'a Op> + Clone,
    ) -> Checked {
        for claim in &register.claims {
            let place = (claim.namespace.clone(), claim.key.clone());
            let holders = self.confirmed.entry(place.clone()).or_default();
            if holders.insert(stamp, host).is_some() {
                continue;
            }
            for (other, told_by) in holders.iter().filter(|(other, _)| **other != stamp) {
                let (earlier, later) = (stamp.min(*other), stamp.max(*other));
                if !has_ended(earlier, &place, later, self.watermark, ops.clone()) {
                    let text = format!(
                        "host {host} tells that {stamp} is confirmed, host {told_by} told the same of {other}: both hold \
                         {place:?}, nothing that counts ends the claim of {earlier} before {later}"
                    );
                    return broken("exclusive", text);
                }
            }
        }
        Ok(())
    }

    /// Checks at the end of a run, by the ops that count: every claim that was reported as confirmed counts, and of two
    /// such claims to one name the earlier had ended when the later began.
    fn check<'a>(&self, ops: impl Iterator<Item = &'a Op> + Clone, verdicts: &Verdicts) -> Checked {
        // A rename that lost ended no claim.
        let lost = |op: &Op| {
            matches!(op.body(), Body::Name(NameOp::Register(_)))
                && !verdicts.fates.get(&op.stamp()).is_some_and(|f| f.won)
        };
        let ops = ops.filter(|op| !lost(op));
        for (place, holders) in &self.confirmed {
            for (stamp, host) in holders {
                let Some(fate) = verdicts.fates.get(stamp) else {
                    let text = format!("host {host} told that {stamp} holds {place:?}, and its op came to nothing");
                    return broken("exclusive", text);
                };
                let mut claims = fate.register.claims.iter();
                let claim = claims.find(|claim| (&claim.namespace, &claim.key) == (&place.0, &place.1));
                if let Some(after) = claim.and_then(|claim| claim.after)
                    && verdicts.fates.get(&after).is_none_or(|fate| fate.won)
                    && !has_ended(after, place, *stamp, self.watermark, ops.clone())
                {
                    let text = format!(
                        "host {host} told that {stamp} holds {place:?}, which follows {after}, whose claim had not ended"
                    );
                    return broken("exclusive", text);
                }
            }
            let later = holders.keys().skip(1);
            for (earlier, later) in holders.keys().zip(later) {
                if !has_ended(*earlier, place, *later, self.watermark, ops.clone()) {
                    let text =
                        format!("{earlier} and {later} were told to hold {place:?}, and the first had not ended");
                    return broken("exclusive", text);
                }
            }
        }
        Ok(())
    }

    /// Returns true where some name had more than one holder during the run.
    fn any_succession(&self) -> bool {
        self.confirmed.values().any(|holders| holders.len() > 1)
    }
}

/// Returns true for a rename to the same key, by which a holder changes only the spelling of its name.
fn is_respelling(register: &Register) -> bool {
    let replaced =
        |end: &ClaimRef| register.claims.iter().any(|c| (&c.namespace, &c.key) == (&end.namespace, &end.key));
    register.replaces.as_ref().is_some_and(replaced)
}

impl Check for Exclusive {
    fn saw(&mut self, what: &Seen<'_>, world: &World, marks: &mut Marks) -> Checked {
        match what {
            Seen::Watermark { watermark, .. } => self.watermark(*watermark),
            Seen::Final { host, stamp, status: Status::Confirmed, .. } => {
                if let Some(Body::Name(NameOp::Register(register))) = world.books.ledger.op(*stamp).map(|op| op.body())
                {
                    if is_respelling(register) {
                        marks.mark("a holder spells its name otherwise");
                    }
                    return self.confirmed(*host, *stamp, register, world.books.ledger.uncut_ops());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_end(&mut self, world: &World, marks: &mut Marks) -> Checked {
        let ops: Vec<Op> = world.books.ledger.ops().cloned().collect();
        self.check(ops.iter(), &oracle::judge(&ops, self.watermark))?;
        if self.any_succession() {
            marks.mark("a name has a second holder");
        }
        Ok(())
    }
}

/// Returns true where a confirmed claim has ended before the claim `by` begins. There are three ways: an op with an
/// earlier timestamp ended it; `by` itself replaces it; or it was a reservation whose end is earlier, and a watermark
/// has passed that.
fn has_ended<'a>(
    claim: Stamp,
    place: &Place,
    by: Stamp,
    watermark: Hlc,
    ops: impl Iterator<Item = &'a Op> + Clone,
) -> bool {
    let is_place = |namespace: &str, key: &str| (namespace, key) == (&place.0, &place.1);
    let ends = |op: &Op| match op.body() {
        Body::Name(NameOp::Release(end)) => end.registration == claim && is_place(&end.namespace, &end.key),
        Body::Name(NameOp::Erase { registration }) => *registration == claim,
        Body::Name(NameOp::Register(register)) => {
            let replaced = register.replaces.as_ref();
            replaced.is_some_and(|end| end.registration == claim && is_place(&end.namespace, &end.key))
        }
        _ => false,
    };
    let early = || ops.clone().filter(|op| op.hlc < by.hlc);
    let respelt = || ops.clone().find(|op| op.stamp() == by).is_some_and(ends);
    early().any(ends) || respelt() || expiry(claim, early()).is_some_and(|end| end < by.hlc && end <= watermark)
}

/// Returns when a reservation ended by these ops; none where it was activated, or is not a reservation.
fn expiry<'a>(claim: Stamp, ops: impl Iterator<Item = &'a Op> + Clone) -> Option<Hlc> {
    let mut end = ops.clone().find_map(|op| match op.body() {
        Body::Name(NameOp::Register(register)) if op.stamp() == claim => register.expires,
        _ => None,
    })?;
    // Extensions count in the order of their timestamps, and one that comes after the end is too late.
    let extends = |op: &Op| match op.body() {
        Body::Name(NameOp::Extend { registration, expires }) if *registration == claim => Some((op.hlc, *expires)),
        _ => None,
    };
    let extensions: BTreeMap<_, _> = ops.clone().filter_map(extends).collect();
    for (at, until) in extensions {
        if at < end {
            end = end.max(until);
        }
    }
    let activated = |op: &Op| {
        matches!(op.body(), Body::Name(NameOp::Activate { registration }) if *registration == claim) && op.hlc < end
    };
    (!ops.clone().any(activated)).then_some(end)
}

#[cfg(test)]
mod tests {
    use forename::clock::NodeId;
    use forename::crdt::Claim;
    use forename::log::Chain;

    use super::*;

    fn op(hlc: u64, body: Body) -> Op {
        Op::new(NodeId(1), hlc, Hlc(hlc), Chain::default(), body)
    }

    fn register(expires: Option<Hlc>, replaces: Option<ClaimRef>) -> Register {
        let (namespace, key, name) = ("username".to_owned(), "alice".to_owned(), String::new());
        let claims = vec![Claim { namespace, key, name, after: None }];
        Register { id: None, owner: String::new(), claims, expires, replaces, metadata: None, accepted: None }
    }

    fn alice(registration: u64) -> ClaimRef {
        let registration = Stamp { hlc: Hlc(registration), node: NodeId(1) };
        ClaimRef { registration, namespace: "username".to_owned(), key: "alice".to_owned() }
    }

    /// Returns true where a second claim, of time 90, may be reported as confirmed after the first, of time 10.
    fn may_follow(expires: Option<Hlc>, others: Vec<Op>, watermark: u64) -> bool {
        let mut exclusive = Exclusive::default();
        exclusive.watermark(Hlc(watermark));
        let first = register(expires, None);
        let ops = [
            vec![
                op(10, Body::Name(NameOp::Register(first.clone().into()))),
                op(90, Body::Name(NameOp::Register(register(None, None).into()))),
            ],
            others,
        ];
        let ops = ops.concat();
        for (hlc, register) in [(10, first), (90, register(None, None))] {
            let stamp = Stamp { hlc: Hlc(hlc), node: NodeId(1) };
            if exclusive.confirmed(0, stamp, &register, ops.iter()).is_err() {
                return false;
            }
        }
        true
    }

    #[test]
    fn a_second_holder_comes_only_after_the_end_of_the_first() {
        let registration = alice(10).registration;
        assert!(!may_follow(None, Vec::new(), 1000));
        assert!(may_follow(None, vec![op(20, Body::Name(NameOp::Release(alice(10))))], 0));
        assert!(
            !may_follow(None, vec![op(95, Body::Name(NameOp::Release(alice(10))))], 1000),
            "later than the second claim"
        );
        assert!(!may_follow(None, vec![op(20, Body::Name(NameOp::Release(alice(11))))], 1000), "of another claim");
        assert!(may_follow(None, vec![op(20, Body::Name(NameOp::Erase { registration }))], 0));
        let rename =
            Body::Name(NameOp::Register(Register { claims: Vec::new(), ..register(None, Some(alice(10))) }.into()));
        assert!(may_follow(None, vec![op(20, rename)], 0));
    }

    #[test]
    fn a_claim_that_replaces_the_one_before_it_is_its_end() {
        let named = |register: Register| Body::Name(NameOp::Register(register.into()));
        let (first, second) = (register(None, None), register(None, Some(alice(10))));
        let ops = [op(10, named(first.clone())), op(90, named(second.clone()))];
        let mut exclusive = Exclusive::default();
        for (hlc, register) in [(10, &first), (90, &second)] {
            let stamp = Stamp { hlc: Hlc(hlc), node: NodeId(1) };
            assert!(exclusive.confirmed(0, stamp, register, ops.iter()).is_ok());
        }
    }

    #[test]
    fn a_reservation_ends_once_a_watermark_has_passed_its_end() {
        let registration = alice(10).registration;
        let end = Some(Hlc(50));
        assert!(may_follow(end, Vec::new(), 50));
        assert!(!may_follow(end, Vec::new(), 49));
        assert!(!may_follow(end, vec![op(49, Body::Name(NameOp::Activate { registration }))], 1000));
        assert!(may_follow(end, vec![op(50, Body::Name(NameOp::Activate { registration }))], 1000), "too late");
        assert!(!may_follow(end, vec![op(49, Body::Name(NameOp::Extend { registration, expires: Hlc(92) }))], 1000));
        assert!(
            may_follow(end, vec![op(50, Body::Name(NameOp::Extend { registration, expires: Hlc(92) }))], 1000),
            "too late"
        );
        assert!(may_follow(end, vec![op(49, Body::Name(NameOp::Extend { registration, expires: Hlc(70) }))], 70));
    }
}
