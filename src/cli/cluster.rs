//! `forename cluster`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::{ClientArgs, Format};
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::model::{Cluster, ClusterId, ClusterSettings, ClusterSettingsBody, EvictAfter, Keep, Span};

/// Show or change what is the same at all members: id and settings
#[derive(Args, Debug)]
pub(super) struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Subcommand, Debug)]
enum ClusterCommand {
    /// Show the cluster's id and its settings
    Show {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Give the cluster a new secret, which only its members learn
    ///
    /// Join tokens that were made before become useless, and so does the secret in a stolen directory or backup. A node
    /// that is not a member at that time, or that is restored from an older backup, comes back with a new join token
    /// only.
    RotateSecret {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Change settings; they take effect at all members while they run
    Set {
        #[command(flatten)]
        settings: SettingsArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// The settings of a cluster as arguments.
#[derive(Args, Debug)]
pub(super) struct SettingsArgs {
    /// What happens while a member is down: never (strict) or a time like 30s (go on)
    ///
    /// never: the earliest claim wins whatever happens. While a member is down names can be claimed, but they stay
    /// pending until it is back or an operator evicts it. A time: a member that a majority has not heard from for this
    /// long is evicted, and names become final again. A node that is cut off for longer loses the claims that it
    /// accepted alone, if others took the names meanwhile.
    #[arg(long, value_name = "never|DURATION")]
    evict_after: Option<EvictAfter>,
    /// How far timestamps may be ahead of the cluster's time; a node whose clock is wrong by more than half of this
    /// accepts no registrations
    #[arg(long, value_name = "DURATION")]
    max_clock_skew: Option<Span>,
    /// How long events, and registrations that are over, are kept
    #[arg(long, value_name = "DURATION|forever")]
    keep_events: Option<Keep>,
    /// How often members tell each other what they will not issue any more, while the cluster is in use: the shorter, the
    /// sooner claims are final between distant members
    #[arg(long, value_name = "DURATION")]
    promise_every: Option<Span>,
}

impl SettingsArgs {
    /// Returns the settings that were given. Fails where one is out of bounds.
    pub(super) fn body(&self) -> Result<ClusterSettingsBody, Failure> {
        let Self { evict_after, max_clock_skew, keep_events, promise_every } = *self;
        let body = ClusterSettingsBody { evict_after, max_clock_skew, keep_events, promise_every };
        body.check().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(body)
    }
}

#[derive(Serialize, Debug)]
struct Shown {
    id: Option<ClusterId>,
    settings: ClusterSettings,
}

impl ClusterArgs {
    pub(super) fn format(&self) -> Format {
        match &self.command {
            ClusterCommand::Show { client }
            | ClusterCommand::Set { client, .. }
            | ClusterCommand::RotateSecret { client, .. } => client.output,
        }
    }
}

pub(super) async fn run(args: ClusterArgs) -> Outcome {
    let (client, cluster) = match args.command {
        ClusterCommand::Show { client } => {
            let cluster = client.client()?.cluster().await?;
            (client, cluster)
        }
        ClusterCommand::RotateSecret { client } => {
            let cluster = client.client()?.rotate_secret().await?;
            output::print(&client, &cluster, |_| {
                "the cluster has another secret; members that are away learn it when they are back".to_owned()
            })?;
            return Ok(Exit::Done);
        }
        ClusterCommand::Set { settings, client } => {
            let body = settings.body()?;
            if body.is_empty() {
                return Err(Failure::usage("give a setting to change, like --evict-after 30s; nothing was changed"));
            }
            let cluster = client.client()?.configure(&body).await?;
            (client, cluster)
        }
    };
    let Cluster { id, settings, .. } = cluster;
    output::print(&client, &Shown { id, settings }, |shown| {
        let id = shown.id.map_or_else(|| "none yet: the node is joining".to_owned(), |id| id.to_string());
        format!("cluster {id}\n{}", described(&shown.settings))
    })?;
    Ok(Exit::Done)
}

/// Describes the settings, one on each line.
pub(super) fn described(settings: &ClusterSettings) -> String {
    let order = match settings.evict_after {
        EvictAfter::Never => "strict: the earliest claim wins; while a member is down names stay pending",
        EvictAfter::After(_) => "goes on: a member that is silent for so long is evicted",
    };
    format!(
        "evict after     {} ({order})\nmax clock skew  {}\nkeep events     {}\npromise every   {}",
        settings.evict_after, settings.max_clock_skew, settings.keep_events, settings.promise_every
    )
}
