//! Hybrid logical clocks, node ids and stamps.
//!
//! An [`Hlc`] is 48 bits of Unix milliseconds and a 16-bit counter in one integer, so the carry of the counter into the
//! next millisecond is plain addition. Kulkarni et al., "Logical Physical Clocks", 2014.

#[cfg(feature = "planted")]
mod planted;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Wall-clock time as the driver hands it to the pure parts: Unix milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// The time `ms` milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The milliseconds since `earlier`; 0 where `earlier` is later than this time.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A hybrid logical timestamp: 48 bits of Unix milliseconds, 16 bits of counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The timestamp before that of every op.
    pub const ZERO: Self = Self(0);

    /// The first timestamp of a millisecond.
    #[must_use]
    pub fn from_millis(ms: Millis) -> Self {
        Self(ms.0 << 16)
    }

    /// The millisecond it lies in.
    #[must_use]
    pub fn millis(self) -> Millis {
        Millis(self.0 >> 16)
    }

    /// The least timestamp after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// A member's identity: 48 bits of its public key's SHA-256 and a 16-bit incarnation. Printed as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The id of the given incarnation of the key whose SHA-256 begins with `digest`.
    #[must_use]
    pub fn new(digest: [u8; 6], incarnation: u16) -> Self {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&digest);
        bytes[6..].copy_from_slice(&incarnation.to_be_bytes());
        Self(u64::from_be_bytes(bytes))
    }

    /// The number of this incarnation of the key, from 0.
    #[must_use]
    pub fn incarnation(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The id of the next incarnation of the key; none after the last.
    #[must_use]
    pub fn next_incarnation(self) -> Option<Self> {
        let incarnation = self.incarnation().checked_add(1)?;
        Some(Self(self.key_part() << 16 | u64::from(incarnation)))
    }

    /// The id of the first incarnation of the key.
    #[must_use]
    pub fn first_incarnation(self) -> Self {
        Self(self.key_part() << 16)
    }

    /// The part that comes from the key. It is the same for all incarnations.
    #[must_use]
    pub fn key_part(self) -> u64 {
        self.0 >> 16
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not a node id: 16 hex digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a node id: expected 16 hex digits")]
pub struct NodeIdError;

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        if text.len() != 16 {
            return Err(NodeIdError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NodeIdError)
    }
}

impl Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

/// The timestamp of an op: unique in the cluster and totally ordered, earliest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The time.
    pub hlc: Hlc,
    /// The node that issued the op. It decides between equal timestamps.
    pub node: NodeId,
}

impl Stamp {
    /// Encodes the stamp as 16 bytes that sort in the order of stamps.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.hlc.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.node.0.to_be_bytes());
        bytes
    }

    /// The inverse of [`Stamp::to_bytes`]; `None` for another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hlc, node) = bytes.split_first_chunk::<8>()?;
        let node: [u8; 8] = node.try_into().ok()?;
        Some(Self { hlc: Hlc(u64::from_be_bytes(*hlc)), node: NodeId(u64::from_be_bytes(node)) })
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hlc, self.node)
    }
}

/// A node's hybrid logical clock. Never goes back, whatever the machine's clock does.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    last: Hlc,
}

impl Clock {
    /// Makes a clock that issues only timestamps above `floor`.
    #[must_use]
    pub fn starting_above(floor: Hlc) -> Self {
        Self { last: floor }
    }

    /// The greatest timestamp issued, promised or seen.
    #[must_use]
    pub fn last(&self) -> Hlc {
        self.last
    }

    /// Issues a new timestamp, above every earlier one.
    pub fn tick(&mut self, now: Millis) -> Hlc {
        self.last = self.last.next().max(Hlc::from_millis(now));
        self.last
    }

    /// Moves up to the machine's clock, and returns a timestamp at or below which no later op will be.
    pub fn promise(&mut self, now: Millis) -> Hlc {
        self.last = planted!(clock::promised(self.last.max(Hlc::from_millis(now)), now));
        self.last
    }

    /// Moves past a timestamp seen in an op.
    pub fn observe(&mut self, seen: Hlc) {
        self.last = self.last.max(seen);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_counter_is_carried_into_the_next_millisecond() {
        let mut clock = Clock::starting_above(Hlc((7 << 16) | 0xffff));
        assert_eq!(clock.tick(Millis(7)), Hlc(8 << 16));
        assert_eq!(clock.last().millis(), Millis(8));
    }

    proptest! {
        #[test]
        fn ticks_rise_whatever_the_machines_clock_does(times in proptest::collection::vec(0u64..1 << 47, 1..100)) {
            let mut clock = Clock::default();
            let mut last = Hlc::ZERO;
            for (i, time) in times.into_iter().enumerate() {
                if i % 3 == 0 {
                    clock.observe(Hlc(time));
                }
                let promised = clock.promise(Millis(time / 2));
                let tick = clock.tick(Millis(time));
                prop_assert!(tick > last && tick > promised);
                last = tick;
            }
        }

        #[test]
        fn bytes_sort_as_stamps_do(a: (u64, u64), b: (u64, u64)) {
            let stamp = |(hlc, node)| Stamp { hlc: Hlc(hlc), node: NodeId(node) };
            prop_assert_eq!(stamp(a).cmp(&stamp(b)), stamp(a).to_bytes().cmp(&stamp(b).to_bytes()));
            prop_assert_eq!(Stamp::from_bytes(&stamp(a).to_bytes()), Some(stamp(a)));
        }

        #[test]
        fn node_ids_are_read_as_printed(id: u64) {
            prop_assert_eq!(NodeId(id).to_string().parse(), Ok(NodeId(id)));
        }
    }
}
