//! The event feed as a stream that reconnects.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::{Method, Response, header};

use super::{Client, ClientError, MAX_MESSAGE};
use crate::model::{Cursor, Event, EventQuery, event_type_text};

/// The time after which a silent connection counts as dead. A node sends a comment at least every 15 s, and this is
/// three times as long.
const SILENCE: Duration = Duration::from_secs(45);
/// The first and the last pause between attempts to connect; each pause is twice the one before. Guesses: a restart
/// takes about a second.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
pub(super) const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Returns the query as parameters of a URL.
pub(super) fn pairs(query: &EventQuery, after: Option<Cursor>) -> Vec<(&'static str, String)> {
    let types: Vec<_> = query.types.iter().map(|event_type| event_type_text(*event_type)).collect();
    let optional = [
        ("after", after.map(|after| after.to_string())),
        ("since", query.since.map(|time| time.to_string())),
        ("types", (!types.is_empty()).then(|| types.join(","))),
        ("owner", query.owner.clone()),
        ("registration", query.registration.map(|id| id.to_string())),
        ("namespace", query.namespace.clone()),
        ("origin", query.local.then(|| "local".to_owned())),
        ("limit", query.limit.map(|limit| limit.to_string())),
    ];
    optional.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The event feed as it grows. Each event comes once and in order, also across lost connections and restarts of the
/// node.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    after: Option<Cursor>,
    query: EventQuery,
    connection: Option<Response>,
    parser: Parser,
    ready: VecDeque<Message>,
    pause: Duration,
}

impl EventStream {
    pub(super) fn new(client: Client, after: Option<Cursor>, query: EventQuery) -> Self {
        let (parser, ready) = (Parser::default(), VecDeque::new());
        Self { client, after, query, connection: None, parser, ready, pause: FIRST_PAUSE }
    }

    /// Returns how far the feed has been read. Another stream can go on from here.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.after
    }

    /// Waits for the next event. While the node cannot be reached it goes on waiting.
    ///
    /// # Errors
    /// The node refuses the request, or its answer cannot be understood. The stream may be asked again. Where the node
    /// has begun a new feed, the problem is [`CursorUnknown`](crate::model::ProblemType::CursorUnknown): begin another
    /// stream after [`Problem::restart`](crate::model::Problem::restart), and drop the events whose ids you know. Where
    /// the node no longer keeps the events that come next, it is
    /// [`EventsCompacted`](crate::model::ProblemType::EventsCompacted): read the state, and begin another stream there.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            match self.next_of_connection().await {
                Err(error) if error.is_unreachable() || error.is_passing() => {
                    tracing::warn!("the event stream is interrupted and will be taken up again: {error}");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                }
                answer => return answer,
            }
        }
    }

    /// Waits for the next event, and returns an error where the connection is lost or cannot be made.
    pub(super) async fn next_of_connection(&mut self) -> Result<Event, ClientError> {
        loop {
            let Some(message) = self.ready.pop_front() else {
                if let Err(error) = self.read().await {
                    self.connection = None;
                    return Err(error);
                }
                continue;
            };
            if let Some(event) = self.event(message)? {
                return Ok(event);
            }
        }
    }

    /// Returns the event in a message; none where the message only says how far the feed has been read.
    fn event(&mut self, message: Message) -> Result<Option<Event>, ClientError> {
        let bad = |why: String| self.client.not_understood(reqwest::StatusCode::OK, why);
        let cursor: Cursor = message.id.parse().map_err(|_| bad(format!("event id {:?}", message.id)))?;
        // An event that cannot be read is passed over too: the same would come again.
        self.after = Some(cursor);
        if message.data.is_empty() {
            return Ok(None);
        }
        let mut event: Event = serde_json::from_str(&message.data).map_err(|error| bad(error.to_string()))?;
        event.cursor = Some(cursor);
        Ok(Some(event))
    }

    /// Reads what arrives next. It makes the connection first where there is none.
    async fn read(&mut self) -> Result<(), ClientError> {
        let address = self.client.address().to_owned();
        let broken =
            move |why: &str| ClientError::Unreachable { address: address.clone(), why: why.to_owned(), sent: true };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                self.parser = Parser::default();
                self.connection.insert(connect(&self.client, self.after, &self.query).await?)
            }
        };
        let chunk = tokio::time::timeout(SILENCE, connection.chunk()).await;
        let chunk = chunk.map_err(|_| broken("it has fallen silent"))?;
        let chunk = chunk.map_err(|error| self.client.unreachable(&error))?;
        let chunk = chunk.ok_or_else(|| broken("it has ended the stream"))?;
        self.pause = FIRST_PAUSE;
        if self.parser.push(&chunk, &mut self.ready) {
            return Ok(());
        }
        let why = format!("a message is longer than {MAX_MESSAGE} bytes");
        Err(self.client.not_understood(reqwest::StatusCode::OK, why))
    }
}

async fn connect(client: &Client, after: Option<Cursor>, query: &EventQuery) -> Result<Response, ClientError> {
    let request = client
        .http
        .request(Method::GET, client.url(&["v1", "events"], &pairs(query, after))?)
        .header(header::ACCEPT, "text/event-stream");
    match tokio::time::timeout(super::PATIENCE, client.send(request, true)).await {
        Ok(response) => response,
        Err(_) => {
            let why = "it takes too long to begin the stream".to_owned();
            Err(ClientError::Unreachable { address: client.address().to_owned(), why, sent: true })
        }
    }
}

/// The fields of a message of server-sent events that are used here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Message {
    id: String,
    data: String,
}

/// Parses a stream of server-sent events (WHATWG HTML, section 9.2.6).
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    /// True where the last byte was a carriage return, so that a line feed now belongs to it.
    after_return: bool,
    message: Message,
    /// True where the message has data or an id.
    has_any: bool,
}

impl Parser {
    /// Parses these bytes. Returns `false` once a message is too long to come from a node.
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<Message>) -> bool {
        for &byte in bytes {
            let continues = std::mem::take(&mut self.after_return) && byte == b'\n';
            match byte {
                b'\n' if continues => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    self.end_line(out);
                }
                _ => self.line.push(byte),
            }
        }
        self.line.len() + self.message.data.len() <= MAX_MESSAGE
    }

    fn end_line(&mut self, out: &mut VecDeque<Message>) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            if std::mem::take(&mut self.has_any) {
                out.push_back(message);
            }
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
                self.has_any = true;
            }
            "id" => {
                value.clone_into(&mut self.message.id);
                self.has_any = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b": hello\n\nid: 7\nevent: x\ndata: {\"a\":\rdata: 1}\r\n\r\nid: 8\n\nid: 9\ndata:2\n\ndata: cut off";

    #[test]
    fn messages_are_found_however_the_bytes_are_cut() {
        let message = |id: &str, data: &str| Message { id: id.to_owned(), data: data.to_owned() };
        for size in 1..STREAM.len() {
            let (mut parser, mut out) = (Parser::default(), VecDeque::new());
            assert!(STREAM.chunks(size).all(|chunk| parser.push(chunk, &mut out)));
            assert_eq!(out, [message("7", "{\"a\":\n1}"), message("8", ""), message("9", "2")]);
        }
    }

    #[test]
    fn a_message_without_data_moves_the_cursor_and_is_no_event() {
        let mut stream = Client::new("http://127.0.0.1:1").unwrap().stream(None, EventQuery::default());
        let told = stream.event(Message { id: "ab-9".to_owned(), data: String::new() });
        assert!(matches!(told, Ok(None)), "{told:?}");
        assert_eq!(stream.cursor(), "ab-9".parse().ok());
    }

    #[test]
    fn a_message_without_end_is_given_up() {
        let mut parser = Parser::default();
        assert!(!parser.push(&vec![b'x'; MAX_MESSAGE + 1], &mut VecDeque::new()));
    }
}
