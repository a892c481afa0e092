//! `forename show`

use clap::Args;
use serde::Serialize;

use super::target::Target;
use super::{ClientArgs, Exit, Failure, Outcome, output};
use crate::client::Client;
use crate::model::{History, Name, NameRef, Registrations};

#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// A name as NAMESPACE/NAME, or a registration's id
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID", required_unless_present = "owner")]
    target: Option<Target>,
    /// All registrations of this owner
    #[arg(long, conflicts_with = "target")]
    owner: Option<String>,
    /// With a name: also who held it before, from when till when, and who lost it
    #[arg(long, requires = "target")]
    history: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ShowArgs) -> Outcome {
    let client = args.client.client()?;
    match args.target {
        Some(Target::Name(name)) => {
            let found = client.name(&name.namespace, &name.name).await?;
            if args.history {
                let history = history(&client, &name).await?;
                let render =
                    |shown: &Shown| format!("{}\n{}", output::name(&shown.name), output::history(&shown.history));
                output::print(&args.client, &Shown { name: found, history }, render)?;
            } else {
                output::print(&args.client, &found, output::name)?;
            }
        }
        Some(Target::Registration(id)) if args.history => {
            return Err(Failure::usage(format!("{id} is a registration; --history is about a name")));
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

/// A name with all of its tenures.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    name: Name,
    history: History,
}

async fn history(client: &Client, name: &NameRef) -> Result<History, Failure> {
    let mut all = client.history(&name.namespace, &name.name, None).await?;
    while let Some(after) = all.next {
        let page = client.history(&name.namespace, &name.name, Some(after)).await?;
        for tenure in page.tenures {
            match all.tenures.last_mut().filter(|last| last.holder.stamp == tenure.holder.stamp) {
                // The rest of one that very many claimed.
                Some(last) => last.losers.extend(tenure.losers),
                None => all.tenures.push(tenure),
            }
        }
        all.next = page.next;
    }
    Ok(all)
}
