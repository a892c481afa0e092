//! The smallest part of HTTP/1.1 that claims names and looks them up over a persistent connection: one write, one read, the status and
//! the length.

use std::io::{Error as IoError, ErrorKind, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Outcome;

/// The largest size of an answer, which is more than that of any answer to one registration or to 100 names.
const MAX_ANSWER: usize = 64 << 10;

pub(crate) struct Connection {
    address: String,
    wait_final: bool,
    stream: Option<TcpStream>,
    body: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str, wait_final: bool) -> Outcome<Self> {
        let stream = Some(dial(address).await?);
        Ok(Self { address: address.to_owned(), wait_final, stream, body: Vec::new(), buffer: Vec::new() })
    }

    pub(crate) async fn register(&mut self, name: &str) -> Outcome<u16> {
        let wait = if self.wait_final { r#","wait":"final","timeout":"30s""# } else { "" };
        self.body.clear();
        write!(self.body, r#"{{"owner":"user-{name}","names":[{{"namespace":"username","name":"{name}"}}]{wait}}}"#)?;
        self.post("/v1/registrations").await
    }

    pub(crate) async fn look_up(&mut self, name: &str) -> Outcome<u16> {
        self.buffer.clear();
        write!(self.buffer, "GET /v1/names/username/{name} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address)?;
        self.exchange().await
    }

    pub(crate) async fn check(&mut self, names: impl Iterator<Item = String>) -> Outcome<u16> {
        self.body.clear();
        let mut before = "[";
        for name in names {
            write!(self.body, r#"{before}{{"namespace":"username","name":"{name}"}}"#)?;
            before = ",";
        }
        self.body.push(b']');
        self.post("/v1/names:check").await
    }

    async fn post(&mut self, path: &str) -> Outcome<u16> {
        self.buffer.clear();
        write!(
            self.buffer,
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            self.body.len()
        )?;
        self.buffer.extend_from_slice(&self.body);
        self.exchange().await
    }

    /// Sends the request in the buffer and waits for the answer.
    async fn exchange(&mut self) -> Outcome<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => dial(&self.address).await?,
        };
        stream.write_all(&self.buffer).await?;
        let (status, keep) = self.read(&mut stream).await?;
        // The connection is kept only after a whole answer, so that a failure never leaves half an answer in it.
        self.stream = keep.then_some(stream);
        Ok(status)
    }

    /// Reads an answer. Returns the status, and whether the connection can be used again.
    async fn read(&mut self, stream: &mut TcpStream) -> Outcome<(u16, bool)> {
        self.buffer.clear();
        let mut expected = None;
        loop {
            if let Some((status, length, keep)) = expected
                && self.buffer.len() >= length
            {
                return Ok((status, keep && self.buffer.len() == length));
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err(unreadable("it is too long"));
            }
            self.buffer.reserve(1024);
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(unreadable("the node closed the connection"));
            }
            if expected.is_none() {
                expected = head(&self.buffer)?;
            }
        }
    }
}

async fn dial(address: &str) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads the status, the length of the answer with its head, and whether the connection is kept; none until the head is
/// complete.
fn head(bytes: &[u8]) -> Outcome<Option<(u16, usize, bool)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end])?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or_else(|| unreadable("it has no status"))?;
    let (mut length, mut keep) = (None, true);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>()?);
        } else if name.eq_ignore_ascii_case("connection") {
            keep = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    let length = length.ok_or_else(|| unreadable("it has no length"))?;
    Ok(Some((status.parse()?, (end + 4).saturating_add(length), keep)))
}

fn unreadable(why: &str) -> Box<dyn std::error::Error> {
    IoError::new(ErrorKind::InvalidData, format!("cannot read the answer: {why}")).into()
}
