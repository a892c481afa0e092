//! What every check has in common.

use std::fmt::Debug;

use crate::marks::Marks;
use crate::oracle::Verdicts;
use crate::plan::Host;
use crate::violation::Checked;
use crate::world::{Seen, World};

/// A check that looks on: it sees everything that happens, together with the world as it is then, and says what must not
/// be. It keeps its own books, or reads those of the world, and does not trust what a replica says of itself. Marks are
/// for rare branches that it comes by.
#[allow(unused_variables)]
pub(crate) trait Check: Debug {
    /// Something happens.
    fn saw(&mut self, what: &Seen<'_>, world: &World, marks: &mut Marks) -> Checked {
        Ok(())
    }

    /// The cluster has come to rest, and this is what the oracle says of it. May come more than once.
    fn at_rest(&mut self, verdicts: &Verdicts, world: &World, marks: &mut Marks) -> Checked {
        Ok(())
    }

    /// The run is over, whether or not the cluster came to rest.
    fn at_end(&mut self, world: &World, marks: &mut Marks) -> Checked {
        Ok(())
    }
}

/// A check that asks: it makes requests to a node of a cluster that has come to rest and compares the answers with the
/// oracle. The world runs on meanwhile, and all other checks look on.
pub(crate) type Question = fn(&mut World, Host, &Verdicts) -> Checked;
