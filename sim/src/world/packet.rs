//! Packets between machines.

use forename::codec;
use forename::replica::{Message, SnapshotId};
use forename::store::Write;

use crate::plan::Kind;

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Message(Message),
    Rows(SnapshotId, Vec<Write>),
    SnapshotEnd(SnapshotId),
}

impl Packet {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Rows(..) | Self::SnapshotEnd(_) => Kind::Snapshot,
            Self::Message(Message::Join { .. } | Message::Resume { .. }) => Kind::Join,
            Self::Message(Message::Installed { .. }) => Kind::Installed,
            Self::Message(
                Message::Contacts(_)
                | Message::Secrets(_)
                | Message::PrivateKey(_)
                | Message::Member { .. }
                | Message::Waits { .. },
            ) => Kind::Contacts,
            Self::Message(Message::Ops { .. }) => Kind::Ops,
            Self::Message(Message::Vector(_)) => Kind::Vector,
            Self::Message(Message::Nominate { .. }) => Kind::Nominate,
            Self::Message(Message::Evicted { .. } | Message::Used) => Kind::Evicted,
            Self::Message(Message::Gone(_) | Message::Forked { .. }) => Kind::Vector,
            Self::Message(Message::Skewed { .. }) => Kind::Skewed,
        }
    }

    /// Returns the size on the wire in bytes, without headers.
    pub(crate) fn size(&self) -> u64 {
        let bytes = match self {
            Self::Message(message) => codec::encoded_len(message),
            Self::Rows(_, rows) => rows.iter().map(|row| row.key.len() + row.value.as_ref().map_or(0, Vec::len)).sum(),
            Self::SnapshotEnd(_) => 1,
        };
        bytes as u64
    }
}
