//! Registrations that count for an API token: no node lets more of them be open at once than the token may have.

use std::collections::BTreeMap;

use forename::clock::Stamp;
use forename::crdt::{Body, Op};
use forename::replica::{Charge, RegistrationView};

use crate::checks::ledger::{Checked, broken};
use crate::oracle::Verdicts;
use crate::plan::{Host, Slot};
use crate::world::World;

/// The token that all charged clients bear.
const TOKEN: &str = "app";

/// What clients count for where a token may have so many open.
pub(crate) fn charge(max_open: u32) -> Charge {
    Charge { token: TOKEN.to_owned(), max_open }
}

/// Registrations that hosts told charged clients of, with how many the token may have open.
pub(crate) type Charges = BTreeMap<Host, BTreeMap<Stamp, u32>>;

impl World {
    /// A client that registers is answered.
    pub(crate) fn note_charged(&mut self, host: Host, slot: Slot, view: &RegistrationView) {
        // What was accepted elsewhere, or in an earlier life, counts for nothing here.
        let here = view.stamp.node == self.machines[host].node;
        if let Some(charge) = self.clients.charge(slot).filter(|_| here) {
            self.charges.entry(host).or_default().insert(view.stamp, charge.max_open);
        }
    }

    /// Looks only at reservations that certainly were open when another was let in, so a few more may have been.
    pub(crate) fn check_charges(&self, host: Host, verdicts: &Verdicts) -> Checked {
        let machine = &self.machines[host];
        let Some(charges) = self.charges.get(&host).filter(|_| !machine.came_back && !machine.restored) else {
            return Ok(());
        };
        let mut closed: BTreeMap<Stamp, Stamp> = BTreeMap::new();
        for (of, by) in self.ledger.ops().flat_map(|op| closes(op).map(|of| (of, op.stamp()))) {
            closed.entry(of).and_modify(|first| *first = by.min(*first)).or_insert(by);
        }
        for (stamp, max_open) in charges {
            let is_open = |of: &Stamp| {
                let fate = verdicts.fates.get(of).filter(|fate| fate.won);
                let lasts = fate.is_some_and(|fate| fate.register.expires.is_some_and(|end| end > stamp.hlc));
                lasts && closed.get(of).is_none_or(|by| by > stamp)
            };
            let open = charges.keys().take_while(|of| *of < stamp).filter(|of| is_open(of)).count();
            if open >= usize::try_from(*max_open).unwrap_or(usize::MAX) {
                let text = format!("host {host} lets in {stamp}, with {open} open of {max_open}");
                return broken("charges", text);
            }
        }
        Ok(())
    }
}

/// The registration that an op may close to its token.
fn closes(op: &Op) -> Option<Stamp> {
    match &op.body {
        Body::Activate { registration } | Body::Erase { registration } => Some(*registration),
        Body::Release(claim) => Some(claim.registration),
        Body::Register(register) => register.replaces.as_ref().map(|replaced| replaced.registration),
        _ => None,
    }
}
