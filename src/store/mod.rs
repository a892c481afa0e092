//! The store keeps a replica's state: ordered tables of bytes.
//!
//! Writes are visible at once. [`Store::commit`] ends a batch, which becomes durable as a whole, in order, some time
//! later; whoever drives the replica then hands it [`Input::Persisted`](crate::replica::Input::Persisted).
//!
//! A store does not return errors from its reads and writes. The first failure poisons it: from then on reads find
//! nothing, no batch is ever reported durable, and [`Store::failure`] gives the reason. A replica releases nothing that
//! depends on a batch which is not durable, and checks for a failure before it releases anything. So no answer that
//! rests on a failed read leaves the node.

#[cfg(test)]
pub(crate) mod counting;
#[cfg(feature = "node")]
pub mod disk;
pub mod memory;
pub mod schema;

use std::ops::ControlFlow;

/// The number of a committed batch, from 1.
pub type Batch = u64;

/// The tables of a replica. Their keys sort as bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Records of this node alone: its id and phase, its promise ceiling, the state of its feed, and the secrets of the
    /// cluster.
    Meta,
    /// Records that a newcomer takes over: the founding, the watermark, the frontiers of the logs, and registrations
    /// that are to be erased.
    Cluster,
    /// Ops by origin and seq, in chunks.
    Log,
    /// The open tenure of a name by namespace and key.
    Names,
    /// Registrations by stamp.
    Registrations,
    /// Stamps of the registrations that carry a client's id.
    Ids,
    /// Registrations by owner and stamp.
    Owners,
    /// Reservations by their end.
    Expiries,
    /// Ops that arrived before the registration that they are about.
    Early,
    /// Registrations that lost and are not yet rejected.
    Contested,
    /// Membership ops by origin and seq.
    Membership,
    /// Addresses and keys of members.
    Contacts,
    /// The event feed, in chunks by cursor.
    Events,
    /// This node's ops that an eviction made void, by stamp.
    Void,
    /// Registrations that are over, by the time at which they may be forgotten.
    Over,
    /// The rules that were set for a namespace, by its name.
    Namespaces,
    /// The times at which claims ended and registrations were rejected, by stamp and claim.
    Endings,
    /// Registrations that API tokens may have open at this node, by token and id.
    Charges,
    /// Private names as they were typed at this node, by registration and key.
    Typed,
    /// Registrations that count against the totals of API tokens at this node, by id, and how many each token has.
    Held,
    /// The last leader of a name that was erased, by namespace and the hash of its key.
    Erased,
    /// Claims to a name beside the one that leads its open tenure, by name, tenure and stamp.
    Claims,
    /// The state of claims that other claims follow, by name and stamp.
    Followed,
    /// Webhooks by id.
    Webhooks,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 24] = [
        Self::Meta,
        Self::Cluster,
        Self::Log,
        Self::Names,
        Self::Registrations,
        Self::Ids,
        Self::Owners,
        Self::Expiries,
        Self::Early,
        Self::Contested,
        Self::Membership,
        Self::Contacts,
        Self::Events,
        Self::Void,
        Self::Over,
        Self::Namespaces,
        Self::Endings,
        Self::Charges,
        Self::Typed,
        Self::Held,
        Self::Erased,
        Self::Claims,
        Self::Followed,
        Self::Webhooks,
    ];

    /// The table's name on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Cluster => "cluster",
            Self::Log => "log",
            Self::Names => "names",
            Self::Registrations => "registrations",
            Self::Ids => "ids",
            Self::Owners => "owners",
            Self::Expiries => "expiries",
            Self::Early => "early",
            Self::Contested => "contested",
            Self::Membership => "membership",
            Self::Contacts => "contacts",
            Self::Events => "events",
            Self::Void => "void",
            Self::Over => "over",
            Self::Namespaces => "namespaces",
            Self::Endings => "endings",
            Self::Charges => "charges",
            Self::Typed => "typed",
            Self::Held => "held",
            Self::Erased => "erased",
            Self::Claims => "claims",
            Self::Followed => "followed",
            Self::Webhooks => "webhooks",
        }
    }

    /// Returns true for a table that a newcomer gets with the snapshot. The other tables belong to one node alone: its
    /// identity, its event feed and the rows that depend on the feed, its void ops, the times at which it learnt how
    /// claims ended, the registrations that its callers have open or hold, and private names as its callers typed them.
    #[must_use]
    pub fn in_snapshot(self) -> bool {
        let own = matches!(self, Self::Meta | Self::Events | Self::Void | Self::Over);
        !own && !matches!(self, Self::Endings | Self::Charges | Self::Typed | Self::Held)
    }
}

/// The direction of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the least key up.
    Up,
    /// From the greatest key down.
    Down,
}

/// One change of a batch: `None` deletes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The new value; none deletes the key.
    pub value: Option<Vec<u8>>,
}

/// One piece of a snapshot on its way to a newcomer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotPart {
    /// Rows, by table and key.
    Rows(Vec<Write>),
    /// The snapshot is complete. A snapshot that breaks off before this part is incomplete, and its receiver drops it.
    End,
}

/// The store cannot go on. Everything that was reported durable before is still durable.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the store failed: {0}; nothing since its last successful fsync was acknowledged. Restart the node when the disk is well"
)]
pub struct StoreFailure(pub String);

/// A function that is called with the key and the value of each row, and returns whether the scan goes on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Ordered tables with atomic batches. See the module's documentation.
pub trait Store {
    /// The value of a key, uncommitted writes included.
    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>>;

    /// Calls `visit` with the value of a key, where there is one. A store that has the value in memory makes no copy.
    fn look(&self, table: Table, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.get(table, key) {
            visit(&value);
        }
    }

    /// Visits the rows with keys in `from..to`, uncommitted writes included, until `visit` breaks. With `to` none the
    /// scan goes to the end of the table.
    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, visit: &mut Visit<'_>);

    /// Returns true where it is known without a scan that no claim to a tenure is there, uncommitted writes included: no row of
    /// [`Table::Claims`] whose key begins with these bytes, which are all of such a key but the stamp of the claim.
    fn lacks_tenure(&self, tenure: &[u8]) -> bool;

    /// Sets a key.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]);

    /// Removes a key. Does nothing where the key is absent.
    fn delete(&mut self, table: Table, key: &[u8]);

    /// Ends the batch and starts to make it durable. Returns the number of the batch, or that of the last batch where
    /// nothing was written since.
    fn commit(&mut self) -> Batch;

    /// Waits until all batches are durable, where they are made durable by somebody else than the caller.
    fn catch_up(&mut self) {}

    /// The failure that stopped the store, where one did.
    fn failure(&self) -> Option<StoreFailure>;
}

/// Returns the least key above all keys that begin with `prefix`; none where there is no such key.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The most rows of a table that are deleted in one batch. A guess: some mebibytes of memory.
const DELETED_AT_ONCE: usize = 1 << 16;

/// Deletes all rows of a table. With `in_batches` those of a large table go in several batches, each durable before the
/// next one begins, so that they take no more memory than a small one's. A crash may then leave a part of them.
pub fn empty(store: &mut impl Store, table: Table, in_batches: bool) {
    let mut from = Vec::new();
    loop {
        let mut keys = Vec::new();
        store.scan(table, &from, None, Direction::Up, &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < DELETED_AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        keys.iter().for_each(|key| store.delete(table, key));
        let Some(last) = keys.get(DELETED_AT_ONCE - 1).filter(|_| store.failure().is_none()) else { return };
        from.clone_from(last);
        from.push(0);
        if in_batches {
            store.commit();
            store.catch_up();
        }
    }
}
