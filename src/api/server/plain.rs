//! Serves the registrations and look-ups at the beginning of a connection without hyper, which takes longer than they do. As
//! soon as anything comes that is not as plain (see [`wire`]), hyper goes on with the connection and what was read of it.

mod wire;

use std::pin::pin;
use std::time::{Duration, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::bytes::BytesMut;

use self::wire::{Begins, Head, take_head, write};
use super::terms::{Connections, Peer};
use crate::api::extract::too_slow;
use crate::api::now;
use crate::api::shortcut::{Arrived, Sent, Shortcut};
use crate::node::Alarm;

/// The room in bytes for what is read at once. A guess: a request is smaller than half of it.
const READ: usize = 4 << 10;

/// Serves plain requests until something else comes. Returns what was read of that; none where the connection is over,
/// or `ended` closes while no request is under way.
pub(in crate::api) async fn serve_plain(
    stream: &mut TcpStream,
    peer: Peer,
    limits: Connections,
    shortcut: &Shortcut,
    ended: &mut watch::Receiver<()>,
) -> Option<BytesMut> {
    let (mut sent, mut out, mut date) = (BytesMut::with_capacity(READ), Vec::new(), HttpDate::default());
    let mut idle = Idle::new(limits.headers_within);
    let ending = ended.clone();
    let mut ended = pin!(ended.changed());
    loop {
        // The gate may change meanwhile.
        let Some(gate) = shortcut.gate() else { return Some(sent) };
        let Head { call, headers, body } = match take_head(&mut sent) {
            Begins::Plain(head) => head,
            Begins::Other => return Some(sent),
            Begins::Part => {
                sent.reserve(READ);
                tokio::select! {
                    biased;
                    _ = &mut ended => return None,
                    read = stream.read_buf(&mut sent) => if !read.is_ok_and(|count| count > 0) {
                        return None;
                    },
                    () = idle.is_over() => return None,
                }
                continue;
            }
        };
        let observation = shortcut.begin(&call, &headers);
        let body = read_body(stream, &mut sent, body, limits).await?;
        let has_body = body.is_ok();
        // A future that is handed on is copied as a whole, and this one is large. Pinned, it stays where it is.
        let answer = pin!(shortcut.answer(observation, &gate, peer, Sent { call, named: None, headers, body }));
        let response = tokio::select! {
            biased;
            response = answer => response,
            () = is_closed(stream), if sent.is_empty() => return None,
        };
        // It is an error once the server ends, because that drops the sender.
        let last = !has_body || ending.has_changed().is_err();
        out.clear();
        write(&mut out, &response, date.of(now().0 / 1000), last);
        send(stream, &out, limits.answer_taken_within).await?;
        if last {
            return None;
        }
        idle.begins();
        // Refusals come without a wait, and whoever sends many at once must not keep the thread for itself.
        if !response.status().is_success() {
            tokio::task::yield_now().await;
        } else {
            tokio::task::consume_budget().await;
        }
    }
}

/// Reads a body of this length. Returns none where the connection is over.
async fn read_body(stream: &mut TcpStream, sent: &mut BytesMut, length: usize, limits: Connections) -> Option<Arrived> {
    if sent.len() < length {
        let until = Instant::now() + limits.body_within;
        sent.reserve(length - sent.len());
        while sent.len() < length {
            match timeout_at(until, stream.read_buf(sent)).await {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => return None,
                Err(_) => return Some(Err(too_slow(limits))),
            }
        }
    }
    Some(Ok(sent.split_to(length).freeze()))
}

/// Sends an answer. Returns none where the connection is over, or the client does not take the answer in time.
async fn send(stream: &mut TcpStream, answer: &[u8], within: Duration) -> Option<()> {
    // Mostly the answer fits into the socket's buffer, and no timer is needed.
    let count = stream.try_write(answer).unwrap_or(0);
    if count < answer.len() {
        timeout(within, stream.write_all(&answer[count..])).await.ok()?.ok()?;
    }
    Some(())
}

/// Resolves when the client has closed the connection. Where it has sent more, that is not seen.
async fn is_closed(stream: &TcpStream) {
    if stream.peek(&mut [0]).await.is_ok_and(|count| count > 0) {
        std::future::pending().await
    }
}

/// The time since a connection began or its last answer was sent.
struct Idle {
    since: Instant,
    most: Duration,
    alarm: Alarm,
}

impl Idle {
    fn new(most: Duration) -> Self {
        Self { since: Instant::now(), most, alarm: Alarm::new() }
    }

    fn begins(&mut self) {
        self.since = Instant::now();
    }

    /// Resolves once it is too long.
    async fn is_over(&mut self) {
        self.alarm.goes_off(self.since + self.most).await;
    }
}

/// A time as the header `Date` gives it. Its text is made once a second.
#[derive(Default)]
struct HttpDate {
    seconds: u64,
    text: String,
}

impl HttpDate {
    fn of(&mut self, seconds: u64) -> &str {
        if self.text.is_empty() || self.seconds != seconds {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            (self.seconds, self.text) = (seconds, date);
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("it connects");
        (client, listener.accept().await.expect("it is accepted").0)
    }

    #[tokio::test]
    async fn who_takes_no_answer_is_left() {
        let (client, mut server) = pair().await;
        let large = vec![0; 16 << 20];
        assert!(send(&mut server, &large, Duration::from_millis(20)).await.is_none());
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_its_last_answer_on() {
        let minute = Duration::from_secs(60);
        let mut idle = Idle::new(minute);
        assert!(timeout(minute / 2, idle.is_over()).await.is_err());
        idle.begins();
        assert!(timeout(minute * 3 / 4, idle.is_over()).await.is_err(), "it answered a moment ago");
        assert!(timeout(minute / 2, idle.is_over()).await.is_ok());
    }

    #[test]
    fn a_date_has_the_form_of_rfc_9110() {
        let mut date = HttpDate::default();
        assert_eq!(date.of(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.of(784_111_778), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
