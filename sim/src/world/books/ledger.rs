//! The logs of all nodes as they were issued, and what each host has of them: seen from outside, and kept where no node
//! can change it. The checks hold against it what nodes do next; the world reads in it what nobody in it can know.

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

/// Ops beside the logs, by origin, in the order in which they came up.
type Beside = BTreeMap<NodeId, Vec<Op>>;

/// What is known of one node.
#[derive(Clone, Debug, Default)]
struct Book {
    /// Prefixes of logs in its memory.
    applied: BTreeMap<NodeId, Seq>,
    watermark: Hlc,
    /// Where it knows the logs of the evicted to end.
    cuts: BTreeMap<NodeId, Cut>,
    /// The same before its last step: a newcomer may take an op and hear in the same step that it is void.
    cuts_before: BTreeMap<NodeId, Cut>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// By host.
    books: Vec<Book>,
    /// The log of each node as it was issued.
    ops: BTreeMap<NodeId, Vec<Op>>,
    founders: BTreeSet<NodeId>,
    /// The words that let newcomers in: whose log, and where.
    admissions: BTreeMap<NodeId, BTreeSet<(NodeId, Seq, Hlc)>>,
    /// Ops of copies, and those that only a directory had whose place a copy took.
    beside: Beside,
    /// How much of their logs the directories had that took the place of others.
    kept: BTreeMap<NodeId, Seq>,
    /// The greatest promise that each node let out.
    promised: BTreeMap<NodeId, Hlc>,
    /// The greatest watermark that any host has had.
    greatest_watermark: Hlc,
    /// Registrations that a client was told of.
    answered: BTreeSet<Uuid>,
    /// Rules that an operator was told were set, by namespace.
    rules: BTreeSet<(String, Stamp)>,
    /// Where the logs of the evicted end, for everybody.
    cuts: BTreeMap<NodeId, Cut>,
}

impl Ledger {
    pub(crate) fn new(hosts: usize, founders: usize) -> Self {
        let founders = (0..founders).map(node_id).collect();
        Self { books: vec![Book::default(); hosts], founders, ..Self::default() }
    }

    /// A step of a host wrote an op to its log, its own or another's. One that a copy of its directory issues stands beside.
    pub(crate) fn wrote(&mut self, host: Host, own: bool, old: bool, op: &Op) {
        if own && old {
            self.set_beside(op.clone());
        } else if own {
            self.ops.entry(op.node).or_default().push(op.clone());
            if let Body::Member(MemberOp::Admit { node }) = &op.body {
                self.admissions.entry(*node).or_default().insert((op.node, op.seq, op.hlc));
            }
        } else {
            self.revive(op);
        }
        self.books[host].applied.insert(op.node, op.seq);
    }

    /// Prefixes of logs that a step says are here, whose ops may have left the logs before.
    pub(crate) fn given(&mut self, host: Host, prefixes: Vec<(NodeId, Seq)>) {
        for (origin, seq) in prefixes {
            let applied = self.books[host].applied.entry(origin).or_default();
            *applied = seq.max(*applied);
        }
    }

    /// A host's watermark after a step.
    pub(crate) fn watermark(&mut self, host: Host, watermark: Hlc) {
        self.books[host].watermark = watermark;
        self.greatest_watermark = watermark.max(self.greatest_watermark);
    }

    /// The watermark of a host after its last step.
    pub(crate) fn watermark_of(&self, host: Host) -> Hlc {
        self.books[host].watermark
    }

    /// The greatest watermark that any host has had.
    pub(crate) fn greatest_watermark(&self) -> Hlc {
        self.greatest_watermark
    }

    /// A node lets a promise out.
    pub(crate) fn promises(&mut self, node: NodeId, hlc: Hlc) {
        let promised = self.promised.entry(node).or_default();
        *promised = hlc.max(*promised);
    }

    /// A client is told of a registration.
    pub(crate) fn answers(&mut self, id: Uuid) {
        self.answered.insert(id);
    }

    /// An operator is told of rules.
    pub(crate) fn tells_rules(&mut self, namespace: String, stamp: Stamp) {
        self.rules.insert((namespace, stamp));
    }

    /// Rules that were told of.
    pub(crate) fn told_rules(&self) -> impl Iterator<Item = (&String, &Stamp)> {
        self.rules.iter().map(|(namespace, stamp)| (namespace, stamp))
    }

    /// The logs as they were issued, by node.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (NodeId, &[Op])> {
        self.ops.iter().map(|(node, log)| (*node, log.as_slice()))
    }

    /// The log of a node.
    pub(crate) fn log(&self, node: NodeId) -> &[Op] {
        self.ops.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The ops that no eviction has cut off.
    pub(crate) fn uncut_ops(&self) -> impl Iterator<Item = &Op> + Clone {
        let is_cut = |op: &&Op| self.cuts.get(&op.node).is_some_and(|cut| op.seq > cut.seq);
        self.ops.values().flatten().filter(move |op| !is_cut(op))
    }

    /// Whether what a node issues from now on counts.
    pub(crate) fn counts(&self, node: NodeId) -> bool {
        !self.cuts.contains_key(&node) && self.was_let_in(node)
    }

    /// Whether an op had left the log of the evicted that a host knew before its last step.
    pub(crate) fn was_cut_for(&self, host: Host, op: &Op) -> bool {
        self.books[host].cuts_before.get(&op.node).is_some_and(|cut| op.seq > cut.seq)
    }

    /// Where the log of an evicted node ends, for everybody.
    pub(crate) fn cut_of(&self, node: NodeId) -> Option<Cut> {
        self.cuts.get(&node).copied()
    }

    /// The host that has a watermark at or above a time, other than one of them.
    pub(crate) fn host_past(&self, hlc: Hlc, but: Host) -> Option<(Host, Hlc)> {
        let mut past = self.books.iter().enumerate().filter(|(host, book)| *host != but && book.watermark >= hlc);
        past.next().map(|(host, book)| (host, book.watermark))
    }

    /// The ops that count.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.ops.values().flatten().filter(|op| !self.is_void(op))
    }

    /// All ops that were ever issued and are in a log, void ones included, and those beside the logs.
    pub(crate) fn all_ops(&self) -> impl Iterator<Item = &Op> {
        self.ops.values().chain(self.beside.values()).flatten()
    }

    pub(crate) fn is_void(&self, op: &Op) -> bool {
        self.cuts.get(&op.node).is_some_and(|cut| op.seq > cut.seq) || !self.was_let_in(op.node)
    }

    /// Whether the log of a node counts: it is a founder's, or follows a word that let the node in and counts. A word beyond a
    /// cut does not; what was issued on it comes before any that does.
    fn was_let_in(&self, node: NodeId) -> bool {
        let counts = |(by, seq, _): &&(NodeId, Seq, Hlc)| {
            self.cuts.get(by).is_none_or(|cut| *seq <= cut.seq) && self.was_let_in(*by)
        };
        let words = self.admissions.get(&node).into_iter().flatten().filter(counts);
        let floor = words.map(|(_, _, hlc)| *hlc).min();
        let first = self.ops.get(&node).and_then(|log| log.first()).map(|op| op.hlc);
        self.founders.contains(&node) || floor.is_some_and(|floor| first.is_none_or(|first| first > floor))
    }

    /// Whether all ops that bring a registration of this id are void.
    pub(crate) fn is_in_the_void(&self, id: Uuid) -> bool {
        let mut ops = self.brought_by(id).peekable();
        ops.peek().is_some() && ops.all(|op| self.is_void(op))
    }

    /// The nodes that issued a registration of this id.
    pub(crate) fn origins_of(&self, id: Uuid) -> impl Iterator<Item = NodeId> {
        self.brought_by(id).map(|op| op.node)
    }

    fn brought_by(&self, id: Uuid) -> impl Iterator<Item = &Op> {
        let brings = move |op: &&Op| match &op.body {
            Body::Name(NameOp::Register(register)) => {
                register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(op.stamp())) == id
            }
            _ => false,
        };
        self.ops.values().flatten().filter(brings)
    }

    /// Who is out, as a host sees it. One that is itself on its way out, and whose own word does not count any more, may
    /// think that more of a log counts than does. True where that has changed.
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

    /// Who is out, as a host saw it last.
    pub(crate) fn cuts_of(&self, host: Host) -> &BTreeMap<NodeId, Cut> {
        &self.books[host].cuts
    }

    /// Whether any host knows a node to be out.
    pub(crate) fn is_out(&self, node: NodeId) -> bool {
        self.cuts.contains_key(&node)
    }

    /// Whether a host holds ops that an eviction has made void.
    pub(crate) fn holds_void(&self, host: Host) -> bool {
        self.cuts.iter().any(|(node, cut)| self.books[host].applied.get(node).is_some_and(|applied| *applied > cut.seq))
    }

    /// One more machine.
    pub(crate) fn add(&mut self) {
        self.books.push(Book::default());
    }

    /// What was decided and lost in a crash may be decided otherwise.
    fn compare_cuts(&mut self) {
        self.cuts.clear();
        for (node, cut) in self.books.iter().flat_map(|book| &book.cuts) {
            self.cuts.entry(*node).and_modify(|least| *least = (*least).min(*cut)).or_insert(*cut);
        }
    }

    pub(crate) fn op_count(&self) -> usize {
        self.ops.values().map(Vec::len).sum()
    }

    /// The op of a stamp in the logs.
    pub(crate) fn logged(&self, stamp: Stamp) -> Option<&Op> {
        op_in(&self.ops, stamp)
    }

    /// The op of a stamp, also where it came to nothing.
    pub(crate) fn op(&self, stamp: Stamp) -> Option<&Op> {
        op_in(&self.ops, stamp).or_else(|| self.beside(stamp))
    }

    /// A new cluster is made, and this node is its only founder.
    pub(crate) fn founded_anew(&mut self, node: NodeId) {
        self.founders.insert(node);
    }

    /// The end of a node's log, with the hash up to there.
    pub(crate) fn head(&self, node: NodeId) -> (Seq, Chain) {
        let last = self.ops.get(&node).and_then(|log| log.last());
        last.map(|op| (op.seq, op.chain)).unwrap_or_default()
    }

    /// The ends of all logs.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (NodeId, (Seq, Chain))> {
        self.ops.keys().map(|node| (*node, self.head(*node)))
    }

    /// Those who are out.
    pub(crate) fn out(&self) -> impl Iterator<Item = NodeId> {
        self.cuts.keys().copied()
    }

    /// The prefixes of logs that a node has.
    pub(crate) fn applied(&self, host: Host) -> &BTreeMap<NodeId, Seq> {
        &self.books[host].applied
    }

    /// The greatest promise that a node let out.
    pub(crate) fn promised(&self, node: NodeId) -> Hlc {
        self.promised.get(&node).copied().unwrap_or_default()
    }

    /// What a node promised after this one reached nobody.
    pub(crate) fn nobody_heard(&mut self, node: NodeId, promised: Hlc) {
        self.promised.insert(node, promised);
    }

    /// A log of which the node has more or less than counts: whose, how much it has, and how much there is.
    pub(crate) fn lacks(&self, host: Host) -> Option<(NodeId, Seq, Seq)> {
        let last =
            |node: &NodeId, log: &Vec<Op>| self.cuts.get(node).map_or(Seq::MAX, |cut| cut.seq).min(log.len() as Seq);
        let applied = |node: &NodeId| self.books[host].applied.get(node).copied().unwrap_or(0);
        let counting = self.ops.iter().filter(|(node, _)| self.was_let_in(**node));
        let logs = counting.map(|(node, log)| (*node, applied(node), last(node, log)));
        logs.into_iter().find(|(_, has, there_are)| has != there_are)
    }

    /// When all that was issued is over: the last op, or the last end of a reservation.
    pub(crate) fn all_over(&self) -> Hlc {
        let expiries = self.ops().filter_map(|op| match &op.body {
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

    /// A process starts: its memory is what its disk holds, and what it alone knew is gone.
    /// Where the disk was replaced by an older one, all know more of it than it does.
    pub(crate) fn restarted(&mut self, host: Host, machine: &Machine, swapped: bool) {
        let Machine { node, disk, .. } = machine;
        let node = *node;
        // Whoever begins anew finds nothing, whatever is on the disk yet.
        let begins = !disk.is_whole();
        self.books[host].applied = if begins { BTreeMap::new() } else { disk.logs().clone() };
        self.books[host].watermark = Hlc::ZERO;
        self.books[host].cuts.clear();
        self.books[host].cuts_before.clear();
        self.compare_cuts();
        // What others hold is not lost, whatever the disk has: it may be one of an earlier life.
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

    /// What a node answered about ops that no directory holds any more is gone with them: those beside its log, and those of
    /// its log after this one, which nobody else has yet.
    fn forget_answers(&mut self, node: NodeId, kept: Seq) {
        let brings = |op: &Op| match &op.body {
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

    /// A newcomer that starts over has no ops of this node any more.
    pub(crate) fn forgot(&mut self, host: Host, origin: NodeId) {
        self.books[host].applied.remove(&origin);
    }
}

/// The op of a stamp.
fn op_in(logs: &BTreeMap<NodeId, Vec<Op>>, stamp: Stamp) -> Option<&Op> {
    let log = logs.get(&stamp.node)?;
    log.binary_search_by_key(&stamp.hlc, |op| op.hlc).ok().map(|index| &log[index])
}
