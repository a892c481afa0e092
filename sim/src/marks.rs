//! Marks: rare branches. A round of seeds reports marks that were never reached, and fails where it must reach them.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::NodeId;
use forename::crdt::NameOp;
use forename::log::{Body, MemberOp, Op};
use forename::model::{EndReason, Event, EventType, Registration, Status};
use forename::replica::any::{Answer, Answered as Reply};
use forename::replica::{Lane, Message, Refusal};

use crate::oracle::Verdicts;
use crate::world::clients::Call;
use crate::world::{Seen, World};

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
    "a crash loses rows that wait",
    "a confirmation is told before its row is durable",
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
    "a holder spells its name otherwise",
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
    "a node that knows nobody any more is told whom to join",
    "what an old disk lacks is forgotten",
    "an old disk catches up",
    "refused: last member",
];

/// The marks that a run has reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    reached: BTreeSet<&'static str>,
}

impl Marks {
    pub(crate) fn mark(&mut self, mark: &'static str) {
        self.reached.insert(mark);
    }

    pub(crate) fn reached(&self) -> &BTreeSet<&'static str> {
        &self.reached
    }

    /// Looks at an event of the run.
    pub(crate) fn saw(&mut self, what: &Seen<'_>, _world: &World) {
        match what {
            Seen::Mark(mark) => self.mark(mark),
            Seen::Sends { message, lane, .. } => self.message(message, *lane),
            Seen::Replies { call, reply, .. } => self.reply(call, reply),
            _ => {}
        }
    }

    fn reply(&mut self, call: &Call, reply: &Reply) {
        match (call, reply) {
            (Call::Check(_), _) => {}
            (Call::Register(_) | Call::About(_), Ok(Answer::Registration(view))) => self.shown(view),
            (_, Ok(Answer::Namespace(_))) => self.mark("an operator sets rules"),
            (Call::Feed(_), Ok(Answer::Events(page))) => self.events(&page.events),
            (Call::Feed(_), Err(Refusal::EventsCompacted { .. })) => {
                self.mark("events leave a feed before they are read");
            }
            (Call::Feed(_), Err(Refusal::CursorUnknown { .. })) => self.mark("a reader goes on in a new feed"),
            (_, Err(refusal)) => self.mark(refused(refusal)),
            _ => {}
        }
    }

    fn shown(&mut self, view: &Registration) {
        self.mark(match view.status {
            Status::Rejected => "a client is told of a rejection",
            Status::Contested => "a client is told of a contest",
            Status::Confirmed => "a client is told of a confirmation",
            Status::Pending => "a client is told to wait",
        });
        for (reason, mark) in [
            (EndReason::Expired, "a client sees an expiry"),
            (EndReason::Replaced, "a client sees a rename"),
            (EndReason::Released, "a client sees a release"),
        ] {
            if view.names.iter().any(|name| name.ended == Some(reason)) {
                self.mark(mark);
            }
        }
    }

    /// Marks the rare branches that the outcomes of registrations show.
    pub(crate) fn at_rest(&mut self, verdicts: &Verdicts, world: &World) {
        let feeds = 0..world.machines.len();
        let told: BTreeSet<_> = feeds.flat_map(|host| world.books.feeds.told(host)).collect();
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
        for op in world.books.ledger.ops() {
            if let Body::Name(NameOp::Namespace { namespace, .. }) = op.body() {
                setters.entry(namespace).or_default().insert(op.node);
            }
        }
        if setters.values().any(|nodes| nodes.len() > 1) {
            self.mark("rules set at two nodes");
        }
        self.extensions(verdicts, world);
        self.admissions(world);
    }

    fn extensions(&mut self, verdicts: &Verdicts, world: &World) {
        let extends = |op: &Op| match op.body() {
            Body::Name(NameOp::Extend { registration, expires }) => Some((*registration, (op.stamp(), *expires))),
            _ => None,
        };
        let extensions: Vec<_> = world.books.ledger.ops().filter_map(extends).collect();
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

    fn admissions(&mut self, world: &World) {
        let mut sponsors = BTreeSet::new();
        let mut twice = false;
        for op in world.books.ledger.ops() {
            if let Body::Member(MemberOp::Admit { node, .. }) = op.body() {
                twice |= !sponsors.insert(*node);
            }
        }
        if twice {
            self.mark("two let one newcomer in");
        }
    }

    fn events(&mut self, events: &[Event]) {
        for event in events {
            match (event.event_type, event.data.reason) {
                (EventType::Activated, _) => self.mark("activated in time"),
                (_, Some(EndReason::Expired)) => self.mark("name ended: expired"),
                (_, Some(EndReason::Released)) => self.mark("name ended: released"),
                (_, Some(EndReason::Replaced)) => self.mark("name ended: replaced"),
                _ => {}
            }
        }
    }

    fn message(&mut self, message: &Message, lane: Lane) {
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

/// Returns the mark of a refusal.
fn refused(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NameTaken { .. } => "refused: name taken",
        Refusal::InvalidName { reason: "reserved", .. } => "refused: reserved name",
        Refusal::InvalidName { .. } => "refused: invalid name",
        Refusal::RulesChanged { .. } => "refused: rules changed",
        Refusal::NamespaceInUse { .. } => "refused: namespace in use",
        Refusal::InvalidRequest(_) => "refused: invalid request",
        Refusal::IdReused(_) => "refused: id reused",
        Refusal::NoRegistration(_) => "refused: no registration",
        Refusal::NoWebhook(_) => "refused: no webhook",
        Refusal::NotHeld { .. } => "refused: not held",
        Refusal::TooLate { .. } => "refused: too late",
        Refusal::Permanent { .. } => "refused: permanent",
        Refusal::TooManyExtensions { .. } => "refused: too many extensions",
        Refusal::NotMember => "refused: not a member",
        Refusal::Reader { .. } => "refused: reader",
        Refusal::ClockSuspect { .. } => "refused: clock suspect",
        Refusal::Unavailable(_) => "refused: unavailable",
        Refusal::NoMember(_) => "refused: no member",
        Refusal::NotInContact { .. } => "refused: not in contact",
        Refusal::Departed => "refused: departed",
        Refusal::NoMajority { .. } => "refused: no majority",
        Refusal::LastMember => "refused: last member",
        Refusal::Leaving => "refused: leaving",
        Refusal::EventsCompacted { .. } => "refused: events compacted",
        Refusal::CursorUnknown { .. } => "refused: cursor unknown",
        Refusal::NeedsRead(_) => "refused: needs read",
        Refusal::TooManyOpen { .. } => "refused: too many open",
        Refusal::TokenTooManyOpen { .. } => "refused: too many open to a token",
        Refusal::TooManyHeld { .. } => "refused: too many held",
        Refusal::TokenTooManyHeld { .. } => "refused: too many held by a token",
        Refusal::NotOwner(_) => "refused: not the owner",
        Refusal::OutOfReach(_) => "refused: out of reach",
        Refusal::DiskLow { .. } => "refused: disk low",
    }
}
