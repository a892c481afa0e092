//! The entry point of the command line.

use std::process::ExitCode;

use forename::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::typed().run()
}
