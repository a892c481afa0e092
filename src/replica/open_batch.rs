//! The open batch: the rows that were written since the last commit. It knows whether they may wait for the next one.
//!
//! Most of what a step writes has to be durable before anybody learns of it: ops, rejections, ends, the promise
//! ceiling. The rows of a step that only confirms are different. They follow from ops, acknowledgements and promises,
//! which are durable at the nodes that sent them. After a crash the same follows again. So these rows may wait: they
//! are committed with the next rows that may not wait, or by themselves a few milliseconds later.

use crate::clock::Millis;
use crate::store::schema::{self, Named, Rows};
use crate::store::{Batch, Direction, Store, StoreFailure, Table, Visit};

/// For how long rows wait at most, in milliseconds. A guess: some fsyncs of a disk, and less than a reader of the feed
/// notices.
const ROWS_WAIT: u64 = 5;

/// The content of an open batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Content {
    Nothing,
    /// Only rows that follow from what is durable.
    Derived,
    /// Also rows with something new about names.
    New,
    /// Also rows on which every later output depends: the membership, and the phase of this node.
    Ground,
}

/// A store together with the content of its open batch.
#[derive(Debug)]
pub(super) struct OpenBatch<S> {
    store: S,
    content: Content,
    /// The last batch that was committed.
    committed: Batch,
    /// The last batch with rows on which every later output depends.
    ground: Batch,
    /// Since when rows wait, in `elapsed` time.
    waits_since: Option<Millis>,
    /// True where nothing waits any more.
    hurries: bool,
}

impl<S: Store> OpenBatch<S> {
    /// Makes the open batch of a store in which anything may have been written.
    pub(super) fn new(store: S) -> Self {
        Self { store, content: Content::Ground, committed: 0, ground: 0, waits_since: None, hurries: false }
    }

    pub(super) fn inner(&self) -> &S {
        &self.store
    }

    pub(super) fn inner_mut(&mut self) -> &mut S {
        &mut self.store
    }

    pub(super) fn into_inner(self) -> S {
        self.store
    }

    /// Returns the last batch that was committed.
    pub(super) fn committed(&self) -> Batch {
        self.committed
    }

    /// Returns true where all rows on which every output depends were committed with this batch or before.
    pub(super) fn ground_is_in(&self, batch: Batch) -> bool {
        self.content < Content::Ground && self.ground <= batch
    }

    /// Returns true where all that was written may wait for a later commit.
    pub(super) fn may_wait(&self, now: Millis) -> bool {
        let is_early = now < self.waits_since.unwrap_or(now).plus(ROWS_WAIT);
        self.content == Content::Derived && is_early && !self.hurries
    }

    /// Has the rows wait from now on, or wait longer.
    pub(super) fn wait(&mut self, now: Millis) {
        self.waits_since.get_or_insert(now);
    }

    /// Returns when waiting rows are committed at the latest, in `elapsed` time.
    pub(super) fn wake_at(&self) -> Millis {
        self.waits_since.map_or(Millis(u64::MAX), |since| since.plus(ROWS_WAIT))
    }

    /// Has nothing wait from now on.
    pub(super) fn hurry(&mut self) {
        self.hurries = true;
    }

    fn writes(&mut self, content: Content) {
        self.content = self.content.max(content);
    }
}

/// Returns what putting a row adds to a batch.
fn put_content(table: Table, key: &[u8]) -> Content {
    let follows = match table {
        Table::Events => true,
        Table::Cluster => key == schema::Watermark::NAME || schema::Frontiers::has_key(key),
        _ => false,
    };
    if planted!(replica::row_may_wait(follows)) { Content::Derived } else { other_content(table) }
}

/// Returns what any other change of a row adds to a batch.
fn other_content(table: Table) -> Content {
    match table {
        Table::Membership | Table::Cluster | Table::Meta => Content::Ground,
        _ => Content::New,
    }
}

impl<S: Store> Store for OpenBatch<S> {
    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.store.get(table, key)
    }

    fn look(&self, table: Table, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        self.store.look(table, key, visit);
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, visit: &mut Visit<'_>) {
        self.store.scan(table, from, to, direction, visit);
    }

    fn lacks_tenure(&self, tenure: &[u8]) -> bool {
        self.store.lacks_tenure(tenure)
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.writes(put_content(table, key));
        self.store.put(table, key, value);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.writes(other_content(table));
        self.store.delete(table, key);
    }

    fn commit(&mut self) -> Batch {
        self.committed = self.store.commit();
        if self.content == Content::Ground {
            self.ground = self.committed;
        }
        (self.content, self.waits_since) = (Content::Nothing, None);
        self.committed
    }

    fn catch_up(&mut self) {
        self.store.catch_up();
    }

    fn failure(&self) -> Option<StoreFailure> {
        self.store.failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Hlc, NodeId};
    use crate::log::Chain;
    use crate::store::memory::MemoryStore;
    use crate::store::schema::Cell;

    type Frontier = <schema::Frontiers as Rows>::Row;

    const NOW: Millis = Millis(1000);

    fn after(write: impl FnOnce(&mut OpenBatch<MemoryStore>)) -> OpenBatch<MemoryStore> {
        let mut open = OpenBatch::new(MemoryStore::new());
        open.commit();
        write(&mut open);
        open
    }

    fn frontier(store: &mut OpenBatch<MemoryStore>) {
        let frontier = Frontier { applied: 1, chain: Chain::default(), decided: 1, hlc: Hlc(1) };
        schema::Frontiers::put(store, NodeId(1), &frontier);
    }

    #[test]
    fn only_rows_that_follow_from_what_is_durable_wait() {
        let confirms = |store: &mut OpenBatch<MemoryStore>| {
            schema::Events::put(store, 1, &[]);
            schema::Watermark::save(store, &Hlc(5));
            frontier(store);
        };
        assert!(after(confirms).may_wait(NOW));
        assert!(!after(|_| {}).may_wait(NOW), "there is nothing that could");
        let others: [fn(&mut OpenBatch<MemoryStore>); 4] = [
            |store| schema::Ceiling::save(store, &Hlc(5)),
            |store| schema::Settled::save(store, &Hlc(5)),
            |store| schema::Erasing::delete(store, crate::clock::Stamp::default()),
            |store| schema::Events::delete(store, 1),
        ];
        for other in others {
            let open = after(|store| {
                confirms(store);
                other(store);
                confirms(store);
            });
            assert!(!open.may_wait(NOW));
        }
        assert!(!OpenBatch::new(MemoryStore::new()).may_wait(NOW), "who knows what a start has written");
    }

    #[test]
    fn rows_wait_for_a_while_from_when_the_first_of_them_did() {
        let mut open = after(frontier);
        open.wait(NOW);
        assert_eq!(open.wake_at(), NOW.plus(ROWS_WAIT));
        open.wait(NOW.plus(1));
        assert!(open.may_wait(NOW.plus(ROWS_WAIT - 1)) && !open.may_wait(NOW.plus(ROWS_WAIT)));
        let before = open.committed();
        open.commit();
        assert_eq!((open.committed(), open.wake_at()), (before + 1, Millis(u64::MAX)));
        open.hurry();
        frontier(&mut open);
        assert!(!open.may_wait(NOW));
    }

    #[test]
    fn what_words_rest_on_is_in_a_batch_from_when_that_is_committed() {
        let mut open = after(frontier);
        let before = open.committed();
        assert!(open.ground_is_in(before));
        schema::Ceiling::save(&mut open, &Hlc(5));
        assert!(!open.ground_is_in(before));
        open.commit();
        assert!(!open.ground_is_in(before) && open.ground_is_in(open.committed()));
    }
}
