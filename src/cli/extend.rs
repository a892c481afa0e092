//! `forename extend`

use clap::Args;
use uuid::Uuid;

use super::args::ClientArgs;
use super::failure::{Exit, Outcome};
use super::output;
use crate::model::Span;

#[derive(Args, Debug)]
pub(super) struct ExtendArgs {
    /// The reservation
    #[arg(value_name = "REGISTRATION-ID")]
    id: Uuid,
    /// Whose it is; needed with an API token that has not opened it
    #[arg(long)]
    owner: Option<String>,
    /// How long it lasts from now on; one that lasts longer anyway stays as it is
    #[arg(long, value_name = "SPAN")]
    ttl: Span,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: ExtendArgs) -> Outcome {
    let registration = args.client.client_for(args.owner.as_deref())?.extend(args.id, args.ttl.0).await?;
    output::print(&args.client, &registration, output::registration)?;
    Ok(Exit::Done)
}
