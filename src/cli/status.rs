//! `forename status`

use clap::Args;
use serde::Serialize;

use super::args::ClientArgs;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::api::{is_silent, label_of};
use crate::client::ClientError;
use crate::clock::NodeId;
use crate::model::{Cluster, Member, MemberState, Time};
use crate::name::escaped;

/// Show the cluster: its members, and what is waited for
///
/// Everything is shown as the node that is asked knows it. 'watermark' is the time up to which every operation has
/// arrived: claims before it can be decided. 'pending' is the number of registrations that are accepted and not
/// decided.
///
/// In the table of members, STATE says how the node that is asked reaches a member. 'silent' are members that it has a
/// connection to and has not heard from for some seconds. PROMISE AGE is the age of a member's last promise; the oldest
/// promise delays the watermark, and with it every outcome. APPLIED is how many ops of the member's log are known here,
/// HOLDS OURS how many ops of this node's log the member holds. CLOCK is the difference between its clock and this
/// node's, WIRE the version that the two speak. FROZEN BY lists the members that accept nothing more of its log,
/// because an eviction is under way.
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// Exit with 10 where something is wrong, and say what: for monitoring
    #[arg(long)]
    check: bool,
    /// Exit with 10 where the node takes no registrations, and say why: for health checks; it takes no API token
    #[arg(long, conflicts_with = "check")]
    ready: bool,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: StatusArgs) -> Outcome {
    let client = args.client.client()?;
    if args.ready {
        return ready(&args.client, client.ready().await);
    }
    let cluster = client.cluster().await?;
    if !args.check {
        output::print(&args.client, &cluster, render)?;
        return Ok(Exit::Done);
    }
    let wrong = troubles(&cluster);
    let checked = Checked { healthy: wrong.is_empty(), wrong, cluster };
    output::print(&args.client, &checked, |checked| match checked.wrong.as_slice() {
        [] => "healthy".to_owned(),
        wrong => wrong.join("\n"),
    })?;
    Ok(if checked.healthy { Exit::Done } else { Exit::Unhealthy })
}

fn ready(args: &ClientArgs, said: Result<(), ClientError>) -> Outcome {
    match said {
        Ok(()) => output::print(args, &serde_json::json!({ "status": "ready" }), |_| "ready".to_owned())?,
        Err(error) => {
            let refused = error.problem().is_some();
            let mut failure = Failure::from(error);
            if refused {
                failure.exit = Exit::Unhealthy;
            }
            return Err(failure);
        }
    }
    Ok(Exit::Done)
}

/// The cluster, and the list of problems.
#[derive(Serialize)]
struct Checked {
    healthy: bool,
    /// One sentence for each problem.
    wrong: Vec<String>,
    cluster: Cluster,
}

fn render(cluster: &Cluster) -> String {
    let member = match (cluster.member, cluster.reader) {
        (true, _) => "a member",
        (false, true) => "a reader, which changes nothing and which nobody waits for",
        (false, false) => "still joining",
    };
    let mut text = format!("node {} ({}), {member}\n", cluster.node, escaped(&cluster.label));
    if let Some(id) = cluster.id {
        text += &format!("cluster {id}\n");
    }
    let watermark = Time(cluster.watermark.millis());
    text += &format!("watermark {watermark}, {} behind\n", output::ago(cluster.time, Some(watermark)));
    text += &format!("{} pending\n", cluster.pending);
    if cluster.events.start != cluster.events.last {
        text += &format!("events after {} to {}\n", cluster.events.start, cluster.events.last);
    }
    for waiting in &cluster.waiting_for {
        text += &format!("  the oldest {}\n", output::waits(waiting, Some(cluster.time)));
    }
    if let Some(at) = cluster.last_backup {
        text += &format!("last backup of this node at {at}, {} ago\n", output::ago(cluster.time, Some(at)));
    }
    for trouble in troubles(cluster) {
        text += &(trouble + "\n");
    }
    text.push('\n');
    text += &membership(cluster);
    text
}

/// What an operator should look at, each in a sentence with the command that helps.
fn troubles(cluster: &Cluster) -> Vec<String> {
    let troubles = cluster.health.iter().flat_map(|health| &health.troubles);
    let said = troubles.map(|trouble| match &trouble.command {
        Some(command) => format!("{}: {command}", escaped(&trouble.why)),
        None => escaped(&trouble.why).into_owned(),
    });
    said.collect()
}

/// Describes the members in a table, then the newcomers, what a departure or eviction under way waits for, and the
/// nodes that are out.
pub(super) fn membership(cluster: &Cluster) -> String {
    let mut text = members(cluster);
    for newcomer in &cluster.newcomers {
        text += &format!("\nwaits to be let in: {} ({})\n", newcomer.node, escaped(&newcomer.label));
        for hindrance in &newcomer.waits_for {
            text += &format!("  {}\n", hindrance.why);
        }
    }
    if !cluster.readers.is_empty() {
        let readers: Vec<_> = cluster.readers.iter().map(ToString::to_string).collect();
        text += &format!("\nreaders that are connected: {}\n", readers.join(", "));
    }
    if let Some(waits) = &cluster.leaving_waits_for {
        text += "\nthis node leaves; 'forename member leave --cancel' has it stay\n";
        if !waits.is_empty() {
            let waits = all_of(cluster, waits.iter());
            text += &format!("  waits for {waits} to hold what it hands over and to be in contact\n");
            text += "  a member that is down for good: 'forename member evict NODE' on one that stays\n";
        }
    }
    if let Some(eviction) = &cluster.eviction {
        text += &format!("\non the way out: {}\n", all_of(cluster, eviction.nodes.iter()));
        if !eviction.waiting_for.is_empty() {
            text += &format!("  waits for {} to join in\n", all_of(cluster, eviction.waiting_for.iter()));
        }
        for missing in &eviction.missing {
            text += &format!("  lacks ops of {} up to {}\n", label_of(cluster, missing.node), missing.seq);
        }
        if !eviction.possible {
            text += "  cannot be done: those who stay are no majority. Bring more of the others back; where they are lost for \
                     good, 'forename recover' makes a cluster of what one directory holds\n";
        }
    }
    if !cluster.evicted.is_empty() {
        let out = cluster.evicted.iter().map(|cut| format!("{} after op {}", cut.node, cut.seq));
        text += &format!("\nout for good: {}\n", out.collect::<Vec<_>>().join(", "));
    }
    if !cluster.banned.is_empty() {
        let banned: Vec<_> = cluster.banned.iter().map(ToString::to_string).collect();
        text += &format!("\nbanned: {}; 'forename member unban NODE' lets one in again\n", banned.join(", "));
    }
    text
}

fn all_of<'a>(cluster: &Cluster, nodes: impl Iterator<Item = &'a NodeId>) -> String {
    nodes.map(|node| label_of(cluster, *node)).collect::<Vec<_>>().join(", ")
}

fn members(cluster: &Cluster) -> String {
    let header =
        ["NODE", "LABEL", "ADDRESS", "STATE", "PROMISE AGE", "APPLIED", "HOLDS OURS", "CLOCK", "WIRE", "FROZEN BY"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(cluster.members.iter().map(|member| row(cluster, member)));
    output::table(&rows)
}

fn row(cluster: &Cluster, member: &Member) -> Vec<String> {
    let silent = is_silent(cluster, member);
    let here = match (member.node == cluster.node, member.connected, silent) {
        (true, ..) => "this node",
        (false, true, false) => "connected",
        (false, true, true) => "silent",
        (false, false, _) => "not connected",
    };
    let state = match member.state {
        MemberState::Member => here.to_owned(),
        MemberState::Leaving => format!("leaving, {here}"),
        MemberState::Evicting => format!("being evicted, {here}"),
    };
    let promise = (member.promise.0 > 0).then(|| Time(member.promise.millis()));
    vec![
        member.node.to_string(),
        member.label.clone(),
        member.address.clone(),
        state,
        output::ago(cluster.time, promise),
        member.applied.to_string(),
        member.holds_ours.to_string(),
        member.clock_offset_ms.map_or_else(|| "-".to_owned(), |offset| format!("{offset:+} ms")),
        member.wire.clone().unwrap_or_else(|| "-".to_owned()),
        frozen_by(cluster, member),
    ]
}

/// Returns the members that accept nothing more of its log.
fn frozen_by(cluster: &Cluster, member: &Member) -> String {
    let short = |node: &NodeId| {
        let label = cluster.members.iter().find(|known| known.node == *node).map(|known| known.label.clone());
        label.filter(|label| !label.is_empty()).unwrap_or_else(|| node.to_string())
    };
    let by: Vec<_> = member.frozen_by.iter().map(short).collect();
    if by.is_empty() { "-".to_owned() } else { by.join(", ") }
}
