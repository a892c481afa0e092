//! Explains in plain sentences why a registration or a name has its present state.

use crate::clock::{NodeId, Stamp};
use crate::model::{
    AwaitedMember, Case, Claim, Contender, DecidingOp, EndReason, Explanation, Name, Span, Status, Tenure, Time,
    Waiting,
};
use crate::name::shown;
use crate::replica::{Awaited, ClaimExplanation, NameExplanation, RegistrationExplanation, Rival, Wait, WaitFor};

const FIRST_COME: &str = "A free name goes to whoever claims it first.";
const EARLIEST: &str = "Of several claims to one name the earliest counts, on every node: the lowest timestamp, then the \
                        lowest node id. An outcome is final once no member can come up with an earlier claim and more \
                        than half of the members hold this one.";
const ALL_OR_NONE: &str = "A registration gets all of its names or none.";
const FIRST_OF_ID: &str =
    "Of several requests with one id the earliest is the registration; the others count for nothing.";
const EXPIRY: &str = "A reservation that is not activated ends once the clocks of all members have passed its end.";
const RELEASE: &str = "A name that is given up is free for others once no member can come up with anything earlier and \
                       more than half of the members hold the release.";
const ERASED: &str = "Whoever holds a registration can have its owner, names and metadata erased. That is done at every \
                      node once it is final that the names are given up.";
const ENDED: &str = "A name whose claim has ended for good is free for whoever claims it next.";

impl From<RegistrationExplanation> for Explanation {
    fn from(facts: RegistrationExplanation) -> Self {
        let (case, summary, rule) = words(&facts);
        let waiting_for: Vec<_> = facts.wait.iter().flat_map(|wait| &wait.members).map(awaited).collect();
        Self {
            subject: facts.registration.id.to_string(),
            case,
            summary,
            rule,
            decided_by: ops(&facts),
            until: facts.wait.as_ref().map(until),
            waiting_for,
        }
    }
}

impl From<NameExplanation> for Explanation {
    fn from(NameExplanation { name, was_claimed, tenure, holder }: NameExplanation) -> Self {
        let subject = format!("{}/{}", name.namespace, name.name);
        if let Some(holder) = holder {
            return Self { subject, ..holder.into() };
        }
        let (case, summary, rule) = match &tenure {
            None if !was_claimed => {
                let summary = format!(
                    "Nobody has ever claimed {subject}, as far as this node knows. It can be claimed here and now."
                );
                (Case::NeverHeld, summary, FIRST_COME)
            }
            None => {
                let summary = format!("{subject} is free, and who had it is forgotten by now.");
                (Case::FreeAgain, summary, ENDED)
            }
            Some(tenure) => (Case::FreeAgain, free_again(&subject, tenure), ENDED),
        };
        let claims = tenure.iter().flat_map(|tenure| std::iter::once(&tenure.holder).chain(&tenure.losers));
        let decided_by = claims.map(|claim| claimed(&name, claim)).collect();
        Self { subject, case, summary, rule: rule.to_owned(), decided_by, waiting_for: Vec::new(), until: None }
    }
}

fn free_again(subject: &str, Tenure { holder: last, since: from, until, .. }: &Tenure) -> String {
    let until = until.map_or_else(String::new, |until| format!(" until {until}"));
    match last.ended {
        Some(EndReason::Rejected) => format!(
            "{subject} is free: owner {} claimed it last, at {from}, and did not get it, because that registration lost \
             another of its names or was a retry.",
            last.owner
        ),
        ended => {
            let how = ended.map_or("ended", how_ended);
            format!("{subject} is free: owner {} had it last, from {from}{until}, and it {how}.", last.owner)
        }
    }
}

/// Describes a claim of a tenure that is over.
fn claimed(name: &Name, claim: &Contender) -> DecidingOp {
    let outcome = match claim.ended {
        Some(EndReason::Rejected) | None => "did not get it",
        Some(EndReason::Released) => "had it and gave it up",
        Some(EndReason::Expired) => "had it reserved until its time was over",
        Some(EndReason::Replaced) => "had it and took another one in its place",
    };
    let retry = if claim.twin { ", as a retry of an earlier request" } else { "" };
    DecidingOp {
        stamp: claim.stamp,
        node: claim.stamp.node,
        label: claim.label.clone(),
        at: claim.accepted_at,
        what: format!(
            "claims {}/{} for owner {}{retry}, who {outcome}",
            name.namespace,
            shown(&name.name),
            claim.owner
        ),
    }
}

fn words(facts: &RegistrationExplanation) -> (Case, String, String) {
    let view = &facts.registration;
    let (owner, names) = (&view.owner, list(&view.names));
    let twins = twins(facts);
    if view.erased {
        let was = if view.status == Status::Rejected { "rejected" } else { "confirmed" };
        let since = view.accepted_at;
        let summary =
            format!("The registration of {since} was {was}, is over and was erased: its owner and its names are gone.");
        return (Case::Erased, summary, ERASED.to_owned());
    }
    match view.status {
        Status::Rejected | Status::Contested => lost(facts, &names),
        Status::Pending => {
            let missing = match facts.wait.as_ref().map(|wait| wait.what) {
                Some(WaitFor::Held { by, of }) => {
                    format!("{by} of {of} members hold it, as far as this node knows, and more than half have to")
                }
                _ => "an earlier one may still come from a member that has not been heard of since".to_owned(),
            };
            let summary = format!(
                "Owner {owner}'s claim to {names} is the earliest that this node knows of, but not final: \
                 {missing}.{twins}"
            );
            (Case::Pending, summary, rules(facts, EARLIEST))
        }
        Status::Confirmed => confirmed(facts, &names),
    }
}

fn confirmed(facts: &RegistrationExplanation, names: &str) -> (Case, String, String) {
    let view = &facts.registration;
    let (owner, since, twins) = (&view.owner, view.accepted_at, twins(facts));
    let live: Vec<_> = view.names.iter().filter(|name| name.ended.is_none()).cloned().collect();
    if live.is_empty() {
        let ends: Vec<_> = facts.claims.iter().map(|claim| ended(facts, claim)).collect();
        let summary = format!("Owner {owner} had {names} from {since}: {}.{twins}", ends.join("; "));
        return (Case::Ended, summary, ENDED.to_owned());
    }
    match facts.wait.as_ref().map(|wait| wait.what) {
        Some(WaitFor::Release) => {
            let going = facts.claims.iter().filter(|of| of.released && of.claim.ended.is_none());
            let going: Vec<_> = going.map(|of| of.claim.clone()).collect();
            let summary = format!(
                "Owner {owner} has given up {}, but that is not final: the name is neither theirs nor free yet.{twins}",
                list(&going)
            );
            (Case::Releasing, summary, RELEASE.to_owned())
        }
        Some(WaitFor::Expiry(end)) => {
            let summary = format!(
                "Owner {owner}'s reservation of {names} was until {} and was not activated. It ends once every member's \
                 clock is known to have passed that time, and the names stay taken until then.{twins}",
                end
            );
            (Case::Expiring, summary, EXPIRY.to_owned())
        }
        _ => {
            let (case, how) = match view.expires_at {
                Some(end) => (
                    Case::Reserved,
                    format!("has {} reserved until {}, and for good if it is activated before", list(&live), end),
                ),
                None => (Case::Confirmed, format!("has {}", list(&live))),
            };
            let summary = format!(
                "Owner {owner} {how}: the registration of {since} is confirmed, which is never taken back.{twins}"
            );
            let rule = rules(facts, EARLIEST);
            let rule = if case == Case::Reserved { format!("{rule} {EXPIRY}") } else { rule };
            (case, summary, rule)
        }
    }
}

fn lost(facts: &RegistrationExplanation, names: &str) -> (Case, String, String) {
    let view = &facts.registration;
    let (owner, twins) = (&view.owner, twins(facts));
    let why = facts.claims.iter().find_map(|claim| {
        let (name, by) = (&claim.claim, claim.lost_to.as_ref()?);
        let earlier = earlier(by.stamp, view.stamp);
        let at = node(by.stamp.node, facts.labels.get(&by.stamp.node).map_or("", String::as_str));
        Some(format!("{} claimed {}/{} at node {at} {earlier}", who(&by.owner), name.namespace, shown(&name.name)))
    });
    let why = why.unwrap_or_else(|| "an earlier request with the same id counts instead".to_owned());
    if view.status == Status::Contested {
        let summary = format!(
            "Owner {owner}'s claim to {names} will most likely be rejected: {why}. That is not final yet.{twins}"
        );
        return (Case::Contested, summary, rules(facts, EARLIEST));
    }
    let got = if view.names.len() > 1 { "got none of" } else { "did not get" };
    let freeing = if facts.wait.is_none() {
        ""
    } else {
        " Where it was first, the name is free for others once every member can no longer come up with anything earlier."
    };
    let summary = format!("Owner {owner} {got} {names}: {why}. That is final.{freeing}{twins}");
    (Case::Rejected, summary, rules(facts, EARLIEST))
}

/// Returns the rule, with those about several names and about retries where they apply.
fn rules(facts: &RegistrationExplanation, rule: &str) -> String {
    let several = (facts.registration.names.len() > 1).then_some(ALL_OR_NONE);
    let retried = (!facts.twins.is_empty()).then_some(FIRST_OF_ID);
    [Some(rule), several, retried].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn twins(facts: &RegistrationExplanation) -> String {
    let nodes: Vec<_> = facts
        .twins
        .iter()
        .map(|twin| {
            let label = facts.labels.get(&twin.node).map_or("", String::as_str);
            format!("at node {} at {}", node(twin.node, label), Time(twin.hlc.millis()))
        })
        .collect();
    if nodes.is_empty() {
        return String::new();
    }
    format!(" The same request was accepted again {}, which counts for nothing.", nodes.join(" and "))
}

fn ended(facts: &RegistrationExplanation, claim: &ClaimExplanation) -> String {
    let name = &claim.claim;
    let how = name.ended.map_or("ended", how_ended);
    let when = claim.ended_at.map_or_else(String::new, |at| format!(" at {at}"));
    let by = claim.replaced_by.as_ref().map_or_else(String::new, |by| format!(" by registration {}", by.registration));
    let which = if facts.registration.names.len() > 1 {
        format!("{}/{}", name.namespace, shown(&name.name))
    } else {
        "it".to_owned()
    };
    format!("{which} {how}{by}{when}")
}

fn how_ended(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Released => "was released",
        EndReason::Expired => "ended as a reservation that nobody activated",
        EndReason::Replaced => "was replaced",
        EndReason::Rejected => "was rejected",
    }
}

/// Returns the registration's own op, the ops that it lost to, and the ops that lost to it.
fn ops(facts: &RegistrationExplanation) -> Vec<DecidingOp> {
    let view = &facts.registration;
    let op = |stamp: Stamp, what: String| DecidingOp {
        stamp,
        node: stamp.node,
        label: facts.labels.get(&stamp.node).cloned().unwrap_or_default(),
        at: Time(stamp.hlc.millis()),
        what,
    };
    let claims = if view.erased { "names that were erased since".to_owned() } else { list(&view.names) };
    let mut ops = vec![op(view.stamp, format!("claims {claims} for {}: this one", who(&view.owner)))];
    for claim in &facts.claims {
        let name = &claim.claim;
        let rival = |rival: &Rival, came: &str| {
            let (who, id) = (who(&rival.owner), rival.registration);
            op(
                rival.stamp,
                format!("claims {}/{} for {who}, registration {id}: {came}", name.namespace, shown(&name.name)),
            )
        };
        ops.extend(claim.lost_to.iter().map(|by| rival(by, "the earliest")));
        ops.extend(claim.won_against.iter().map(|other| rival(other, later(other.status))));
        let replaced = |by: &Rival| {
            op(
                by.stamp,
                format!(
                    "takes the place of {}/{}, registration {}",
                    name.namespace,
                    shown(&name.name),
                    by.registration
                ),
            )
        };
        ops.extend(claim.replaced_by.iter().map(replaced));
    }
    ops.extend(facts.twins.iter().map(|twin| op(*twin, "the same request again: it counts for nothing".to_owned())));
    ops.sort_by_key(|op| op.stamp);
    ops
}

/// An owner without a name has been erased.
fn who(owner: &str) -> String {
    if owner.is_empty() {
        "somebody who was erased since".to_owned()
    } else {
        format!("owner {}", crate::name::escaped(owner))
    }
}

fn later(status: Status) -> &'static str {
    if status == Status::Rejected { "later, rejected" } else { "later" }
}

fn awaited(member: &Awaited) -> AwaitedMember {
    let since = member.waiting.since;
    let why = match (member.skewed, member.leaves, member.connected, since) {
        (Some(ahead), ..) => {
            format!("its ops are {ahead} ms ahead of the cluster's time, so they are not taken until that is put right")
        }
        (_, true, ..) => "it is on its way out of the cluster".to_owned(),
        (_, _, true, _) => "it is connected and has yet to answer".to_owned(),
        (_, _, false, Some(since)) => format!("it is not connected, and was last heard of at {since}"),
        (_, _, false, None) => "it is not connected, and was not heard of since this node started".to_owned(),
    };
    let Waiting { node, label, reason, .. } = member.waiting.clone();
    AwaitedMember { node, label, reason, since, why }
}

/// Says what ends the wait.
fn until(wait: &Wait) -> String {
    let of = |which: &dyn Fn(&&Awaited) -> bool| {
        let members = wait.members.iter().filter(|member| which(member));
        members.map(|member| name_of(member.waiting.node, &member.waiting.label)).collect::<Vec<_>>()
    };
    let (skewed, leaving) = (of(&|member| member.skewed.is_some()), of(&|member| member.leaves));
    let is_silent = |member: &Awaited| !member.connected && !member.leaves && member.skewed.is_none();
    let silent = of(&|member| is_silent(member));
    let evictable = of(&|member| is_silent(member) && member.evictable);
    let mut ends = Vec::new();
    if !skewed.is_empty() {
        ends.push(format!("the clock of {} is put right", skewed.join(" and ")));
    }
    if !leaving.is_empty() {
        ends.push(format!("{} is out, which 'forename member list' shows the state of", leaving.join(" and ")));
    }
    if !silent.is_empty() {
        let back = format!("{} can be reached again", silent.join(" and "));
        let evict: Vec<_> = evictable.iter().map(|member| format!("'forename member evict {member}'")).collect();
        // An eviction is advised only where this node can begin one: on the smaller side of a cut it would hit healthy
        // members.
        ends.push(if evict.is_empty() {
            format!("{back}; this node is not in contact with a majority that could go on without, so it may be cut off itself")
        } else {
            let them = if evict.len() == 1 { "it" } else { "them" };
            format!("{back}, or an operator puts {them} out of the cluster for good with {}", evict.join(" and "))
        });
    }
    if ends.is_empty() {
        return "All who are waited for are connected: it takes a round trip to the farthest member. Ask again in a \
                moment."
            .to_owned();
    }
    format!("The wait ends when {}.", ends.join(", and "))
}

fn name_of(node: NodeId, label: &str) -> String {
    if label.is_empty() { node.to_string() } else { crate::name::escaped(label).into_owned() }
}

fn node(node: NodeId, label: &str) -> String {
    if label.is_empty() { node.to_string() } else { format!("{label} ({node})") }
}

/// Says by how much one stamp is earlier than another.
fn earlier(first: Stamp, second: Stamp) -> String {
    if first.hlc == second.hlc {
        return "at the very same timestamp, and its node has the lower id".to_owned();
    }
    let millis = second.hlc.millis().since(first.hlc.millis());
    match millis {
        0 => "earlier within the same millisecond".to_owned(),
        1..10_000 => format!("{}.{:03} s earlier", millis / 1000, millis % 1000),
        _ => format!("{} earlier", Span(std::time::Duration::from_secs(millis / 1000))),
    }
}

fn list(names: &[Claim]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{}/{}", name.namespace, shown(&name.name))).collect();
    names.join(" and ")
}
