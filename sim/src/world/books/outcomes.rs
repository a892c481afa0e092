//! The outcomes that nodes reported as final, each with the host that reported it first.

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
    /// The reported outcomes by registration, with the host that reported each first.
    finals: BTreeMap<Stamp, (Status, Host)>,
    /// The reported outcomes by id. An id may belong to several registrations in the course of time.
    ids: BTreeMap<Uuid, (Status, Stamp)>,
}

impl Outcomes {
    /// Records that a host reports a registration as confirmed or rejected. Returns true where no host has reported it
    /// before.
    pub(crate) fn told(&mut self, host: Host, id: Uuid, stamp: Stamp, status: Status) -> bool {
        let is_first = !self.finals.contains_key(&stamp);
        self.finals.entry(stamp).or_insert((status, host));
        let known = self.ids.entry(id).or_insert((status, stamp));
        // A rejection that only its own node knew may be repeated by the node's next incarnation, where the directory
        // was replaced by a copy meanwhile.
        let again = known.0 == Status::Rejected
            && status == Status::Rejected
            && known.1.node.key_part() == stamp.node.key_part()
            && known.1.node < stamp.node;
        // A client's id belongs to its registration for a month, and after that to another one.
        if again || stamp.hlc.millis().since(known.1.hlc.millis()) > ID_WINDOW {
            *known = (status, stamp);
        }
        is_first
    }

    /// Returns the outcome that was first reported of a registration, and the host that reported it.
    pub(crate) fn first(&self, stamp: Stamp) -> Option<(Status, Host)> {
        self.finals.get(&stamp).copied()
    }

    /// Returns the outcome of an id, and its registration.
    pub(crate) fn of_id(&self, id: Uuid) -> Option<(Status, Stamp)> {
        self.ids.get(&id).copied()
    }

    /// Returns true for a registration that only its own node knows any more: it was rejected before an eviction made
    /// it void, or before a copy of the directory replaced it.
    pub(crate) fn rejected_in_the_void(&self, ledger: &Ledger, id: Uuid) -> bool {
        self.of_id(id).is_some_and(|(status, stamp)| {
            status == Status::Rejected && ledger.logged(stamp).is_none_or(|op| ledger.is_void(op))
        })
    }

    /// Returns the ops of the registrations that were reported as confirmed.
    pub(crate) fn confirmed_ops<'a>(&'a self, ledger: &'a Ledger) -> impl Iterator<Item = &'a Op> {
        self.ops_told_to_be(ledger, Status::Confirmed)
    }

    /// Returns the ops of the registrations that were reported as rejected.
    pub(crate) fn rejected_ops<'a>(&'a self, ledger: &'a Ledger) -> impl Iterator<Item = &'a Op> {
        self.ops_told_to_be(ledger, Status::Rejected)
    }

    fn ops_told_to_be<'a>(&'a self, ledger: &'a Ledger, outcome: Status) -> impl Iterator<Item = &'a Op> {
        let told = self.finals.iter().filter(move |(_, (status, _))| *status == outcome);
        told.filter_map(|(stamp, _)| ledger.op(*stamp))
    }

    /// Returns the timestamp of the latest registration of which an outcome was reported.
    pub(crate) fn latest(&self) -> Hlc {
        self.finals.keys().map(|stamp| stamp.hlc).max().unwrap_or_default()
    }

    /// Returns how many outcomes a host was the first to report.
    pub(crate) fn told_first(&self, host: Host) -> usize {
        self.finals.values().filter(|(_, by)| *by == host).count()
    }
}
