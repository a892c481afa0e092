//! An established connection and its streams, from `Connected` to `Disconnected`.
//!
//! Each stream begins with a byte that says what kind it is. There is one ordered stream in each direction as long as
//! the connection lasts. Each bulk message has a stream of its own, and so has each snapshot. QUIC gives streams
//! priority in this order: ordered, bulk, snapshots.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn::{Connection, ReadError, ReadExactError, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::close::CloseReason;
use super::config::{Limits, NEWCOMER_FRAME, Windows};
use super::frame::{self, FrameError, MAX_FRAME, SNAPSHOT_END, parse_rows, pieces, read_body, read_frame, read_length};
use super::hello::Introduction;
use super::outbox::Outbox;
use super::state::{Counters, Shared};
use super::wire::{self, WireVersion};
use crate::clock::NodeId;
use crate::log::Pass;
use crate::replica::{Input, Lane, SnapshotId};
use crate::store::{SnapshotPart, Write};

/// The kinds of streams, each with its first byte and its priority.
const ORDERED: (u8, i32) = (0, 1);
const BULK: (u8, i32) = (1, 0);
const SNAPSHOT: (u8, i32) = (2, -1);
/// The QUIC stream error code for a stream that is broken off. The receiver does not distinguish reasons.
const BROKEN_OFF: VarInt = VarInt::from_u32(1);

/// The credentials of a peer that is no member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// The token with which it connected, where the number of its uses is limited.
    pub(super) pass: Option<Pass>,
    /// True where it was a reader's token.
    pub(super) reads: bool,
}

/// A connection that is kept.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) peer: NodeId,
    pub(super) instance: u64,
    /// The wire version of the peer.
    pub(super) speaks: WireVersion,
    /// The credentials that the peer has shown as a newcomer or a reader.
    pub(super) shown: Shown,
    ordered: Outbox,
    bulk: Outbox,
    /// True between `Connected` and `Disconnected`.
    up: AtomicBool,
    has_ordered: AtomicBool,
    /// True where the peer is a member, or is treated as one. Messages and windows of other peers are limited.
    heard: watch::Sender<bool>,
}

impl Link {
    pub(super) fn new(
        connection: Connection,
        peer: &Introduction,
        limits: &Limits,
        is_heard: bool,
        shown: Shown,
    ) -> Self {
        Self {
            connection,
            peer: peer.node,
            instance: peer.instance,
            speaks: peer.speaks,
            shown,
            ordered: Outbox::new(limits.ordered),
            bulk: Outbox::new(limits.bulk),
            up: AtomicBool::new(false),
            has_ordered: AtomicBool::new(false),
            heard: watch::Sender::new(is_heard),
        }
    }

    /// Lifts the limits, because the peer turned out to be a member.
    pub(super) fn hear(&self) {
        self.heard.send_if_modified(|heard| !std::mem::replace(heard, true));
    }

    /// Resolves once the limits are lifted.
    async fn until_heard(&self) {
        // This cannot fail: the sender lives as long as the link.
        let _ = self.heard.subscribe().wait_for(|heard| *heard).await;
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Bytes of frames that wait to be sent.
    pub(super) fn queued(&self) -> usize {
        self.ordered.bytes() + self.bulk.bytes()
    }

    /// Queues a frame. Returns `false` where it was dropped.
    pub(super) fn push(&self, lane: Lane, frame: Vec<u8>) -> bool {
        match lane {
            Lane::Ordered => self.ordered.push(frame),
            Lane::Bulk => self.bulk.push(frame),
        }
    }
}

/// Runs a connection from its beginning to its end, once an earlier one to the same peer has ended.
pub(super) async fn run(shared: Arc<Shared>, link: Arc<Link>, turn: Arc<tokio::sync::Mutex<()>>) {
    let guard = turn.lock_owned().await;
    // The connection may have ended, or have been replaced, while it waited for its turn.
    if link.connection.close_reason().is_none() {
        link.up.store(true, Ordering::Release);
        if announce(&shared, &link).await {
            let label = shared.label(link.peer);
            let address = link.connection.remote_address();
            tracing::info!(peer = %link.peer, label, %address, wire = %link.speaks, "connected");
            serve(&shared, &link).await;
            link.up.store(false, Ordering::Release);
            let reason = link.connection.close_reason().map(|reason| reason.to_string());
            // The label of a newcomer may have become known only since.
            let label = shared.label(link.peer);
            tracing::info!(peer = %link.peer, label, reason = reason.unwrap_or_default(), "disconnected");
            // This fails only where the driver has gone.
            let _ = shared.inputs.send(Input::Disconnected(link.peer)).await;
        }
    }
    CloseReason::Stopping.close(&link.connection);
    shared.forget(&link);
    drop(guard);
}

/// Tells the driver of the connection, and of the token with which the peer connected. Returns false where the driver
/// has gone.
async fn announce(shared: &Shared, link: &Link) -> bool {
    if shared.inputs.send(Input::Connected(link.peer)).await.is_err() {
        return false;
    }
    if link.shown.reads {
        return shared.inputs.send(Input::Reads(link.peer)).await.is_ok();
    }
    match link.shown.pass {
        Some(pass) => shared.inputs.send(Input::Showed { from: link.peer, pass }).await.is_ok(),
        None => true,
    }
}

/// Reads and writes until the connection ends.
async fn serve(shared: &Arc<Shared>, link: &Arc<Link>) {
    let connection = &link.connection;
    let mut is_heard = *link.heard.borrow();
    if is_heard { Windows::MEMBER } else { Windows::NEWCOMER }.apply(connection);
    let mut tasks: JoinSet<Result<(), CloseReason>> = JoinSet::new();
    tasks.spawn(write_ordered(Arc::clone(shared), Arc::clone(link)));
    tasks.spawn(write_bulk(Arc::clone(shared), Arc::clone(link)));
    loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => drop(tasks.spawn(read_stream(Arc::clone(shared), Arc::clone(link), stream))),
                Err(_) => break,
            },
            () = link.until_heard(), if !is_heard => {
                is_heard = true;
                Windows::MEMBER.apply(connection);
            }
            Some(done) = tasks.join_next() => {
                let reason = match done {
                    Ok(Ok(())) => continue,
                    Ok(Err(reason)) => reason,
                    Err(bug) => CloseReason::Violation(format!("a task of mine failed: {bug}")),
                };
                tracing::warn!(peer = %link.peer, %reason, "closing the connection; it will be dialed again");
                reason.close(connection);
                break;
            }
        }
    }
    // Messages that a reader has not handed over yet are lost with the connection, so that none follows its
    // `Disconnected`.
    tasks.shutdown().await;
}

async fn open(link: &Link, (kind, priority): (u8, i32)) -> Result<SendStream, WriteError> {
    let mut stream = link.connection.open_uni().await?;
    stream.set_priority(priority).map_err(|_| WriteError::ClosedStream)?;
    stream.write_all(&[kind]).await?;
    Ok(stream)
}

async fn write_ordered(shared: Arc<Shared>, link: Arc<Link>) -> Result<(), CloseReason> {
    let written: Result<(), WriteError> = async {
        let mut stream = open(&link, ORDERED).await?;
        loop {
            let frame = link.ordered.pop().await;
            stream.write_all(&frame).await?;
            Counters::add(&shared.counters.bytes_out, frame.len());
        }
    }
    .await;
    match written {
        Err(WriteError::Stopped(_)) => Err(CloseReason::Violation("you stopped the ordered stream".to_owned())),
        // The connection has ended, which `serve` notices too.
        _ => Ok(()),
    }
}

async fn write_bulk(shared: Arc<Shared>, link: Arc<Link>) -> Result<(), CloseReason> {
    loop {
        let frame = link.bulk.pop().await;
        let written: Result<(), WriteError> = async {
            let mut stream = open(&link, BULK).await?;
            stream.write_all(&frame).await?;
            stream.finish().map_err(|_| WriteError::ClosedStream)
        }
        .await;
        match written {
            Ok(()) => Counters::add(&shared.counters.bytes_out, frame.len()),
            Err(WriteError::Stopped(_)) => Counters::add(&shared.counters.dropped, 1),
            Err(_) => return Ok(()),
        }
    }
}

/// Streams a snapshot. Breaks the stream off where the snapshot does not end properly.
pub(super) async fn write_snapshot(
    shared: Arc<Shared>,
    link: Arc<Link>,
    snapshot: SnapshotId,
    mut parts: mpsc::Receiver<SnapshotPart>,
) {
    let mut stream = match open(&link, SNAPSHOT).await {
        Ok(stream) => stream,
        Err(error) => return tracing::info!(peer = %link.peer, %error, "no snapshot was sent"),
    };
    // Where this fails, the writes below fail too.
    let _ = stream.write_all(&snapshot.to_be_bytes()).await;
    loop {
        let part = tokio::select! {
            part = parts.recv() => part,
            _ = link.connection.closed() => None,
        };
        let written = match part {
            Some(SnapshotPart::Rows(rows)) => write_rows(&shared, &mut stream, &rows).await,
            Some(SnapshotPart::End) => match stream.write_all(&SNAPSHOT_END).await {
                // Where this fails, the stream has been broken off, and the newcomer knows it.
                Ok(()) => return drop(stream.finish()),
                Err(error) => Err(error.to_string()),
            },
            None => Err("it ended early".to_owned()),
        };
        if let Err(error) = written {
            tracing::info!(peer = %link.peer, error, "the snapshot was broken off");
            // Dropping the stream would finish it as if the snapshot were whole.
            let _ = stream.reset(BROKEN_OFF);
            return;
        }
    }
}

async fn write_rows(shared: &Shared, stream: &mut SendStream, rows: &[Write]) -> Result<(), String> {
    for piece in pieces(rows) {
        let frame = frame::frame_rows(&rows[piece]).map_err(|error| error.to_string())?;
        stream.write_all(&frame).await.map_err(|error| error.to_string())?;
        Counters::add(&shared.counters.bytes_out, frame.len());
    }
    Ok(())
}

/// Reads one stream to its end. An error is the peer's fault and ends the connection.
async fn read_stream(shared: Arc<Shared>, link: Arc<Link>, mut stream: RecvStream) -> Result<(), CloseReason> {
    let mut kind = [0; 1];
    match stream.read_exact(&mut kind).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(_)) => return Err(violation("an empty stream")),
        Err(ReadExactError::ReadError(_)) => return Ok(()),
    }
    let read = match kind[0] {
        kind if kind == ORDERED.0 => {
            if link.has_ordered.swap(true, Ordering::AcqRel) {
                return Err(violation("a second ordered stream"));
            }
            read_ordered(&shared, &link, &mut stream).await
        }
        kind if kind == BULK.0 => read_bulk(&shared, &link, &mut stream).await,
        kind if kind == SNAPSHOT.0 => read_snapshot(&shared, &link, &mut stream).await,
        kind => return Err(violation(&format!("a stream of the unknown kind {kind}"))),
    };
    match read {
        Ok(()) => Ok(()),
        // The connection has ended, or the peer gave up a bulk message or a snapshot, which is allowed.
        Err(FrameError::Lost(ReadError::ConnectionLost(_))) => Ok(()),
        Err(FrameError::Lost(_)) if kind[0] != ORDERED.0 => Ok(()),
        Err(error) => Err(violation(&error.to_string())),
    }
}

fn violation(what: &str) -> CloseReason {
    CloseReason::Violation(what.to_owned())
}

async fn read_ordered(shared: &Shared, link: &Link, stream: &mut RecvStream) -> Result<(), FrameError> {
    loop {
        let length = read_length(stream, MAX_FRAME).await?.ok_or(FrameError::Broken)?;
        if length > NEWCOMER_FRAME {
            // The peer may be a member that this node does not know yet.
            link.until_heard().await;
        }
        read_message(shared, link, stream, length).await?;
    }
}

async fn read_bulk(shared: &Shared, link: &Link, stream: &mut RecvStream) -> Result<(), FrameError> {
    let length = read_length(stream, MAX_FRAME).await?.ok_or(FrameError::Broken)?;
    if length > NEWCOMER_FRAME && !*link.heard.borrow() {
        tracing::debug!(peer = %link.peer, length, "left out: it is too long for a peer that is no member");
        // Unread, the message would use up the window that the ordered stream needs. Stopping fails only where the
        // connection has ended.
        let _ = stream.stop(BROKEN_OFF);
        return Ok(());
    }
    read_message(shared, link, stream, length).await
}

async fn read_message(shared: &Shared, link: &Link, stream: &mut RecvStream, length: usize) -> Result<(), FrameError> {
    let bytes = read_body(stream, length).await?;
    Counters::add(&shared.counters.bytes_in, bytes.len() + 4);
    let message = wire::decode(&bytes, shared.wire, link.speaks)?;
    deliver(shared, Input::Message { from: link.peer, message }).await;
    Ok(())
}

/// Hands an input to the driver. Where the driver has gone the input is lost, and the connection is about to end.
async fn deliver(shared: &Shared, input: Input) {
    let _ = shared.inputs.send(input).await;
}

/// Reads a snapshot, where this node joins through that peer. The replica checks which snapshot it asked for, and keeps
/// the rows of different snapshots apart.
async fn read_snapshot(shared: &Shared, link: &Link, stream: &mut RecvStream) -> Result<(), FrameError> {
    let sponsored = shared.state().sponsor.as_ref().is_some_and(|sponsor| sponsor.node == link.peer);
    let awaited = sponsored && shared.cluster().is_none();
    if !awaited {
        tracing::warn!(peer = %link.peer, "refused a snapshot that this node did not ask for");
        // This fails only where the stream has ended.
        let _ = stream.stop(BROKEN_OFF);
        return Ok(());
    }
    let read = read_snapshot_frames(shared, link.peer, stream).await;
    if let Ok(Some(snapshot)) = read {
        deliver(shared, Input::SnapshotEnd { from: link.peer, snapshot }).await;
    } else {
        tracing::warn!(peer = %link.peer, "the sponsor's snapshot was broken off");
    }
    read.map(|_| ())
}

/// Reads the rows of a snapshot. Returns its id; none where the stream ended early.
async fn read_snapshot_frames(
    shared: &Shared,
    from: NodeId,
    stream: &mut RecvStream,
) -> Result<Option<SnapshotId>, FrameError> {
    let mut id = [0; 8];
    match stream.read_exact(&mut id).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(_)) => return Ok(None),
        Err(ReadExactError::ReadError(error)) => return Err(FrameError::Lost(error)),
    }
    let snapshot = SnapshotId::from_be_bytes(id);
    while let Some(bytes) = read_frame(stream, MAX_FRAME).await? {
        Counters::add(&shared.counters.bytes_in, bytes.len() + 4);
        if bytes.is_empty() {
            return Ok(Some(snapshot));
        }
        deliver(shared, Input::SnapshotRows { from, snapshot, rows: parse_rows(&bytes)? }).await;
    }
    Ok(None)
}
