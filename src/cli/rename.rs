//! `forename rename`

use clap::Args;
use uuid::Uuid;

use super::claim::{WaitArgs, register};
use super::target::NameArg;
use super::{ClientArgs, Failure, Outcome};
use crate::model::{NameRef, RegistrationBody, ReplacesBody};

#[derive(Args, Debug)]
pub(super) struct RenameArgs {
    /// The name to give up
    #[arg(value_name = "NAMESPACE/OLD")]
    old: NameArg,
    /// The name to take, in the same namespace
    #[arg(value_name = "NEW")]
    new: String,
    /// Who holds the old name
    #[arg(long)]
    owner: String,
    /// The new registration's id, to ask again safely
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: RenameArgs) -> Outcome {
    let client = args.client.client()?;
    let NameArg(NameRef { namespace, name: old }) = args.old;
    let held = client.name(&namespace, &old).await?;
    let Some(registration) = held.registration else {
        return Err(Failure::failed(format!(
            "{namespace}/{old} is not held, so it cannot be renamed; claim {}",
            args.new
        )));
    };
    let owner = client.registration(registration).await?.owner;
    if owner != args.owner {
        let message = format!("{namespace}/{old} is not held by owner {:?}; nothing was changed", args.owner);
        return Err(Failure::failed(message));
    }
    let mut body = RegistrationBody {
        id: args.id,
        owner,
        names: vec![NameRef { namespace: namespace.clone(), name: args.new }],
        replaces: Some(ReplacesBody { registration, namespace, name: old }),
        ..RegistrationBody::default()
    };
    args.wait.fill(&mut body);
    register(&args.client, &client, &args.wait, &body).await
}
