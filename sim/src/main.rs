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
        /// Write what happens as a page to this file.
        #[arg(long)]
        html: Option<std::path::PathBuf>,
    },
    /// A plan from a file.
    Replay {
        /// As `shrink` wrote it.
        plan: std::path::PathBuf,
        /// Print what happens.
        #[arg(long)]
        trace: bool,
        /// Write what happens as a page to this file.
        #[arg(long)]
        html: Option<std::path::PathBuf>,
    },
    /// The least plan that fails as a seed does, as JSON on the standard output.
    Shrink {
        /// Which seed.
        #[arg(long)]
        seed: u64,
        /// Write what happens then as a page to this file.
        #[arg(long)]
        html: Option<std::path::PathBuf>,
    },
    /// Many seeds.
    Explore(explore::Options),
}

fn main() -> ExitCode {
    match Options::parse().command {
        Command::Run { seed, trace, html } => explore::one(seed, trace, html.as_deref()),
        Command::Replay { plan, trace, html } => explore::replay(&plan, trace, html.as_deref()),
        Command::Shrink { seed, html } => explore::shrunk(seed, html.as_deref()),
        Command::Explore(options) => explore::many(&options),
    }
}
