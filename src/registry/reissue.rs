//! Return after an eviction: the ops that this node had issued beyond its cut are void and are issued anew.

mod issue_again;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::feed::EventKind;
use super::{Reader, Writer};
use crate::clock::{NodeId, Stamp};
use crate::crdt::{Extensions, NameOp, Registration, id_of_stamp, stamp_of_id};
use crate::log::read_log;
use crate::log::{Body, Chain, Op, Seq};
use crate::store::schema::{self, Rows, Span};

/// The state of an op of this node that may be void.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum VoidedOp {
    /// The op has not been dealt with. A `Register` op has the id under which its clients know it.
    Open(Box<Op>),
    /// The registration was finally rejected, so it is not issued anew. Has also the chain hash of its log at its op.
    Rejected(Box<Registration>, Chain),
    /// The registration with this stamp was issued in its place, under the same id.
    Again(Stamp, Uuid),
}

impl VoidedOp {
    /// Returns the number of the op, and the chain hash of its log at the op.
    fn place(&self) -> Option<(Seq, Chain)> {
        match self {
            Self::Open(op) => Some((op.seq, op.chain)),
            Self::Rejected(registration, chain) => Some((registration.seq, *chain)),
            Self::Again(..) => None,
        }
    }

    /// Returns the id under which clients know the registration; none for other ops.
    fn id(&self) -> Option<Uuid> {
        match self {
            Self::Open(op) => id_of(op),
            Self::Rejected(registration, _) => Some(registration.id()),
            Self::Again(_, id) => Some(*id),
        }
    }
}

/// The void ops that are still to be issued anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Reissue {
    /// True where some void op may not have been issued anew.
    open: bool,
    /// Their stamps, by the logs that they are in.
    stamps: BTreeMap<NodeId, BTreeSet<Stamp>>,
    /// The stamps of the void registrations among them, by id.
    ids: BTreeMap<Uuid, Stamp>,
    /// The extensions of void registrations by void ops.
    extended: BTreeMap<Stamp, Extensions>,
    /// Of each log that is over and has such ops, the op at its cut, where that was among them.
    counted: BTreeMap<NodeId, Option<Seq>>,
}

impl Reissue {
    /// Returns true where a void op may not have been issued anew.
    pub(super) fn has_open(&self) -> bool {
        self.open
    }

    /// Notes that an op, which has this id where it is a registration, is dealt with.
    fn done(&mut self, stamp: Stamp, id: Option<Uuid>) {
        if let Entry::Occupied(mut of_log) = self.stamps.entry(stamp.node) {
            of_log.get_mut().remove(&stamp);
            if of_log.get().is_empty() {
                of_log.remove();
            }
        }
        if let Some(id) = id.filter(|id| self.ids.get(id) == Some(&stamp)) {
            self.ids.remove(&id);
        }
    }
}

impl Reader<'_> {
    /// Returns true where an earlier registration has the same id.
    pub(crate) fn is_twin(&self, registration: &Registration) -> bool {
        let run = registration
            .chosen_id
            .map(|id| self.registry.lattice.run(self.store, id, registration.stamp))
            .unwrap_or_default();
        run.first().is_some_and(|first| *first != registration.stamp)
    }

    /// Returns the ids of the registrations that an eviction made void here.
    pub(crate) fn void_ids(&self) -> BTreeSet<Uuid> {
        self.void_rows().iter().filter_map(|(_, void)| void.id()).collect()
    }

    /// Returns a registration that was accepted here, became void by an eviction, and has not been issued anew.
    pub(crate) fn void_registration(&self, id: Uuid) -> Option<Registration> {
        self.void_by_stamp(*self.registry.reissue.ids.get(&id)?)
    }

    pub(crate) fn void_by_stamp(&self, stamp: Stamp) -> Option<Registration> {
        let op = match schema::Void::get(self.store, stamp)? {
            VoidedOp::Open(op) => op,
            VoidedOp::Rejected(registration, _) => return Some(*registration),
            VoidedOp::Again(..) => return None,
        };
        let Body::Name(NameOp::Register(register)) = op.into_body() else { return None };
        // A number that is never decided makes its status pending.
        let mut registration = Registration::new(stamp, Seq::MAX, Arc::unwrap_or_clone(register));
        registration.extensions = self.registry.reissue.extended.get(&stamp).cloned().unwrap_or_default();
        Some(registration)
    }

    /// Returns the stamp of the registration that was issued in place of a void one; for any other registration, its
    /// own stamp.
    pub(crate) fn stands_for(&self, stamp: Stamp) -> Stamp {
        match schema::Void::get(self.store, stamp) {
            Some(VoidedOp::Again(again, _)) => again,
            _ => stamp,
        }
    }

    fn void_rows(&self) -> Vec<(Stamp, VoidedOp)> {
        let mut rows = Vec::new();
        schema::Void::each(self.store, &Span::all(), |found| {
            rows.extend(found.key().map(|stamp| (stamp, found.row())));
        });
        rows
    }
}

impl Writer<'_> {
    /// Stores this node's ops from number `seq` on, which are not decided and so may be void. Which of them are void is
    /// known only after the return, because the cut may still rise.
    pub(crate) fn keep_void(&mut self, seq: Seq) {
        let mut void = Vec::new();
        read_log(self.store, self.registry.me, seq, &mut |op| {
            void.push(op);
            ControlFlow::Continue(())
        });
        for op in planted!(registry::void(void)) {
            let stamp = op.stamp();
            let entry = match op.body().clone() {
                Body::Name(NameOp::Register(mut register)) => {
                    Arc::make_mut(&mut register).id.get_or_insert(id_of_stamp(stamp));
                    let registration = Registration::load(self.store, stamp);
                    // An erased registration is over for good, and its text must not come back.
                    if registration.as_ref().is_some_and(|registration| registration.erased) {
                        continue;
                    }
                    match registration
                        .filter(|registration| registration.rejected && !self.reader().is_twin(registration))
                    {
                        Some(rejected) => VoidedOp::Rejected(Box::new(rejected), op.chain),
                        None => VoidedOp::Open(Box::new(op.saying(Body::Name(NameOp::Register(register))))),
                    }
                }
                _ => VoidedOp::Open(Box::new(op)),
            };
            schema::Void::put(self.store, stamp, &entry);
        }
    }

    /// Loads the ops that may have to be issued anew.
    pub(crate) fn load_reissue(&mut self) {
        let mut reissue = Reissue::default();
        for (stamp, void) in self.reader().void_rows() {
            match void {
                VoidedOp::Open(op) => {
                    reissue.stamps.entry(stamp.node).or_default().insert(stamp);
                    reissue.ids.extend(id_of(&op).map(|id| (id, stamp)));
                    if let Body::Name(NameOp::Extend { registration, expires }) = *op.body() {
                        reissue.extended.entry(registration).or_default().add(stamp, expires);
                    }
                }
                VoidedOp::Rejected(registration, _) => {
                    reissue.stamps.entry(stamp.node).or_default().insert(stamp);
                    reissue.ids.insert(registration.id(), stamp);
                }
                VoidedOp::Again(..) => {}
            }
        }
        reissue.open = !reissue.stamps.is_empty();
        self.registry.reissue = reissue;
    }

    /// Writes the event that a registration was accepted, unless it was written already for the void registration that
    /// this one replaces.
    pub(crate) fn tell_accepted(&mut self, registration: &Registration) {
        let made = stamp_of_id(registration.id()).filter(|made| *made != registration.stamp);
        let stands_for = |void: Registration| void.id() == registration.id();
        if !made.and_then(|made| Registration::load(self.store, made)).is_some_and(stands_for) {
            self.tell(EventKind::Accepted, registration.stamp);
        }
    }
}

/// Returns the id under which clients know a void `Register` op.
fn id_of(op: &Op) -> Option<Uuid> {
    match op.body() {
        Body::Name(NameOp::Register(register)) => register.id,
        _ => None,
    }
}
