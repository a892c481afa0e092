//! The logs of all origins, in chunks of consecutive ops.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::clock::{Hlc, Millis, NodeId};
use crate::log::chain::Chain;
use crate::log::op::{Op, Seq, Stored};
use crate::store::schema::{self, Found, LogKey, Rows, Span};
use crate::store::{Direction, Store};

/// The most ops in one chunk, so that reading one op never means reading much. A guess.
const CHUNK: usize = 256;

/// The most chunks of one log that one truncation drops. A guess.
const AT_ONCE: usize = 64;

/// The ops of the current step that are to be written to the store.
#[derive(Clone, Debug, Default)]
pub(super) struct LogBuffer {
    fresh: BTreeMap<NodeId, Vec<Op>>,
}

impl LogBuffer {
    pub(super) fn push(&mut self, op: Op) {
        self.fresh.entry(op.node).or_default().push(op);
    }

    /// Writes the step's ops and returns them by origin.
    pub(super) fn write(&mut self, store: &mut impl Store) -> BTreeMap<NodeId, Vec<Op>> {
        for (origin, ops) in &self.fresh {
            for chunk in ops.chunks(CHUNK) {
                schema::Log::put(store, LogKey { origin: *origin, seq: chunk[0].seq }, chunk);
            }
            // Membership ops are few, and stay when the rest has left the log.
            for op in ops.iter().filter(|op| op.body().is_membership()) {
                schema::Membership::put(store, LogKey { origin: *origin, seq: op.seq }, op);
            }
        }
        std::mem::take(&mut self.fresh)
    }
}

/// Visits the stored ops of a log from `seq` on, until `visit` breaks.
pub(crate) fn read(
    store: &(impl Store + ?Sized),
    origin: NodeId,
    seq: Seq,
    visit: &mut dyn FnMut(Op) -> ControlFlow<()>,
) {
    let wanted = LogKey { origin, seq };
    // The chunk that holds `seq` may begin before it.
    let before = Span::<schema::Log>::of(origin).up_to(wanted);
    let begins = schema::Log::first(store, &before, Direction::Down, |chunk| chunk.key()).unwrap_or(wanted);
    schema::Log::scan(store, &Span::<schema::Log>::of(origin).and_from(begins), Direction::Up, &mut |chunk| {
        let ops: Vec<Stored> = chunk.row_as();
        ops.into_iter().map(|Stored(op)| op).filter(|op| op.seq >= seq).try_for_each(&mut *visit)
    });
}

/// Drops chunks of a log in which every op is at or below `upto` and older than `before`. It drops a limited number of
/// them, so that a step stays short. `last` is the last op of the log that this node has. `begins` is where the log is
/// known to begin, and becomes the place where it begins afterwards: a scan across rows that were deleted costs as much as
/// one across rows, until the store has compacted them. Returns true where it has dropped as many as it may, so that more
/// may be left.
pub(super) fn truncate(
    store: &mut impl Store,
    origin: NodeId,
    last: Seq,
    upto: Seq,
    before: Millis,
    begins: &mut Seq,
) -> bool {
    let (mut gone, mut last_old) = (Vec::new(), None);
    let rows = Span::<schema::Log>::of(origin).and_from(LogKey { origin, seq: *begins });
    schema::Log::scan(store, &rows, Direction::Up, &mut |chunk| {
        // A chunk ends where the next one begins.
        let first = chunk.key().map_or(0, |key| key.seq);
        if let Some(old) = last_old.take() {
            if first > upto + 1 {
                return ControlFlow::Break(());
            }
            gone.push(old);
            *begins = first;
        }
        if first > upto || gone.len() == AT_ONCE || !is_older(&chunk, before) {
            return ControlFlow::Break(());
        }
        last_old = Some(chunk.address());
        ControlFlow::Continue(())
    });
    if let Some(old) = last_old.filter(|_| last <= upto) {
        gone.push(old);
        *begins = last + 1;
    }
    gone.iter().for_each(|chunk| schema::Log::delete_at(store, chunk));
    gone.len() >= AT_ONCE
}

/// Returns true where every op of a chunk is older than a time.
fn is_older(chunk: &Found<'_, schema::Log>, time: Millis) -> bool {
    // For most chunks the start suffices: the number of ops, and the hash, length and first fields of the first op.
    // Timestamps rise within a log.
    let start = chunk.start::<(usize, Chain, usize, NodeId, Seq, Hlc)>();
    if start.is_ok_and(|(.., first)| first.millis() >= time) {
        return false;
    }
    chunk.row().last().is_some_and(|op| op.hlc.millis() < time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stamp;
    use crate::crdt::NameOp;
    use crate::log::op::Body;
    use crate::store::memory::MemoryStore;

    #[test]
    fn a_log_is_read_from_the_middle_of_a_chunk() {
        let mut store = MemoryStore::new();
        for seqs in [1..=600, 601..=601, 602..=610] {
            let mut buffer = LogBuffer::default();
            for (node, seq) in [1, 2].into_iter().flat_map(|node| seqs.clone().map(move |seq| (node, seq))) {
                let body = Body::Name(NameOp::Activate { registration: Stamp::default() });
                buffer.push(Op::new(NodeId(node), seq, Hlc(seq), Chain::default(), body));
            }
            buffer.write(&mut store);
        }
        for from in [1, 2, 256, 257, 600, 601, 605, 610, 611] {
            let mut seqs = Vec::new();
            read(&store, NodeId(1), from, &mut |op| {
                assert_eq!(op.node, NodeId(1));
                seqs.push(op.seq);
                ControlFlow::Continue(())
            });
            assert_eq!(seqs, (from..=610).collect::<Vec<_>>());
        }
    }

    /// The log has 610 ops, in chunks of 256 at most.
    #[test]
    fn a_log_is_truncated_chunk_by_chunk_from_where_it_begins() {
        let mut store = MemoryStore::new();
        let mut buffer = LogBuffer::default();
        for seq in 1..=610 {
            let body = Body::Name(NameOp::Activate { registration: Stamp::default() });
            // A timestamp is in milliseconds with a counter of 16 bits below.
            buffer.push(Op::new(NodeId(1), seq, Hlc(seq << 16), Chain::default(), body));
        }
        buffer.write(&mut store);
        let rows = |store: &MemoryStore| {
            let mut firsts = Vec::new();
            schema::Log::each(store, &Span::all(), |chunk| firsts.extend(chunk.key().map(|key| key.seq)));
            firsts
        };
        let mut begins = 0;
        // Up to an op, and older than a time: the begin afterwards, and the first ops of the chunks that are left.
        for (upto, before, begin, left) in [
            (255, 1000, 0, vec![1, 257, 513]),
            (256, 256, 0, vec![1, 257, 513]),
            (256, 257, 257, vec![257, 513]),
            (300, 1000, 257, vec![257, 513]),
            (609, 1000, 513, vec![513]),
            (609, 1000, 513, vec![513]),
            (610, 610, 513, vec![513]),
            (610, 1000, 611, vec![]),
            (610, 1000, 611, vec![]),
        ] {
            let goes_on = truncate(&mut store, NodeId(1), 610, upto, Millis(before), &mut begins);
            assert_eq!((begins, rows(&store), goes_on), (begin, left, false), "up to {upto}, before {before}");
        }
    }

    #[test]
    fn a_truncation_says_whether_it_has_dropped_all_that_it_may() {
        let mut store = MemoryStore::new();
        let count = 2 * AT_ONCE as u64 + 1;
        for seq in 1..=count {
            let mut buffer = LogBuffer::default();
            let body = Body::Name(NameOp::Activate { registration: Stamp::default() });
            buffer.push(Op::new(NodeId(1), seq, Hlc(seq << 16), Chain::default(), body));
            buffer.write(&mut store);
        }
        let mut begins = 0;
        let mut drops = || truncate(&mut store, NodeId(1), count, count, Millis(1000), &mut begins);
        assert_eq!([drops(), drops(), drops(), drops()], [true, true, false, false]);
        assert_eq!(begins, count + 1);
    }
}
