//! `forename show`

use clap::Args;
use serde::Serialize;

use super::args::ClientArgs;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::target::{NamespaceOf, Target};
use crate::client::Client;
use crate::model::{History, Name, NameRef, Registrations};
use crate::name::escaped;

#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// A name as NAMESPACE/NAME, or a registration's id
    #[arg(value_name = "NAMESPACE/NAME|REGISTRATION-ID", required_unless_present = "owner")]
    target: Option<String>,
    #[command(flatten)]
    namespace: NamespaceOf,
    /// All registrations of this owner
    #[arg(long, conflicts_with = "target")]
    owner: Option<String>,
    /// With a name: also show who held it before, from when until when, and who lost it
    #[arg(long, requires = "target")]
    history: bool,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: ShowArgs) -> Outcome {
    let client = args.client.client()?;
    match args.target.map(|target| args.namespace.target(&target)).transpose()? {
        Some(Target::Name(name)) => {
            let found = client.name(&name.namespace, &name.name).await?;
            let owner = owner(&client, &found).await?;
            let history = if args.history { Some(history(&client, &name).await?) } else { None };
            output::print(&args.client, &Shown { name: found, owner, history }, text)?;
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
                if texts.is_empty() { format!("{} has no registrations", escaped(&owner)) } else { texts.concat() }
            })?;
        }
    }
    Ok(Exit::Done)
}

/// A name, its owner, and its tenures where they were asked for.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<History>,
}

fn text(shown: &Shown) -> String {
    let mut text = output::name(&shown.name);
    if let Some(owner) = &shown.owner {
        text += &format!("\n  owner {}", escaped(owner));
    }
    if let Some(history) = &shown.history {
        text += &format!("\n{}", output::history(history));
    }
    text
}

/// Returns the owner of a name; none where nobody holds it, or the caller may not know.
async fn owner(client: &Client, name: &Name) -> Result<Option<String>, Failure> {
    let Some(id) = name.registration else { return Ok(None) };
    match client.registration(id).await {
        Ok(registration) => Ok(Some(registration.owner).filter(|owner| !owner.is_empty())),
        Err(error) if error.problem().is_some_and(|problem| matches!(problem.status, 403 | 404)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn history(client: &Client, name: &NameRef) -> Result<History, Failure> {
    let mut all = client.history(&name.namespace, &name.name, None).await?;
    while let Some(after) = all.next {
        let page = client.history(&name.namespace, &name.name, Some(after)).await?;
        for tenure in page.tenures {
            match all.tenures.last_mut().filter(|last| last.holder.stamp == tenure.holder.stamp) {
                // This is the rest of a tenure with very many claims.
                Some(last) => last.losers.extend(tenure.losers),
                None => all.tenures.push(tenure),
            }
        }
        all.next = page.next;
    }
    Ok(all)
}
