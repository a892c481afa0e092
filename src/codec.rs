//! The binary encoding of frames and records. The only file that names bincode, so that a compatible successor can
//! take over: varint integers, little-endian, no schema in the bytes.

use bincode::config::{Configuration, Limit};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

/// No frame or record is larger than this; decoding claims no more memory than it.
pub const MAX_ENCODED: usize = 64 << 20;

const CONFIG: Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<MAX_ENCODED>> =
    bincode::config::standard().with_limit::<MAX_ENCODED>();

/// The bytes are no value of the expected type. Nothing was taken from them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed bytes: {0}")]
pub struct DecodeError(String);

/// The encoding of `value`.
///
/// # Panics
/// Where a value cannot be encoded at all, which no type of this crate can bring about.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // Most records fit into the scratch, so that they are allocated once and at their size.
    let mut scratch = SmallVec::<[u8; 512]>::new();
    encode_into(value, &mut scratch);
    scratch.into_vec()
}

/// Appends the encoding of `value` to a buffer in memory.
///
/// # Panics
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(value: &T, buffer: &mut impl std::io::Write) {
    // No size limit on what we write ourselves: the caller bounds it.
    let config = bincode::config::standard();
    if let Err(error) = bincode::serde::encode_into_std_write(value, buffer, config) {
        panic!("a value of ours has no encoding: {error}");
    }
}

/// The value that `bytes` begin with; whatever follows it is passed over, as what a later version adds.
///
/// # Errors
/// Malformed bytes, or a length beyond [`MAX_ENCODED`].
pub fn decode_start<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let decoded = bincode::serde::decode_from_slice(bytes, CONFIG);
    decoded.map(|(value, _)| value).map_err(|error| DecodeError(error.to_string()))
}

/// The value that `bytes` encode, all of them.
///
/// # Errors
/// Malformed or left-over bytes, or a length beyond [`MAX_ENCODED`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|error| DecodeError(error.to_string()))?;
    if read == bytes.len() { Ok(value) } else { Err(DecodeError(format!("{} bytes left over", bytes.len() - read))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_over_and_missing_bytes_are_refused() {
        let bytes = encode(&(7u64, "name"));
        assert_eq!(decode::<(u64, String)>(&bytes).unwrap(), (7, "name".to_owned()));
        assert!(decode::<(u64, String)>(&bytes[..bytes.len() - 1]).is_err());
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(decode::<(u64, String)>(&longer).is_err());
        assert_eq!(decode_start::<(u64, String)>(&longer).unwrap(), (7, "name".to_owned()));
        assert!(decode_start::<(u64, String)>(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_length_beyond_the_limit_claims_no_memory() {
        let bytes = encode(&u64::MAX);
        assert!(decode::<Vec<u64>>(&bytes).is_err());
    }
}
