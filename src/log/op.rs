//! Operations: the entries of the logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::chain::{Chain, Cut};
use super::encoded::Encoded;
use super::settings::Setting;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::codec;
use crate::crdt::NameOp;
pub use crate::model::Seq;

/// What tells one join token from all others.
pub type TokenNonce = [u8; 16];

/// An operation: one entry of a node's gap-free log. It is encoded once, by its origin, and carries its bytes from then on: the
/// hash is over them, and the log and the frames to all peers hold them as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Op {
    /// The origin.
    pub node: NodeId,
    /// Its place in the origin's log.
    pub seq: Seq,
    /// Its timestamp; rises with `seq`.
    pub hlc: Hlc,
    /// The hash of the origin's log up to and with this op.
    pub chain: Chain,
    /// What it says. It is not changed in place: see [`Op::saying`].
    pub body: Body,
    /// All of this but the hash.
    encoded: Encoded,
}

impl Op {
    /// The next op of a log whose hash so far is `after`.
    #[must_use]
    pub fn new(node: NodeId, seq: Seq, hlc: Hlc, after: Chain, body: Body) -> Self {
        let encoded = Encoded::of(&(node, seq, hlc, &body));
        Self { node, seq, hlc, chain: after.then(encoded.bytes()), body, encoded }
    }

    /// Whether it continues a log whose hash so far is `after`.
    #[must_use]
    pub fn continues(&self, after: Chain) -> bool {
        self.chain == after.then(self.encoded.bytes())
    }

    /// The same op, under the same hash, as if it had said this. No log goes on with it any more: it is for a void op that a
    /// node keeps for itself.
    #[must_use]
    pub fn saying(self, body: Body) -> Self {
        let Self { node, seq, hlc, chain, .. } = self;
        let encoded = Encoded::of(&(node, seq, hlc, &body));
        Self { node, seq, hlc, chain, body, encoded }
    }

    /// How many bytes its encoding has.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.encoded.bytes().len() + size_of::<Chain>()
    }

    /// Its stamp.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { hlc: self.hlc, node: self.node }
    }
}

/// The hash and the bytes.
impl Serialize for Op {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.chain, &self.encoded).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (chain, encoded) = <(Chain, Encoded)>::deserialize(deserializer)?;
        let (node, seq, hlc, body) = codec::decode(encoded.bytes()).map_err(de::Error::custom)?;
        Ok(Self { node, seq, hlc, chain, body, encoded })
    }
}

/// What an op says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// Something about names: the registry's, and opaque to the log.
    Name(NameOp),
    /// Something about the membership, or what all members have in common: the log's.
    Member(MemberOp),
}

impl Body {
    /// Whether it decides about membership, or about what all members have in common. Such ops are few and kept for ever.
    #[must_use]
    pub fn is_membership(&self) -> bool {
        matches!(self, Self::Member(_))
    }
}

/// What an op says about the membership, and what all members have in common. New ones are added at the end: the encoding counts them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MemberOp {
    /// The first member lets a newcomer in: with this op it is a member.
    Admit {
        /// The newcomer.
        node: NodeId,
    },
    /// A member takes nothing of a node's log beyond `seq` any more: its part in an eviction.
    Freeze {
        /// Who is to be evicted.
        node: NodeId,
        /// The prefix of its log that the freezing member has.
        seq: Seq,
        /// The hash of that prefix.
        chain: Chain,
        /// The prefix of which the freezing member knows that a majority holds it. It decides no more of this log until the
        /// cut counts.
        held: Seq,
        /// The freezing member knows that somebody holds other ops under the same numbers.
        forked: bool,
    },
    /// The origin leaves the cluster; its last op.
    Depart,
    /// An eviction is done: the prefixes of the logs of those who are out that count. Each of those who stay declares it
    /// in its own log before anything that rests on it.
    Evict {
        /// By evicted node.
        cuts: BTreeMap<NodeId, Cut>,
    },
    /// Whoever has the key of this node begins anew under a later incarnation: it will issue nothing more. It is frozen at
    /// what the members have of its log.
    Retire {
        /// The earlier incarnation.
        node: NodeId,
    },
    /// Changes settings of the cluster. Of several changes of one setting the one with the greatest stamp stands.
    Configure {
        /// What is changed.
        settings: Vec<Setting>,
    },
    /// A newcomer is let in by a join token that lets in a limited number. The next op of the origin is the newcomer's
    /// `Admit`.
    Spend {
        /// Which token.
        token: TokenNonce,
    },
    /// A key is kept out of the cluster, or is not any more. Of several about one key that with the greatest stamp stands.
    Ban {
        /// The first incarnation of the key.
        node: NodeId,
        /// Whether it is kept out.
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
            Op::new(NodeId(node), seq, Hlc(hlc), codec::decode(&after).expect("any 16 bytes are a hash"), body)
        })
    }

    proptest! {
        #[test]
        fn an_op_is_read_as_it_was_written_and_continues_the_same_log(op in any_op(), other in any_op()) {
            let ops = vec![op.clone(), other];
            let read: Vec<Op> = codec::decode(&codec::encode(&ops)).expect("ops are data");
            prop_assert_eq!(&read, &ops);
            let next = Op::new(op.node, op.seq.wrapping_add(1), op.hlc, op.chain, op.body);
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
