//! The interface of all checks.

use std::fmt::Debug;

use crate::marks::Marks;
use crate::oracle::Verdicts;
use crate::plan::Host;
use crate::violation::Checked;
use crate::world::{Seen, World};

/// A check that observes the run: it sees every event together with the world at that time, and reports what must not
/// happen. It keeps its own books, or reads those of the world, and does not trust what a replica reports about itself.
/// `marks` is for rare branches that the check reaches.
#[allow(unused_variables)]
pub(crate) trait Check: Debug {
    /// Called for every event.
    fn saw(&mut self, what: &Seen<'_>, world: &World, marks: &mut Marks) -> Checked {
        Ok(())
    }

    /// Called when the cluster has come to rest, with the oracle's verdicts. May be called more than once.
    fn at_rest(&mut self, verdicts: &Verdicts, world: &World, marks: &mut Marks) -> Checked {
        Ok(())
    }

    /// Called when the run is over, whether or not the cluster came to rest.
    fn at_end(&mut self, world: &World, marks: &mut Marks) -> Checked {
        Ok(())
    }
}

/// A check that makes requests to a node of a cluster at rest, and compares the answers with the oracle. The world runs
/// on meanwhile, and all other checks keep observing.
pub(crate) type Question = fn(&mut World, Host, &Verdicts) -> Checked;
