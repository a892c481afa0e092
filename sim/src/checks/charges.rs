//! Limits of API tokens: no node allows more open registrations of a token than the token may have.

use std::collections::BTreeMap;

use forename::clock::Stamp;
use forename::crdt::NameOp;
use forename::log::{Body, Op};

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::Verdicts;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::{Seen, World};

/// The registrations that each host confirmed to a client, each with the limit of open registrations of the token that
/// was charged, or none where there was no such token. The first answer counts, because a retry opens no further
/// registration.
#[derive(Debug, Default)]
pub(crate) struct Charges {
    told: BTreeMap<Host, BTreeMap<Stamp, Option<u32>>>,
}

impl Check for Charges {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            // The copy of the directory counts only what it knows itself.
            Seen::Swapped(host) => drop(self.told.remove(host)),
            // Registrations that were accepted at another node, or in an earlier incarnation, do not count here.
            Seen::Registered { host, max_open, view } if view.stamp.node == world.machines[*host].node => {
                self.told.entry(*host).or_default().entry(view.stamp).or_insert(*max_open);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, verdicts: &Verdicts, world: &World, _: &mut Marks) -> Checked {
        world.present().into_iter().try_for_each(|host| self.check(world, host, verdicts))
    }
}

impl Charges {
    /// Counts only reservations that were certainly open when another registration was accepted. So the node may have
    /// had a few more.
    fn check(&self, world: &World, host: Host, verdicts: &Verdicts) -> Checked {
        let machine = &world.machines[host];
        let Some(told) = self.told.get(&host).filter(|_| !machine.came_back && !machine.restored) else {
            return Ok(());
        };
        let charges: Vec<_> = told.iter().filter_map(|(stamp, most)| Some((stamp, (*most)?))).collect();
        let mut closed: BTreeMap<Stamp, Stamp> = BTreeMap::new();
        for (of, by) in world.books.ledger.ops().flat_map(|op| closes(op).map(|of| (of, op.stamp()))) {
            closed.entry(of).and_modify(|first| *first = by.min(*first)).or_insert(by);
        }
        for &(stamp, max_open) in &charges {
            let is_open = |of: &Stamp| {
                let fate = verdicts.fates.get(of).filter(|fate| fate.won);
                let lasts = fate.is_some_and(|fate| fate.register.expires.is_some_and(|end| end > stamp.hlc));
                lasts && closed.get(of).is_none_or(|by| by > stamp)
            };
            let open = charges.iter().map(|(of, _)| *of).take_while(|of| *of < stamp).filter(|of| is_open(of)).count();
            if open >= usize::try_from(max_open).unwrap_or(usize::MAX) {
                let text = format!("host {host} lets in {stamp}, with {open} open of {max_open}");
                return broken("charges", text);
            }
        }
        Ok(())
    }
}

/// Returns the registration that an op may close.
fn closes(op: &Op) -> Option<Stamp> {
    match op.body() {
        Body::Name(NameOp::Activate { registration }) | Body::Name(NameOp::Erase { registration }) => {
            Some(*registration)
        }
        Body::Name(NameOp::Release(claim)) => Some(claim.registration),
        Body::Name(NameOp::Register(register)) => register.replaces.as_ref().map(|replaced| replaced.registration),
        _ => None,
    }
}
