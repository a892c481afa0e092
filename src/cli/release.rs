//! `forename release`

use clap::Args;

use super::target::Target;
use super::{ClientArgs, Exit, Failure, Outcome, output};

#[derive(Args, Debug)]
pub(super) struct ReleaseArgs {
    /// A name as NAMESPACE/NAME, or a registration's id for all of its names
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID")]
    target: Target,
    /// Who holds the name; needed with a name
    #[arg(long)]
    owner: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ReleaseArgs) -> Outcome {
    let client = args.client.client()?;
    let registration = match (args.target, args.owner) {
        (Target::Name(name), Some(owner)) => client.release_name(&name.namespace, &name.name, &owner).await?,
        (Target::Name(_), None) => return Err(Failure::usage("to release a name, say whose it is with --owner")),
        (Target::Registration(id), None) => client.release(id).await?,
        (Target::Registration(id), Some(owner)) => {
            let held_by = client.registration(id).await?.owner;
            if held_by != owner {
                let message = format!("registration {id} is of owner {held_by:?}, not {owner:?}; nothing was released");
                return Err(Failure::failed(message));
            }
            client.release(id).await?
        }
    };
    output::print(&args.client, &registration, output::registration)?;
    Ok(Exit::Done)
}
