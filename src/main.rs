//! The command line's entry.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use forename::cli::{Cli, LogFormat};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::typed();
    let filter = EnvFilter::try_from_env("FORENAME_LOG").unwrap_or_else(|_| EnvFilter::new(cli.default_log()));
    // Colours are for people: not in a file or a pipe, nor where they said so (no-color.org).
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match cli.log_format() {
        LogFormat::Text => logs.with_ansi(colours).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    cli.run()
}
