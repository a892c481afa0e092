//! Operations: the entries of the logs.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::chain::{Chain, Cut};
use super::encoded::Encoded;
use super::settings::Setting;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::codec;
use crate::crdt::NameOp;
pub use crate::model::Seq;

/// A random number that identifies a join token.
pub type TokenNonce = [u8; 16];

/// An operation: one entry of a node's gap-free log. Its origin encodes it once, and it keeps these bytes: the hash is
/// over them, and the logs and the messages to all peers carry them unchanged.
#[derive(Clone, Debug)]
pub struct Op {
    /// The origin: the node that issued it.
    pub node: NodeId,
    /// Its number in the origin's log.
    pub seq: Seq,
    /// Its timestamp, which rises with `seq`.
    pub hlc: Hlc,
    /// The hash of the origin's log up to and with this op.
    pub chain: Chain,
    /// Its content, once somebody has read it.
    body: OnceLock<Body>,
    /// The encoding of all fields but the hash.
    encoded: Encoded,
}

/// Ops are equal where their hashes and their bytes are.
impl PartialEq for Op {
    fn eq(&self, other: &Self) -> bool {
        (self.chain, &self.encoded) == (other.chain, &other.encoded)
    }
}

impl Eq for Op {}

impl Op {
    /// Makes the next op of a log whose hash so far is `after`.
    #[must_use]
    pub fn new(node: NodeId, seq: Seq, hlc: Hlc, after: Chain, body: Body) -> Self {
        let encoded = Encoded::of(&(node, seq, hlc, &body));
        Self { node, seq, hlc, chain: after.then(encoded.bytes()), body: body.into(), encoded }
    }

    /// Returns its content. It is not changed in place: see [`Op::saying`].
    ///
    /// # Panics
    /// Where the op is from a store, and the bytes are no content. No disk makes them so unnoticed, because the store has
    /// checksums; only another member could, with the state that it sent to this node as a newcomer.
    #[must_use]
    pub fn body(&self) -> &Body {
        self.body.get_or_init(|| read(&self.encoded))
    }

    /// Returns its content and drops the rest.
    ///
    /// # Panics
    /// As for [`Op::body`].
    #[must_use]
    pub fn into_body(self) -> Body {
        self.body.into_inner().unwrap_or_else(|| read(&self.encoded))
    }

    /// Returns true where the op continues a log whose hash so far is `after`.
    #[must_use]
    pub fn continues(&self, after: Chain) -> bool {
        self.chain == after.then(self.encoded.bytes())
    }

    /// Returns the op with another body and under the same hash. No log can continue with it: it is for a void op that
    /// a node keeps for itself.
    #[must_use]
    pub fn saying(self, body: Body) -> Self {
        let Self { node, seq, hlc, chain, .. } = self;
        let encoded = Encoded::of(&(node, seq, hlc, &body));
        Self { node, seq, hlc, chain, body: body.into(), encoded }
    }

    /// Returns the length of its encoding in bytes, less some two that say how long its parts are.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.encoded.bytes().len() + size_of::<Chain>()
    }

    /// Returns its stamp.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { hlc: self.hlc, node: self.node }
    }
}

/// An op is serialised as its hash and its bytes.
impl Serialize for Op {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.chain, &self.encoded).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (chain, encoded) = <(Chain, Encoded)>::deserialize(deserializer)?;
        let (node, seq, hlc, body): Fields = codec::decode(encoded.bytes()).map_err(de::Error::custom)?;
        Ok(Self { node, seq, hlc, chain, body: body.into(), encoded })
    }
}

/// The fields of an op in the order in which its bytes hold them. The hash is not among them.
type Fields = (NodeId, Seq, Hlc, Body);

/// Decodes the content of an op that came from a store.
fn read(encoded: &Encoded) -> Body {
    match codec::decode::<Fields>(encoded.bytes()) {
        Ok((.., body)) => body,
        Err(error) => panic!("a stored op is not what was written: {error}"),
    }
}

/// An op that is read from this node's own store. Its content is decoded at the first call of [`Op::body`], so an op that is
/// only sent to a peer is never decoded.
pub(crate) struct Stored(pub(crate) Op);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (chain, encoded) = <(Chain, Encoded)>::deserialize(deserializer)?;
        let (node, seq, hlc) = codec::decode_start(encoded.bytes()).map_err(de::Error::custom)?;
        Ok(Self(Op { node, seq, hlc, chain, body: OnceLock::new(), encoded }))
    }
}

/// The content of an op.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// An op about names. It belongs to the registry, and the log does not read it.
    Name(NameOp),
    /// An op about the membership, or about what all members have in common. It belongs to the log.
    Member(MemberOp),
}

impl Body {
    /// Returns true for an op about the membership, or about what all members have in common. Such ops are few and kept
    /// for ever.
    #[must_use]
    pub fn is_membership(&self) -> bool {
        matches!(self, Self::Member(_))
    }
}

/// An op about the membership, or about what all members have in common. New ones are added at the end, because the
/// encoding numbers the variants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MemberOp {
    /// The first member admits a newcomer, which is a member with this op.
    Admit {
        /// The newcomer.
        node: NodeId,
    },
    /// A member's part in an eviction: it takes no op of a node's log beyond `seq` any more.
    Freeze {
        /// The node that is to be evicted.
        node: NodeId,
        /// The last op of its log that the freezing member has.
        seq: Seq,
        /// The hash of that prefix.
        chain: Chain,
        /// The prefix that the freezing member knows to be held by a majority. It decides no more of this log until the
        /// cut counts.
        held: Seq,
        /// True where the freezing member knows that somebody holds other ops under the same numbers.
        forked: bool,
    },
    /// The origin leaves the cluster. This is its last op.
    Depart,
    /// An eviction is done. Each member that stays declares it in its own log before anything that rests on it.
    Evict {
        /// The cut of each evicted log: the prefix of it that counts.
        cuts: BTreeMap<NodeId, Cut>,
    },
    /// The owner of this node's key begins anew under a later incarnation, so this incarnation issues nothing more. It
    /// is frozen at what the members have of its log.
    Retire {
        /// The earlier incarnation.
        node: NodeId,
    },
    /// Changes settings of the cluster. Of several changes of one setting the one with the greatest stamp counts.
    Configure {
        /// The changed settings.
        settings: Vec<Setting>,
    },
    /// A newcomer is admitted by a join token that admits a limited number. The next op of the origin is the newcomer's
    /// `Admit`.
    Spend {
        /// The token.
        token: TokenNonce,
    },
    /// Bans a key from the cluster, or lifts the ban. Of several such ops about one key the one with the greatest stamp
    /// counts.
    Ban {
        /// The first incarnation of the key.
        node: NodeId,
        /// True for a ban, false where it is lifted.
        banned: bool,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crdt::NameOp;

    fn any_op() -> impl Strategy<Value = Op> {
        let member = any::<u64>().prop_map(|node| Body::Member(MemberOp::Retire { node: NodeId(node) }));
        let name = any::<u64>()
            .prop_map(|hlc| Body::Name(NameOp::Activate { registration: Stamp { hlc: Hlc(hlc), node: NodeId(1) } }));
        let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<[u8; 16]>());
        (numbers, prop_oneof![member, name]).prop_map(|((node, seq, hlc, after), body)| {
            Op::new(NodeId(node), seq, Hlc(hlc), Chain::EMPTY.then(&after), body)
        })
    }

    proptest! {
        #[test]
        fn an_op_is_read_as_it_was_written_and_continues_the_same_log(op in any_op(), other in any_op()) {
            let ops = vec![op.clone(), other];
            let read: Vec<Op> = codec::decode(&codec::encode(&ops)).expect("ops are data");
            prop_assert_eq!(&read, &ops);
            let stored: Vec<Stored> = codec::decode(&codec::encode(&ops)).expect("ops are data");
            for (Stored(stored), op) in stored.into_iter().zip(&ops) {
                let header = |op: &Op| (op.node, op.seq, op.hlc, op.chain);
                prop_assert_eq!((&stored, header(&stored)), (op, header(op)));
                prop_assert_eq!(stored.body.get(), None);
                prop_assert_eq!(stored.body(), op.body());
                prop_assert_eq!(stored.into_body(), op.body().clone());
            }
            let next = Op::new(op.node, op.seq.wrapping_add(1), op.hlc, op.chain, op.body().clone());
            let sent: Op = codec::decode(&codec::encode(&next)).expect("an op is data");
            prop_assert!(sent.continues(op.chain) && !sent.continues(Chain::EMPTY) || op.chain == Chain::EMPTY);
            prop_assert!(codec::encode(&next).len() <= next.encoded_len() + 9, "with the length of its bytes");
        }

        #[test]
        fn no_bytes_are_an_op_by_mistake_or_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(op) = codec::decode::<Op>(&bytes) {
                prop_assert_eq!(codec::encode(&op), bytes);
            }
        }
    }
}
