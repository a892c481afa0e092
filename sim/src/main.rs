//! The simulator's command line; see `docs/simulator.md`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod command;

use command::{End, explore, golden, planted, run, scale, verify};

const EXIT_CODES: &str = "\
Exit codes:
  0  all well
  1  wrong usage, or a file or program that cannot be used
  2  a safety violation: something happened that must never happen
  3  a liveness failure: something that must happen did not
  4  a panic
  5  a mark that a round must reach was missed, or a planted bug was not found
  6  not deterministic: two runs of a seed differ, or a run differs from its golden hash";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "forename-sim", about = "Runs simulated forename clusters", after_help = EXIT_CODES)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One seed.
    Run(run::Run),
    /// A plan from a file.
    Replay(run::Replay),
    /// The least plan that fails as a seed does, as JSON on the standard output.
    Shrink(run::Shrink),
    /// Many seeds.
    Explore(explore::Options),
    /// Runs a seed in two processes and in two builds, and shows the first event that differs.
    Verify(verify::Options),
    /// Compares some seeds with the hashes that were committed.
    Golden(golden::Options),
    /// How many seeds it takes to find each bug that is planted on purpose, as a table.
    Planted(planted::Options),
    /// What spreading and deciding costs in clusters of growing size, as a table.
    Scale(scale::Options),
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Printing the help is not an error. Clap's own exit code for wrong usage would mean a safety violation
            // here.
            let end = if error.use_stderr() { End::Unusable } else { End::Well };
            let _ = error.print();
            return end.into();
        }
    };
    let ended = match &options.command {
        Command::Run(options) => options.work(),
        Command::Replay(options) => options.work(),
        Command::Shrink(options) => options.work(),
        Command::Explore(options) => options.work(),
        Command::Verify(options) => options.work(),
        Command::Golden(options) => options.work(),
        Command::Planted(options) => options.work(),
        Command::Scale(options) => options.work(),
    };
    match ended {
        Ok(end) => end.into(),
        Err(error) => {
            eprintln!("{error}");
            End::Unusable.into()
        }
    }
}
