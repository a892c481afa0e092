//! `forename webhook`

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::args::{ClientArgs, Format};
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::client::Client;
use crate::model::{Deliver, EventKind, RotationBody, Span, Webhook, WebhookBody, WebhookPatch};

#[derive(Args, Debug)]
pub(super) struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Subcommand, Debug)]
enum WebhookCommand {
    /// Make a webhook: all nodes post events to this URL from now on
    ///
    /// The secret that signs the deliveries is printed once. Give it to the receiver.
    Add {
        /// An http or https URL
        url: String,
        /// Which events a node posts
        #[arg(long, value_enum)]
        deliver: Option<Deliver>,
        /// Post only these types of event, like confirmed,rejected,name.ended
        #[arg(long, value_name = "TYPE", value_delimiter = ',')]
        types: Vec<EventKind>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List the webhooks, and how the deliveries of the node that is asked stand
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Have the node that is asked post a test event
    Test {
        #[command(flatten)]
        of: WebhookOf,
    },
    /// Have the node that is asked deliver its dead letters anew
    Replay {
        #[command(flatten)]
        of: WebhookOf,
    },
    /// Show the dead letters of the node that is asked, as JSON
    DeadLetters {
        #[command(flatten)]
        of: WebhookOf,
    },
    /// Give a webhook another secret, which is printed once
    Rotate {
        #[command(flatten)]
        of: WebhookOf,
        /// For how long deliveries are signed with the old secret as well
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        keep_old: Span,
    },
    /// Stop the deliveries to a webhook at all nodes; they keep their places
    Stop {
        #[command(flatten)]
        of: WebhookOf,
    },
    /// Let the deliveries to a webhook go on where they stopped
    Resume {
        #[command(flatten)]
        of: WebhookOf,
    },
    /// Remove a webhook, with what waits for it and its dead letters
    Remove {
        #[command(flatten)]
        of: WebhookOf,
    },
}

/// A webhook, and the node to ask.
#[derive(Args, Debug)]
struct WebhookOf {
    /// The id of the webhook
    id: Uuid,
    #[command(flatten)]
    client: ClientArgs,
}

impl WebhookArgs {
    pub(super) fn format(&self) -> Format {
        match &self.command {
            WebhookCommand::Add { client, .. } | WebhookCommand::List { client } => client.output,
            WebhookCommand::Test { of }
            | WebhookCommand::Replay { of }
            | WebhookCommand::DeadLetters { of }
            | WebhookCommand::Rotate { of, .. }
            | WebhookCommand::Stop { of }
            | WebhookCommand::Resume { of }
            | WebhookCommand::Remove { of } => of.client.output,
        }
    }
}

pub(super) async fn run(args: WebhookArgs) -> Outcome {
    match args.command {
        WebhookCommand::Add { url, deliver, types, client } => {
            let made = client.client()?.make_webhook(&WebhookBody { url, deliver, types }).await?;
            output::print(&client, &made, text)?;
        }
        WebhookCommand::List { client } => {
            let known = client.client()?.webhooks().await?;
            let list = |all: &[Webhook]| all.iter().map(text).collect::<String>();
            output::print(&client, &known, |known| match list(&known.webhooks) {
                all if all.is_empty() => "there are no webhooks".to_owned(),
                all => all,
            })?;
        }
        WebhookCommand::Test { of } => return test(&of).await,
        WebhookCommand::Replay { of } => {
            let replayed = of.client.client()?.replay_webhook(of.id).await?;
            output::print(&of.client, &replayed, |done| format!("{} events are delivered anew", done.replayed))?;
        }
        WebhookCommand::DeadLetters { of } => {
            let dead = of.client.client()?.dead_letters(of.id).await?;
            output::print_as(Format::Json, &dead, |_| String::new())?;
        }
        WebhookCommand::Rotate { of, keep_old } => {
            let body = RotationBody { keep_old: Some(keep_old) };
            let rotated = of.client.client()?.rotate_webhook(of.id, &body).await?;
            output::print(&of.client, &rotated, text)?;
        }
        WebhookCommand::Stop { of } => turn(&of, false).await?,
        WebhookCommand::Resume { of } => turn(&of, true).await?,
        WebhookCommand::Remove { of } => {
            let removed = of.client.client()?.remove_webhook(of.id).await?;
            output::print(&of.client, &removed, |removed| format!("webhook {} is removed", removed.id))?;
        }
    }
    Ok(Exit::Done)
}

async fn test(of: &WebhookOf) -> Outcome {
    let client: Client = of.client.client()?;
    let test = client.test_webhook(of.id).await?;
    output::print(&of.client, &test, |test| match (&test.error, test.status) {
        (None, Some(status)) => format!("the receiver took the test event: {status}"),
        (error, _) => format!("the test event was not delivered: {}", error.clone().unwrap_or_default()),
    })?;
    if test.delivered { Ok(Exit::Done) } else { Err(Failure::failed("the receiver did not take the test event")) }
}

async fn turn(of: &WebhookOf, active: bool) -> Result<(), Failure> {
    let patch = WebhookPatch { active: Some(active), ..WebhookPatch::default() };
    let changed = of.client.client()?.change_webhook(of.id, &patch).await?;
    output::print(&of.client, &changed, text)
}

fn text(webhook: &Webhook) -> String {
    let mut text = format!("{} {}\n", webhook.id, webhook.url);
    let which = match webhook.deliver {
        Deliver::Accepted => "each node delivers the events of what it accepted",
        Deliver::All => "each node delivers all events",
    };
    let types: Vec<_> = webhook.types.iter().map(ToString::to_string).collect();
    text += &format!("  {which}{}\n", if types.is_empty() { String::new() } else { format!(": {}", types.join(", ")) });
    if !webhook.active {
        text += "  stopped: nothing is delivered until 'forename webhook resume'\n";
    }
    if let Some(until) = webhook.old_secret_until {
        text += &format!("  signed with the old secret as well until {until}\n");
    }
    if let Some(secret) = &webhook.secret {
        text += &format!("  secret {secret}, which is not shown again\n");
    }
    if let Some(delivery) = &webhook.delivery {
        text += &format!(
            "  at this node: {} delivered since its start, {} behind, {} waiting, {} dead letters\n",
            delivery.delivered, delivery.lag_events, delivery.waiting, delivery.dead
        );
        if let Some(error) = &delivery.last_error {
            text += &format!("  last error: {error}\n");
        }
        if let Some(missed) = &delivery.missed {
            text += &format!(
                "  missed: the events from {} to {} were no longer kept when they were to be delivered ({})\n",
                missed.after, missed.until, missed.at
            );
        }
    }
    text
}
