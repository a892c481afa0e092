//! `forename completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::failure::{Exit, Outcome};
use super::{Cli, output};

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Outcome {
    // The script is made in memory first, because the generator panics where its output is a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "forename", &mut script);
    output::line(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
