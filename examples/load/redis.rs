//! The least of Redis's protocol (RESP 2) that claims a name: `SET key value NX` over a connection of its own.

use std::io::{Error as IoError, ErrorKind, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Outcome;

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Returns 201, or 409 where the key exists.
    pub(crate) async fn create(&mut self, name: &str) -> Outcome<u16> {
        self.buffer.clear();
        let (key, value) = (format!("username/{name}"), format!("user-{name}"));
        write!(self.buffer, "*4\r\n$3\r\nSET\r\n${}\r\n{key}\r\n", key.len())?;
        write!(self.buffer, "${}\r\n{value}\r\n$2\r\nNX\r\n", value.len())?;
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        // An answer is one line: `+OK`, `$-1` where the key exists, or `-` and an error.
        while !self.buffer.ends_with(b"\r\n") {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(IoError::new(ErrorKind::UnexpectedEof, "Redis closed the connection").into());
            }
        }
        match self.buffer.as_slice() {
            b"+OK\r\n" => Ok(201),
            b"$-1\r\n" => Ok(409),
            other => Err(IoError::other(format!("Redis answers {}", String::from_utf8_lossy(other))).into()),
        }
    }
}
