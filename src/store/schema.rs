//! The schema of a replica's store: for each table the type of its keys, and for each single value its name.
//!
//! A table, or a part of one, is a type of this module that implements [`Keyed`], for example [`Registrations`], and is
//! read and written through the functions of [`Rows`]. A single value is a type that implements [`Named`], for example
//! [`Ceiling`], and is read and written through those of [`Cell`]. No other module makes the bytes of a key or of a
//! row, except those that move whole tables without reading them: snapshots, backups, and the stores themselves.
//!
//! The store is below the registry and the replica and does not know their types. Where a row has such a type, the
//! module that owns the type writes `impl Rows for schema::Names` (see `crdt/rows.rs` and `replica/rows.rs`). So every
//! table has one row type in the whole program, and no modules depend on each other in a circle.
//!
//! | table | key | row |
//! | --- | --- | --- |
//! | [`Log`] | origin, seq of the first op | a chunk of ops |
//! | [`Names`] | namespace, key | `crdt::Open` |
//! | [`Registrations`] | stamp | `crdt::Registration` |
//! | [`Ids`] | the client's id | the stamps that carry it |
//! | [`Owners`] | owner, stamp | nothing |
//! | [`Expiries`] | end, stamp | nothing |
//! | [`Early`] | stamp of a registration | ops that wait for it |
//! | [`Contested`] | stamp | nothing |
//! | [`Membership`] | origin, seq | an op |
//! | [`Contacts`] | node | `replica::Contact` |
//! | [`Events`] | number of the first event | a chunk of events |
//! | [`Void`] | stamp | what became of a void op |
//! | [`Over`] | when to look, stamp | [`SaidAll`] |
//! | [`Namespaces`] | namespace | `crdt::Namespace` |
//! | [`Endings`] | stamp, place of the claim | when it ended |
//! | [`Charges`] | API token, id | nothing |
//! | [`Typed`] | id, key | the name as typed |
//! | [`HeldBy`] | id | API token |
//! | [`HeldCounts`] | API token | how many rows of [`HeldBy`] name it |
//! | [`Erased`] | namespace, hash of the key | stamp of its last leader |
//! | [`Claims`] | namespace, key, tenure, stamp | nothing |
//! | [`Followed`] | namespace, key, stamp of a claim | `crdt::Followed` |
//! | [`Webhooks`] | id | `crdt::Webhook` |
//! | [`Frontiers`] | origin | how far its log is applied and decided |
//! | [`Erasing`] | stamp of a registration | stamp of the op that erases it |
//!
//! [`HeldBy`] and [`HeldCounts`] are parts of [`Table::Held`]. The last two tables are parts of [`Table::Cluster`],
//! whose other rows are single values. All rows of [`Table::Meta`] are single values.

mod key;
mod rows;

use uuid::Uuid;

pub use self::key::{
    ByNamespace, ChargeKey, ClaimKey, Due, EndingKey, FollowedKey, Key, KeyBytes, LogKey, NameKey, OverKey, OwnerKey,
    TypedKey,
};
pub use self::rows::{Address, Cell, Found, Keyed, Named, Owned, Record, Rows, Span};
use super::Table;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::codec::{self, DecodeError};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $table:ident $(after $prefix:literal)?, $key:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Keyed for $name {
                const TABLE: Table = Table::$table;
                $(const PREFIX: &'static [u8] = $prefix;)?
                type Key<'a> = $key;
            }
        )*
    };
}

macro_rules! cells {
    ($($(#[$doc:meta])* $name:ident: $table:ident $bytes:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Named for $name {
                const TABLE: Table = Table::$table;
                const NAME: &'static [u8] = $bytes;
            }
        )*
    };
}

macro_rules! rows {
    ($($trait:ident $name:ident: $type:ident = $row:ty;)*) => {
        $(impl $trait for $name { type $type = $row; })*
    };
}

tables! {
    /// The logs of all origins, in chunks of consecutive ops.
    Log: Log, LogKey;
    /// The open tenures of names.
    Names: Names, NameKey<'a>;
    /// Registrations.
    Registrations: Registrations, Stamp;
    /// The registrations that carry an id which a client chose.
    Ids: Ids, Uuid;
    /// An index of registrations by their owner.
    Owners: Owners, OwnerKey<'a>;
    /// An index of reservations by their end.
    Expiries: Expiries, (Hlc, Stamp);
    /// Ops about a registration that has not arrived yet.
    Early: Early, Stamp;
    /// Registrations that lost and are not yet rejected.
    Contested: Contested, Stamp;
    /// Membership ops, one for each row.
    Membership: Membership, LogKey;
    /// Addresses and keys of members.
    Contacts: Contacts, NodeId;
    /// The event feed, in chunks of consecutive events.
    Events: Events, u64;
    /// This node's ops that an eviction made void.
    Void: Void, Stamp;
    /// Registrations that are over, by the time at which they may be forgotten.
    Over: Over, OverKey;
    /// The rules that were set for namespaces.
    Namespaces: Namespaces, &'a str;
    /// The times at which claims ended and registrations were rejected.
    Endings: Endings, EndingKey;
    /// Registrations that API tokens may have open at this node.
    Charges: Charges, ChargeKey<'a>;
    /// Private names as they were typed at this node.
    Typed: Typed, TypedKey<'a>;
    /// Registrations that count against an API token's total at this node.
    HeldBy: Held after b"i", Uuid;
    /// How many registrations count against each API token's total.
    HeldCounts: Held after b"t", &'a str;
    /// The last leaders of erased names, whose keys are hashes.
    Erased: Erased, NameKey<'a>;
    /// Claims to names beside those that lead an open tenure.
    Claims: Claims, ClaimKey<'a>;
    /// The state of claims that other claims follow.
    Followed: Followed, FollowedKey<'a>;
    /// Webhooks, also those that were removed.
    Webhooks: Webhooks, Uuid;
    /// How far each log is applied and decided.
    Frontiers: Cluster after b"o", NodeId;
    /// Registrations that are to be erased once their `Erase` op is final.
    Erasing: Cluster after b"e", Stamp;
}

cells! {
    /// The node that the state belongs to.
    Node: Meta b"node";
    /// The phase of the node in its cluster.
    Phase: Meta b"phase";
    /// The greatest timestamp that this node may have promised.
    Ceiling: Meta b"ceiling";
    Reads: Meta b"reads";
    /// The secret that join tokens are derived from. No snapshot contains it: a newcomer gets it once it is admitted.
    Secret: Meta b"secret";
    /// The time at which the secret was made; none for the secret that the cluster was founded with.
    SecretAge: Meta b"secret-age";
    /// Set once all registrations that came with the state and are over have a row in [`Over`].
    Swept: Meta b"swept";
    /// The number of the feed; none where no feed has begun.
    Feed: Meta b"feed";
    /// How far a new feed has told the events from before it began; none where all are told.
    Retelling: Meta b"retelling";
    /// The cluster's pepper. No snapshot contains it: a newcomer gets it once it is admitted. It is derived from the
    /// first secret of the cluster. It stays the same when a recovered cluster gets another secret, because hashed
    /// names must still be found.
    Pepper: Meta b"pepper";
    /// The founding of the cluster: its id, founders and settings.
    Founding: Cluster b"founding";
    /// The watermark: every op at or below this timestamp has arrived.
    Watermark: Cluster b"watermark";
    /// Every op at or below this timestamp has arrived, so a registration below it that is not stored was forgotten.
    Settled: Cluster b"settled";
    /// Set once a registration was erased, so that some names can be found by their hashes only.
    Hides: Cluster b"hides";
}

rows! {
    Rows Ids: Row = [Stamp];
    Rows Owners: Row = ();
    Rows Expiries: Row = ();
    Rows Contested: Row = ();
    Rows Over: Row = SaidAll;
    Rows Charges: Row = ();
    Rows Typed: Row = str;
    Rows HeldBy: Row = str;
    Rows HeldCounts: Row = u64;
    Rows Erased: Row = Stamp;
    Rows Claims: Row = ();
    Rows Erasing: Row = Stamp;
    Cell Node: Value = NodeId;
    Cell Ceiling: Value = Hlc;
    Cell Reads: Value = ();
    Cell Secret: Value = [u8; 32];
    Cell SecretAge: Value = Stamp;
    Cell Swept: Value = ();
    Cell Retelling: Value = WalkedTo;
    Cell Pepper: Value = crate::name::Pepper;
    Cell Watermark: Value = Hlc;
    Cell Settled: Value = Hlc;
    Cell Hides: Value = ();
}

/// The row of a registration that is over. True means that all of its events were told when the row was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SaidAll(pub bool);

impl Record for SaidAll {
    fn encoded<A>(&self, take: impl FnOnce(&[u8]) -> A) -> A {
        take(if self.0 { b"all" } else { b"" })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(bytes == b"all"))
    }
}

/// The progress of a walk through the registrations: the last one that was visited, or none where the walk has not
/// begun.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct WalkedTo(pub Option<Stamp>);

impl WalkedTo {
    /// Returns true where the walk has yet to visit this registration.
    #[must_use]
    pub fn is_ahead(self, stamp: Stamp) -> bool {
        self.0.is_none_or(|last| stamp > last)
    }

    /// The registrations that the walk has yet to visit.
    #[must_use]
    pub fn rest(self) -> Span<Registrations> {
        self.0.map_or_else(Span::all, Span::after)
    }
}

/// The stored bytes are the least key that the walk has yet to visit.
impl Record for WalkedTo {
    fn encoded<A>(&self, take: impl FnOnce(&[u8]) -> A) -> A {
        codec::with_encoding(&self.rest().first_bytes(), take)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let next: Vec<u8> = codec::decode(bytes)?;
        Ok(Self(next.split_last().and_then(|(_, last)| Stamp::from_bytes(last))))
    }
}

#[cfg(test)]
mod tests;
