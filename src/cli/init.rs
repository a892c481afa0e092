//! `forename init`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::args::Format;
use super::cluster::{SettingsArgs, described};
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::clock::NodeId;
use crate::config::DATA_DIR;
use crate::model::{ClusterId, ClusterSettings};
use crate::node::Node;

/// Found a cluster: make the first member's directory, once
///
/// A node never founds a cluster by itself, so a lost disk or a wrong mount cannot silently begin a second one. All
/// other members join with 'forename serve --join-token-file'.
///
/// Choose what happens while a member is down; 'forename cluster set' changes it later. Strict, the default: the
/// earliest claim wins whatever happens, and names stay pending until the member is back or an operator evicts it. Or
/// go on: with '--evict-after 30s' the member is evicted automatically, and claims that it accepted alone may be lost.
#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// Where the first member keeps its identity and its state: a directory that is empty or does not exist
    #[arg(long, value_name = "DIR", env = "FORENAME_DATA_DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    #[command(flatten)]
    settings: SettingsArgs,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
}

#[derive(Serialize, Debug)]
struct Founding {
    cluster: ClusterId,
    node: NodeId,
    settings: ClusterSettings,
}

pub(super) fn run(args: &InitArgs) -> Outcome {
    let founded = Node::init(&args.data_dir, &args.settings.body()?);
    let founded = founded.map_err(|error| Failure::failed(error.to_string()))?;
    let founding = Founding { cluster: founded.cluster, node: founded.node, settings: founded.settings };
    output::print_as(args.output, &founding, |founding| {
        format!(
            "cluster {} is founded; its only member is node {}\n{}\n'forename serve --data-dir {}' runs it, and 'forename \
             member token' lets others join",
            founding.cluster,
            founding.node,
            described(&founding.settings),
            args.data_dir.display()
        )
    })?;
    Ok(Exit::Done)
}
