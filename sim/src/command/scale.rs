//! The command `scale`: a Markdown table of what it costs to spread and decide ops in clusters of growing size.

use std::time::Instant;

use forename_sim::scale::{Measured, Setting, measure};

use super::{End, Ended};

/// The interval of a node's heartbeats while something is undecided, in milliseconds. It is a round of gossip.
const ROUND: u64 = 100;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Sizes of the clusters.
    #[arg(long, value_delimiter = ',', default_values_t = [5, 10, 30, 100, 300, 1000], value_parser = size)]
    nodes: Vec<usize>,
    /// Registrations in each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    ops: u32,
    /// The seed of the runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clusters larger than this are not connected each to each.
    #[arg(long, default_value_t = 300)]
    meshed: usize,
    /// To how many others each node of those holds connections of its own accord.
    #[arg(long, default_value_t = 16, value_parser = size)]
    dials: usize,
}

fn size(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|size| *size > 0).ok_or_else(|| "a number above 0 is wanted".to_owned())
}

impl Options {
    pub(crate) fn work(&self) -> Ended {
        println!(
            "| nodes | connections a node | spread, ms | rounds | decided, ms | rounds | messages a node and op | bytes \
             a node and op | of them ops | idle: messages a node and second | bytes | wall, s |"
        );
        println!("| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |");
        for nodes in self.nodes.iter().copied() {
            let dials = (nodes > self.meshed).then_some(self.dials);
            #[allow(clippy::disallowed_methods)] // the command tells how long it takes
            let started = Instant::now();
            match measure(Setting { nodes, dials, ops: self.ops, seed: self.seed }) {
                Ok(measured) => {
                    println!("{}{:.1} |", self.row(nodes, dials, &measured), started.elapsed().as_secs_f64())
                }
                Err(failure) => {
                    let violation = failure.violation();
                    println!("{nodes} nodes, seed {}: {}: {}", self.seed, violation.check, violation.text);
                    return Ok(End::from(&failure));
                }
            }
        }
        Ok(End::Well)
    }

    fn row(&self, nodes: usize, dials: Option<usize>, measured: &Measured) -> String {
        let each = |count: u64| count as f64 / nodes as f64;
        let op = |count: u64| each(count) / f64::from(self.ops);
        let rounds = |millis: u64| millis as f64 / ROUND as f64;
        let connections = dials.map_or_else(|| (nodes - 1).to_string(), |dials| format!("about {}", 2 * dials));
        let Measured { spread, decided, messages, bytes, op_bytes, idle_messages, idle_bytes, .. } = *measured;
        format!(
            "| {nodes} | {connections} | {spread} | {:.1} | {decided} | {:.1} | {:.1} | {:.0} | {:.0} | {:.1} | {:.0} | ",
            rounds(spread),
            rounds(decided),
            op(messages),
            op(bytes),
            op(op_bytes),
            each(idle_messages),
            each(idle_bytes),
        )
    }
}
