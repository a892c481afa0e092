//! Coming back after an eviction: what this node had issued beyond its cut is void and is issued anew.

mod issue_again;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::feed::EventKind;
use super::{Reader, Writer};
use crate::clock::Stamp;
use crate::crdt::{Extensions, NameOp, Registration, id_of_stamp, stamp_of_id};
use crate::log::read_log;
use crate::log::{Body, Chain, Op, Seq};
use crate::store::schema::{self, Rows, Span};

/// What has become of a void op of this node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum VoidedOp {
    /// Not dealt with yet; with the id that its clients know it by, where it is a registration.
    Open(Box<Op>),
    /// Its rejection was final, so it is not issued anew; nobody else has ever heard of it. With its log's hash up to it.
    Rejected(Box<Registration>, Chain),
    /// This registration stands for it now, under the same id.
    Again(Stamp, Uuid),
}

impl VoidedOp {
    /// The place of its op in its log, and the log's hash up to it.
    fn place(&self) -> Option<(Seq, Chain)> {
        match self {
            Self::Open(op) => Some((op.seq, op.chain)),
            Self::Rejected(registration, chain) => Some((registration.seq, *chain)),
            Self::Again(..) => None,
        }
    }

    /// The id that a registration is known by.
    fn id(&self) -> Option<Uuid> {
        match self {
            Self::Open(op) => id_of(op),
            Self::Rejected(registration, _) => Some(registration.id()),
            Self::Again(_, id) => Some(*id),
        }
    }
}

/// What is left to make good.
#[derive(Clone, Debug, Default)]
pub(super) struct Reissue {
    /// Some void op may not have been issued anew.
    open: bool,
    /// The void registrations among them, by id.
    ids: BTreeMap<Uuid, Stamp>,
    /// What void ops have lengthened, of void registrations.
    extended: BTreeMap<Stamp, Extensions>,
}

impl Reissue {
    /// Whether something is left to issue anew.
    pub(super) fn has_open(&self) -> bool {
        self.open
    }
}

impl Reader<'_> {
    /// Whether an earlier registration stands for the id of this one.
    pub(crate) fn is_twin(&self, registration: &Registration) -> bool {
        let run = registration
            .chosen_id
            .map(|id| self.registry.lattice.run(self.store, id, registration.stamp))
            .unwrap_or_default();
        run.first().is_some_and(|first| *first != registration.stamp)
    }

    /// The ids of the registrations that an eviction has made void here.
    pub(crate) fn void_ids(&self) -> BTreeSet<Uuid> {
        self.void_rows().iter().filter_map(|(_, void)| void.id()).collect()
    }

    /// A registration that was accepted here, came to nothing by an eviction, and has not been issued anew.
    pub(crate) fn void_registration(&self, id: Uuid) -> Option<Registration> {
        self.void_by_stamp(*self.registry.reissue.ids.get(&id)?)
    }

    pub(crate) fn void_by_stamp(&self, stamp: Stamp) -> Option<Registration> {
        let op = match schema::Void::get(self.store, stamp)? {
            VoidedOp::Open(op) => op,
            VoidedOp::Rejected(registration, _) => return Some(*registration),
            VoidedOp::Again(..) => return None,
        };
        let Body::Name(NameOp::Register(register)) = op.body else { return None };
        // Of a seq that is never decided: it is pending.
        let mut registration = Registration::new(stamp, Seq::MAX, register);
        registration.extensions = self.registry.reissue.extended.get(&stamp).cloned().unwrap_or_default();
        Some(registration)
    }

    /// The registration that stands for the one of a stamp: itself, but for a void one.
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
    /// Keeps this node's ops that may be void, from `seq` on: those that are not decided. Which ones are shows when it is
    /// back: the cut may yet rise.
    pub(crate) fn keep_void(&mut self, seq: Seq) {
        let mut void = Vec::new();
        read_log(self.store, self.registry.me, seq, &mut |op| {
            void.push(op);
            ControlFlow::Continue(())
        });
        for mut op in planted!(registry::void(void)) {
            let stamp = op.stamp();
            let entry = match &mut op.body {
                Body::Name(NameOp::Register(register)) => {
                    register.id.get_or_insert(id_of_stamp(stamp));
                    let registration = Registration::load(self.store, stamp);
                    // What was erased is over for good, and its text is not to be brought back.
                    if registration.as_ref().is_some_and(|registration| registration.erased) {
                        continue;
                    }
                    match registration
                        .filter(|registration| registration.rejected && !self.reader().is_twin(registration))
                    {
                        Some(rejected) => VoidedOp::Rejected(Box::new(rejected), op.chain),
                        None => VoidedOp::Open(Box::new(op)),
                    }
                }
                _ => VoidedOp::Open(Box::new(op)),
            };
            schema::Void::put(self.store, stamp, &entry);
        }
    }

    /// Reads what is left to make good.
    pub(crate) fn load_reissue(&mut self) {
        self.registry.reissue = Reissue::default();
        for (stamp, void) in self.reader().void_rows() {
            match void {
                VoidedOp::Open(op) => {
                    self.registry.reissue.open = true;
                    self.registry.reissue.ids.extend(id_of(&op).map(|id| (id, stamp)));
                    if let Body::Name(NameOp::Extend { registration, expires }) = op.body {
                        self.registry.reissue.extended.entry(registration).or_default().add(stamp, expires);
                    }
                }
                VoidedOp::Rejected(registration, _) => {
                    self.registry.reissue.open = true;
                    self.registry.reissue.ids.insert(registration.id(), stamp);
                }
                VoidedOp::Again(..) => {}
            }
        }
    }

    /// Tells that a registration is known, unless that was told of a void one that it stands for.
    pub(crate) fn tell_accepted(&mut self, registration: &Registration) {
        let made = stamp_of_id(registration.id()).filter(|made| *made != registration.stamp);
        let stands_for = |void: Registration| void.id() == registration.id();
        if !made.and_then(|made| Registration::load(self.store, made)).is_some_and(stands_for) {
            self.tell(EventKind::Accepted, registration.stamp);
        }
    }
}

/// The id that clients know a void op's registration by.
fn id_of(op: &Op) -> Option<Uuid> {
    match &op.body {
        Body::Name(NameOp::Register(register)) => register.id,
        _ => None,
    }
}
