//! `forename man`

use std::path::PathBuf;

use clap::{Args, Command};

use super::failure::{Exit, Failure, Outcome};
use super::output;

/// Write the manual: a page of man(1) for each command
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// The directory to write into; it is made where it is missing
    directory: PathBuf,
}

pub(super) fn run(args: &ManArgs, program: Command) -> Outcome {
    let directory = &args.directory;
    let written = std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(program, directory));
    written.map_err(|error| Failure::failed(format!("cannot write the manual to {}: {error}", directory.display())))?;
    output::line(&format!("the manual is in {}; man --local-file shows a page", directory.display()))?;
    Ok(Exit::Done)
}
