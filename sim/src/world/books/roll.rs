//! The members as far as a host can know: derived from the membership ops that nodes issued and the prefixes of logs
//! that the host has, without asking the replica.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::NodeId;
use forename::log::{Body, MemberOp, Op, Seq};

use crate::plan::Host;
use crate::world::books::ledger::Ledger;
use crate::world::ids::node_id;

/// The part of a membership op that matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Word {
    /// The newcomer is admitted.
    Admit(NodeId),
    /// The issuer takes nothing more of the node's log.
    Freeze(NodeId),
    /// The issuer leaves.
    Depart,
}

/// The membership ops of all logs, by origin and number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roll {
    words: BTreeMap<(NodeId, Seq), Word>,
}

impl Roll {
    /// Records an op when its origin issues it. Where an op was lost in a crash, another one may be issued under its
    /// number.
    pub(crate) fn issued(&mut self, op: &Op) {
        let word = match op.body() {
            Body::Member(MemberOp::Admit { node }) => Word::Admit(*node),
            Body::Member(MemberOp::Freeze { node, .. }) => Word::Freeze(*node),
            Body::Member(MemberOp::Depart) => Word::Depart,
            _ => {
                self.words.remove(&(op.node, op.seq));
                return;
            }
        };
        self.words.insert((op.node, op.seq), word);
    }

    /// Returns the membership ops that a host has, by origin.
    fn known<'a>(&'a self, ledger: &'a Ledger, host: Host) -> impl Iterator<Item = (NodeId, &'a Word)> {
        self.here(ledger, host).map(|(at, word)| (at.0, word))
    }

    /// Returns the membership ops that a host has, by origin and number.
    fn here<'a>(&'a self, ledger: &'a Ledger, host: Host) -> impl Iterator<Item = ((NodeId, Seq), &'a Word)> {
        let applied = ledger.applied(host);
        let here = move |at: &(NodeId, Seq)| applied.get(&at.0).is_some_and(|upto| at.1 <= *upto);
        self.words.iter().filter(move |(at, _)| here(at)).map(|(at, word)| (*at, word))
    }

    /// Returns the admissions that a host has, by origin and number.
    pub(crate) fn admissions(&self, ledger: &Ledger, host: Host) -> Vec<(NodeId, Seq)> {
        let admissions = self.here(ledger, host).filter(|(_, word)| matches!(word, Word::Admit(_)));
        admissions.map(|(at, _)| at).collect()
    }

    /// Returns the freezes that a host has: the issuer, the number of the op, and the frozen node.
    pub(crate) fn freezes<'a>(
        &'a self,
        ledger: &'a Ledger,
        host: Host,
    ) -> impl Iterator<Item = (NodeId, Seq, NodeId)> + 'a {
        let freezes = self.here(ledger, host);
        freezes
            .filter_map(|((by, seq), word)| if let Word::Freeze(node) = word { Some((by, seq, *node)) } else { None })
    }

    /// Returns the nodes whose eviction a host knows to be under way: members have frozen them, and they are not out
    /// and have not departed.
    pub(crate) fn frozen_for(&self, ledger: &Ledger, host: Host, founders: usize) -> BTreeSet<NodeId> {
        let (out, admitted) = (ledger.cuts_of(host), self.admitted(ledger, host, founders));
        let left = |node: &NodeId| self.known(ledger, host).any(|(by, word)| by == *node && *word == Word::Depart);
        let counts = |by: &NodeId, seq: Seq| admitted.contains(by) && out.get(by).is_none_or(|cut| seq <= cut.seq);
        let freezes = self.freezes(ledger, host).filter(|(by, seq, _)| counts(by, *seq));
        freezes.map(|(_, _, node)| node).filter(|node| !out.contains_key(node) && !left(node)).collect()
    }

    /// Returns all nodes that were ever admitted, as far as a host knows.
    fn admitted(&self, ledger: &Ledger, host: Host, founders: usize) -> BTreeSet<NodeId> {
        let mut admitted: BTreeSet<NodeId> = (0..founders).map(node_id).collect();
        admitted.extend(self.known(ledger, host).filter_map(|(_, word)| match word {
            Word::Admit(node) => Some(*node),
            _ => None,
        }));
        admitted
    }

    /// Returns the members that a host knows.
    pub(crate) fn members(&self, ledger: &Ledger, host: Host, founders: usize) -> BTreeSet<NodeId> {
        let mut members = self.admitted(ledger, host, founders);
        // A node that has departed is out for every host that has its `Depart`.
        let departed: BTreeSet<NodeId> =
            self.known(ledger, host).filter(|(_, word)| **word == Word::Depart).map(|(origin, _)| origin).collect();
        members.retain(|node| !ledger.cuts_of(host).contains_key(node) && !departed.contains(node));
        members
    }

    /// Returns the nodes of which a host knows that they were ever frozen or have departed.
    pub(crate) fn going(&self, ledger: &Ledger, host: Host) -> BTreeSet<NodeId> {
        let going = self.known(ledger, host).filter_map(|(origin, word)| match word {
            Word::Freeze(node) => Some(*node),
            Word::Depart => Some(origin),
            Word::Admit(_) => None,
        });
        going.collect()
    }

    /// Returns true where a node has issued its `Depart`, be it that this was lost in a crash.
    pub(crate) fn departs(&self, node: NodeId) -> bool {
        self.departure(node).is_some()
    }

    /// Returns the number of the `Depart` that a node has issued.
    pub(crate) fn departure(&self, node: NodeId) -> Option<Seq> {
        let mut words = self.words.range((node, 0)..=(node, Seq::MAX));
        words.find(|(_, word)| **word == Word::Depart).map(|((_, seq), _)| *seq)
    }

    /// Returns the nodes that a node has frozen before an op of its log.
    pub(crate) fn frozen_before(&self, node: NodeId, seq: Seq) -> BTreeSet<NodeId> {
        let before = self.words.range((node, 0)..(node, seq));
        before.filter_map(|(_, word)| if let Word::Freeze(node) = word { Some(*node) } else { None }).collect()
    }

    /// Returns the nodes that any node has frozen.
    pub(crate) fn frozen(&self) -> BTreeSet<NodeId> {
        let frozen =
            self.words.values().filter_map(|word| if let Word::Freeze(node) = word { Some(*node) } else { None });
        frozen.collect()
    }
}
