//! Reads the file on a thread of its own, so that the next rows are there when the node has registered the last ones.

use std::thread;

use tokio::sync::mpsc;

use super::super::claim::WaitArgs;
use super::super::failure::Failure;
use super::rows::{Row, Rows};

/// Rows that are sent to the node at a time. A checkpoint is written after each such piece.
const PIECE: usize = 10_000;
/// The number of bytes in the rows of a piece beyond which no further row is added. A guess: pieces are full of usual rows.
const PIECE_BYTES: usize = 8 << 20;

/// The rows of a file in pieces.
pub(super) struct Pieces {
    read: mpsc::Receiver<Result<Piece, Failure>>,
    /// The columns, or members, that were ignored in the pieces so far.
    ignored: Vec<String>,
}

struct Piece {
    rows: Vec<Row>,
    ignored: Vec<String>,
}

impl Pieces {
    /// Begins to read. Each row gets what it is to wait for.
    pub(super) fn read(mut rows: Rows, wait: WaitArgs) -> Result<Self, Failure> {
        let ignored = rows.ignored();
        // While one piece is sent, another one waits and a third is read.
        let (pieces, read) = mpsc::channel(1);
        let reading = move || {
            loop {
                let piece = next(&mut rows, &wait);
                let is_last = piece.as_ref().map_or(true, |piece| piece.rows.is_empty());
                // The command has ended where nobody takes the piece.
                if pieces.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("import-reader".to_owned()).spawn(reading);
        let no_thread = |error| Failure::failed(format!("cannot make a thread to read the file: {error}"));
        started.map_err(no_thread)?;
        Ok(Self { read, ignored })
    }

    /// Returns the next piece; none at the end of the file.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>, Failure> {
        // The thread ends with an empty piece, so without one it was a bug that ended it.
        let piece =
            self.read.recv().await.unwrap_or_else(|| Err(Failure::failed("the file was not read to its end")))?;
        self.ignored = piece.ignored;
        Ok(Some(piece.rows).filter(|rows| !rows.is_empty()))
    }

    /// Returns the columns, or members, that were ignored so far.
    pub(super) fn ignored(&self) -> Vec<String> {
        self.ignored.clone()
    }
}

fn next(rows: &mut Rows, wait: &WaitArgs) -> Result<Piece, Failure> {
    let (mut piece, mut bytes) = (Vec::new(), 0);
    while piece.len() < PIECE
        && bytes < PIECE_BYTES
        && let Some(mut row) = rows.next()?
    {
        if let Ok(body) = &mut row.body {
            wait.fill(body);
        }
        bytes += row.text.len();
        piece.push(row);
    }
    Ok(Piece { rows: piece, ignored: rows.ignored() })
}
