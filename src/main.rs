//! The command line's entry.

use std::process::ExitCode;

use clap::Parser;
use forename::cli::Cli;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("FORENAME_LOG").unwrap_or_else(|_| EnvFilter::new(cli.default_log()));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    cli.run()
}
