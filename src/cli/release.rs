//! `forename release`

use clap::Args;

use super::target::Target;
use super::{ClientArgs, Exit, Failure, Outcome, output};

#[derive(Args, Debug)]
pub(super) struct ReleaseArgs {
    /// A name as NAMESPACE/NAME, or a registration's id for all of its names
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID")]
    target: Target,
    /// Who holds the name; needed with a name, and with an API token that has not opened the registration
    #[arg(long)]
    owner: Option<String>,
    /// With a registration's id: also erase its owner, names and metadata at all nodes, once the release is final; also
    /// where it is over already
    #[arg(long)]
    erase: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ReleaseArgs) -> Outcome {
    let client = args.client.client()?;
    let (id, client) = match (args.target, args.owner) {
        (Target::Name(_), _) if args.erase => {
            return Err(Failure::usage("what is erased is a registration; give its id, which 'forename show' tells"));
        }
        (Target::Name(name), Some(owner)) => {
            let released = client.release_name(&name.namespace, &name.name, &owner).await?;
            output::print(&args.client, &released, output::registration)?;
            return Ok(Exit::Done);
        }
        (Target::Name(_), None) => return Err(Failure::usage("to release a name, say whose it is with --owner")),
        // The node compares the owner with the registration's.
        (Target::Registration(id), owner) => (id, args.client.client_for(owner.as_deref())?),
    };
    let registration = if args.erase { client.erase(id).await? } else { client.release(id).await? };
    output::print(&args.client, &registration, output::registration)?;
    Ok(Exit::Done)
}
