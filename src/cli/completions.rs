//! `forename completions`

use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::{Exit, Outcome};
use super::output;

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, mut program: Command) -> Outcome {
    // The script is made in memory first, because the generator panics where its output is a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "forename", &mut script);
    output::line(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
