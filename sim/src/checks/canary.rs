//! A name that must not be claimed, as a deliberate failure ([`canary`](crate::canary)).

use crate::canary;
use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::Verdicts;
use crate::violation::Checked;
use crate::world::World;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Canary;

impl Check for Canary {
    fn at_rest(&mut self, _: &Verdicts, world: &World, _: &mut Marks) -> Checked {
        let ops: Vec<_> = world.books.ledger.ops().collect();
        canary::check(ops.iter().copied())
    }
}
