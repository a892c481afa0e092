//! The commands, one file each, and what they share: how a command ends, and how a seed becomes a plan.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use forename_sim::canary::{self, Canary};
use forename_sim::generate::{Size, generate};
use forename_sim::plan::Plan;
use forename_sim::run::{Failure, Report};

mod compare;
pub(crate) mod explore;
pub(crate) mod golden;
pub(crate) mod planted;
pub(crate) mod run;
pub(crate) mod scale;
pub(crate) mod verify;

/// The end of a command. The numbers are its exit codes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum End {
    Well = 0,
    Unusable = 1,
    Safety = 2,
    Liveness = 3,
    Panic = 4,
    Missed = 5,
    Differs = 6,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(end as u8)
    }
}

impl From<&Failure> for End {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Safety(_) => Self::Safety,
            Failure::Liveness(_) => Self::Liveness,
            Failure::Crash(_) => Self::Panic,
        }
    }
}

impl From<&Report> for End {
    fn from(report: &Report) -> Self {
        report.failure.as_ref().map_or(Self::Well, Self::from)
    }
}

/// The reason why a command could not do its work. Nothing is known about any seed then.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Error {
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{0} is no plan: {1}")]
    Plan(PathBuf, serde_json::Error),
    #[error("the plan cannot be written: {0}")]
    Unwritten(serde_json::Error),
    #[error("{0} cannot be run: {1}")]
    Program(PathBuf, io::Error),
    #[error("the other build cannot be made: {0}. With --one-build, two processes of this build are compared")]
    NoOtherBuild(String),
    #[error(
        "the runs of seed {0} end without a result, all in the same way, so nothing is known of how they compare: run it alone"
    )]
    NoResult(u64),
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
    #[cfg(not(feature = "planted"))]
    #[error("this build has no planted bugs: cargo run --release -p forename-sim --features planted -- planted")]
    NothingPlanted,
}

/// The result of a command.
pub(crate) type Ended = Result<End, Error>;

/// What is wrong on purpose.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Purpose {
    /// Fail on purpose, to see that failures are reported: clients claim a name that no check lets pass.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "safety")]
    canary: Option<Canary>,
    /// Break this rule of the replica on purpose.
    #[cfg(feature = "planted")]
    #[arg(long, value_parser = planted::named)]
    bug: Option<forename::planted::Bug>,
}

impl Purpose {
    /// Plants the bug on this thread, where one is wanted.
    pub(crate) fn plant(self) {
        #[cfg(feature = "planted")]
        forename::planted::plant(self.bug);
    }

    /// Returns the plan of a seed.
    pub(crate) fn plan(self, seed: u64) -> Plan {
        let mut plan = generate(seed, Size::default());
        if let Some(canary) = self.canary {
            canary::set(&mut plan, canary);
        }
        plan
    }
}

/// Writes the flags as they are given on the command line.
impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(canary) = self.canary {
            write!(f, " --canary={canary}")?;
        }
        #[cfg(feature = "planted")]
        if let Some(bug) = self.bug {
            write!(f, " --bug {bug:?}")?;
        }
        Ok(())
    }
}

/// Returns the command that runs a seed again.
pub(crate) fn again(seed: u64, purpose: Purpose) -> String {
    #[cfg(feature = "planted")]
    let features = purpose.bug.map_or("", |_| " --features planted");
    #[cfg(not(feature = "planted"))]
    let features = "";
    format!("cargo run --release -p forename-sim{features} -- run --seed {seed}{purpose}")
}

/// Describes the result of a run in one line.
pub(crate) fn told(seed: u64, report: &Report) -> String {
    let Report { hash, lasted, steps, ops, .. } = report;
    let ended = match &report.failure {
        None => "well".to_owned(),
        Some(failure) => {
            let kind = match failure {
                Failure::Safety(_) => "safety",
                Failure::Liveness(_) => "liveness",
                Failure::Crash(_) => "panic",
            };
            let violation = failure.violation();
            format!("{kind}: {}: {}", violation.check, violation.text)
        }
    };
    format!("seed {seed}: {ended}; {ops} ops, {steps} steps, {lasted} ms, hash {hash:016x}")
}

/// Silences the messages of panics. Panics of the replica are caught and reported anyway.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
