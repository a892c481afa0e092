//! `forename restore`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::args::OfflineArgs;
use super::failure::{Exit, Outcome};
use super::output;
use crate::clock::NodeId;
use crate::model::Time;
use crate::node::offline::{self, Restored};

/// Make a data directory of a backup
///
/// The node comes back under its next id, as after 'forename rejoin': it takes the cluster's state anew and registers
/// again everything that the cluster does not know. The directory that was backed up must not be served any more.
///
/// A backup of a node that was alone in its cluster has no cluster to come back to: 'forename recover' on the directory
/// makes a new one of it. Or, where the cluster goes on at nodes that joined later, use 'forename serve' with a join
/// token.
#[derive(Args, Debug)]
pub(super) struct RestoreArgs {
    /// A file from 'forename backup'
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(super) offline: OfflineArgs,
}

#[derive(Serialize, Debug)]
struct Restoration {
    was: NodeId,
    node: NodeId,
    time: Time,
    rows: u64,
    alone: bool,
}

pub(super) fn run(args: &RestoreArgs) -> Outcome {
    let Restored { was, node, time, rows, alone } = offline::restore(&args.file, &args.offline.data_dir)?;
    let restored = Restoration { was, node, time: Time(time), rows, alone };
    output::print_as(args.offline.output, &restored, |restored| {
        let next = if alone {
            "it was alone in its cluster: 'forename recover' on the directory makes a cluster of it; if the cluster goes \
             on at nodes that joined later, 'forename serve' with a join token of one of them"
        } else {
            "'forename serve' on the directory comes back to its cluster by itself, and registers again what the cluster \
             does not know of; if no other node of it is left, 'forename recover' makes a new cluster of it"
        };
        format!(
            "restored {rows} rows of node {was} as of {}; the directory is that of {node} now\n{next}",
            restored.time
        )
    })?;
    Ok(Exit::Done)
}
