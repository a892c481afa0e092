//! What members issue about who is a member is judged when they issue it, against the world: the newcomer's clock as it is,
//! the machines that have spoken lately, the logs that others have. What a node cannot know yet is held in its favour.

use std::collections::BTreeSet;

use forename::clock::NodeId;
use forename::crdt::{Body, Op, Seq};
use forename::replica::Message;

use crate::checks::ledger::{Checked, broken};
use crate::plan::Host;
use crate::world::World;
use crate::world::machine::{Machine, host_of};
use crate::world::net::Micros;

/// Milliseconds by which a newcomer's clock may be off, and some for what it said to have taken its time.
const CLOCK: u64 = 10_000 + 3000;

/// Clocks that were not touched for so long are what every node takes them for, microseconds.
const SETTLED: Micros = 10_000_000;

/// A member is heard just now if its promise has moved within three heartbeats; it may have said so some relays earlier.
const JUST_NOW: Micros = 3_000_000 + 5_000_000;

impl World {
    /// A host is about to have these ops of its own in its log. What it takes in the same step it may have taken after it issued
    /// them.
    pub(crate) fn judge_admissions(&self, host: Host, ops: &[Op]) -> Checked {
        let judge = |op: &Op| match &op.body {
            Body::Admit { node } => self.judge_admission(host, op, *node),
            _ => Ok(()),
        };
        if self.machines[host].put_back { Ok(()) } else { ops.iter().try_for_each(judge) }
    }

    /// A host has issued these ops, and has them in its log.
    pub(crate) fn judge_issued(&self, host: Host, ops: &[Op]) -> Checked {
        if self.machines[host].put_back {
            return Ok(());
        }
        ops.iter().try_for_each(|op| match &op.body {
            Body::Freeze { node, .. } => self.judge_freeze(host, op, *node),
            Body::Evict { cuts } => self.judge_eviction(host, &cuts.keys().copied().collect()),
            Body::Depart => self.judge_departure(host, op),
            _ => Ok(()),
        })
    }

    /// Whoever lets a newcomer in knows of no eviction that is under way, has heard all members just now, and most of them have
    /// the admissions before; and the newcomer's clock is right.
    fn judge_admission(&self, host: Host, op: &Op, newcomer: NodeId) -> Checked {
        let why = |why: String| broken("admitted", format!("host {host} lets {newcomer} in, though {why}"));
        let mut members = self.roll.members(&self.ledger, host, self.plan.founders);
        members.remove(&newcomer);
        if let Some(frozen) = self.roll.frozen_for(&self.ledger, host, self.plan.founders).first() {
            return why(format!("the eviction of {frozen} is not done"));
        }
        if let Some(silent) = members.iter().find(|member| self.is_silent(host, **member)) {
            return why(format!("{silent} has said nothing for long"));
        }
        for (origin, seq) in self.roll.admissions(&self.ledger, host) {
            let earlier = members.contains(&origin) && (origin, seq) != (op.node, op.seq);
            let holds = |member: &&NodeId| {
                !self.is_present_as(**member) || self.is_old(**member) || self.has(**member, origin, seq)
            };
            let hold = members.iter().filter(holds).count();
            if earlier && 2 * hold <= members.len() {
                return why(format!("{hold} of {} members have the admission {origin}#{seq}", members.len()));
            }
        }
        match self.off_by(host_of(newcomer)) {
            Some(off) if off > CLOCK => why(format!("its clock is off by {off} ms")),
            _ => Ok(()),
        }
    }

    /// Whoever begins an eviction, because an operator wants it, is in contact with a majority that would stay.
    fn judge_freeze(&self, host: Host, op: &Op, whom: NodeId) -> Checked {
        let others =
            self.roll.freezes(&self.ledger, host).any(|(by, seq, node)| node == whom && (by, seq) != (op.node, op.seq));
        // One that stood still reads in one step what was said meanwhile, in any order with the operator's word.
        let stood_still = self.watch.was_upset(host, self.now.saturating_sub(JUST_NOW));
        let begins = !others && !stood_still && self.plan.evict_after.is_none() && self.is_present_as(whom);
        if !begins {
            return Ok(());
        }
        let members = self.roll.members(&self.ledger, host, self.plan.founders);
        let going = self.roll.going(&self.ledger, host);
        let heard = |member: &&NodeId| !going.contains(member) && !self.is_silent(host, **member);
        let count = members.iter().filter(heard).count();
        if 2 * count <= members.len() {
            let text = format!("host {host} begins to evict {whom}, and hears {count} of {} members", members.len());
            return broken("evicts", text);
        }
        Ok(())
    }

    /// Whoever is the first to declare an eviction done has the freezes of all who stay, and these are a majority. Of members that
    /// have begun anew it need not be.
    fn judge_eviction(&self, host: Host, whom: &BTreeSet<NodeId>) -> Checked {
        let mut others = (0..self.machines.len()).filter(|other| *other != host);
        let done = others.any(|other| whom.iter().any(|node| self.ledger.cuts_of(other).contains_key(node)));
        if done || !whom.iter().all(|node| self.is_present_as(*node)) {
            return Ok(());
        }
        let members = self.roll.members(&self.ledger, host, self.plan.founders);
        let stay: Vec<_> = members.difference(whom).copied().collect();
        let freezes: BTreeSet<_> = self.roll.freezes(&self.ledger, host).map(|(by, _, node)| (by, node)).collect();
        // The freeze may be an op of another copy of that member's directory, which the roll does not know.
        let beside = |by: NodeId, node: NodeId| {
            let freezes = |op: &Op| op.node == by && matches!(op.body, Body::Freeze { node: of, .. } if of == node);
            self.ledger.all_ops().any(freezes)
        };
        let has_frozen =
            |by: NodeId, node: NodeId| freezes.contains(&(by, node)) || self.ledger.has_beside(by) && beside(by, node);
        let text = format!("host {host} declares {whom:?} out");
        if let Some(by) = stay.iter().find(|by| whom.iter().any(|node| !has_frozen(**by, *node))) {
            return broken("evicted", format!("{text}, and {by} has not frozen them all"));
        }
        if stay.len() <= whom.len() {
            return broken("evicted", format!("{text}, and {} stay", stay.len()));
        }
        Ok(())
    }

    /// Whoever departs leaves its ops with all members, and somebody who stays.
    fn judge_departure(&self, host: Host, op: &Op) -> Checked {
        let members = self.roll.members(&self.ledger, host, self.plan.founders);
        let others: BTreeSet<_> = members.into_iter().filter(|member| *member != op.node).collect();
        let stays = |member: &&NodeId| self.is_present_as(**member) && !self.roll.departs(**member);
        if others.iter().filter(stays).count() == 0 {
            return broken("departs", format!("host {host} departs, and nobody stays"));
        }
        let lacks = |member: &&NodeId| {
            self.is_present_as(**member) && !self.is_old(**member) && !self.has(**member, op.node, op.seq - 1)
        };
        if let Some(lacks) = others.iter().find(lacks) {
            return broken("departs", format!("host {host} departs, and {lacks} does not have its ops"));
        }
        Ok(())
    }

    /// Whether the node is the one that its machine runs, or would run, now.
    fn is_present_as(&self, node: NodeId) -> bool {
        self.machines.get(host_of(node)).is_some_and(|machine| machine.node == node)
    }

    /// Whether the data directory of a node was replaced by an older copy. The ledger does not know all ops of such a node.
    fn is_old(&self, node: NodeId) -> bool {
        let machine = &self.machines[host_of(node)];
        machine.put_back || machine.halted.is_some()
    }

    /// Whether a node has a log up to an op, in memory or on its disk.
    fn has(&self, node: NodeId, origin: NodeId, seq: Seq) -> bool {
        let applied = |host: Host| self.ledger.applied(host).get(&origin).copied().unwrap_or(0);
        let most = |machine: &Machine| applied(machine.host).max(machine.disk.log(origin));
        node == origin || self.machines.get(host_of(node)).is_some_and(|machine| most(machine) >= seq)
    }

    /// Whether a member cannot have been heard just now: it has said nothing to anybody for long. Where messages take long nobody
    /// can tell, nor in large clusters, where they go by many.
    fn is_silent(&self, host: Host, member: NodeId) -> bool {
        let links = &self.plan.links;
        // Nor one that stood still, and reads only now what was said meanwhile; or that others reach only now, who pass it on.
        let sound = |other: &Machine| {
            let since = self.net.sound_since(host, other.host);
            other.host == host || !other.is_up() || since.is_some_and(|since| since + JUST_NOW < self.now)
        };
        let slow = links.least + links.jitter > 300_000
            || !self.machines.iter().all(sound)
            || self.machines.len() > self.plan.spread.small
            || self.watch.was_upset(host, self.now.saturating_sub(JUST_NOW));
        // Whoever was let in just now may not have said anything yet.
        let since = self.watch.said(member).filter(|_| host_of(member) != host && !slow && self.is_present_as(member));
        since.is_some_and(|since| since + JUST_NOW < self.now)
    }

    /// By how many milliseconds a machine's clock is off from those of all others, where these agree and none was touched lately.
    fn off_by(&self, host: Host) -> Option<u64> {
        let others: Vec<Host> = self.present().into_iter().filter(|other| *other != host).collect();
        let quiet = |host: &Host| self.watch.is_clock_settled(*host, self.now.saturating_sub(SETTLED));
        let clock = |host: Host| self.machines[host].now(self.now).wall.0;
        let time = others.first().map(|other| clock(*other))?;
        let agree = others.iter().all(|other| quiet(other) && clock(*other).abs_diff(time) < 1000);
        (agree && quiet(&host)).then(|| clock(host).abs_diff(time))
    }
}

/// Whether a message carries the promise of the node that sent it, or an op of that node. With the op its peers may come to
/// believe a promise that they have heard before.
pub(crate) fn is_promise(message: &Message, node: NodeId) -> bool {
    match message {
        Message::Vector(vector) => vector.entries.iter().any(|entry| entry.origin == node),
        Message::Ops { ops, .. } => ops.iter().any(|op| op.node == node),
        _ => false,
    }
}
