//! Who is a member, as far as a host can know: worked out from the membership ops that nodes issued and the prefixes of
//! logs that the host has, and not by asking the replica.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::NodeId;
use forename::log::{Body, MemberOp, Op, Seq};

use crate::plan::Host;
use crate::world::books::ledger::Ledger;
use crate::world::ids::node_id;

/// What a membership op says, as far as it matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Word {
    /// A newcomer is let in.
    Admit(NodeId),
    /// Nothing more of a node's log is taken.
    Freeze(NodeId),
    /// The origin leaves.
    Depart,
}

/// The membership ops of all logs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roll {
    words: BTreeMap<(NodeId, Seq), Word>,
}

impl Roll {
    /// Takes note of an op as its origin issues it. One that was lost in a crash may be issued anew as something else.
    pub(crate) fn issued(&mut self, op: &Op) {
        let word = match &op.body {
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

    /// What a host has of them.
    fn known<'a>(&'a self, ledger: &'a Ledger, host: Host) -> impl Iterator<Item = (NodeId, &'a Word)> {
        self.here(ledger, host).map(|(at, word)| (at.0, word))
    }

    /// The same, with their places in the logs.
    fn here<'a>(&'a self, ledger: &'a Ledger, host: Host) -> impl Iterator<Item = ((NodeId, Seq), &'a Word)> {
        let applied = ledger.applied(host);
        let here = move |at: &(NodeId, Seq)| applied.get(&at.0).is_some_and(|upto| at.1 <= *upto);
        self.words.iter().filter(move |(at, _)| here(at)).map(|(at, word)| (*at, word))
    }

    /// The admissions that a host has, as places in logs.
    pub(crate) fn admissions(&self, ledger: &Ledger, host: Host) -> Vec<(NodeId, Seq)> {
        let admissions = self.here(ledger, host).filter(|(_, word)| matches!(word, Word::Admit(_)));
        admissions.map(|(at, _)| at).collect()
    }

    /// The freezes that a host has: by whom, as which op, of whom.
    pub(crate) fn freezes<'a>(
        &'a self,
        ledger: &'a Ledger,
        host: Host,
    ) -> impl Iterator<Item = (NodeId, Seq, NodeId)> + 'a {
        let freezes = self.here(ledger, host);
        freezes
            .filter_map(|((by, seq), word)| if let Word::Freeze(node) = word { Some((by, seq, *node)) } else { None })
    }

    /// The nodes whose eviction a host knows to be under way: members have frozen them, and they are neither out nor gone by
    /// themselves.
    pub(crate) fn frozen_for(&self, ledger: &Ledger, host: Host, founders: usize) -> BTreeSet<NodeId> {
        let (out, admitted) = (ledger.cuts_of(host), self.admitted(ledger, host, founders));
        let left = |node: &NodeId| self.known(ledger, host).any(|(by, word)| by == *node && *word == Word::Depart);
        let counts = |by: &NodeId, seq: Seq| admitted.contains(by) && out.get(by).is_none_or(|cut| seq <= cut.seq);
        let freezes = self.freezes(ledger, host).filter(|(by, seq, _)| counts(by, *seq));
        freezes.map(|(_, _, node)| node).filter(|node| !out.contains_key(node) && !left(node)).collect()
    }

    /// All who were ever let in, as far as a host knows.
    fn admitted(&self, ledger: &Ledger, host: Host, founders: usize) -> BTreeSet<NodeId> {
        let mut admitted: BTreeSet<NodeId> = (0..founders).map(node_id).collect();
        admitted.extend(self.known(ledger, host).filter_map(|(_, word)| match word {
            Word::Admit(node) => Some(*node),
            _ => None,
        }));
        admitted
    }

    /// The members that a host knows of.
    pub(crate) fn members(&self, ledger: &Ledger, host: Host, founders: usize) -> BTreeSet<NodeId> {
        let mut members = self.admitted(ledger, host, founders);
        // Whoever has said its last op is out for those who have it.
        let departed: BTreeSet<NodeId> =
            self.known(ledger, host).filter(|(_, word)| **word == Word::Depart).map(|(origin, _)| origin).collect();
        members.retain(|node| !ledger.cuts_of(host).contains_key(node) && !departed.contains(node));
        members
    }

    /// The nodes that a host knows to be frozen, or to leave, or to be out.
    pub(crate) fn going(&self, ledger: &Ledger, host: Host) -> BTreeSet<NodeId> {
        let going = self.known(ledger, host).filter_map(|(origin, word)| match word {
            Word::Freeze(node) => Some(*node),
            Word::Depart => Some(origin),
            Word::Admit(_) => None,
        });
        going.collect()
    }

    /// Whether a node has said that it leaves.
    pub(crate) fn departs(&self, node: NodeId) -> bool {
        self.words.range((node, 0)..=(node, Seq::MAX)).any(|(_, word)| *word == Word::Depart)
    }

    /// The nodes that one has frozen before an op of its log.
    pub(crate) fn frozen_before(&self, node: NodeId, seq: Seq) -> BTreeSet<NodeId> {
        let before = self.words.range((node, 0)..(node, seq));
        before.filter_map(|(_, word)| if let Word::Freeze(node) = word { Some(*node) } else { None }).collect()
    }

    /// The nodes that anybody has frozen.
    pub(crate) fn frozen(&self) -> BTreeSet<NodeId> {
        let frozen =
            self.words.values().filter_map(|word| if let Word::Freeze(node) = word { Some(*node) } else { None });
        frozen.collect()
    }
}
