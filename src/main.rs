//! The command line's entry.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use forename::cli::Cli;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("FORENAME_LOG").unwrap_or_else(|_| EnvFilter::new(cli.default_log()));
    // Colours are for people: not in a file or a pipe, nor where they said so (no-color.org).
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
    cli.run()
}
