//! Frames on a stream: the length in four bytes, big-endian, followed by that many bytes of encoding.

use std::ops::Range;

use quinn::{ReadError, ReadExactError, RecvStream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::MessageError;
use crate::codec::{self, DecodeError};
use crate::store::{Table, Write};

/// The greatest length of a frame. A guess: it holds thousands of ops with the largest metadata, and one frame from
/// each stream of each peer fits into memory.
pub(super) const MAX_FRAME: usize = 16 << 20;
/// Approximate size of the frames of a snapshot. A guess: the overhead is negligible, and progress is visible.
const SNAPSHOT_FRAME: usize = 1 << 20;
/// Bytes of a frame that are allocated or read at once, so that a false length cannot claim more memory than this.
const PIECE: usize = 64 << 10;
/// Approximate size of a row's encoding beyond its key and value.
const ROW_OVERHEAD: usize = 16;

/// A frame that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {length} bytes, and the limit is {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("a stream that ends inside a frame")]
    Broken,
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("a row of the table {0:?}, which does not travel")]
    Table(String),
    #[error(transparent)]
    Lost(#[from] ReadError),
}

/// Returns the next frame's bytes; none at the end of the stream.
pub(super) async fn read_frame(stream: &mut RecvStream, limit: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let Some(length) = read_length(stream, limit).await? else { return Ok(None) };
    read_body(stream, length).await.map(Some)
}

/// Returns the length of the next frame; none at the end of the stream.
pub(super) async fn read_length(stream: &mut RecvStream, limit: usize) -> Result<Option<usize>, FrameError> {
    let mut header = [0; 4];
    match stream.read_exact(&mut header).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(ReadExactError::FinishedEarly(_)) => return Err(FrameError::Broken),
        Err(ReadExactError::ReadError(error)) => return Err(error.into()),
    }
    let length = u32::from_be_bytes(header) as usize;
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    Ok(Some(length))
}

/// Returns the bytes of a frame whose length has been read.
pub(super) async fn read_body(stream: &mut RecvStream, length: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(length.min(PIECE));
    while bytes.len() < length {
        let chunk = stream.read_chunk((length - bytes.len()).min(PIECE), true).await?;
        bytes.extend_from_slice(&chunk.ok_or(FrameError::Broken)?.bytes);
    }
    Ok(bytes)
}

/// Returns the next frame as a value. The end of the stream is an error.
pub(super) async fn read_value<T: DeserializeOwned>(stream: &mut RecvStream, limit: usize) -> Result<T, FrameError> {
    let bytes = read_frame(stream, limit).await?.ok_or(FrameError::Broken)?;
    Ok(codec::decode(&bytes)?)
}

/// The same for a value to which a later version may append fields.
pub(super) async fn read_start<T: DeserializeOwned>(stream: &mut RecvStream, limit: usize) -> Result<T, FrameError> {
    let bytes = read_frame(stream, limit).await?.ok_or(FrameError::Broken)?;
    Ok(codec::decode_start(&bytes)?)
}

/// Encodes a value as a frame, with its length in front.
pub(super) fn frame<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    codec::encode_into(value, &mut bytes);
    let length = bytes.len() - 4;
    match u32::try_from(length) {
        Ok(header) if length <= MAX_FRAME => {
            bytes[..4].copy_from_slice(&header.to_be_bytes());
            Ok(bytes)
        }
        _ => Err(FrameError::TooLong { length, limit: MAX_FRAME }),
    }
}

/// Marks the end of a snapshot: an empty frame, since frames of rows are never empty. A stream that ends without it was
/// broken off.
pub(super) const SNAPSHOT_END: [u8; 4] = [0; 4];

/// Rows of one table, identified by its name, because table numbers may differ between releases.
type TableRows = (String, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// Splits rows so that each piece fills about one frame.
pub(super) fn pieces(rows: &[Write]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        size += row.key.len() + row.value.as_ref().map_or(0, Vec::len) + ROW_OVERHEAD;
        if size >= SNAPSHOT_FRAME || i + 1 == rows.len() {
            pieces.push(start..i + 1);
            (start, size) = (i + 1, 0);
        }
    }
    pieces
}

/// Encodes rows as a frame.
pub(super) fn frame_rows(rows: &[Write]) -> Result<Vec<u8>, FrameError> {
    let runs = rows.chunk_by(|a, b| a.table == b.table);
    let tables: Vec<TableRows> = runs
        .filter_map(|run| {
            let table = run.first()?.table.name().to_owned();
            Some((table, run.iter().map(|row| (row.key.clone(), row.value.clone())).collect()))
        })
        .collect();
    frame(&tables)
}

/// Decodes the rows of a frame. Only tables that are part of a snapshot are accepted, so that a sponsor cannot write to
/// others.
pub(super) fn parse_rows(bytes: &[u8]) -> Result<Vec<Write>, FrameError> {
    let mut rows = Vec::new();
    for (name, run) in codec::decode::<Vec<TableRows>>(bytes)? {
        let table = Table::ALL.into_iter().find(|table| table.name() == name && table.in_snapshot());
        let Some(table) = table else { return Err(FrameError::Table(name)) };
        rows.extend(run.into_iter().map(|(key, value)| Write { table, key, value }));
    }
    Ok(rows)
}
