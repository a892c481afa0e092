//! What has been seen of the nodes from outside, kept where no node can change it, and the checks that follow every
//! step.

mod copies;
mod steps;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId, Stamp};
use forename::crdt::{Body, Chain, Cut, Op, Seq};
use forename::replica::{Cursor, Event, EventType, Status};
use forename::store::schema::{self, Cell};
use uuid::Uuid;

use crate::checks::exclusive::Exclusive;
use crate::oracle::Place;
use crate::plan::Host;
use crate::world::disk::Disk;
use crate::world::machine::{Machine, host_of, node_id};

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which check found it.
    pub check: &'static str,
    /// How.
    pub text: String,
}

/// The result of a check.
pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn broken(check: &'static str, text: String) -> Checked {
    Err(Violation { check, text })
}

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
    /// Its disk was replaced by an older one: it may issue what it likes, but nobody may take it.
    put_back: bool,
    feed: Feed,
    reader: Reader,
}

/// The events of one feed that its reader has been given, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed {
    /// Whose it is.
    node: NodeId,
    events: BTreeMap<u64, Event>,
    ids: BTreeSet<String>,
}

impl Feed {
    /// What is left of it with a disk that has no event after this one.
    fn upto(mut self, last: Cursor) -> Self {
        self.events.retain(|number, _| *number <= last.number);
        let ids = self.events.values().map(Event::id).collect();
        Self { ids, ..self }
    }
}

/// What the reader of a host's feeds knows. It goes on over restarts, copies and new feeds, and drops events whose ids it knows.
#[derive(Clone, Debug, Default)]
struct Reader {
    /// Events had left a feed before they were read.
    missed: bool,
    told: BTreeSet<(EventType, Stamp)>,
    accepted: BTreeSet<Uuid>,
    decided: BTreeMap<Uuid, Status>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    nodes: Vec<NodeId>,
    /// Nodes drop old events, and what is over.
    forgetful: bool,
    books: Vec<Book>,
    /// The log of each node as it was issued.
    ops: BTreeMap<NodeId, Vec<Op>>,
    founders: BTreeSet<NodeId>,
    /// The words that let newcomers in: whose log, and where.
    admissions: BTreeMap<NodeId, BTreeSet<(NodeId, Seq, Hlc)>>,
    /// Ops of copies, and those that only a directory had whose place a copy took.
    beside: copies::Beside,
    /// How much of their logs the directories had that took the place of others.
    kept: BTreeMap<NodeId, Seq>,
    /// The greatest promise that each node let out.
    promised: BTreeMap<NodeId, Hlc>,
    finals: BTreeMap<Stamp, (Status, Host)>,
    ids: BTreeMap<Uuid, (Status, Stamp)>,
    tenures: BTreeMap<(Place, Option<Stamp>), Stamp>,
    pub(crate) exclusive: Exclusive,
    /// Registrations that were told to be confirmed for the first time, by whom, and that nobody has looked at yet.
    newly_confirmed: Vec<(Host, Stamp)>,
    /// Registrations that a client was told of.
    answered: BTreeSet<Uuid>,
    /// Rules that an operator was told were set, by namespace.
    rules: BTreeSet<(String, Stamp)>,
    /// Where the logs of the evicted end, for everybody.
    cuts: BTreeMap<NodeId, Cut>,
}

impl Ledger {
    pub(crate) fn new(nodes: Vec<NodeId>, founders: usize, forgetful: bool) -> Self {
        let books = vec![Book::default(); nodes.len()];
        let founders = nodes.iter().copied().take(founders).collect();
        Self { nodes, books, founders, forgetful, ..Self::default() }
    }

    /// The ops that count.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.ops.values().flatten().filter(|op| !self.is_void(op))
    }

    /// All ops that were ever issued and are in a log, void ones included, and those beside the logs.
    pub(crate) fn all_ops(&self) -> impl Iterator<Item = &Op> {
        self.ops.values().chain(self.beside.values()).flatten()
    }

    fn is_void(&self, op: &Op) -> bool {
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

    /// A registration that only its own node knows any more: rejected before an eviction made it void, or before a copy of
    /// the directory went on in its place.
    pub(crate) fn rejected_in_the_void(&self, id: Uuid) -> bool {
        let fate = self.ids.get(&id);
        fate.is_some_and(|(status, stamp)| {
            *status == Status::Rejected && op_in(&self.ops, *stamp).is_none_or(|op| self.is_void(op))
        })
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
            Body::Register(register) => register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(op.stamp())) == id,
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
    pub(crate) fn add(&mut self, node: NodeId) {
        self.nodes.push(node);
        self.books.push(Book::default());
    }

    /// What was decided and lost in a crash may be decided otherwise.
    fn compare_cuts(&mut self) {
        self.cuts.clear();
        for (node, cut) in self.books.iter().flat_map(|book| &book.cuts) {
            self.cuts.entry(*node).and_modify(|least| *least = (*least).min(*cut)).or_insert(*cut);
        }
    }

    /// At the end all hosts that are members agree about who is out and how much of their logs counts.
    pub(crate) fn check_cuts(&self, host: Host) -> Checked {
        for (node, cut) in &self.books[host].cuts {
            if self.cuts.get(node) != Some(cut) {
                return broken("cut", format!("host {host} cuts {node} at {cut:?}, not at {:?}", self.cuts.get(node)));
            }
        }
        Ok(())
    }

    pub(crate) fn op_count(&self) -> usize {
        self.ops.values().map(Vec::len).sum()
    }

    /// The op of a stamp, also where it came to nothing.
    pub(crate) fn op(&self, stamp: Stamp) -> Option<&Op> {
        op_in(&self.ops, stamp).or_else(|| self.beside(stamp))
    }

    /// Who is in by what a host has: the founders and all who were admitted, without those who are out.
    pub(crate) fn members_at(&self, host: Host, founders: impl Iterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let book = &self.books[host];
        let here = |op: &&Op| book.applied.get(&op.node).is_some_and(|seq| op.seq <= *seq);
        let admits = self.ops.values().flatten().filter(here).filter_map(|op| match &op.body {
            Body::Admit { node, .. } => Some(*node),
            _ => None,
        });
        founders.chain(admits).filter(|node| !book.cuts.contains_key(node)).collect()
    }

    /// A new cluster is made, and this node is its only founder.
    pub(crate) fn founded_anew(&mut self, node: NodeId) {
        self.founders.insert(node);
    }

    /// Whether a node was let in by any op, or is a founder.
    pub(crate) fn was_ever_let_in(&self, node: NodeId, founders: usize) -> bool {
        let founder = host_of(node) < founders && node.incarnation() == 0;
        // An admission that was void later counted then.
        founder || self.all_ops().any(|op| matches!(&op.body, Body::Admit { node: admitted, .. } if *admitted == node))
    }

    /// Who was ever in, by what a disk has.
    pub(crate) fn known_by(&self, disk: &Disk, founders: usize) -> BTreeSet<NodeId> {
        let here = self.ops().filter(|op| op.seq <= disk.log(op.node));
        let admitted = here.filter_map(|op| match &op.body {
            Body::Admit { node, .. } => Some(*node),
            _ => None,
        });
        admitted.chain((0..founders).map(node_id)).collect()
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

    pub(crate) fn last_op(&self) -> Hlc {
        self.ops().map(|op| op.hlc).max().unwrap_or_default()
    }

    pub(crate) fn answered(&self) -> impl Iterator<Item = Uuid> {
        self.answered.iter().copied()
    }

    pub(crate) fn decided(&self, host: Host) -> &BTreeMap<Uuid, Status> {
        &self.books[host].reader.decided
    }

    pub(crate) fn accepted(&self, host: Host) -> &BTreeSet<Uuid> {
        &self.books[host].reader.accepted
    }

    pub(crate) fn told_events(&self, host: Host) -> impl Iterator<Item = (EventType, Stamp)> {
        self.books[host].reader.told.iter().copied()
    }

    /// The cursor of the last event that was read of a host's feed.
    pub(crate) fn last_event(&self, host: Host) -> Cursor {
        self.books[host].feed.events.last_key_value().map(|(_, event)| event.cursor).unwrap_or_default()
    }

    /// A process starts: its memory is what its disk holds, and what it alone knew is gone.
    /// Where the disk was replaced by an older one, all know more of it than it does.
    pub(crate) fn restarted(&mut self, host: Host, machine: &Machine) {
        let Machine { node, disk, put_back, swapped, .. } = machine;
        let (node, put_back) = (*node, *put_back);
        self.nodes[host] = node;
        // Whoever begins anew finds nothing, whatever is on the disk yet.
        let begins = !schema::Installed::is_set(disk.durable());
        self.books[host].applied = if begins { BTreeMap::new() } else { disk.logs().clone() };
        self.books[host].watermark = Hlc::ZERO;
        self.books[host].put_back = put_back;
        self.books[host].cuts.clear();
        self.books[host].cuts_before.clear();
        self.compare_cuts();
        // What others hold is not lost, whatever the disk has: it may be one of an earlier life.
        let held = self.books.iter().filter_map(|book| book.applied.get(&node).copied()).max().unwrap_or(0);
        if !put_back {
            let (seq, chain) = disk.head(node);
            self.follow(node, seq, chain);
            self.shorten(node, seq.max(held));
            if *swapped {
                self.forget_answers(node, Seq::MAX);
            }
        }
    }

    /// A directory that was put back is as the latest one was.
    pub(crate) fn caught_up(&mut self, host: Host) {
        self.books[host].put_back = false;
    }

    /// With another disk a feed ends where it ended there.
    pub(crate) fn feed_put_back(&mut self, host: Host, last: Cursor) {
        let feed = &mut self.books[host].feed;
        *feed = std::mem::take(feed).upto(last);
    }

    pub(crate) fn feed(&self, host: Host) -> Feed {
        self.books[host].feed.clone()
    }

    pub(crate) fn set_feed(&mut self, host: Host, feed: Feed) {
        self.books[host].feed = feed;
    }

    /// What a node answered about ops that no directory holds any more is gone with them: those beside its log, and those of
    /// its log after this one, which nobody else has yet.
    fn forget_answers(&mut self, node: NodeId, kept: Seq) {
        let brings = |op: &Op| match &op.body {
            Body::Register(register) => Some(register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(op.stamp()))),
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
