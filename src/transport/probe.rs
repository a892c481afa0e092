//! Finding out what is at an address where no peer answers.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time limit for the web server's answer. A guess.
const WITHIN: Duration = Duration::from_secs(2);

/// Returns true where a web server answers at an address over TCP. Without this check, a node that was given the
/// address of a node's HTTP interface would dial it for ever.
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
