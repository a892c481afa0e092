//! Coming back after an eviction: what this node had issued beyond its cut is void and is issued anew, and its feed goes
//! on where it was, telling nothing twice.

mod again;
mod copied;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(super) use self::copied::Untold;
use super::feed::{self, EventKind, EventRecord};
use super::message::Contact;
use super::{Founding, META_RETURNING, META_UNTOLD, Replica, log};
use crate::clock::{NodeId, Stamp};
use crate::codec;
use crate::crdt::{Body, Chain, Extensions, Op, Registration, Seq, id_of_stamp, read_record, stamp_of_id};
use crate::store::{Direction, Store, Table};

/// What a node that was evicted needs to find its cluster again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Return {
    /// Who it was.
    pub was: NodeId,
    /// The cluster.
    pub founding: Founding,
    /// Its secret, which lets the node in; none where it was not told yet.
    pub secret: Option<[u8; 32]>,
    /// Whom it knew there.
    pub contacts: Vec<Contact>,
}

/// A row of [`Table::Void`], by the stamp of a void op of this node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Void {
    /// Not dealt with yet; with the id that its clients know it by, where it is a registration.
    Open(Box<Op>),
    /// Its rejection was final, so it is not issued anew; nobody else has ever heard of it. With its log's hash up to it.
    Rejected(Box<Registration>, Chain),
    /// This registration stands for it now, under the same id.
    Again(Stamp, Uuid),
    /// A registration of which the state that comes may not know: the feed knows of it, and of its id.
    Heard(Uuid),
}

impl Void {
    /// The place of its op in its log, and the log's hash up to it.
    fn place(&self) -> Option<(Seq, Chain)> {
        match self {
            Self::Open(op) => Some((op.seq, op.chain)),
            Self::Rejected(registration, chain) => Some((registration.seq, *chain)),
            Self::Again(..) | Self::Heard(_) => None,
        }
    }

    /// The id that a registration is known by.
    fn id(&self) -> Option<Uuid> {
        match self {
            Self::Open(op) => id_of(op),
            Self::Rejected(registration, _) => Some(registration.id()),
            Self::Again(_, id) | Self::Heard(id) => Some(*id),
        }
    }
}

/// What is left to make good.
#[derive(Clone, Debug, Default)]
pub(super) struct Returning {
    /// Some void op may not have been issued anew.
    open: bool,
    /// The void registrations among them, by id.
    ids: BTreeMap<Uuid, Stamp>,
    /// What void ops have lengthened, of void registrations.
    extended: BTreeMap<Stamp, Extensions>,
    /// Ids of registrations whose acceptance was told before.
    heard: BTreeSet<Uuid>,
    /// The acceptance of what is issued now was told before.
    quiet: bool,
    /// Events that this node's feed has and the state that it was given does not know of yet. They are not told again.
    told: BTreeSet<(Stamp, Told)>,
    /// A row says what may be untold.
    untold: bool,
}

/// An event, as far as it can be told once only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
enum Told {
    Accepted,
    Outcome,
    Activated,
    Ended(u8),
}

impl Told {
    fn of(kind: &EventKind) -> Option<Self> {
        match kind {
            EventKind::Accepted => Some(Self::Accepted),
            EventKind::Confirmed | EventKind::Rejected => Some(Self::Outcome),
            EventKind::Activated => Some(Self::Activated),
            EventKind::NameEnded(index, _) => Some(Self::Ended(*index)),
            EventKind::Contested => None,
        }
    }
}

impl<S: Store> Replica<S> {
    /// How to find the cluster that this node was evicted from; none where it was not, or is back.
    pub fn returning(&self) -> Option<Return> {
        let bytes = self.registry.store.get(Table::Meta, META_RETURNING)?;
        Some(read_record(&bytes, "return"))
    }

    /// Keeps this node's ops that may be void, from `seq` on: those that are not decided. Which ones are shows when it is
    /// back: the cut may yet rise.
    pub(super) fn keep_void(&mut self, seq: Seq) {
        let mut void = Vec::new();
        log::read(&self.registry.store, self.me, seq, &mut |op| {
            void.push(op);
            ControlFlow::Continue(())
        });
        if planted!(VoidForgotten) {
            return;
        }
        for mut op in void {
            let stamp = op.stamp();
            let entry = match &mut op.body {
                Body::Register(register) => {
                    register.id.get_or_insert(id_of_stamp(stamp));
                    let registration = Registration::load(&self.registry.store, stamp);
                    // What was erased is over for good, and its text is not to be brought back.
                    if registration.as_ref().is_some_and(|registration| registration.erased) {
                        continue;
                    }
                    match registration.filter(|registration| registration.rejected && !self.is_twin(registration)) {
                        Some(rejected) => Void::Rejected(Box::new(rejected), op.chain),
                        None => Void::Open(Box::new(op)),
                    }
                }
                _ => Void::Open(Box::new(op)),
            };
            self.registry.store.put(Table::Void, stamp.to_bytes().to_vec(), codec::encode(&entry));
        }
        self.keep_heard();
    }

    /// Keeps the ids of registrations that the state which this node will be given may lack: their acceptance was told, and
    /// may come again with another op of the same id.
    fn keep_heard(&mut self) {
        let undecided = self.finality.undecided_registrations();
        let mut heard: BTreeSet<_> = undecided.into_iter().filter(|stamp| stamp.node != self.me).collect();
        heard.extend(self.retries_not_held_by_all());
        for stamp in heard {
            // Its own of an earlier life, which whoever gave it the state took for valid.
            if self.registry.store.get(Table::Void, &stamp.to_bytes()).is_some() {
                continue;
            }
            if let Some(registration) = Registration::load(&self.registry.store, stamp) {
                let heard = Void::Heard(registration.id());
                self.registry.store.put(Table::Void, stamp.to_bytes().to_vec(), codec::encode(&heard));
            }
        }
    }

    /// Registrations under ids that clients chose, which others may carry too, and which not all are known to hold that may
    /// give this node the state: members, and the evicted that may not know so yet.
    fn retries_not_held_by_all(&self) -> Vec<Stamp> {
        let evicted = self.membership.cuts().keys().copied();
        let lives =
            |node: &NodeId| self.membership.departed(*node).is_none() && !self.membership.has_later_incarnation(*node);
        let members = self.membership.members().chain(evicted.filter(lives));
        let members: Vec<_> = members.filter(|member| *member != self.me).collect();
        let mut stamps = Vec::new();
        for origin in self.registry.applied().iter().map(|dot| *dot.actor) {
            let others = members.iter().filter(|member| **member != origin);
            let held = others.map(|member| self.finality.held(*member, origin)).min().unwrap_or(0);
            log::read(&self.registry.store, origin, held + 1, &mut |op| {
                let chosen = matches!(&op.body, Body::Register(register) if register.id.is_some());
                stamps.extend(chosen.then(|| op.stamp()));
                ControlFlow::Continue(())
            });
        }
        stamps
    }

    /// Whether something is left to issue anew.
    pub(super) fn has_void(&self) -> bool {
        self.returning.open
    }

    fn is_twin(&self, registration: &Registration) -> bool {
        self.registry.find_stamp(registration.id()).is_some_and(|first| first != registration.stamp)
    }

    /// Reads what is left to make good.
    pub(super) fn load_returning(&mut self) {
        self.returning = Returning::default();
        for (stamp, void) in self.void_rows() {
            match void {
                Void::Open(op) => {
                    self.returning.open = true;
                    self.returning.ids.extend(id_of(&op).map(|id| (id, stamp)));
                    if let Body::Extend { registration, expires } = op.body {
                        self.returning.extended.entry(registration).or_default().add(stamp, expires);
                    }
                }
                Void::Rejected(registration, _) => {
                    self.returning.open = true;
                    self.returning.ids.insert(registration.id(), stamp);
                }
                Void::Heard(id) | Void::Again(_, id) => drop(self.returning.heard.insert(id)),
            }
        }
        self.registry.store.scan(Table::Told, &[], None, Direction::Up, &mut |key, value| {
            let told =
                Stamp::from_bytes(&key[..key.len().min(16)]).map(|stamp| (stamp, read_record(value, "told event")));
            self.returning.told.extend(told);
            ControlFlow::Continue(())
        });
        self.returning.untold = self.registry.store.get(Table::Meta, META_UNTOLD).is_some();
    }

    /// With the state of the cluster in hand the feed is brought in line with it.
    pub(super) fn take_up_again(&mut self) {
        if self.returning().is_none() {
            return;
        }
        let ids = self.void_rows().into_iter().filter_map(|(stamp, void)| Some((stamp, void.id()?))).collect();
        let (open, seen) = self.check_feed(&ids);
        for id in open {
            let Some(registration) = self.registry.find(id) else { continue };
            let kind = if registration.rejected { EventKind::Rejected } else { EventKind::Confirmed };
            if self.status(&registration).is_final() {
                self.feed.push(kind, registration.stamp, self.now.wall);
            }
        }
        self.tell_untold(&seen);
        self.registry.store.delete(Table::Meta, META_RETURNING.to_vec());
        self.load_returning();
    }

    /// Notes which events of the feed do not follow from the state, and returns the registrations that the feed has no
    /// outcome of, and where it is that of a copy all that it speaks of; `void` has the ids of those that the state does not
    /// know.
    fn check_feed(&mut self, void: &BTreeMap<Stamp, Uuid>) -> (BTreeSet<Uuid>, BTreeSet<Uuid>) {
        let (mut open, mut seen, mut told) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let is_copy = self.is_copied();
        // What an earlier return had noted shows anew, but for events that the feed has dropped since.
        for (registration, noted) in std::mem::take(&mut self.returning.told) {
            self.registry.store.delete(Table::Told, told_key(registration, noted));
            if !self.follows(Registration::load(&self.registry.store, registration).as_ref(), noted) {
                told.push((registration, noted));
            }
        }
        feed::read(&self.registry.store, 0, &mut |_, EventRecord { kind, registration: stamp, .. }| {
            let known = Registration::load(&self.registry.store, stamp);
            let id = known.as_ref().map(Registration::id).or_else(|| void.get(&stamp).copied());
            seen.extend(id.filter(|_| is_copy));
            match (&kind, id) {
                (EventKind::Accepted, Some(id)) => drop(open.insert(id)),
                (EventKind::Confirmed | EventKind::Rejected, Some(id)) => drop(open.remove(&id)),
                _ => {}
            }
            let told_once = Told::of(&kind).filter(|told| !self.follows(known.as_ref(), *told));
            told.extend(told_once.map(|told| (stamp, told)));
            ControlFlow::Continue(())
        });
        for (registration, told) in told {
            self.registry.store.put(Table::Told, told_key(registration, told), codec::encode(&told));
        }
        // An outcome may stand before the acceptance, where an earlier life had learnt it from a snapshot.
        feed::read(&self.registry.store, 0, &mut |_, EventRecord { kind, registration: stamp, .. }| {
            if Told::of(&kind) == Some(Told::Outcome) {
                let known = Registration::load(&self.registry.store, stamp);
                let id = known.as_ref().map(Registration::id).or_else(|| void.get(&stamp).copied());
                id.map(|id| open.remove(&id));
            }
            if open.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (open, seen)
    }

    /// Whether an event follows from the state, so that the state will not tell it again.
    fn follows(&self, registration: Option<&Registration>, told: Told) -> bool {
        let Some(registration) = registration else { return false };
        match told {
            Told::Accepted => true,
            Told::Outcome => self.status(registration).is_final(),
            Told::Activated => registration.activated.is_some_and(|by| self.finality.is_decided(by)),
            Told::Ended(index) => {
                registration.claims.get(usize::from(index)).is_some_and(|claim| claim.ended.is_some())
            }
        }
    }

    /// Adds an event to the feed, unless the feed had it before an eviction.
    pub(super) fn tell(&mut self, kind: EventKind, registration: Stamp) {
        match Told::of(&kind) {
            Some(Told::Accepted) if self.returning.quiet => {}
            // What is over cannot begin.
            Some(Told::Accepted) if self.returning.told.contains(&(registration, Told::Outcome)) => {}
            Some(told) if self.returning.told.remove(&(registration, told)) && !planted!(ToldAgainAfterReturn) => {
                self.registry.store.delete(Table::Told, told_key(registration, told));
            }
            _ => self.feed.push(kind, registration, self.now.wall),
        }
    }

    /// Tells that a registration is known, unless that was told of one that it stands for.
    pub(super) fn tell_accepted(&mut self, registration: &Registration) {
        let id = registration.id();
        // A newcomer may have heard of the void one that this one stands for.
        let made = stamp_of_id(id).filter(|made| *made != registration.stamp);
        let void = made.is_some_and(|made| Registration::load(&self.registry.store, made).is_some());
        if !void && !self.returning.ids.contains_key(&id) && !self.returning.heard.contains(&id) {
            self.tell(EventKind::Accepted, registration.stamp);
        }
    }

    /// A registration that was accepted here, came to nothing by an eviction, and has not been issued anew.
    pub(super) fn void_registration(&self, id: Uuid) -> Option<Registration> {
        self.void_by_stamp(*self.returning.ids.get(&id)?)
    }

    pub(super) fn void_by_stamp(&self, stamp: Stamp) -> Option<Registration> {
        let bytes = self.registry.store.get(Table::Void, &stamp.to_bytes())?;
        let op = match read_record(&bytes, "void op") {
            Void::Open(op) => op,
            Void::Rejected(registration, _) => return Some(*registration),
            Void::Again(..) | Void::Heard(_) => return None,
        };
        let Body::Register(register) = op.body else { return None };
        // Of a seq that is never decided: it is pending.
        let mut registration = Registration::new(stamp, Seq::MAX, register);
        registration.extensions = self.returning.extended.get(&stamp).cloned().unwrap_or_default();
        Some(registration)
    }

    /// The registration that stands for the one of a stamp: itself, but for a void one.
    pub(super) fn stands_for(&self, stamp: Stamp) -> Stamp {
        let bytes = self.registry.store.get(Table::Void, &stamp.to_bytes());
        match bytes.map(|bytes| read_record(&bytes, "void op")) {
            Some(Void::Again(again, _)) => again,
            Some(Void::Heard(id)) => self.registry.find_stamp(id).unwrap_or(stamp),
            _ => stamp,
        }
    }

    fn void_rows(&self) -> Vec<(Stamp, Void)> {
        let mut rows = Vec::new();
        self.registry.store.scan(Table::Void, &[], None, Direction::Up, &mut |key, value| {
            rows.extend(Stamp::from_bytes(key).map(|stamp| (stamp, read_record(value, "void op"))));
            ControlFlow::Continue(())
        });
        rows
    }
}

/// The id of the node that a store belongs to: that of its key, in the incarnation that the store says.
#[must_use]
pub fn node_in(store: &impl Store, first: NodeId) -> NodeId {
    let stored = store.get(Table::Meta, super::META_NODE).map(|bytes| read_record::<NodeId>(&bytes, "node id"));
    stored.filter(|stored| stored.key_part() == first.key_part()).unwrap_or(first)
}

/// Whether a value is one of [`Table::Void`].
pub(super) fn is_void(value: &[u8]) -> bool {
    codec::decode::<Void>(value).is_ok()
}

/// Whether a value is one of [`Table::Told`].
pub(super) fn is_told(value: &[u8]) -> bool {
    codec::decode::<Told>(value).is_ok()
}

/// The id that clients know a void op's registration by.
fn id_of(op: &Op) -> Option<Uuid> {
    match &op.body {
        Body::Register(register) => register.id,
        _ => None,
    }
}

fn told_key(registration: Stamp, told: Told) -> Vec<u8> {
    [registration.to_bytes().as_slice(), &codec::encode(&told)].concat()
}
