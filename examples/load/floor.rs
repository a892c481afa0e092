//! What a durable answer over loopback takes at the least on this machine: one append that is synced, and one round trip.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Outcome;

/// How often each of both is measured.
const TIMES: usize = 2000;
/// Bytes of an append, of a request and of an answer.
const APPEND: usize = 4096;
const REQUEST: usize = 250;
const ANSWER: usize = 500;

/// Medians of both.
pub(crate) struct Floor {
    pub(crate) append: Duration,
    pub(crate) round_trip: Duration,
}

impl Floor {
    pub(crate) fn json(&self) -> Value {
        json!({ "append_us": self.append.as_micros() as u64, "round_trip_us": self.round_trip.as_micros() as u64 })
    }
}

pub(crate) fn measure(directory: &Path) -> Outcome<Floor> {
    Ok(Floor { append: appends(directory)?, round_trip: round_trips()? })
}

/// Overwrites blocks of a file that was written beforehand, as the store's log does: each write is durable when it returns.
fn appends(directory: &Path) -> Outcome<Duration> {
    let path = directory.join("floor");
    let mut file = File::create(&path)?;
    file.write_all(&vec![0; APPEND * TIMES])?;
    file.sync_all()?;
    let synced = rustix::fs::OFlags::DSYNC.bits();
    let direct = i32::try_from(synced | rustix::fs::OFlags::DIRECT.bits())?;
    let opened = OpenOptions::new().write(true).custom_flags(direct).open(&path);
    let mut file = opened.or_else(|_| OpenOptions::new().write(true).custom_flags(synced as i32).open(&path))?;
    // Direct writes need memory at an address that is a multiple of the block's size.
    let memory = vec![7_u8; 2 * APPEND];
    let start = memory.as_ptr().align_offset(APPEND);
    let block = memory.get(start..start + APPEND).ok_or("no aligned block")?;
    let mut took = Vec::with_capacity(TIMES);
    file.seek(SeekFrom::Start(0))?;
    for _ in 0..TIMES {
        let began = Instant::now();
        file.write_all(block)?;
        took.push(began.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(median(took))
}

/// A request of a claim's size goes to another thread over loopback, and an answer comes back.
fn round_trips() -> Outcome<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let answering = std::thread::spawn(move || {
        let mut request = [0; REQUEST];
        while server.read_exact(&mut request).is_ok() && server.write_all(&[1; ANSWER]).is_ok() {}
    });
    let (mut took, mut answer) = (Vec::with_capacity(TIMES), [0; ANSWER]);
    for _ in 0..TIMES {
        let began = Instant::now();
        client.write_all(&[2; REQUEST])?;
        client.read_exact(&mut answer)?;
        took.push(began.elapsed());
    }
    drop(client);
    answering.join().map_err(|_| "the answering thread panicked")?;
    Ok(median(took))
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
