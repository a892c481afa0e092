//! The commands about one plan: `run`, `replay` and `shrink`.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use forename_sim::plan::Plan;
use forename_sim::report::page;
use forename_sim::run::{Report, run, trace};
use forename_sim::shrink;

use super::{End, Ended, Error, Purpose, again, quiet_panics, told};

/// What to show of a run.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// Print what happens, a line an event: virtual milliseconds, the hash of the run so far, what it is.
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    page: Page,
}

/// Where a run is drawn.
#[derive(clap::Args)]
pub(crate) struct Page {
    /// Write the run as a page for a browser to this file: lanes of nodes, messages, faults, fates.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Page {
    fn write(&self, plan: &Plan) -> Result<(), Error> {
        let Some(path) = &self.html else { return Ok(()) };
        std::fs::write(path, page(plan).1).map_err(|error| Error::File(path.clone(), error))
    }
}

impl Show {
    /// Runs a plan and shows what was asked for.
    fn run(&self, plan: &Plan) -> Result<Report, Error> {
        self.page.write(plan)?;
        if !self.trace {
            return Ok(run(plan));
        }
        let (report, lines) = trace(plan);
        let mut out = BufWriter::new(io::stdout().lock());
        let written = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
        match written {
            // The reader of the output has seen enough and has closed it.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Output(error)),
            _ => Ok(report),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// Which.
    #[arg(
        long,
        required_unless_present = "canary",
        default_value_if("canary", clap::builder::ArgPredicate::IsPresent, "1")
    )]
    seed: Option<u64>,
    #[command(flatten)]
    purpose: Purpose,
    #[command(flatten)]
    show: Show,
}

impl Run {
    pub(crate) fn work(&self) -> Ended {
        self.purpose.plant();
        let seed = self.seed.unwrap_or(1);
        let report = self.show.run(&self.purpose.plan(seed))?;
        say(&told(seed, &report))?;
        if report.failure.is_some() {
            say(&format!("  {}", again(seed, self.purpose)))?;
        }
        Ok(End::from(&report))
    }
}

#[derive(clap::Args)]
pub(crate) struct Replay {
    /// As `shrink` wrote it.
    plan: PathBuf,
    #[command(flatten)]
    purpose: Purpose,
    #[command(flatten)]
    show: Show,
}

impl Replay {
    pub(crate) fn work(&self) -> Ended {
        self.purpose.plant();
        let text = std::fs::read_to_string(&self.plan).map_err(|error| Error::File(self.plan.clone(), error))?;
        let plan: Plan = serde_json::from_str(&text).map_err(|error| Error::Plan(self.plan.clone(), error))?;
        let report = self.show.run(&plan)?;
        say(&told(plan.seed, &report))?;
        Ok(End::from(&report))
    }
}

#[derive(clap::Args)]
pub(crate) struct Shrink {
    /// Which seed.
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    purpose: Purpose,
    #[command(flatten)]
    page: Page,
}

impl Shrink {
    pub(crate) fn work(&self) -> Ended {
        quiet_panics();
        self.purpose.plant();
        let Some((plan, failure)) = shrink::shrink(&self.purpose.plan(self.seed)) else {
            eprintln!("seed {} ends well: there is nothing to shrink", self.seed);
            return Ok(End::Well);
        };
        eprintln!("{}: {}", failure.violation().check, failure.violation().text);
        self.page.write(&plan)?;
        say(&serde_json::to_string_pretty(&plan).map_err(Error::Unwritten)?)?;
        Ok(End::from(&failure))
    }
}

/// Prints a line. A reader that has closed the output is not an error.
fn say(line: &str) -> Result<(), Error> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
