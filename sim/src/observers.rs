//! The observers of a run: the trace, the counts, the marks and the checks.

use crate::checks;
use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::Verdicts;
use crate::stats::Stats;
use crate::trace::Trace;
use crate::violation::Checked;
use crate::world::{Observer, Seen, World};

/// All observers of a run.
#[derive(Debug)]
pub(crate) struct Observers {
    pub(crate) trace: Trace,
    pub(crate) stats: Stats,
    pub(crate) marks: Marks,
    checks: Vec<Box<dyn Check>>,
}

impl Observer for Observers {
    fn saw(&mut self, what: &Seen<'_>, world: &World) -> Checked {
        self.trace.saw(what, world);
        self.stats.saw(what, world);
        self.marks.saw(what, world);
        self.checks.iter_mut().try_for_each(|check| check.saw(what, world, &mut self.marks))
    }
}

impl Observers {
    pub(crate) fn new(tracing: bool) -> Self {
        Self { trace: Trace::new(tracing), stats: Stats::default(), marks: Marks::default(), checks: checks::all() }
    }

    /// Tells the observers that the cluster has come to rest, with the verdicts of the oracle.
    pub(crate) fn at_rest(&mut self, verdicts: &Verdicts, world: &World) -> Checked {
        self.marks.at_rest(verdicts, world);
        self.checks.iter_mut().try_for_each(|check| check.at_rest(verdicts, world, &mut self.marks))
    }

    /// Tells the observers that the run is over.
    pub(crate) fn at_end(&mut self, world: &World) -> Checked {
        self.checks.iter_mut().try_for_each(|check| check.at_end(world, &mut self.marks))
    }
}
