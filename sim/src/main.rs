//! The simulator's command. Exit codes: 0 all well, 1 usage or file, 2 a safety violation, 3 a liveness failure, 4 a
//! panic.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod explore;

#[derive(Parser)]
#[command(about = "Runs simulated forename clusters")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One seed.
    Run {
        /// Which.
        #[arg(long)]
        seed: u64,
        /// Print what happens.
        #[arg(long)]
        trace: bool,
    },
    /// A plan from a file.
    Replay {
        /// As `shrink` wrote it.
        plan: std::path::PathBuf,
        /// Print what happens.
        #[arg(long)]
        trace: bool,
    },
    /// The least plan that fails as a seed does, as JSON on the standard output.
    Shrink {
        /// Which seed.
        #[arg(long)]
        seed: u64,
    },
    /// Many seeds.
    Explore(explore::Options),
}

fn main() -> ExitCode {
    match Options::parse().command {
        Command::Run { seed, trace } => explore::one(seed, trace),
        Command::Replay { plan, trace } => explore::replay(&plan, trace),
        Command::Shrink { seed } => explore::shrunk(seed),
        Command::Explore(options) => explore::many(&options),
    }
}
