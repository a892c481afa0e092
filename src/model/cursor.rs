//! Cursors: the places from which a reader goes on in a feed or in a list.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::Stamp;

/// A place in one feed: the place after the event with this number. As the cursor of an event it means that event.
/// Clients keep the text, `<feed>-<number>`, and do not look into it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Cursor {
    /// The feed, by a number that was drawn at random when it began. Each process of a node has such a number for its
    /// part of the feed.
    pub feed: u64,
    /// The number of the event. The first event has 1, and 0 is the place before it.
    pub number: u64,
}

/// The text is not a cursor.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not a cursor: give one as an event, a page or a refusal of this node said it")]
pub struct CursorError(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.feed, self.number)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parsed = text.split_once('-').and_then(|(feed, number)| {
            Some(Self { feed: u64::from_str_radix(feed, 16).ok()?, number: number.parse().ok()? })
        });
        // Each cursor has only one spelling.
        parsed.filter(|cursor| cursor.to_string() == text).ok_or_else(|| CursorError(text.to_owned()))
    }
}

/// The place of a claim among all claims to its name, where a page of the name's history goes on. Clients get it as
/// text that only a node needs to understand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ClaimPlace {
    /// The claim that its tenure follows; none for the first tenure.
    pub after: Option<Stamp>,
    /// The claim.
    pub stamp: Stamp,
}

impl fmt::Display for ClaimPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.after.map_or_else(String::new, hex), hex(self.stamp))
    }
}

impl FromStr for ClaimPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let parse = || -> Option<Self> {
            let (after, claim) = text.split_once('.')?;
            let after = if after.is_empty() { None } else { Some(stamp(after)?) };
            Some(Self { after, stamp: stamp(claim)? })
        };
        // Each place has only one spelling.
        parse().filter(|place| place.to_string() == text).ok_or_else(|| PlaceError(text.to_owned()))
    }
}

/// The place of a registration among those of its owner, where a page of them goes on. It stays valid where that
/// registration has been forgotten since. Clients get it as text that only a node needs to understand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct OwnerPlace(pub Stamp);

impl fmt::Display for OwnerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.0))
    }
}

impl FromStr for OwnerPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let parsed = stamp(text).map(Self);
        parsed.filter(|place| place.to_string() == text).ok_or_else(|| PlaceError(text.to_owned()))
    }
}

fn hex(stamp: Stamp) -> String {
    format!("{:032x}", u128::from_be_bytes(stamp.to_bytes()))
}

/// The inverse of [`hex`].
fn stamp(hex: &str) -> Option<Stamp> {
    let digits = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    Stamp::from_bytes(&u128::from_str_radix(hex, 16).ok().filter(|_| digits)?.to_be_bytes())
}

/// A place among all names, in the order of their namespaces and keys, where a page of names or conflicts goes on.
/// Clients get it as text that only a node needs to understand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The key.
    pub key: String,
    /// The claim to that name from which a report goes on. There is none in a list of names, which goes on with the
    /// next name.
    pub claim: Option<ClaimPlace>,
}

/// The text is not a cursor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a cursor: give what a page before this one said under next")]
pub struct PlaceError(String);

impl fmt::Display for Place {
    /// The namespace can stand before the key because it has no spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, key, claim } = self;
        let claim = claim.map_or_else(|| "-".to_owned(), |claim| claim.to_string());
        write!(f, "{claim} {namespace} {key}")
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let parse = || -> Option<Self> {
            let (claim, rest) = text.split_once(' ')?;
            let (namespace, key) = rest.split_once(' ')?;
            let claim = if claim == "-" { None } else { Some(claim.parse().ok()?) };
            Some(Self { namespace: namespace.to_owned(), key: key.to_owned(), claim })
        };
        parse().filter(|place| place.to_string() == text).ok_or_else(|| PlaceError(text.to_owned()))
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                }
            }
        )*
    };
}

as_text!(Cursor, ClaimPlace, OwnerPlace, Place);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Hlc, NodeId};

    proptest! {
        #[test]
        fn a_cursor_is_read_as_written(
            namespace in "[a-z0-9/._-]{1,20}",
            key in "\\PC{1,20}",
            after: Option<(u64, u64)>,
            claim: Option<(u64, u64)>,
        ) {
            let stamp = |(hlc, node)| Stamp { hlc: Hlc(hlc), node: NodeId(node) };
            let claim = claim.map(|claim| ClaimPlace { after: after.map(stamp), stamp: stamp(claim) });
            if let Some(claim) = claim {
                prop_assert_eq!(claim.to_string().parse(), Ok(claim));
                prop_assert_eq!(OwnerPlace(claim.stamp).to_string().parse(), Ok(OwnerPlace(claim.stamp)));
            }
            let place = Place { namespace, key, claim };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }
    }

    #[test]
    fn other_text_is_no_cursor() {
        for text in ["", "7", "7 username", "x username alice"] {
            assert!(text.parse::<Place>().is_err(), "{text:?}");
            assert!(text.parse::<ClaimPlace>().is_err(), "{text:?}");
            assert!(text.parse::<OwnerPlace>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        for (feed, number) in [(0, 0), (0x00ab, 7), (u64::MAX, u64::MAX)] {
            let cursor = Cursor { feed, number };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            assert_eq!(cursor.to_string(), format!("{feed:x}-{number}"));
            let text = serde_json::to_string(&cursor).unwrap();
            assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
        }
        for text in ["", "7", "-7", "ab-", "00ab-7", "AB-7", "ab-07", "ab-+7", "ab-7 ", "ab-7-1", "xyz-1"] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError(text.to_owned())));
        }
    }
}
