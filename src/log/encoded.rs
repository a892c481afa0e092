//! Bytes that are encoded once and copied as they are.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec;

/// The encoding of a value, shared by all who hold it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Encoded(Arc<[u8]>);

impl Encoded {
    pub(super) fn of(value: &impl Serialize) -> Self {
        Self(codec::with_encoding(value, |bytes| bytes.into()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.0.len())
    }
}

impl Serialize for Encoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Takes bytes as the binary encoding gives them; ops are in no other.
struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Encoded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Encoded, E> {
        Ok(Encoded(bytes.into()))
    }
}
