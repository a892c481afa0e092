//! What is at an address where no peer answers.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a web server has to say that it is one. A guess.
const WITHIN: Duration = Duration::from_secs(2);

/// Whether a web server answers at an address over TCP: whoever takes the address of a node's HTTP interface for that of its
/// peers would dial for ever.
pub(super) async fn web_server_at(address: &str) -> bool {
    const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    const ANSWER: &[u8] = b"HTTP/";
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(QUESTION).await?;
        let mut answer = [0; ANSWER.len()];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer == *ANSWER)
    };
    matches!(timeout(WITHIN, asking).await, Ok(Ok(true)))
}
