//! The binary encoding of frames and records: varint integers, little-endian, without a schema in the bytes. This is
//! the only file that names bincode, so that a compatible successor can replace it.

use bincode::config::{Configuration, Limit};
use bincode::enc::write::SizeWriter;
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest size of a frame or record. Decoding allocates no more memory than that.
pub const MAX_ENCODED: usize = 64 << 20;

const CONFIG: Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<MAX_ENCODED>> =
    bincode::config::standard().with_limit::<MAX_ENCODED>();

/// Encoding has no size limit; the caller bounds the values.
const WRITING: Configuration = bincode::config::standard();

/// Most records are shorter than this many bytes.
const SCRATCH: usize = 512;

/// The bytes are no value of the expected type. No part of them was used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed bytes: {0}")]
pub struct DecodeError(String);

/// Encodes `value`.
///
/// # Panics
/// Where the value has no encoding, which is never true for the types of this crate.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    with_encoding(value, <[u8]>::to_vec)
}

/// Returns what `take` returns for the encoding of `value`.
///
/// # Panics
/// As for [`encode`].
pub fn with_encoding<T: Serialize + ?Sized, A>(value: &T, take: impl FnOnce(&[u8]) -> A) -> A {
    // A record that fits into the scratch buffer needs no allocation here.
    let mut scratch = [0; SCRATCH];
    match bincode::serde::encode_into_slice(value, &mut scratch, WRITING) {
        Ok(length) => take(&scratch[..length]),
        Err(_) => {
            let mut buffer = Vec::with_capacity(2 * SCRATCH);
            encode_into(value, &mut buffer);
            take(&buffer)
        }
    }
}

/// Appends the encoding of `value` to a buffer in memory.
///
/// # Panics
/// As for [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(value: &T, buffer: &mut impl std::io::Write) {
    encoded(bincode::serde::encode_into_std_write(value, buffer, WRITING));
}

/// Returns the number of bytes in the encoding of `value`.
///
/// # Panics
/// As for [`encode`].
#[must_use]
pub fn encoded_len<T: Serialize + ?Sized>(value: &T) -> usize {
    let mut counted = SizeWriter::default();
    encoded(bincode::serde::encode_into_writer(value, &mut counted, WRITING));
    counted.bytes_written
}

fn encoded<T>(result: Result<T, EncodeError>) -> T {
    match result {
        Ok(done) => done,
        Err(error) => panic!("a value of ours has no encoding: {error}"),
    }
}

/// Decodes the value at the beginning of `bytes`. Bytes after it are ignored; a later version may have added them.
///
/// # Errors
/// Malformed bytes, or a length beyond [`MAX_ENCODED`].
pub fn decode_start<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_first(bytes).map(|(value, _)| value)
}

/// Decodes the value at the beginning of `bytes`, and returns the rest too.
///
/// # Errors
/// Malformed bytes, or a length beyond [`MAX_ENCODED`].
pub fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    let decoded = bincode::serde::decode_from_slice(bytes, CONFIG);
    decoded.map(|(value, read)| (value, &bytes[read..])).map_err(|error| DecodeError(error.to_string()))
}

/// Decodes a value that takes all of `bytes`.
///
/// # Errors
/// Malformed or left-over bytes, or a length beyond [`MAX_ENCODED`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = decode_first(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError(format!("{} bytes left over", rest.len()))) }
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
    fn short_and_long_values_have_the_encoding_that_is_counted_for_them() {
        for length in [0, 1, 250, 251, SCRATCH - 3, SCRATCH - 2, SCRATCH, 100_000] {
            let text = "x".repeat(length);
            let bytes = encode(&text);
            assert_eq!((decode::<String>(&bytes), encoded_len(&text)), (Ok(text), bytes.len()));
        }
    }

    #[test]
    fn a_length_beyond_the_limit_claims_no_memory() {
        let bytes = encode(&u64::MAX);
        assert!(decode::<Vec<u64>>(&bytes).is_err());
    }
}
