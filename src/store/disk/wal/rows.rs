//! The encoding of the rows of a batch in the log.
//!
//! A batch is its length in bytes (8 bytes, little-endian) and its rows in the order in which they were written. A row
//! is the number of the table (1 byte), the lengths of the key and of the value (4 bytes each; all ones for a
//! deletion), the key, and the value. A row gives the new value of a key, so reading a batch twice does no harm.

use crate::store::Table;

/// The length of the value that marks a deletion.
const DELETED: u32 = u32::MAX;
/// The number of bytes before the key.
const HEAD: usize = 9;
/// The number of bytes of a batch before its rows.
pub(super) const LENGTH: usize = 8;

/// Adds a row. Keys and values are far smaller than 4 GiB, because the sizes of requests and messages are bounded.
pub(crate) fn push(rows: &mut Vec<u8>, table: Table, key: &[u8], value: Option<&[u8]>) {
    rows.push(table as u8);
    rows.extend_from_slice(&(key.len() as u32).to_le_bytes());
    rows.extend_from_slice(&value.map_or(DELETED, |value| value.len() as u32).to_le_bytes());
    rows.extend_from_slice(key);
    rows.extend_from_slice(value.unwrap_or_default());
}

/// Calls `visit` with the rows of a batch, in order. Returns false where the bytes are not rows.
#[must_use]
pub(crate) fn read(mut rows: &[u8], mut visit: impl FnMut(Table, &[u8], Option<&[u8]>)) -> bool {
    while !rows.is_empty() {
        let Some((head, rest)) = rows.split_at_checked(HEAD) else { return false };
        let length = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let Some(table) = Table::ALL.get(usize::from(head[0])) else { return false };
        let Some((key, rest)) = rest.split_at_checked(length(1) as usize) else { return false };
        let value_length = Some(length(5)).filter(|length| *length != DELETED);
        let Some((value, rest)) = rest.split_at_checked(value_length.unwrap_or(0) as usize) else { return false };
        visit(*table, key, value_length.map(|_| value));
        rows = rest;
    }
    true
}

/// Splits the first batch off the payloads of whole frames; none where the bytes are no batch.
pub(super) fn split_batch(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (Table, Vec<u8>, Option<Vec<u8>>);

    fn row() -> impl Strategy<Value = Row> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        (proptest::sample::select(&Table::ALL[..]), bytes(), proptest::option::of(bytes()))
    }

    fn read_all(bytes: &[u8]) -> (Vec<Row>, bool) {
        let mut found = Vec::new();
        let is_whole = read(bytes, |table, key, value| found.push((table, key.to_vec(), value.map(<[u8]>::to_vec))));
        (found, is_whole)
    }

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_written(rows in proptest::collection::vec(row(), 0..20), cut in any::<proptest::sample::Index>()) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for (table, key, value) in &rows {
                push(&mut bytes, *table, key, value.as_deref());
                ends.push(bytes.len());
            }
            prop_assert_eq!(read_all(&bytes), (rows, true));
            let cut = cut.index(bytes.len() + 1);
            prop_assert_eq!(read_all(&bytes[..cut]).1, ends.contains(&cut));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&bytes);
            let _ = split_batch(&bytes);
        }
    }
}
