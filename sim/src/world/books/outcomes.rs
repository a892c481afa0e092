//! What was told to be final: of which registration, and by which host first.

use std::collections::BTreeMap;

use forename::clock::{Hlc, Stamp};
use forename::crdt::ID_WINDOW;
use forename::log::Op;
use forename::model::Status;
use uuid::Uuid;

use crate::plan::Host;
use crate::world::books::ledger::Ledger;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcomes {
    /// By registration, with the host that told it first.
    finals: BTreeMap<Stamp, (Status, Host)>,
    /// By id, which may be that of several registrations in the course of time.
    ids: BTreeMap<Uuid, (Status, Stamp)>,
}

impl Outcomes {
    /// A host says that a registration is confirmed or rejected. True where nobody has said it before.
    pub(crate) fn told(&mut self, host: Host, id: Uuid, stamp: Stamp, status: Status) -> bool {
        let is_first = !self.finals.contains_key(&stamp);
        self.finals.entry(stamp).or_insert((status, host));
        let known = self.ids.entry(id).or_insert((status, stamp));
        // What it rejected alone, with a directory that was replaced by a copy since, it rejects again in its next life.
        let again = known.0 == Status::Rejected
            && status == Status::Rejected
            && known.1.node.key_part() == stamp.node.key_part()
            && known.1.node < stamp.node;
        // A client's id is known for a month; after that it is another registration's.
        if again || stamp.hlc.millis().since(known.1.hlc.millis()) > ID_WINDOW {
            *known = (status, stamp);
        }
        is_first
    }

    /// What was first told of a registration, and by which host.
    pub(crate) fn first(&self, stamp: Stamp) -> Option<(Status, Host)> {
        self.finals.get(&stamp).copied()
    }

    /// The outcome of an id, and of which registration it is.
    pub(crate) fn of_id(&self, id: Uuid) -> Option<(Status, Stamp)> {
        self.ids.get(&id).copied()
    }

    /// A registration that only its own node knows any more: rejected before an eviction made it void, or before a copy of
    /// the directory went on in its place.
    pub(crate) fn rejected_in_the_void(&self, ledger: &Ledger, id: Uuid) -> bool {
        self.of_id(id).is_some_and(|(status, stamp)| {
            status == Status::Rejected && ledger.logged(stamp).is_none_or(|op| ledger.is_void(op))
        })
    }

    /// The ops of the registrations that were told to be confirmed.
    pub(crate) fn confirmed_ops<'a>(&'a self, ledger: &'a Ledger) -> impl Iterator<Item = &'a Op> {
        self.ops_told_to_be(ledger, Status::Confirmed)
    }

    /// The ops of the registrations that were told to be rejected.
    pub(crate) fn rejected_ops<'a>(&'a self, ledger: &'a Ledger) -> impl Iterator<Item = &'a Op> {
        self.ops_told_to_be(ledger, Status::Rejected)
    }

    fn ops_told_to_be<'a>(&'a self, ledger: &'a Ledger, outcome: Status) -> impl Iterator<Item = &'a Op> {
        let told = self.finals.iter().filter(move |(_, (status, _))| *status == outcome);
        told.filter_map(|(stamp, _)| ledger.op(*stamp))
    }

    /// The timestamp of the latest registration of which an outcome was told.
    pub(crate) fn latest(&self) -> Hlc {
        self.finals.keys().map(|stamp| stamp.hlc).max().unwrap_or_default()
    }

    /// How many outcomes a host was the first to tell.
    pub(crate) fn told_first(&self, host: Host) -> usize {
        self.finals.values().filter(|(_, by)| *by == host).count()
    }
}
