//! Frames on a stream: a length of four bytes, big-endian, and so many bytes of encoding.

use std::ops::Range;

use quinn::{ReadError, ReadExactError, RecvStream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::MessageError;
use crate::codec::{self, DecodeError};
use crate::store::{Table, Write};

/// No frame is longer. A guess: thousands of ops with the greatest metadata, and little enough that one frame from
/// each stream of each peer fits into memory.
pub(super) const MAX_FRAME: usize = 16 << 20;
/// A snapshot's rows travel in frames of about this size. A guess: the overhead vanishes, progress shows.
const SNAPSHOT_FRAME: usize = 1 << 20;
/// How much of a frame is claimed or read at once; a length alone claims no more memory than this.
const PIECE: usize = 64 << 10;
/// What a row costs beyond its key and value, roughly.
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

/// The next frame's bytes; none where the stream ends.
pub(super) async fn read_frame(stream: &mut RecvStream, limit: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let Some(length) = read_length(stream, limit).await? else { return Ok(None) };
    read_body(stream, length).await.map(Some)
}

/// How long the next frame is; none where the stream ends.
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

/// The bytes of a frame whose length was read.
pub(super) async fn read_body(stream: &mut RecvStream, length: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(length.min(PIECE));
    while bytes.len() < length {
        let chunk = stream.read_chunk((length - bytes.len()).min(PIECE), true).await?;
        bytes.extend_from_slice(&chunk.ok_or(FrameError::Broken)?.bytes);
    }
    Ok(bytes)
}

/// The next frame as a value; a stream that ends before it is broken.
pub(super) async fn read_value<T: DeserializeOwned>(stream: &mut RecvStream, limit: usize) -> Result<T, FrameError> {
    let bytes = read_frame(stream, limit).await?.ok_or(FrameError::Broken)?;
    Ok(codec::decode(&bytes)?)
}

/// The same where a later version may have more in it, at its end.
pub(super) async fn read_start<T: DeserializeOwned>(stream: &mut RecvStream, limit: usize) -> Result<T, FrameError> {
    let bytes = read_frame(stream, limit).await?.ok_or(FrameError::Broken)?;
    Ok(codec::decode_start(&bytes)?)
}

/// A value as a frame, its length in front.
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

/// Ends a snapshot: no frame of rows is empty. A stream that ends without it was broken off.
pub(super) const SNAPSHOT_END: [u8; 4] = [0; 4];

/// Rows of one table, by its name: what a number means could differ between two releases.
type TableRows = (String, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// Where to cut rows so that each piece fills about one frame.
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

/// A frame of rows.
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

/// The rows of a frame. Only tables that a newcomer is given: a sponsor has no business in the others.
pub(super) fn parse_rows(bytes: &[u8]) -> Result<Vec<Write>, FrameError> {
    let mut rows = Vec::new();
    for (name, run) in codec::decode::<Vec<TableRows>>(bytes)? {
        let table = Table::ALL.into_iter().find(|table| table.name() == name && table.in_snapshot());
        let Some(table) = table else { return Err(FrameError::Table(name)) };
        rows.extend(run.into_iter().map(|(key, value)| Write { table, key, value }));
    }
    Ok(rows)
}
