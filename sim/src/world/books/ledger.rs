//! The logs of all nodes as they were issued, and the prefix of each that every host has. They are recorded from
//! outside, where no node can change them. The checks compare later events with them, and the world looks up in them
//! what no node can know.

mod copies;
mod members;

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId, Stamp};
use forename::crdt::NameOp;
use forename::log::{Body, Chain, Cut, MemberOp, Op, Seq};
use uuid::Uuid;

use crate::plan::Host;
use crate::world::ids::node_id;
use crate::world::machine::Machine;

/// Ops that are in no counting log, by origin, in the order in which they appeared.
type Beside = BTreeMap<NodeId, Vec<Op>>;

/// The simulator's knowledge of one node.
#[derive(Clone, Debug, Default)]
struct Book {
    /// The prefixes of logs that the process has in memory.
    applied: BTreeMap<NodeId, Seq>,
    watermark: Hlc,
    /// The cuts of evicted nodes that it knows.
    cuts: BTreeMap<NodeId, Cut>,
    /// The cuts that it knew before its last step: a newcomer may receive an op and learn in the same step that it is
    /// void.
    cuts_before: BTreeMap<NodeId, Cut>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// The knowledge of each node, by host.
    books: Vec<Book>,
    /// The log of each node as it was issued, without ops that are set beside it.
    ops: BTreeMap<NodeId, Vec<Op>>,
    founders: BTreeSet<NodeId>,
    /// The admissions of newcomers: by admitted node, the origin, number and timestamp of each `Admit`.
    admissions: BTreeMap<NodeId, BTreeSet<(NodeId, Seq, Hlc)>>,
    /// Ops that copies of a directory issued, and ops that were only in a directory which a copy replaced.
    beside: Beside,
    /// For nodes whose directory was replaced by a copy: the prefix of the log that the copy had.
    kept: BTreeMap<NodeId, Seq>,
    /// The greatest promise that each node has sent.
    promised: BTreeMap<NodeId, Hlc>,
    /// The greatest watermark that any host has had.
    greatest_watermark: Hlc,
    /// Registrations about which a client received an answer.
    answered: BTreeSet<Uuid>,
    /// Rules that an operator was told were set, by namespace.
    rules: BTreeSet<(String, Stamp)>,
    /// The cuts of evicted nodes: the least that any host knows.
    cuts: BTreeMap<NodeId, Cut>,
}

impl Ledger {
    pub(crate) fn new(hosts: usize, founders: usize) -> Self {
        let founders = (0..founders).map(node_id).collect();
        Self { books: vec![Book::default(); hosts], founders, ..Self::default() }
    }

    /// Records an op that a step of a host wrote to a log, its own or another's. An op that an old copy of its
    /// directory issues is set beside the log.
    pub(crate) fn wrote(&mut self, host: Host, own: bool, old: bool, op: &Op) {
        if own && old {
            self.set_beside(op.clone());
        } else if own {
            self.ops.entry(op.node).or_default().push(op.clone());
            if let Body::Member(MemberOp::Admit { node }) = op.body() {
                self.admissions.entry(*node).or_default().insert((op.node, op.seq, op.hlc));
            }
        } else {
            self.revive(op);
        }
        self.books[host].applied.insert(op.node, op.seq);
    }

    /// Records prefixes of logs that a step says the host has, even where the ops have left the logs.
    pub(crate) fn given(&mut self, host: Host, prefixes: Vec<(NodeId, Seq)>) {
        for (origin, seq) in prefixes {
            let applied = self.books[host].applied.entry(origin).or_default();
            *applied = seq.max(*applied);
        }
    }

    /// Records a host's watermark after a step.
    pub(crate) fn watermark(&mut self, host: Host, watermark: Hlc) {
        self.books[host].watermark = watermark;
        self.greatest_watermark = watermark.max(self.greatest_watermark);
    }

    /// Returns the watermark of a host after its last step.
    pub(crate) fn watermark_of(&self, host: Host) -> Hlc {
        self.books[host].watermark
    }

    /// Returns the greatest watermark that any host has had.
    pub(crate) fn greatest_watermark(&self) -> Hlc {
        self.greatest_watermark
    }

    /// Records a promise that a node sends.
    pub(crate) fn promises(&mut self, node: NodeId, hlc: Hlc) {
        let promised = self.promised.entry(node).or_default();
        *promised = hlc.max(*promised);
    }

    /// Records that a client received an answer about a registration.
    pub(crate) fn answers(&mut self, id: Uuid) {
        self.answered.insert(id);
    }

    /// Records rules that an operator was told were set.
    pub(crate) fn tells_rules(&mut self, namespace: String, stamp: Stamp) {
        self.rules.insert((namespace, stamp));
    }

    /// Returns the rules that operators were told were set.
    pub(crate) fn told_rules(&self) -> impl Iterator<Item = (&String, &Stamp)> {
        self.rules.iter().map(|(namespace, stamp)| (namespace, stamp))
    }

    /// Returns the logs as they were issued, by node.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (NodeId, &[Op])> {
        self.ops.iter().map(|(node, log)| (*node, log.as_slice()))
    }

    /// Returns the log of a node.
    pub(crate) fn log(&self, node: NodeId) -> &[Op] {
        self.ops.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Returns the ops that no known cut makes void.
    pub(crate) fn uncut_ops(&self) -> impl Iterator<Item = &Op> + Clone {
        let is_cut = |op: &&Op| self.cuts.get(&op.node).is_some_and(|cut| op.seq > cut.seq);
        self.ops.values().flatten().filter(move |op| !is_cut(op))
    }

    /// Returns true where ops that a node issues from now on count.
    pub(crate) fn counts(&self, node: NodeId) -> bool {
        !self.cuts.contains_key(&node) && self.was_let_in(node)
    }

    /// Returns true where an op is beyond a cut that a host knew before its last step.
    pub(crate) fn was_cut_for(&self, host: Host, op: &Op) -> bool {
        self.books[host].cuts_before.get(&op.node).is_some_and(|cut| op.seq > cut.seq)
    }

    /// Returns the cut of an evicted node.
    pub(crate) fn cut_of(&self, node: NodeId) -> Option<Cut> {
        self.cuts.get(&node).copied()
    }

    /// Returns a host whose watermark is at or above a time, other than one of them, with the watermark.
    pub(crate) fn host_past(&self, hlc: Hlc, but: Host) -> Option<(Host, Hlc)> {
        let mut past = self.books.iter().enumerate().filter(|(host, book)| *host != but && book.watermark >= hlc);
        past.next().map(|(host, book)| (host, book.watermark))
    }

    /// Returns the ops that count.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.ops.values().flatten().filter(|op| !self.is_void(op))
    }

    /// Returns all ops that were ever issued: those of the logs, void ones included, and those beside the logs.
    pub(crate) fn all_ops(&self) -> impl Iterator<Item = &Op> {
        self.ops.values().chain(self.beside.values()).flatten()
    }

    pub(crate) fn is_void(&self, op: &Op) -> bool {
        self.cuts.get(&op.node).is_some_and(|cut| op.seq > cut.seq) || !self.was_let_in(op.node)
    }

    /// Returns true where the log of a node counts: the node is a founder, or was admitted by an op that counts. An
    /// `Admit` beyond a cut does not count, nor one that was lost in a crash; ops that were issued after such an `Admit`
    /// have lower timestamps than one that counts.
    fn was_let_in(&self, node: NodeId) -> bool {
        let counts = |(by, seq, hlc): &&(NodeId, Seq, Hlc)| {
            let in_log = self.logged(Stamp { hlc: *hlc, node: *by }).is_some_and(|op| op.seq == *seq);
            in_log && self.cuts.get(by).is_none_or(|cut| *seq <= cut.seq) && self.was_let_in(*by)
        };
        let words = self.admissions.get(&node).into_iter().flatten().filter(counts);
        let floor = words.map(|(_, _, hlc)| *hlc).min();
        let first = self.ops.get(&node).and_then(|log| log.first()).map(|op| op.hlc);
        self.founders.contains(&node) || floor.is_some_and(|floor| first.is_none_or(|first| first > floor))
    }

    /// Returns true where all ops that carry a registration with this id are void.
    pub(crate) fn is_in_the_void(&self, id: Uuid) -> bool {
        let mut ops = self.brought_by(id).peekable();
        ops.peek().is_some() && ops.all(|op| self.is_void(op))
    }

    /// Returns the nodes that issued a registration with this id.
    pub(crate) fn origins_of(&self, id: Uuid) -> impl Iterator<Item = NodeId> {
        self.brought_by(id).map(|op| op.node)
    }

    fn brought_by(&self, id: Uuid) -> impl Iterator<Item = &Op> {
        let brings = move |op: &&Op| match op.body() {
            Body::Name(NameOp::Register(register)) => {
                register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(op.stamp())) == id
            }
            _ => false,
        };
        self.ops.values().flatten().filter(brings)
    }

    /// Records the cuts that a host knows. A host that is being evicted itself, and whose own freezes do not count any
    /// more, may know a greater cut than the others. Returns true where its cuts have changed.
    pub(crate) fn cuts(&mut self, host: Host, cuts: &BTreeMap<NodeId, Cut>) -> bool {
        let book = &mut self.books[host];
        let changed = book.cuts != *cuts;
        if changed || book.cuts_before != book.cuts {
            book.cuts_before = std::mem::replace(&mut book.cuts, cuts.clone());
        }
        if changed {
            self.compare_cuts();
        }
        changed
    }

    /// Returns the cuts that a host knew last.
    pub(crate) fn cuts_of(&self, host: Host) -> &BTreeMap<NodeId, Cut> {
        &self.books[host].cuts
    }

    /// Returns true where any host knows that a node is out.
    pub(crate) fn is_out(&self, node: NodeId) -> bool {
        self.cuts.contains_key(&node)
    }

    /// Returns true where a host holds ops that an eviction has made void.
    pub(crate) fn holds_void(&self, host: Host) -> bool {
        self.cuts.iter().any(|(node, cut)| self.books[host].applied.get(node).is_some_and(|applied| *applied > cut.seq))
    }

    /// Adds a machine.
    pub(crate) fn add(&mut self) {
        self.books.push(Book::default());
    }

    /// Computes the cuts again. A cut that was decided and lost in a crash may be decided differently the next time.
    fn compare_cuts(&mut self) {
        self.cuts.clear();
        for (node, cut) in self.books.iter().flat_map(|book| &book.cuts) {
            self.cuts.entry(*node).and_modify(|least| *least = (*least).min(*cut)).or_insert(*cut);
        }
    }

    pub(crate) fn op_count(&self) -> usize {
        self.ops.values().map(Vec::len).sum()
    }

    /// Returns the op with a stamp in the logs.
    pub(crate) fn logged(&self, stamp: Stamp) -> Option<&Op> {
        op_in(&self.ops, stamp)
    }

    /// Returns the op with a stamp, in the logs or beside them.
    pub(crate) fn op(&self, stamp: Stamp) -> Option<&Op> {
        op_in(&self.ops, stamp).or_else(|| self.beside(stamp))
    }

    /// Notes that a new cluster was founded whose only founder is this node.
    pub(crate) fn founded_anew(&mut self, node: NodeId) {
        self.founders.insert(node);
    }

    /// Returns the number of the last op of a node's log, with its chain hash.
    pub(crate) fn head(&self, node: NodeId) -> (Seq, Chain) {
        let last = self.ops.get(&node).and_then(|log| log.last());
        last.map(|op| (op.seq, op.chain)).unwrap_or_default()
    }

    /// Returns the last op of each log, as above.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (NodeId, (Seq, Chain))> {
        self.ops.keys().map(|node| (*node, self.head(*node)))
    }

    /// Returns the nodes that are out.
    pub(crate) fn out(&self) -> impl Iterator<Item = NodeId> {
        self.cuts.keys().copied()
    }

    /// Returns the prefixes of logs that a host has.
    pub(crate) fn applied(&self, host: Host) -> &BTreeMap<NodeId, Seq> {
        &self.books[host].applied
    }

    /// Returns the greatest promise that a node has sent.
    pub(crate) fn promised(&self, node: NodeId) -> Hlc {
        self.promised.get(&node).copied().unwrap_or_default()
    }

    /// Sets a node's promise back, because its later promises reached nobody.
    pub(crate) fn nobody_heard(&mut self, node: NodeId, promised: Hlc) {
        self.promised.insert(node, promised);
    }

    /// Returns a log of which a host has more or less than counts: its node, the prefix that the host has, and the
    /// prefix that counts.
    pub(crate) fn lacks(&self, host: Host) -> Option<(NodeId, Seq, Seq)> {
        let last =
            |node: &NodeId, log: &Vec<Op>| self.cuts.get(node).map_or(Seq::MAX, |cut| cut.seq).min(log.len() as Seq);
        let applied = |node: &NodeId| self.books[host].applied.get(node).copied().unwrap_or(0);
        let counting = self.ops.iter().filter(|(node, _)| self.was_let_in(**node));
        let logs = counting.map(|(node, log)| (*node, applied(node), last(node, log)));
        logs.into_iter().find(|(_, has, there_are)| has != there_are)
    }

    /// Returns when everything that was issued is over: the timestamp of the last op, or the last end of a reservation.
    pub(crate) fn all_over(&self) -> Hlc {
        let expiries = self.ops().filter_map(|op| match op.body() {
            Body::Name(NameOp::Register(register)) => register.expires,
            Body::Name(NameOp::Extend { expires, .. }) => Some(*expires),
            _ => None,
        });
        expiries.chain([self.last_op()]).max().unwrap_or_default()
    }

    pub(crate) fn last_op(&self) -> Hlc {
        self.ops().map(|op| op.hlc).max().unwrap_or_default()
    }

    pub(crate) fn answered(&self) -> impl Iterator<Item = Uuid> {
        self.answered.iter().copied()
    }

    /// Records the start of a process: its memory is what its disk holds, and what only the earlier process knew is
    /// gone. With `swapped`, its disk was replaced by an older one.
    pub(crate) fn restarted(&mut self, host: Host, machine: &Machine, swapped: bool) {
        let Machine { node, disk, .. } = machine;
        let node = *node;
        // A node that joins anew uses nothing that is still on its disk.
        let begins = !disk.is_whole();
        self.books[host].applied = if begins { BTreeMap::new() } else { disk.logs().clone() };
        self.books[host].watermark = Hlc::ZERO;
        self.books[host].cuts.clear();
        self.books[host].cuts_before.clear();
        self.compare_cuts();
        // Ops that others hold are not lost, even where the node's own disk does not have them.
        let held = self.books.iter().filter_map(|book| book.applied.get(&node).copied()).max().unwrap_or(0);
        if !machine.is_old() {
            let (seq, chain) = disk.head(node);
            self.follow(node, seq, chain);
            self.shorten(node, seq.max(held));
            if swapped {
                self.forget_answers(node, Seq::MAX);
            }
        }
    }

    /// Forgets answers about ops that no directory has any more: ops beside the node's log, and ops of its log after
    /// `kept`, which no other node has yet.
    fn forget_answers(&mut self, node: NodeId, kept: Seq) {
        let brings = |op: &Op| match op.body() {
            Body::Name(NameOp::Register(register)) => {
                Some(register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(op.stamp())))
            }
            _ => None,
        };
        let lost = self.ops.get(&node).into_iter().flatten().filter(|op| op.seq > kept);
        for id in lost.chain(self.beside.get(&node).into_iter().flatten()).filter_map(brings) {
            self.answered.remove(&id);
        }
        let logs = &self.ops;
        self.rules.retain(|(_, stamp)| stamp.node != node || op_in(logs, *stamp).is_some_and(|op| op.seq <= kept));
    }

    /// Notes that a newcomer starts over and has no ops of this origin any more.
    pub(crate) fn forgot(&mut self, host: Host, origin: NodeId) {
        self.books[host].applied.remove(&origin);
    }
}

/// Returns the op with a stamp.
fn op_in(logs: &BTreeMap<NodeId, Vec<Op>>, stamp: Stamp) -> Option<&Op> {
    let log = logs.get(&stamp.node)?;
    log.binary_search_by_key(&stamp.hlc, |op| op.hlc).ok().map(|index| &log[index])
}
