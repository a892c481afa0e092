//! `forename show`

use clap::Args;

use super::target::Target;
use super::{ClientArgs, Exit, Outcome, output};
use crate::api::json::Registrations;

#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// A name as NAMESPACE/NAME, or a registration's id
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID", required_unless_present = "owner")]
    target: Option<Target>,
    /// All registrations of this owner
    #[arg(long, conflicts_with = "target")]
    owner: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ShowArgs) -> Outcome {
    let client = args.client.client()?;
    match args.target {
        Some(Target::Name(name)) => {
            let name = client.name(&name.namespace, &name.name).await?;
            output::print(&args.client, &name, output::name)?;
        }
        Some(Target::Registration(id)) => {
            output::print(&args.client, &client.registration(id).await?, output::registration)?;
        }
        None => {
            let owner = args.owner.unwrap_or_default();
            let mut all = Registrations::default();
            let mut after = None;
            loop {
                let page = client.owner(&owner, after, None).await?;
                all.registrations.extend(page.registrations);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            output::print(&args.client, &all, |all| {
                let texts: Vec<_> = all.registrations.iter().map(output::registration).collect();
                if texts.is_empty() { format!("{owner} has no registrations") } else { texts.concat() }
            })?;
        }
    }
    Ok(Exit::Done)
}
