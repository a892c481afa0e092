//! `forename explain`

use clap::Args;

use super::args::ClientArgs;
use super::failure::{Exit, Outcome};
use super::output;
use super::target::{NamespaceOf, Target};

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// A name as NAMESPACE/NAME, or a registration's id
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID")]
    target: String,
    #[command(flatten)]
    namespace: NamespaceOf,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: ExplainArgs) -> Outcome {
    let client = args.client.client()?;
    let explanation = match args.namespace.target(&args.target)? {
        Target::Name(name) => client.explain_name(&name.namespace, &name.name).await?,
        Target::Registration(id) => client.explain_registration(id).await?,
    };
    output::print(&args.client, &explanation, ToString::to_string)?;
    Ok(Exit::Done)
}
