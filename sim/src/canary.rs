//! A failure on purpose. Some clients claim a name that a check never allows. So the way of a failure from a request to
//! the exit code, the replay and the shrunk plan can be tried at any time, with the real replica. (The idea is from
//! TigerBeetle's fuzzers, one of which does nothing but fail.)

use forename::crdt::NameOp;
use forename::log::{Body, Op};

use crate::plan::{Action, Ask, Otherwise, Plan, Slot, Wish};
use crate::violation::{Checked, broken};

/// In which way to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Canary {
    /// A check finds a violation.
    Safety,
    /// The cluster never comes to rest.
    Liveness,
    /// Something panics.
    Panic,
}

impl Canary {
    /// Returns the name that must not be claimed. Generated plans never have such a name.
    const fn name(self) -> &'static str {
        match self {
            Self::Safety => "canary-safety",
            Self::Liveness => "canary-liveness",
            Self::Panic => "canary-panic",
        }
    }
}

impl std::fmt::Display for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name().trim_start_matches("canary-"))
    }
}

/// The first of some slots that no generated plan uses.
const SLOTS: Slot = 1 << 24;

/// Lets clients claim the name at every node, several times, so that one node takes it whatever goes wrong.
pub fn set(plan: &mut Plan, canary: Canary) {
    for (slot, (host, part)) in (SLOTS..).zip((0..plan.hosts()).flat_map(|host| (1..=4).map(move |part| (host, part))))
    {
        let names = vec![canary.name().to_owned()];
        let wish = Wish { slot, owner: "canary".to_owned(), names, ..Wish::default() };
        plan.actions.push(Action {
            at: plan.heal_at * part / 5,
            host,
            ask: Ask::Register(wish),
            otherwise: Otherwise::GivesUp,
        });
    }
}

fn claimed<'a>(mut ops: impl Iterator<Item = &'a Op>, canary: Canary) -> bool {
    ops.any(|op| match op.body() {
        Body::Name(NameOp::Register(register)) => {
            register.claims.iter().any(|claim| claim.key.as_str() == canary.name())
        }
        _ => false,
    })
}

/// The check at the end of a run.
pub(crate) fn check<'a>(ops: impl Iterator<Item = &'a Op> + Clone) -> Checked {
    assert!(!claimed(ops.clone(), Canary::Panic), "a canary was claimed");
    if claimed(ops, Canary::Safety) {
        return broken("canary", "a canary was claimed".to_owned());
    }
    Ok(())
}

/// Returns true where the run must not come to rest.
pub(crate) fn is_restless<'a>(ops: impl Iterator<Item = &'a Op>) -> bool {
    claimed(ops, Canary::Liveness)
}
