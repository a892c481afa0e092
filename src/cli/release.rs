//! `forename release`

use clap::Args;

use super::args::ClientArgs;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::target::{NamespaceOf, Target};
use crate::model::Registration;
use crate::name::escaped;

#[derive(Args, Debug)]
pub(super) struct ReleaseArgs {
    /// A name as NAMESPACE/NAME, or a registration's id for all of its names
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID")]
    target: String,
    #[command(flatten)]
    namespace: NamespaceOf,
    /// The owner of the name; needed with a name, and with an API token that has not opened the registration
    #[arg(long)]
    owner: Option<String>,
    /// With a registration's id: also erase its owner, names and metadata at all nodes, once the release is final;
    /// possible where it is over already, too
    #[arg(long)]
    erase: bool,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: ReleaseArgs) -> Outcome {
    let client = args.client.client()?;
    let (id, client) = match (args.namespace.target(&args.target)?, args.owner) {
        (Target::Name(_), _) if args.erase => {
            return Err(Failure::usage("what is erased is a registration; give its id, which 'forename show' tells"));
        }
        (Target::Name(name), Some(owner)) => {
            let released = client.release_name(&name.namespace, &name.name, &owner).await?;
            let what = output::shown_name(&name.namespace, &name.name);
            output::print(&args.client, &released, |released| text(&what, released, false))?;
            return Ok(Exit::Done);
        }
        (Target::Name(_), None) => return Err(Failure::usage("to release a name, say whose it is with --owner")),
        // The node checks that the owner is the registration's.
        (Target::Registration(id), owner) => (id, args.client.client_for(owner.as_deref())?),
    };
    let registration = if args.erase { client.erase(id).await? } else { client.release(id).await? };
    let names = registration.names.iter().map(|name| output::shown_name(&name.namespace, &name.name));
    let what = names.collect::<Vec<_>>().join(", ");
    output::print(&args.client, &registration, |registration| text(&what, registration, args.erase))?;
    Ok(Exit::Done)
}

/// Describes what was done, and what follows from it.
fn text(what: &str, registration: &Registration, erase: bool) -> String {
    let id = registration.id;
    if registration.erased {
        return format!("registration {id} is erased");
    }
    let owner = escaped(&registration.owner);
    let mut text = format!("released {what}, of owner {owner} (registration {id})\n");
    text += "  others can claim it once the release is final, as 'forename show' tells\n";
    if erase {
        text += "  owner, names and metadata are erased at all nodes then\n";
    }
    text
}
