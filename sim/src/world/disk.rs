//! A simulated disk: batches become durable in order, some time after they were committed, and a crash loses the rest.

use std::collections::{BTreeMap, VecDeque};

use forename::clock::{Hlc, NodeId};
use forename::codec;
use forename::crdt::{Chain, Op, Seq};
use forename::store::memory::MemoryStore;
use forename::store::{Batch, Store, Table, Write};

/// The last op of each log that a batch adds to.
type Heads = Vec<(NodeId, Seq)>;

/// What a machine's disk holds for sure, and what is on its way there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    durable: MemoryStore,
    on_the_way: VecDeque<(Batch, Vec<Write>, Heads)>,
    last: Batch,
    syncing: bool,
    /// Prefixes of logs that are durable.
    logs: BTreeMap<NodeId, Seq>,
}

impl Disk {
    /// What a process finds when it starts.
    pub(crate) fn mount(&mut self) -> MemoryStore {
        self.last = 0;
        self.durable.recorded()
    }

    pub(crate) fn durable(&self) -> &MemoryStore {
        &self.durable
    }

    /// The rows that a newcomer gets.
    pub(crate) fn snapshot(&self) -> Vec<Write> {
        let tables = Table::ALL.into_iter().filter(|table| table.in_snapshot());
        let rows = tables.flat_map(|table| self.durable.rows(table).map(move |row| (table, row)));
        rows.map(|(table, (key, value))| Write { table, key: key.to_vec(), value: Some(value.to_vec()) }).collect()
    }

    /// Whether it holds a whole state, of a node that is not on its way into another life.
    pub(crate) fn is_whole(&self) -> bool {
        let has = |key: &[u8]| self.durable.get(Table::Meta, key).is_some();
        has(b"installed") && !has(b"returning")
    }

    /// The prefix of a log that is durable.
    pub(crate) fn log(&self, origin: NodeId) -> Seq {
        self.logs.get(&origin).copied().unwrap_or(0)
    }

    /// The end of a log that is durable, with the hash of the log up to there.
    pub(crate) fn head(&self, origin: NodeId) -> (Seq, Chain) {
        let row = [b"o".as_slice(), &origin.0.to_be_bytes()].concat();
        let mut head = None;
        self.durable.look(Table::Cluster, &row, &mut |frontier| head = codec::decode_start(frontier).ok());
        head.unwrap_or_default()
    }

    /// Whether a log that is durable here goes through this point. What has left the log is the same everywhere.
    pub(crate) fn passes(&self, origin: NodeId, (seq, chain): (Seq, Chain)) -> bool {
        if seq > self.log(origin) {
            return false;
        }
        let at = (self.head(origin).0 == seq).then(|| self.head(origin).1);
        let at = at.or_else(|| self.logged_op(origin, seq).map(|op| op.chain));
        seq == 0 || at.is_none_or(|at| at == chain)
    }

    /// The op of a log, where it has not left it.
    pub(crate) fn logged_op(&self, origin: NodeId, seq: Seq) -> Option<Op> {
        let of = |key: &[u8]| key.starts_with(&origin.0.to_be_bytes());
        let chunks = self.durable.rows(Table::Log).filter(|(key, _)| of(key)).map(|(_, chunk)| chunk);
        let mut ops = chunks.flat_map(|chunk| codec::decode::<Vec<Op>>(chunk).unwrap_or_default());
        ops.find(|op| op.seq == seq)
    }

    pub(crate) fn logs(&self) -> &BTreeMap<NodeId, Seq> {
        &self.logs
    }

    /// The timestamp that the process may reach without another write. The row is the replica's own business, which
    /// is why a change of it shows up here.
    pub(crate) fn ceiling(&self) -> Hlc {
        let mut ceiling = None;
        self.durable.look(Table::Meta, b"ceiling", &mut |bytes| ceiling = codec::decode(bytes).ok());
        ceiling.unwrap_or_default()
    }

    /// Whether the process was asked to leave. That row is the replica's own business too.
    pub(crate) fn leaves(&self) -> bool {
        let mut leaves = false;
        self.durable.look(Table::Meta, b"leaving", &mut |_| leaves = true);
        leaves
    }

    /// Takes a committed batch, which adds these ops to logs. True where an fsync is to be begun.
    pub(crate) fn take(&mut self, batch: Batch, writes: Vec<Write>, ops: &[Op]) -> bool {
        if batch > self.last {
            self.last = batch;
            let heads = ops.iter().map(|op| (op.node, op.seq)).collect();
            self.on_the_way.push_back((batch, writes, heads));
        }
        !self.on_the_way.is_empty() && !std::mem::replace(&mut self.syncing, true)
    }

    /// The last batch that an fsync begun now covers.
    pub(crate) fn covers(&self) -> Batch {
        self.last
    }

    /// An fsync is done. True where the next is to be begun.
    pub(crate) fn synced(&mut self, upto: Batch) -> bool {
        while let Some((_, writes, heads)) = self.on_the_way.pop_front_if(|(batch, ..)| *batch <= upto) {
            self.write(writes, heads);
        }
        self.syncing = !self.on_the_way.is_empty();
        self.syncing
    }

    /// Changes what is durable while no process runs.
    pub(crate) fn rewrite(&mut self, writes: Vec<Write>) {
        self.write(writes, Heads::new());
    }

    /// The process died: of the batches on their way so many of a hundred are found, in order. Returns how many were
    /// lost.
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
        for Write { table, key, value } in writes {
            match (frontier_of(table, &key), &value) {
                // Only a newcomer that starts over forgets ops.
                (Some(origin), None) => drop(self.logs.remove(&origin)),
                (Some(origin), Some(frontier)) => self.logs.extend(applied_of(frontier).map(|seq| (origin, seq))),
                (None, _) => {}
            }
            match value {
                Some(value) => self.durable.put(table, key, value),
                None => self.durable.delete(table, key),
            }
        }
    }
}

/// The ops that a batch adds to logs; also those that leave them at once, but not where a newcomer starts over.
pub(crate) fn logged(writes: &[Write]) -> Vec<Op> {
    let rows = || writes.iter().filter(|write| write.table == Table::Log);
    let none_gone = rows().all(|row| row.value.is_some());
    let starts_over = forgotten(writes).next().is_some();
    let stays = |row: &&Write| {
        none_gone || !starts_over || rows().rfind(|last| last.key == row.key).is_some_and(|last| last.value.is_some())
    };
    let chunks = rows().filter(stays).filter_map(|write| write.value.as_ref());
    chunks.flat_map(|chunk| codec::decode::<Vec<Op>>(chunk).unwrap_or_default()).collect()
}

/// The logs that a batch makes empty again.
pub(crate) fn forgotten(writes: &[Write]) -> impl Iterator<Item = NodeId> {
    writes.iter().filter(|write| write.value.is_none()).filter_map(|write| frontier_of(write.table, &write.key))
}

/// How far a batch says that logs are here: also where their ops have left them, as in a snapshot.
pub(crate) fn frontiers(writes: &[Write]) -> Vec<(NodeId, Seq)> {
    let mut frontiers = BTreeMap::new();
    for write in writes {
        match (frontier_of(write.table, &write.key), &write.value) {
            (Some(origin), Some(frontier)) => frontiers.extend(applied_of(frontier).map(|seq| (origin, seq))),
            (Some(origin), None) => drop(frontiers.remove(&origin)),
            (None, _) => {}
        }
    }
    frontiers.into_iter().collect()
}

/// Such a row begins with the prefix of the log that is here; none where nothing is.
fn applied_of(frontier: &[u8]) -> Option<Seq> {
    codec::decode_start(frontier).ok().filter(|seq| *seq > 0)
}

/// The log of which a row says how far it is known. Such rows are the replica's own business, which is why a change of
/// them shows up here.
fn frontier_of(table: Table, key: &[u8]) -> Option<NodeId> {
    let (kind, origin) = key.split_first()?;
    let is_frontier = table == Table::Cluster && *kind == b'o' && origin.len() == 8;
    origin.first_chunk().filter(|_| is_frontier).map(|origin| NodeId(u64::from_be_bytes(*origin)))
}
