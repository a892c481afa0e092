//! `forename activate`

use clap::Args;
use uuid::Uuid;

use super::{ClientArgs, Exit, Outcome, output};

#[derive(Args, Debug)]
pub(super) struct ActivateArgs {
    /// The reservation
    #[arg(value_name = "REGISTRATION-ID")]
    id: Uuid,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ActivateArgs) -> Outcome {
    let registration = args.client.client()?.activate(args.id).await?;
    output::print(&args.client, &registration, output::registration)?;
    Ok(Exit::Done)
}
