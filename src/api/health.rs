//! The health of a node: its verdict, and for each trouble a sentence and a command for the operator. `GET
//! /v1/cluster`, `/readyz`, `forename status` and the dashboard all show it.

use crate::clock::NodeId;
use crate::model::{Cluster, Health, Member, Problem, Trouble, Verdict};
use crate::name::escaped;
use crate::node::disk_hangs;
use crate::replica::Refusal;

/// A member that was not heard of for this many milliseconds is silent. Promises come once a second where nothing
/// happens.
const SILENT_AFTER: u64 = 5000;

/// Returns the refusal with which this node answers new registrations; none where it takes them. A reader takes none as
/// long as it lives, so for one it is the reason why its answers may be old.
pub(super) fn refusal(view: &Cluster, disk_low: Option<Refusal>) -> Option<Refusal> {
    if view.reader {
        let hears = view.members.iter().any(|member| member.connected && !is_silent(view, member));
        let hangs = view.disk_hangs_ms.map(disk_hangs);
        let deaf = (!hears).then(|| "this reader hears of no member, so what it answers may be old".to_owned());
        return hangs.or(deaf).map(Refusal::Unavailable);
    }
    if view.leaving_waits_for.is_some() {
        Some(Refusal::Leaving)
    } else if !view.member {
        Some(Refusal::NotMember)
    } else if let Some(offset) = view.clock_suspect_ms {
        Some(Refusal::ClockSuspect { offset })
    } else {
        view.disk_hangs_ms.map(|ms| Refusal::Unavailable(disk_hangs(ms))).or(disk_low)
    }
}

pub(super) fn health(view: &Cluster, disk_low: Option<Refusal>) -> Health {
    let refused = refusal(view, disk_low);
    let takes_none = refused.is_some();
    let mut troubles: Vec<_> = refused.map(|refusal| read_only(view, refusal)).into_iter().collect();
    troubles.extend(joining(view));
    troubles.extend(forks(view));
    troubles.extend(view.members.iter().filter(|member| member.node != view.node).flat_map(|of| member(view, of)));
    troubles.extend(eviction(view));
    troubles.extend(overdue(view));
    let verdict = match (takes_none, troubles.is_empty()) {
        (true, _) => Verdict::ReadOnly,
        (false, false) => Verdict::Degraded,
        (false, true) => Verdict::Healthy,
    };
    Health::new(verdict, troubles)
}

fn read_only(view: &Cluster, refusal: Refusal) -> Trouble {
    let command = match (&refusal, view.clock_suspect_ms) {
        (Refusal::Leaving, _) => Some("forename member leave --cancel"),
        (Refusal::NotMember, _) => Some("forename member list"),
        (_, Some(_)) => Some("timedatectl timesync-status"),
        _ => None,
    };
    let why = match (&refusal, view.clock_suspect_ms) {
        (Refusal::ClockSuspect { .. }, Some(offset)) => format!(
            "this node's clock is {} ms {} the median of the members: it takes no registrations until it is right",
            offset.unsigned_abs(),
            if offset > 0 { "behind" } else { "ahead of" }
        ),
        (Refusal::Unavailable(why), _) if view.reader => why.clone(),
        (Refusal::Unavailable(why), _) => format!("this node takes no registrations: {why}"),
        _ => refusal.to_string(),
    };
    let code = Problem::from(refusal).problem_type.name();
    Trouble::new(code, vec![view.node], why, command.map(str::to_owned))
}

fn joining(view: &Cluster) -> impl Iterator<Item = Trouble> {
    view.joining_waits_for.iter().map(|hindrance| {
        let why = format!("this node waits to be let in: {}", hindrance.why);
        Trouble::new("joining", hindrance.nodes.clone(), why, None)
    })
}

fn forks(view: &Cluster) -> impl Iterator<Item = Trouble> {
    view.forks.iter().map(|fork| {
        let why = format!(
            "ALARM: {} holds another op {} of {}'s log than this node: its data directory was put back or ran twice. Nothing \
             more of that log is decided until it has come back under a new id: run 'forename rejoin' on it",
            label_of(view, fork.by),
            fork.seq,
            label_of(view, fork.origin)
        );
        Trouble::new("fork", vec![fork.origin], why, Some("forename rejoin --data-dir DIR".to_owned()))
    })
}

fn member(view: &Cluster, member: &Member) -> Vec<Trouble> {
    let who = label_of(view, member.node);
    let mut troubles = Vec::new();
    let mut say = |code, why, command| troubles.push(Trouble::new(code, vec![member.node], why, command));
    if let Some(skewed) = member.skewed_ms {
        say("skewed", format!("ops of {who} are not taken for now: their timestamps are {skewed} ms ahead"), None);
    }
    if let Some(skewed) = member.refuses_ours_ms {
        say(
            "refuses-ours",
            format!("{who} does not take this node's ops for now: to it they are {skewed} ms ahead"),
            None,
        );
    }
    let silent = is_silent(view, member);
    if silent || !member.connected {
        let heard = match member.heard_at {
            Some(at) => format!("was last heard of at {at}"),
            None => "was not heard of since this node started".to_owned(),
        };
        let link = if member.connected { "connected and silent" } else { "not connected" };
        let (effect, command) = if !silent {
            (String::new(), None)
        } else if can_evict(view, member.node) {
            let label = if member.label.is_empty() { member.node.to_string() } else { member.label.clone() };
            let effect =
                ": outcomes wait until it can be reached again, or an operator puts it out of the cluster for good";
            (effect.to_owned(), Some(format!("forename member evict {}", quoted(&label))))
        } else {
            let effect = ": outcomes wait until it can be reached again; this node is not in contact with a majority that could \
                          go on without, so it may be cut off itself";
            (effect.to_owned(), Some("forename member list".to_owned()))
        };
        let code = if silent { "silent" } else { "unconnected" };
        say(code, format!("{who} is {link}, and {heard}{effect}"), command);
    }
    troubles
}

fn eviction(view: &Cluster) -> Option<Trouble> {
    let eviction = view.eviction.as_ref()?;
    let mut why = format!("an eviction is under way: of {}", all_of(view, &eviction.nodes));
    if !eviction.waiting_for.is_empty() {
        why += &format!("; it waits for {} to join in", all_of(view, &eviction.waiting_for));
    }
    if !eviction.possible {
        why += "; it cannot be done, as those who stay are no majority: bring more of the others back";
    }
    Some(Trouble::new("eviction", eviction.nodes.clone(), why, Some("forename member list".to_owned())))
}

fn overdue(view: &Cluster) -> Option<Trouble> {
    let overdue = view.overdue.as_ref()?;
    let nodes: Vec<_> = overdue.waiting_for.iter().map(|waiting| waiting.node).collect();
    let why = format!("a reservation was to end at {} and waits for {}", overdue.since, all_of(view, &nodes));
    Some(Trouble::new("overdue", nodes, why, None))
}

/// Returns true where the member was heard of before and then was silent for some time. A node that has just started
/// has heard of nobody yet, so such a member counts as silent where it is not connected.
pub(crate) fn is_silent(view: &Cluster, member: &Member) -> bool {
    if member.node == view.node {
        return false;
    }
    match member.heard_at {
        None => !member.connected,
        Some(heard) => view.time.0.0.saturating_sub(heard.0.0) >= SILENT_AFTER,
    }
}

/// Returns true where the members in contact are a majority without that member. On the smaller side of a cut the
/// advice to evict would hit healthy members.
fn can_evict(view: &Cluster, gone: NodeId) -> bool {
    let in_contact = |member: &&Member| {
        member.node != gone && (member.node == view.node || member.connected && !is_silent(view, member))
    };
    view.member && view.members.iter().filter(in_contact).count() * 2 > view.members.len()
}

/// Returns a label quoted as one word of a shell command.
fn quoted(label: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if label.chars().all(plain) { label.to_owned() } else { format!("'{}'", label.replace('\'', "'\\''")) }
}

fn all_of(view: &Cluster, nodes: &[NodeId]) -> String {
    nodes.iter().map(|node| label_of(view, *node)).collect::<Vec<_>>().join(", ")
}

/// Returns the label and the id of a node.
pub(crate) fn label_of(view: &Cluster, node: NodeId) -> String {
    match view.members.iter().find(|member| member.node == node) {
        Some(member) if !member.label.is_empty() => format!("{} ({node})", escaped(&member.label)),
        _ => node.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Eviction, Time};

    /// Returns three members as the first one sees them, all in contact.
    fn three() -> Cluster {
        let member = |node: u64| {
            serde_json::json!({
                "node": NodeId(node << 16).to_string(), "label": format!("n {node}"), "address": "a", "connected": true,
                "promise": "0.0", "heard_at": "2026-01-01T00:00:00Z", "applied": 1, "holds_ours": 1
            })
        };
        serde_json::from_value(serde_json::json!({
            "node": NodeId(1 << 16).to_string(), "label": "n 1", "member": true, "time": "2026-01-01T00:00:01Z",
            "members": [member(1), member(2), member(3)], "watermark": "0.0", "pending": 0, "waiting_for": []
        }))
        .unwrap()
    }

    fn codes(view: &Cluster) -> (Verdict, Vec<String>) {
        let health = health(view, None);
        (health.verdict, health.troubles.into_iter().map(|trouble| trouble.code).collect())
    }

    #[test]
    fn a_member_out_of_reach_degrades_and_is_to_be_evicted_where_a_majority_is_left() {
        let mut view = three();
        assert_eq!(codes(&view), (Verdict::Healthy, vec![]));
        view.members[2].connected = false;
        assert_eq!(codes(&view), (Verdict::Degraded, vec!["unconnected".to_owned()]));
        view.members[2].heard_at = Some(Time(crate::clock::Millis(1)));
        let trouble = health(&view, None).troubles.remove(0);
        assert_eq!(trouble.code, "silent");
        assert!(trouble.why.contains("n 3 (") && trouble.why.contains("1970-01-01"), "{}", trouble.why);
        assert_eq!(trouble.command.as_deref(), Some("forename member evict 'n 3'"));
        // The third member is out of contact too, so this node may be the one that is cut off.
        view.members[1].heard_at = None;
        view.members[1].connected = false;
        let commands: Vec<_> = health(&view, None).troubles.into_iter().map(|trouble| trouble.command).collect();
        assert_eq!(commands, vec![Some("forename member list".to_owned()); 2]);
    }

    #[test]
    fn a_node_that_takes_no_registrations_is_read_only_and_says_why() {
        let mut view = three();
        view.clock_suspect_ms = Some(-60_000);
        let suspect = health(&view, None);
        assert_eq!((suspect.verdict, suspect.troubles[0].code.as_str()), (Verdict::ReadOnly, "clock-suspect"));
        assert!(suspect.troubles[0].why.contains("60000 ms ahead of the median"), "{:?}", suspect.troubles);
        let low = health(&three(), Some(Refusal::DiskLow { free: 1, least: 2 }));
        assert_eq!((low.verdict, low.troubles[0].code.as_str()), (Verdict::ReadOnly, "disk-low"));
        view.leaving_waits_for = Some(vec![]);
        assert_eq!(codes(&view).1, ["leaving"]);
        view = three();
        view.member = false;
        view.eviction = serde_json::from_value::<Option<Eviction>>(serde_json::json!({
            "nodes": [NodeId(2 << 16).to_string()], "waiting_for": [], "missing": [], "possible": false
        }))
        .unwrap();
        assert_eq!(codes(&view), (Verdict::ReadOnly, vec!["not-member".to_owned(), "eviction".to_owned()]));
    }

    #[test]
    fn a_label_is_one_word_of_the_command() {
        for (label, word) in [("three", "three"), ("a b", "'a b'"), ("a'; rm -rf", "'a'\\''; rm -rf'"), ("é", "'é'")]
        {
            assert_eq!(quoted(label), word);
        }
    }
}
