//! Where a replica's state lives: ordered tables of bytes.
//!
//! Writes are visible at once. [`Store::commit`] ends a batch, which becomes durable as a whole, in order, some time
//! later; whoever drives the replica then hands it [`Input::Persisted`](crate::replica::Input::Persisted).
//!
//! A store does not return errors from its reads and writes. The first failure poisons it: from then on reads find
//! nothing, no batch is ever reported durable, and [`Store::failure`] says why. Because a replica releases nothing
//! that depends on an undurable batch, and asks for a failure before it releases anything, no answer that rests on a
//! failed read gets out.

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
    /// Single records of this node alone: its identity, its promise ceiling, the parts of its feed.
    Meta,
    /// Single records that a newcomer takes over: the founders, the cluster's key, the frontier.
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
    /// Ops that arrived before the registration they speak of.
    Early,
    /// Registrations that lost and are not yet rejected.
    Contested,
    /// Membership ops by origin and seq.
    Membership,
    /// How members are reached and recognised.
    Contacts,
    /// The event feed, in chunks by cursor.
    Events,
    /// This node's ops that an eviction made void, by stamp.
    Void,
    /// Registrations that are over, by when they may be forgotten.
    Over,
    /// The rules that were set for a namespace, by its name.
    Namespaces,
    /// When claims ended and registrations were rejected, by stamp and claim.
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
    /// How claims stand that others follow, by name and stamp.
    Followed,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 23] = [
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
    ];

    /// Its name on disk.
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
        }
    }

    /// Whether a newcomer is given the table. The others are a node's own: its identity, its event feed and what hangs on
    /// it, what it has to make good, when it learnt how claims ended, what its callers have open
    /// or hold, and how they typed private names.
    #[must_use]
    pub fn in_snapshot(self) -> bool {
        let own = matches!(self, Self::Meta | Self::Events | Self::Void | Self::Over);
        !own && !matches!(self, Self::Endings | Self::Charges | Self::Typed | Self::Held)
    }
}

/// Which way a scan goes.
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
    /// Which table.
    pub table: Table,
    /// Which key.
    pub key: Vec<u8>,
    /// Its new value, none to delete it.
    pub value: Option<Vec<u8>>,
}

/// One piece of a snapshot on its way to a newcomer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotPart {
    /// Rows, by table and key.
    Rows(Vec<Write>),
    /// There are no more. A snapshot that breaks off before this is not whole: its receiver drops it.
    End,
}

/// The store cannot go on. Everything reported durable before still is.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the store failed: {0}; nothing since its last successful fsync was acknowledged. Restart the node when the disk is well"
)]
pub struct StoreFailure(pub String);

/// Is shown rows by key and value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Ordered tables with atomic batches. See the module's text.
pub trait Store {
    /// The value of a key, uncommitted writes included.
    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>>;

    /// Shows the value of a key where there is one: the same without a copy, in a store that has it at hand.
    fn look(&self, table: Table, key: &[u8], visit: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.get(table, key) {
            visit(&value);
        }
    }

    /// Visits the keys in `from..to` (`to` none: to the end) until `visit` breaks. Uncommitted writes are seen.
    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, visit: &mut Visit<'_>);

    /// Sets a key.
    fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>);

    /// Removes a key; nothing where it is not there.
    fn delete(&mut self, table: Table, key: Vec<u8>);

    /// Ends the batch and hands it on to be made durable. Returns its number, or that of the last one where nothing
    /// was written since.
    fn commit(&mut self) -> Batch;

    /// Why the store stopped, where it did.
    fn failure(&self) -> Option<StoreFailure>;
}

/// The least key above all keys that begin with `prefix`; none where there is no such key.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Deletes all rows of a table.
pub fn empty(store: &mut impl Store, table: Table) {
    let mut keys = Vec::new();
    store.scan(table, &[], None, Direction::Up, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    });
    keys.into_iter().for_each(|key| store.delete(table, key));
}
