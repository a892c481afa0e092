//! `forename status`

use clap::Args;

use super::{ClientArgs, Exit, Outcome, output};
use crate::api::json::{Cluster, Member, Time};

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: StatusArgs) -> Outcome {
    let cluster = args.client.client()?.cluster().await?;
    output::print(&args.client, &cluster, render)?;
    Ok(Exit::Done)
}

fn render(cluster: &Cluster) -> String {
    let member = if cluster.member { "a member" } else { "still joining" };
    let mut text = format!("node {} ({}), {member}\n", cluster.node, cluster.label);
    let watermark = Time(cluster.watermark.millis());
    text += &format!("watermark {watermark}, {} behind\n", output::ago(cluster.time, Some(watermark)));
    text += &format!("{} pending\n", cluster.pending);
    for waiting in &cluster.waiting_for {
        let since = match waiting.since {
            Some(since) => format!("since {since} ({} ago)", output::ago(cluster.time, Some(since))),
            None => "since this node started".to_owned(),
        };
        text += &format!("  the oldest waits for {} ({}), not heard of {since}\n", waiting.node, waiting.label);
    }
    if let Some(offset) = cluster.clock_suspect_ms {
        text += &format!("this node's clock is off by {offset} ms: it refuses new registrations\n");
    }
    text.push('\n');
    text += &members(cluster);
    for member in &cluster.members {
        if let Some(skewed) = member.skewed_ms {
            let (node, label) = (member.node, &member.label);
            text += &format!("\nops of {node} ({label}) are not taken: their timestamps are {skewed} ms ahead\n");
        }
    }
    text
}

/// The members as a table.
pub(super) fn members(cluster: &Cluster) -> String {
    let header = ["NODE", "LABEL", "ADDRESS", "STATE", "PROMISE AGE", "APPLIED", "HOLDS OURS", "CLOCK"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(cluster.members.iter().map(|member| row(cluster, member)));
    output::table(&rows)
}

fn row(cluster: &Cluster, member: &Member) -> Vec<String> {
    let state = match (member.node == cluster.node, member.member, member.connected) {
        (true, true, _) => "this node",
        (true, false, _) => "this node, joining",
        (false, true, true) => "connected",
        (false, true, false) => "not connected",
        (false, false, true) => "joining",
        (false, false, false) => "joining, not connected",
    };
    let promise = (member.promise.0 > 0).then(|| Time(member.promise.millis()));
    vec![
        member.node.to_string(),
        member.label.clone(),
        member.address.clone(),
        state.to_owned(),
        output::ago(cluster.time, promise),
        member.applied.to_string(),
        member.holds_ours.to_string(),
        member.clock_offset_ms.map_or_else(|| "-".to_owned(), |offset| format!("{offset:+} ms")),
    ]
}
