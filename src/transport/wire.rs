//! The version of what nodes say to each other, and what a peer of an older version is not told.
//!
//! * Nodes of one major version understand each other whatever their minors are: on a connection both keep to the
//!   lesser minor of the two. Nodes of different majors exchange nothing but the refusal.
//! * A later minor may have new kinds of [`Message`], at the enum's end and listed in the table below, and may say more at the
//!   end of its hello, which an older one passes over. Everything else stays as it is: what a kind of message holds, the
//!   streams, the frames, the tables of a snapshot.
//! * What an op may be is no matter of the minor: an op cannot be left out of a log. A new body takes a new major, or is
//!   issued only once all members are known to take it.

use std::fmt;

use serde::Serialize;

use crate::codec;
use crate::replica::Message;

/// Bytes of a version on the wire.
pub(super) const BYTES: usize = 4;

/// Which wire format a node speaks: the present one, or an older minor of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct WireVersion {
    pub(super) major: u16,
    pub(super) minor: u16,
}

/// A minor version that this program does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "this forename has no wire minor {0}: it speaks {present} and what is older, {major}.0 to {present}; nothing was \
     started. Leave the setting out to speak {present}",
    present = WireVersion::PRESENT,
    major = WireVersion::PRESENT.major
)]
pub struct UnknownMinor(pub u16);

impl WireVersion {
    /// What this program speaks at best.
    pub const PRESENT: Self = Self { major: 1, minor: 2 };

    /// The present major version with this minor.
    ///
    /// # Errors
    /// The minor is later than the present one.
    pub fn of_minor(minor: u16) -> Result<Self, UnknownMinor> {
        if minor > Self::PRESENT.minor { Err(UnknownMinor(minor)) } else { Ok(Self { minor, ..Self::PRESENT }) }
    }

    /// What two nodes speak to each other; none where their majors differ.
    pub(super) fn common(self, other: Self) -> Option<Self> {
        (self.major == other.major).then(|| self.min(other))
    }

    /// Whether whoever speaks this version knows this kind of message.
    pub(super) fn knows(self, message: &Message) -> bool {
        since(message) <= self.minor
    }

    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        let ([a, b], [c, d]) = (self.major.to_be_bytes(), self.minor.to_be_bytes());
        [a, b, c, d]
    }

    pub(super) fn from_bytes([a, b, c, d]: [u8; BYTES]) -> Self {
        Self { major: u16::from_be_bytes([a, b]), minor: u16::from_be_bytes([c, d]) }
    }
}

impl Default for WireVersion {
    fn default() -> Self {
        Self::PRESENT
    }
}

impl fmt::Display for WireVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Makes the table of kinds: one line a kind, or it does not compile.
macro_rules! kinds {
    ($($kind:pat_param => $minor:literal,)*) => {
        /// Kinds of messages that this program can read; the encoding numbers them from 0.
        const KINDS: u32 = [$($minor),*].len() as u32;

        /// The minor version that a kind of message came with.
        fn since(message: &Message) -> u16 {
            match message { $($kind => $minor,)* }
        }
    };
}

// Without the kinds of minor 1:
//
// * `Nominate`: a newcomer gets in only where it reaches the first member itself.
// * `Evicted`: whoever was put out while it was away is not told so by those who stay.
// * `Used`: whoever asks to be let in under an id that it has used up is not told so, and waits.
// * `Gone`: whoever lacks ops that have left the log is not told so, and goes on asking for them.
//
// Without those of minor 2:
//
// * `Resume`: a snapshot that broke off is asked for anew.
// * `Reads`: nobody knows which op bodies the peer can read, so none that came later than minor 1 is issued while the peer
//   is a member.
kinds! {
    Message::Join { .. } => 0,
    Message::Installed { .. } => 0,
    Message::Contacts(_) => 0,
    Message::Ops { .. } => 0,
    Message::Vector(_) => 0,
    Message::Skewed { .. } => 0,
    Message::Nominate(_) => 1,
    Message::Evicted { .. } => 1,
    Message::Used => 1,
    Message::Gone(_) => 1,
    Message::Resume { .. } => 2,
    Message::Reads { .. } => 2,
    Message::Waits { .. } => 0,
    Message::Secrets(_) => 0,
    Message::Member { .. } => 0,
    Message::Forked { .. } => 0,
}

/// What a peer said that it should not have: it keeps to another version than the two sides agreed on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum KindError {
    #[error(
        "a message of kind {kind}, which wire version {agreed} does not have; it was not taken, nor is anything after it"
    )]
    Unknown { kind: u32, agreed: WireVersion },
    #[error(transparent)]
    Malformed(#[from] codec::DecodeError),
}

/// The message in a frame, if the agreed version has its kind.
pub(super) fn decode(bytes: &[u8], agreed: WireVersion) -> Result<Message, KindError> {
    let kind: u32 = codec::decode_start(bytes)?;
    if kind >= KINDS {
        return Err(KindError::Unknown { kind, agreed });
    }
    let message: Message = codec::decode(bytes)?;
    if agreed.knows(&message) { Ok(message) } else { Err(KindError::Unknown { kind, agreed }) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Millis, NodeId};
    use crate::name::Pepper;
    use crate::replica::{Contact, Obstacle, Secrets, Vector};

    fn contact() -> Contact {
        let address = "127.0.0.1:1".to_owned();
        Contact { node: NodeId(7), public_key: vec![7; 32], address, label: String::new(), as_of: Millis(1) }
    }

    /// One of each kind, in the order of the enum.
    fn all() -> Vec<Message> {
        let (entries, rows, silent) = (Vec::new(), Vec::new(), [NodeId(3)].into());
        vec![
            Message::Join { contact: contact(), snapshot: 7, wall: Millis(1) },
            Message::Installed { wall: Millis(1), has: vec![(NodeId(3), 4)] },
            Message::Contacts(vec![contact()]),
            Message::Ops { ops: Arc::new(Vec::new()), more: true },
            Message::Vector(Vector {
                entries,
                rows,
                wall: Millis(1),
                silent,
                leaving: [NodeId(4)].into(),
                yields_to: BTreeSet::new(),
                wants: true,
                echo: false,
            }),
            Message::Skewed { ahead: 1 },
            Message::Nominate(contact()),
            Message::Evicted { cut: 9 },
            Message::Used,
            Message::Gone([(NodeId(3), 4)].into()),
            Message::Resume { snapshot: 7, table: "names".to_owned(), key: vec![1] },
            Message::Reads { bodies: 10, echo: true },
            Message::Waits { newcomer: NodeId(7), obstacles: vec![Obstacle::Version] },
            Message::Secrets(Box::new(Secrets { cluster: [1; 32], pepper: Pepper::derive(&[1; 32]) })),
            Message::Member { proof: [2; 32] },
            Message::Forked { seq: 3 },
        ]
    }

    #[test]
    fn each_minor_reads_what_it_knows_and_refuses_the_rest() {
        let messages = all();
        assert_eq!(messages.len(), KINDS as usize, "one of each kind");
        for minor in 0..=WireVersion::PRESENT.minor {
            let agreed = WireVersion::of_minor(minor).unwrap();
            for (kind, message) in (0..).zip(&messages) {
                let read = decode(&codec::encode(message), agreed);
                let later = [6..12, 10..12, 12..12][usize::from(minor)].contains(&kind);
                let wanted = if !later { Ok(message.clone()) } else { Err(KindError::Unknown { kind, agreed }) };
                assert_eq!(read, wanted);
            }
        }
    }

    #[test]
    fn a_kind_of_the_future_is_named() {
        let error = decode(&codec::encode(&(KINDS, "whatever")), WireVersion::PRESENT).unwrap_err();
        assert_eq!(error, KindError::Unknown { kind: KINDS, agreed: WireVersion::PRESENT });
        assert!(matches!(decode(&[], WireVersion::PRESENT), Err(KindError::Malformed(_))));
    }

    #[test]
    fn the_lesser_minor_is_spoken_and_another_major_is_not() {
        let version = |major, minor| WireVersion { major, minor };
        assert_eq!(version(1, 3).common(version(1, 1)), Some(version(1, 1)));
        assert_eq!(version(1, 0).common(version(1, 9)), Some(version(1, 0)));
        assert_eq!(version(1, 1).common(version(2, 1)), None);
        let odd = version(0x102, 0x304);
        assert_eq!((odd.to_bytes(), WireVersion::from_bytes(odd.to_bytes())), ([1, 2, 3, 4], odd));
        let error = WireVersion::of_minor(WireVersion::PRESENT.minor + 1).unwrap_err().to_string();
        assert!(error.contains("no wire minor 3") && error.contains("1.0 to 1.2"), "{error}");
    }
}
