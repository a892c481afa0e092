//! A simulated disk: batches become durable in order, some time after they were committed, and a crash loses the
//! others.

use std::collections::{BTreeMap, VecDeque};

use forename::clock::{Hlc, NodeId};
use forename::log::StoredPhase;
use forename::log::{Chain, Op, Seq};
use forename::store::memory::MemoryStore;
use forename::store::schema::{self, Cell, Rows, Span};
use forename::store::{Batch, Store, Table, Write};

/// The last op that a batch adds to each log.
type Heads = Vec<(NodeId, Seq)>;

/// The durable content of a machine's disk, and the batches that are being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    durable: MemoryStore,
    on_the_way: VecDeque<(Batch, Vec<Write>, Heads)>,
    last: Batch,
    syncing: bool,
    /// The durable prefixes of logs.
    logs: BTreeMap<NodeId, Seq>,
}

impl Disk {
    /// Returns what a process finds when it starts.
    pub(crate) fn mount(&mut self) -> MemoryStore {
        self.last = 0;
        self.durable.recorded()
    }

    pub(crate) fn durable(&self) -> &MemoryStore {
        &self.durable
    }

    /// Returns the rows of a snapshot for a newcomer.
    pub(crate) fn snapshot(&self) -> Vec<Write> {
        let tables = Table::ALL.into_iter().filter(|table| table.in_snapshot());
        let rows = tables.flat_map(|table| self.durable.rows(table).map(move |row| (table, row)));
        rows.map(|(table, (key, value))| Write { table, key: key.to_vec(), value: Some(value.to_vec()) }).collect()
    }

    /// Returns true where it holds a whole state, and the node is not about to join as its next incarnation.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(schema::Phase::load(&self.durable), Some(StoredPhase::Whole { .. } | StoredPhase::Left))
    }

    /// Returns the durable prefix of a log.
    pub(crate) fn log(&self, origin: NodeId) -> Seq {
        self.logs.get(&origin).copied().unwrap_or(0)
    }

    /// Returns the durable end of a log: the number of the last op and the chain hash.
    pub(crate) fn head(&self, origin: NodeId) -> (Seq, Chain) {
        let frontier = schema::Frontiers::try_get(&self.durable, origin);
        frontier.map(|frontier| (frontier.applied, frontier.chain)).unwrap_or_default()
    }

    /// Returns true where the durable log has this op with this chain hash. An op that has left the log is taken to be
    /// the same everywhere.
    pub(crate) fn passes(&self, origin: NodeId, (seq, chain): (Seq, Chain)) -> bool {
        if seq > self.log(origin) {
            return false;
        }
        let at = (self.head(origin).0 == seq).then(|| self.head(origin).1);
        let at = at.or_else(|| self.logged_op(origin, seq).map(|op| op.chain));
        seq == 0 || at.is_none_or(|at| at == chain)
    }

    /// Returns an op of a log; none where it is missing or has left the log.
    pub(crate) fn logged_op(&self, origin: NodeId, seq: Seq) -> Option<Op> {
        let mut op = None;
        schema::Log::each(&self.durable, &Span::<schema::Log>::of(origin), |chunk| {
            let ops = chunk.decode().unwrap_or_default();
            op = op.take().or_else(|| ops.into_iter().find(|op| op.seq == seq));
        });
        op
    }

    /// Returns the ops of all logs, without those that have left them.
    pub(crate) fn logged_ops(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        schema::Log::each(&self.durable, &Span::all(), |chunk| ops.extend(chunk.decode().unwrap_or_default()));
        ops
    }

    pub(crate) fn logs(&self) -> &BTreeMap<NodeId, Seq> {
        &self.logs
    }

    /// Returns the timestamp that the process may reach without another write.
    pub(crate) fn ceiling(&self) -> Hlc {
        schema::Ceiling::load(&self.durable).unwrap_or_default()
    }

    /// Returns true where the process was asked to leave.
    pub(crate) fn leaves(&self) -> bool {
        schema::Phase::load(&self.durable) == Some(StoredPhase::Whole { leaving: true })
    }

    /// Takes a committed batch, which adds these ops to logs. Returns true where an fsync must begin.
    pub(crate) fn take(&mut self, batch: Batch, writes: Vec<Write>, ops: &[Op]) -> bool {
        if batch > self.last {
            self.last = batch;
            let heads = ops.iter().map(|op| (op.node, op.seq)).collect();
            self.on_the_way.push_back((batch, writes, heads));
        }
        !self.on_the_way.is_empty() && !std::mem::replace(&mut self.syncing, true)
    }

    /// Returns the last batch that an fsync which begins now covers.
    pub(crate) fn covers(&self) -> Batch {
        self.last
    }

    /// Completes an fsync. Returns true where the next one must begin.
    pub(crate) fn synced(&mut self, upto: Batch) -> bool {
        while let Some((_, writes, heads)) = self.on_the_way.pop_front_if(|(batch, ..)| *batch <= upto) {
            self.write(writes, heads);
        }
        self.syncing = !self.on_the_way.is_empty();
        self.syncing
    }

    /// Changes the durable content while no process runs.
    pub(crate) fn rewrite(&mut self, writes: Vec<Write>) {
        self.write(writes, Heads::new());
    }

    /// The process died: of the batches that were being written, this percentage becomes durable, in order. Returns how
    /// many batches were lost.
    pub(crate) fn crash(&mut self, kept: u64) -> usize {
        let total = self.on_the_way.len();
        let kept = usize::try_from(kept.min(100)).unwrap_or(0) * total / 100;
        for (_, writes, heads) in std::mem::take(&mut self.on_the_way).into_iter().take(kept) {
            self.write(writes, heads);
        }
        self.syncing = false;
        total - kept
    }

    fn write(&mut self, writes: Vec<Write>, heads: Heads) {
        self.logs.extend(heads);
        for write in writes {
            match frontier_in(&write) {
                // Only a newcomer that starts over drops ops of a log.
                Some((origin, None)) => drop(self.logs.remove(&origin)),
                Some((origin, Some(applied))) => self.logs.extend((applied > 0).then_some((origin, applied))),
                None => {}
            }
            let Write { table, key, value } = write;
            match value {
                Some(value) => self.durable.put(table, &key, &value),
                None => self.durable.delete(table, &key),
            }
        }
    }
}

/// Returns the ops that a batch adds to logs, including those that leave them in the same batch, but not where a
/// newcomer starts over.
pub(crate) fn logged(writes: &[Write]) -> Vec<Op> {
    let rows = || writes.iter().filter_map(schema::Log::written);
    let none_gone = rows().all(|(_, chunk)| chunk.is_some());
    let starts_over = forgotten(writes).next().is_some();
    let last_of = |key| rows().rfind(|(other, _)| *other == key);
    let stays = |key| none_gone || !starts_over || last_of(key).is_some_and(|(_, chunk)| chunk.is_some());
    let chunks = rows().filter(|(key, _)| stays(*key)).filter_map(|(_, chunk)| chunk);
    chunks.flat_map(|chunk| chunk.decode().unwrap_or_default()).collect()
}

/// Returns the logs that a batch empties.
pub(crate) fn forgotten(writes: &[Write]) -> impl Iterator<Item = NodeId> {
    writes.iter().filter_map(frontier_in).filter(|(_, applied)| applied.is_none()).map(|(origin, _)| origin)
}

/// Returns the prefixes of logs that a batch says the node has, even where the ops have left the logs, as in a
/// snapshot.
pub(crate) fn frontiers(writes: &[Write]) -> Vec<(NodeId, Seq)> {
    let mut frontiers = BTreeMap::new();
    for (origin, applied) in writes.iter().filter_map(frontier_in) {
        match applied {
            Some(applied) => frontiers.extend((applied > 0).then_some((origin, applied))),
            None => drop(frontiers.remove(&origin)),
        }
    }
    frontiers.into_iter().collect()
}

/// Returns the origin of a log in a write of its frontier, with the prefix that the node has; the prefix is none where
/// the write deletes the frontier.
fn frontier_in(write: &Write) -> Option<(NodeId, Option<Seq>)> {
    let (origin, frontier) = schema::Frontiers::written(write)?;
    Some((origin, frontier.map(|frontier| frontier.decode().map(|frontier| frontier.applied).unwrap_or(0))))
}
