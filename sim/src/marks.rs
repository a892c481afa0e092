//! Rare branches. A round of seeds says which were never reached, and fails on those that it must reach.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::NodeId;
use forename::crdt::{Body, Op};
use forename::replica::{EndReason, Event, EventType, Lane, Message, NameEnd};

use crate::oracle::Verdicts;
use crate::world::World;

/// Marks that a round of a few hundred seeds must reach.
pub const REQUIRED: &[&str] = &[
    "a client finds its node down",
    "a client is told of a confirmation",
    "a client is told of a contest",
    "a client is told of a rejection",
    "a client is told to wait",
    "a client sees a release",
    "a client sees a rename",
    "a client sees an expiry",
    "a crash in the middle of a step",
    "a crash loses a batch",
    "a node stops by itself",
    "a sent message dies with its connection",
    "a snapshot is sent",
    "a newcomer is let in",
    "a later twin loses",
    "a later twin comes first",
    "a rejection without a contest",
    "a registration that loses one name frees another",
    "a tie of timestamps",
    "a tenure follows another",
    "a name has a second holder",
    "activated in time",
    "a reservation lasts longer",
    "a registration is erased",
    "an erased name is somebody else's",
    "a later twin is erased with the first",
    "name ended: expired",
    "name ended: released",
    "name ended: replaced",
    "refused: name taken",
    "refused: invalid name",
    "refused: invalid request",
    "refused: id reused",
    "refused: no registration",
    "refused: not held",
    "refused: too late",
    "refused: permanent",
    "refused: not a member",
    "refused: clock suspect",
    "ops of a third party",
    "a clock too far ahead is told so",
    "a client goes to another node",
    "a client asks another node again",
    "a disk is full",
    "ops leave a log",
    "a registration that is over is forgotten",
    "a reader goes on in a new feed",
    "an old disk is put back",
    "an old disk is noticed",
    "a copied directory runs again",
    "a copy of a directory runs in its place",
    "an old disk goes on",
    "a liar is heard",
    "a cluster is recovered",
    "a liar is given a snapshot",
    "a majority lives on",
    "a minority lives on",
    "an operator puts a lost member out",
    "no majority is left",
    "a clock stays wrong",
    "a node refuses names until its clock is right",
    "a node has left",
    "a node comes back after an eviction",
    "refused: leaving",
    "refused: no majority",
    "refused: not in contact",
    "refused: unavailable",
    "a snapshot is cut off",
    "ops by bulk",
    "more ops than one message carries",
    "an operator sets rules",
    "rules set at two nodes",
    "refused: namespace in use",
    "refused: reserved name",
    "refused: needs read",
    "refused: too many open to a token",
    "a history has several pages",
    "the exception report has several pages",
    "alternatives are suggested",
    "a private name is won",
    "a private name is lost",
];

/// Marks that a round may miss.
pub const RARE: &[&str] = &[
    "evictions that crossed",
    "machines are lost while members come or go",
    "a newcomer waits until its clock is right",
    "wrong clocks are no minority of those left",
    "those who are lost put out the others",
    "nobody is left who has the state",
    "what an old disk lacks is forgotten",
    "an old disk catches up",
    "refused: last member",
];

impl World {
    /// The rare branches that what became of registrations shows.
    pub(crate) fn mark_fates(&mut self, verdicts: &Verdicts) {
        let feeds = 0..self.machines.len();
        let told: BTreeSet<_> = feeds.flat_map(|host| self.ledger.told_events(host)).collect();
        let mut hlcs = BTreeSet::new();
        for (stamp, fate) in &verdicts.fates {
            if !fate.first {
                self.mark("a later twin loses");
            }
            if !fate.first && told.contains(&(EventType::Accepted, *stamp)) {
                self.mark("a later twin comes first");
            }
            if fate.first && !fate.won && !told.contains(&(EventType::Contested, *stamp)) {
                self.mark("a rejection without a contest");
            }
            if !fate.won && fate.register.claims.len() > 1 {
                self.mark("a registration that loses one name frees another");
            }
            if fate.register.claims.iter().any(|claim| claim.after.is_some()) {
                self.mark("a tenure follows another");
            }
            if !hlcs.insert(stamp.hlc) {
                self.mark("a tie of timestamps");
            }
        }
        let mut setters: BTreeMap<&String, BTreeSet<NodeId>> = BTreeMap::new();
        for op in self.ledger.ops() {
            if let Body::Namespace { namespace, .. } = &op.body {
                setters.entry(namespace).or_default().insert(op.node);
            }
        }
        if setters.values().any(|nodes| nodes.len() > 1) {
            self.mark("rules set at two nodes");
        }
        self.mark_extensions(verdicts);
        self.mark_admissions();
    }

    fn mark_extensions(&mut self, verdicts: &Verdicts) {
        let extends = |op: &Op| match &op.body {
            Body::Extend { registration, expires } => Some((*registration, (op.stamp(), *expires))),
            _ => None,
        };
        let extensions: Vec<_> = self.ledger.ops().filter_map(extends).collect();
        for (registration, (by, until)) in extensions {
            let Some(first) = verdicts.fates.get(&registration).and_then(|fate| fate.register.expires) else {
                continue;
            };
            let end = verdicts.ends.get(&registration).copied().unwrap_or_default();
            if until <= end && until > first {
                self.mark("a reservation lasts longer");
            }
            if until > end {
                self.mark("an extension comes too late");
            }
            if by.hlc >= first && by.hlc < end {
                self.mark("an extension rests on another");
            }
        }
    }

    pub(crate) fn mark_admissions(&mut self) {
        let mut sponsors = BTreeSet::new();
        let mut twice = false;
        for op in self.ledger.ops() {
            if let Body::Admit { node, .. } = &op.body {
                twice |= !sponsors.insert(*node);
            }
        }
        if twice {
            self.mark("two let one newcomer in");
        }
    }

    pub(crate) fn mark_events(&mut self, events: &[Event]) {
        for event in events {
            match (event.event_type, &event.ended) {
                (EventType::Activated, _) => self.mark("activated in time"),
                (_, Some(NameEnd { reason: EndReason::Expired, .. })) => self.mark("name ended: expired"),
                (_, Some(NameEnd { reason: EndReason::Released, .. })) => self.mark("name ended: released"),
                (_, Some(NameEnd { reason: EndReason::Replaced, .. })) => self.mark("name ended: replaced"),
                _ => {}
            }
        }
    }

    pub(crate) fn note_message(&mut self, message: &Message, lane: Lane) {
        match message {
            Message::Ops { ops, more } => {
                if lane == Lane::Bulk {
                    self.mark("ops by bulk");
                }
                if *more {
                    self.mark("more ops than one message carries");
                }
                if ops.iter().any(|op| op.node != ops[0].node) {
                    self.mark("ops of a third party");
                }
            }
            Message::Skewed { .. } => self.mark("a clock too far ahead is told so"),
            Message::Installed { .. } => self.mark("a newcomer is let in"),
            _ => {}
        }
    }
}
