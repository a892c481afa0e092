//! `forename explain`

use clap::Args;

use super::target::Target;
use super::{ClientArgs, Exit, Outcome, output};

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// A name as NAMESPACE/NAME, or a registration's id
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID")]
    target: Target,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ExplainArgs) -> Outcome {
    let client = args.client.client()?;
    let explanation = match args.target {
        Target::Name(name) => client.explain_name(&name.namespace, &name.name).await?,
        Target::Registration(id) => client.explain_registration(id).await?,
    };
    output::print(&args.client, &explanation, ToString::to_string)?;
    Ok(Exit::Done)
}
