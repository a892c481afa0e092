//! `forename init`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Exit, Failure, Format, Outcome, output};
use crate::clock::NodeId;
use crate::config::DATA_DIR;
use crate::node::Node;

/// Found a cluster: make the first member's directory, once
///
/// A node never founds a cluster by itself, so that a lost disk or a wrong mount cannot begin a second one in silence. All
/// other members join with 'forename serve --join --token'.
#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// Where the first member is to keep its identity and its state: a directory that is empty or not there
    #[arg(long, value_name = "DIR", env = "FORENAME_DATA_DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Serialize, Debug)]
struct Founding {
    node: NodeId,
}

pub(super) fn run(args: &InitArgs) -> Outcome {
    let founded = Node::init(&args.data_dir).map_err(|error| Failure::failed(error.to_string()))?;
    output::print_as(args.output, &Founding { node: founded.node }, |founding| {
        format!(
            "node {} is the only member of a new cluster; 'forename serve --data-dir {}' runs it, and 'forename member token' \
             lets others join",
            founding.node,
            args.data_dir.display()
        )
    })?;
    Ok(Exit::Done)
}
