//! A final outcome is the same everywhere and for ever: a registration has one outcome, an id has one outcome, and of
//! all claims of a tenure one is confirmed.

use std::collections::BTreeMap;

use forename::clock::Stamp;
use forename::crdt::NameOp;
use forename::log::Body;
use forename::model::Status;
use uuid::Uuid;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::Place;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::{Seen, World};

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// The winner of each tenure.
    tenures: BTreeMap<(Place, Option<Stamp>), Stamp>,
}

impl Check for Outcomes {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        let Seen::Final { host, id, stamp, status, .. } = what else { return Ok(()) };
        same_everywhere(world, *host, *id, *stamp, *status)?;
        if *status == Status::Confirmed { self.wins(world, *stamp) } else { Ok(()) }
    }
}

fn same_everywhere(world: &World, host: Host, id: Uuid, stamp: Stamp, status: Status) -> Checked {
    let outcomes = &world.books.outcomes;
    if let Some((before, by)) = outcomes.first(stamp).filter(|(before, _)| *before != status) {
        return broken("final", format!("{stamp}: {before:?} at host {by}, {status:?} at host {host}"));
    }
    match outcomes.of_id(id).filter(|known| *known != (status, stamp)) {
        Some((before, of)) => {
            broken("final", format!("{id}: {before:?} as {of}, then {status:?} as {stamp} at host {host}"))
        }
        None => Ok(()),
    }
}

impl Outcomes {
    fn wins(&mut self, world: &World, stamp: Stamp) -> Checked {
        let Some(Body::Name(NameOp::Register(register))) = world.books.ledger.op(stamp).map(|op| op.body()) else {
            return broken("final", format!("{stamp} is confirmed, but nobody issued it"));
        };
        for claim in &register.claims {
            let tenure = ((claim.namespace.clone(), claim.key.clone()), claim.after);
            let winner = *self.tenures.entry(tenure).or_insert(stamp);
            if winner != stamp {
                let tenure = (&claim.namespace, &claim.key, claim.after);
                return broken("tenure", format!("{tenure:?} is confirmed to {winner} and to {stamp}"));
            }
        }
        Ok(())
    }
}
