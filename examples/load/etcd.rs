//! The smallest part of etcd's gRPC interface that claims a name: one transaction that puts a key if it does not exist.
//! The messages are few and small enough to be written by hand (etcd's `rpc.proto`, gRPC over HTTP/2).

use std::io::{Error as IoError, ErrorKind};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::Outcome;

/// A client of etcd. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Client {
    uri: Uri,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // A failure of the connection is an error of its requests.
        tokio::spawn(connection);
        Ok(Self { uri: format!("http://{address}/etcdserverpb.KV/Txn").parse()?, sender })
    }

    /// Puts a key. Returns 201, or 409 where the key exists.
    pub(crate) async fn create(&mut self, name: &str) -> Outcome<u16> {
        let message = transaction(format!("username/{name}").as_bytes(), format!("user-{name}").as_bytes())?;
        let request = Request::post(self.uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(message)))?;
        let response = self.sender.send_request(request).await?;
        let early = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await?;
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned().or(early);
        if status.as_ref().is_none_or(|status| status != "0") {
            return Err(IoError::other(format!("etcd answers with status {status:?}")).into());
        }
        let message = body.to_bytes();
        let message = message.get(5..).ok_or_else(unreadable)?;
        Ok(if succeeded(message)? { 201 } else { 409 })
    }
}

/// Makes a gRPC frame with a `TxnRequest`, which puts the key where its version is 0, that is, where it does not exist.
fn transaction(key: &[u8], value: &[u8]) -> Outcome<Vec<u8>> {
    let (mut compare, mut put, mut operation, mut message) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Compare: result EQUAL and target VERSION are the defaults; 3 is the key, 4 the version.
    field(&mut compare, 3, key);
    compare.extend_from_slice(&[4 << 3, 0]);
    // PutRequest, as member 2 of a RequestOp.
    field(&mut put, 1, key);
    field(&mut put, 2, value);
    field(&mut operation, 2, &put);
    // TxnRequest: field 1 has the comparisons, and field 2 the operation where they are true.
    field(&mut message, 1, &compare);
    field(&mut message, 2, &operation);
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len())?.to_be_bytes());
    frame.append(&mut message);
    Ok(frame)
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// Reads `TxnResponse.succeeded`, which is field 2. It is absent where it is false.
fn succeeded(mut message: &[u8]) -> Outcome<bool> {
    while let Some((tag, rest)) = message.split_first() {
        let (number, rest) = varint(rest)?;
        match tag {
            0x10 => return Ok(number == 1),
            _ if tag & 7 == 0 => message = rest,
            _ if tag & 7 == 2 => message = rest.get(usize::try_from(number)?..).ok_or_else(unreadable)?,
            _ => return Err(unreadable().into()),
        }
    }
    Ok(false)
}

fn varint(mut bytes: &[u8]) -> Outcome<(u64, &[u8])> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(unreadable)?;
        number |= u64::from(byte & 0x7f) << shift;
        bytes = rest;
        if byte & 0x80 == 0 {
            return Ok((number, bytes));
        }
    }
    Err(unreadable().into())
}

fn unreadable() -> IoError {
    IoError::new(ErrorKind::InvalidData, "cannot read etcd's answer")
}
