//! At the end all members agree on which nodes are out, and on the cuts of their logs.

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::Verdicts;
use crate::violation::{Checked, broken};
use crate::world::World;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Cuts;

impl Check for Cuts {
    fn at_rest(&mut self, _: &Verdicts, world: &World, _: &mut Marks) -> Checked {
        let ledger = &world.books.ledger;
        for host in world.present() {
            for (node, cut) in ledger.cuts_of(host) {
                let all = ledger.cut_of(*node);
                if all != Some(*cut) {
                    return broken("cut", format!("host {host} cuts {node} at {cut:?}, not at {all:?}"));
                }
            }
        }
        Ok(())
    }
}
