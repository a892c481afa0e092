//! `forename activate`

use clap::Args;
use uuid::Uuid;

use super::args::ClientArgs;
use super::failure::{Exit, Outcome};
use super::output;

#[derive(Args, Debug)]
pub(super) struct ActivateArgs {
    /// The reservation's id
    #[arg(value_name = "REGISTRATION-ID")]
    id: Uuid,
    /// The owner of the reservation; needed with an API token that has not opened it
    #[arg(long)]
    owner: Option<String>,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: ActivateArgs) -> Outcome {
    let registration = args.client.client_for(args.owner.as_deref())?.activate(args.id).await?;
    output::print(&args.client, &registration, output::registration)?;
    Ok(Exit::Done)
}
