//! Reads and writes the bytes of HTTP/1.1 (RFC 9112) for registrations and look-ups that come in the plainest way.

use std::io::Write;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use tokio_util::bytes::{Buf, BytesMut};

use crate::api::shortcut::Call;

/// The number of headers that are read here, and the greatest length of a head in bytes. A request with more is left to
/// hyper. A guess: several times what clients and proxies send.
const MOST_HEADERS: usize = 48;
const LONGEST_HEAD: usize = 8 << 10;

/// The beginning of what a connection has sent.
#[derive(Debug)]
pub(super) enum Begins {
    /// It may become the head of a plain request.
    Part,
    /// The head of a plain request was taken off.
    Plain(Head),
    /// Anything else. Nothing was taken off.
    Other,
}

/// The head of a plain request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) call: Call,
    pub(super) headers: HeaderMap,
    /// The length of the body in bytes.
    pub(super) body: usize,
}

/// Takes the head of a plain request off the beginning of `sent`. It is plain where nothing in it asks for more than one answer
/// to one body of known and small size, on a connection that stays open.
pub(super) fn take_head(sent: &mut BytesMut) -> Begins {
    let mut room = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut room);
    match head.parse(sent) {
        Ok(httparse::Status::Complete(length)) => match plain(&head) {
            Some(head) => {
                sent.advance(length);
                Begins::Plain(head)
            }
            None => Begins::Other,
        },
        Ok(httparse::Status::Partial) if sent.len() < LONGEST_HEAD => Begins::Part,
        Ok(httparse::Status::Partial) | Err(_) => Begins::Other,
    }
}

fn plain(head: &httparse::Request<'_, '_>) -> Option<Head> {
    let method = Method::from_bytes(head.method?.as_bytes()).ok()?;
    let call = Call::to(&method, head.path?).filter(|_| head.version == Some(1))?;
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for httparse::Header { name, value } in head.headers.iter() {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let is_plain = match name {
            header::CONTENT_LENGTH => !headers.contains_key(&name),
            header::CONNECTION => value.eq_ignore_ascii_case(b"keep-alive"),
            header::TRANSFER_ENCODING | header::EXPECT | header::UPGRADE | header::TRAILER | header::TE => false,
            _ => true,
        };
        if !is_plain {
            return None;
        }
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let body = headers.get(header::CONTENT_LENGTH).map_or(Some(0), length).filter(|_| call.is_plain(&headers))?;
    Some(Head { call, headers, body })
}

fn length(value: &HeaderValue) -> Option<usize> {
    // Rust reads a sign as part of a number, HTTP does not.
    value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Writes an answer of this time, in the form of `Date`. With `last` it says that the connection ends after it.
pub(super) fn write(out: &mut Vec<u8>, response: &Response<Vec<u8>>, date: &str, last: bool) {
    let (status, body) = (response.status(), response.body());
    let reason = status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    line(out, &[reason.as_bytes()]);
    for (name, value) in response.headers() {
        line(out, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    if last {
        line(out, &[b"connection: close"]);
    }
    line(out, &[b"date: ", date.as_bytes()]);
    // Writing to a vector cannot fail.
    let _ = write!(out, "content-length: {}\r\n\r\n", body.len());
    out.extend_from_slice(body);
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use proptest::prelude::*;

    use super::*;
    use crate::model::NameRef;

    const LOOK: &str = "GET /v1/names/mail/ada+1@example.org HTTP/1.1\r\nHost: a\r\n\r\n";
    const PLAIN: &str = "POST /v1/registrations HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";

    fn takes(text: &str) -> Begins {
        let mut sent = BytesMut::from(text);
        let begins = take_head(&mut sent);
        let is_taken = matches!(begins, Begins::Plain(..));
        assert_eq!(sent.len() < text.len(), is_taken, "{text:?}");
        begins
    }

    fn with(header: &str) -> String {
        PLAIN.replace("Host: a", header)
    }

    #[test]
    fn a_plain_registration_is_taken_with_its_headers() {
        let mut sent = BytesMut::from(format!("{PLAIN}{{}}POST").as_str());
        let Begins::Plain(Head { call, headers, body }) = take_head(&mut sent) else { panic!("it is plain") };
        assert_eq!((headers["host"].as_bytes(), headers.len(), body, call), (&b"a"[..], 2, 2, Call::Register));
        assert_eq!(sent, "{}POST", "the body and the next request stay");
    }

    #[test]
    fn a_plain_look_up_is_taken_with_its_name() {
        let Begins::Plain(Head { call, headers, body }) = takes(LOOK) else { panic!("it is plain") };
        assert_eq!((headers.len(), body), (1, 0));
        assert_eq!(call, Call::LookUp(NameRef { namespace: "mail".into(), name: "ada+1@example.org".into() }));
        for (from, to) in [
            ("GET", "HEAD"),
            ("GET", "DELETE"),
            ("ada", "a%64a"),
            ("ada", "a/da"),
            ("ada", "a?da"),
            ("ada", "a#da"),
            ("ada", "ädä"),
            ("/ada+1@example.org", "/"),
            ("/ada+1@example.org", ""),
            ("mail", ""),
            ("/v1", "http://a/v1"),
            ("Host: a", "Content-Length: 0"),
            ("Host: a", "Transfer-Encoding: chunked"),
            ("Host: a", "Connection: close"),
        ] {
            assert!(matches!(takes(&LOOK.replace(from, to)), Begins::Other), "{to}");
        }
    }

    #[test]
    fn what_asks_for_more_is_left_alone() {
        for header in [
            "connection: close",
            "connection: upgrade",
            "transfer-encoding: chunked",
            "expect: 100-continue",
            "upgrade: h2c",
            "content-length: 2",
            "te: trailers",
            "x y: z",
        ] {
            assert!(matches!(takes(&with(header)), Begins::Other), "{header}");
        }
        for (from, to) in [
            ("POST", "GET"),
            ("registrations", "registrations:batch"),
            ("registrations ", "registrations?a=b "),
            ("/v1/", "http://a/v1/"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Content-Length: 2", "x: y"),
            ("Length: 2", "Length: +2"),
            ("Length: 2", "Length: 2, 2"),
            ("Length: 2", "Length: "),
            ("Length: 2", "Length: 16385"),
            ("Length: 2", "Length: 99999999999999999999999"),
        ] {
            assert!(matches!(takes(&PLAIN.replace(from, to)), Begins::Other), "{to}");
        }
        assert!(matches!(takes(&with("Connection: Keep-Alive")), Begins::Plain(..)));
        assert!(matches!(takes(&with("x-a: b\r\nx-a: c")), Begins::Plain(..)));
    }

    #[test]
    fn a_head_that_is_too_long_is_left_to_hyper() {
        let long = with(&format!("x: {}", "y".repeat(LONGEST_HEAD)));
        assert!(matches!(takes(&long[..LONGEST_HEAD]), Begins::Other));
        assert!(matches!(takes(&with(&"x: y\r\n".repeat(MOST_HEADERS))), Begins::Other));
    }

    #[test]
    fn an_answer_is_a_message_with_its_length() {
        let mut response = Response::new(b"{}".to_vec());
        *response.status_mut() = StatusCode::CREATED;
        response.headers_mut().insert("x-a", HeaderValue::from_static("b"));
        let mut out = Vec::new();
        write(&mut out, &response, "now", true);
        let whole = "HTTP/1.1 201 Created\r\nx-a: b\r\nconnection: close\r\ndate: now\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(String::from_utf8(out).unwrap(), whole);
    }

    proptest! {
        /// Wherever the network cuts it, and whatever comes instead of it, nothing is taken that is not whole.
        #[test]
        fn every_part_of_a_head_may_become_one(cut in 0..PLAIN.len()) {
            prop_assert!(matches!(takes(&PLAIN[..cut]), Begins::Part));
            prop_assert!(matches!(takes(&LOOK[..cut.min(LOOK.len() - 1)]), Begins::Part));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, at in 0..PLAIN.len()) {
            let mut sent = BytesMut::from(&[&PLAIN.as_bytes()[..at], &bytes, &PLAIN.as_bytes()[at..]].concat()[..]);
            let _: Begins = take_head(&mut sent);
        }
    }
}
