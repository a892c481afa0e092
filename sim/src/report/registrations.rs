//! The outcome of each registration, by the oracle and by each node.

use std::collections::BTreeMap;

use forename::clock::{Hlc, Stamp};
use forename::crdt::{NameOp, Register};
use forename::log::{Body, Op};

use super::rows::{Claim, Picture, Registration};
use crate::oracle::{self, Verdicts};
use crate::plan::Host;
use crate::world::World;
use crate::world::net::Micros;

pub(super) fn of(world: &World, picture: &Picture) -> Vec<Registration> {
    let watermarks = world.machines.iter().filter_map(|machine| machine.replica()).map(|r| r.watermark());
    let verdicts = oracle::judge(world.books.ledger.ops(), watermarks.min().unwrap_or(Hlc::ZERO));
    let ops: BTreeMap<Stamp, &Op> = picture.ops.iter().map(|row| (row.op.stamp(), &row.op)).collect();
    let registers = ops.iter().filter_map(|(stamp, op)| match op.body() {
        Body::Name(NameOp::Register(register)) => Some((*stamp, register)),
        _ => None,
    });
    registers.map(|(stamp, register)| row(stamp, register, &verdicts, picture, world.machines.len())).collect()
}

fn row(stamp: Stamp, register: &Register, verdicts: &Verdicts, picture: &Picture, hosts: usize) -> Registration {
    let fate = verdicts.fates.get(&stamp);
    let claim = |claim: &forename::crdt::Claim| Claim {
        namespace: claim.namespace.clone(),
        key: claim.key.clone(),
        name: claim.name.clone(),
        after: claim.after.map(|after| after.to_string()),
    };
    let text = stamp.to_string();
    Registration {
        id: register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(stamp)).to_string(),
        own_id: register.id.is_some(),
        owner: register.owner.clone(),
        host: crate::world::ids::host_of(stamp.node),
        claims: register.claims.iter().map(claim).collect(),
        expires: register.expires.map(|expires| expires.to_string()),
        replaces: register.replaces.as_ref().map(|old| (old.registration.to_string(), old.key.clone())),
        fate: match fate {
            None => "gone",
            Some(fate) if !fate.first => "twin",
            Some(fate) if fate.won => "won",
            Some(_) => "lost",
        },
        lost_to: lost_to(stamp, register, verdicts),
        ended: fate.map(|fate| fate.ended.iter().map(|(_, key)| key.clone()).collect()).unwrap_or_default(),
        hosts: (0..hosts).map(|host| word(picture, &text, host)).collect(),
        stamp: text,
    }
}

/// Returns the registrations with a lesser stamp that claim one of the same tenures or have the same id.
fn lost_to(stamp: Stamp, register: &Register, verdicts: &Verdicts) -> Vec<String> {
    let earlier = verdicts.fates.range(..stamp).filter(|(_, other)| {
        let twin = register.id.is_some() && other.register.id == register.id;
        let rival = register.claims.iter().any(|claim| {
            let same = |other: &forename::crdt::Claim| {
                (&other.namespace, &other.key, other.after) == (&claim.namespace, &claim.key, claim.after)
            };
            other.register.claims.iter().any(same)
        });
        twin || rival
    });
    earlier.map(|(stamp, _)| stamp.to_string()).collect()
}

fn word(picture: &Picture, stamp: &str, host: Host) -> Option<(&'static str, Micros)> {
    let mut words = picture.moments.iter().rev().filter(|moment| moment.host == host);
    let told = words.find(|moment| moment.stamp.as_deref() == Some(stamp) && moment.kind != "ended");
    told.map(|moment| (moment.kind, moment.at))
}
