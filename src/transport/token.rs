//! Join tokens: a newcomer's right to join, proved by both sides over the TLS channel.
//!
//! A token has three parts: its id, which says for which cluster it is, until when, and for how many newcomers; a
//! secret that follows from the id and the cluster's key; and the addresses of some members. So any member can verify a
//! token and none has to remember it. The secret itself is never sent. Each side sends an HMAC (RFC 2104) over key
//! material that only the two ends of this TLS channel can export (RFC 9266 uses exporters likewise), so that a proof
//! is of no use to anybody in between.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::codec;
use crate::log::TokenNonce;
use crate::model::ClusterId;

/// The first characters of a token: its kind and version.
const PREFIX: &str = "fn1.";
/// The first characters of a reader's token.
const READER_PREFIX: &str = "fnr1.";
/// Bytes of the checksum that detects a token which was cut or mistyped.
const SUM: usize = 4;
/// Separates this use of the cluster's key from any other use.
const TOKEN_LABEL: &[u8] = b"forename join token 1";
/// Has readers' tokens differ from join tokens, so that neither stands for the other.
const READER_LABEL: &[u8] = b"forename reader token 1";

/// Key material exported from a TLS channel.
pub(super) type Exporter = [u8; 32];
/// One side's proof that it knows a token's secret.
pub(super) type Mac = [u8; 32];

/// The secret that the members of a cluster share. Join tokens are derived from it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(pub [u8; 32]);

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

/// The public part of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenId {
    /// The cluster that it is for.
    pub cluster: ClusterId,
    /// The time from which on it is refused.
    pub expires: Millis,
    /// The number of newcomers that it admits; 0 for no limit, as in tokens that members make for themselves.
    pub uses: u32,
    /// A random number, so that no two tokens are equal.
    pub nonce: TokenNonce,
}

/// A join token as its holder has it, with the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    id: TokenId,
    secret: [u8; 32],
    addresses: Vec<String>,
    /// True for a reader's token. The first characters of the word say it.
    #[serde(skip)]
    reads: bool,
}

/// A text is not a valid join token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// The text does not begin like a join token.
    #[error("this is not a join token, which begins with `fn1.`; make one with `forename member token` on a member")]
    Kind,
    /// The text was cut or mistyped.
    #[error("the join token is incomplete or mistyped; copy the whole word that `forename member token` printed")]
    Damaged,
}

impl JoinToken {
    /// Returns the token with this id, without addresses.
    #[must_use]
    pub fn of(key: &ClusterKey, id: TokenId) -> Self {
        Self::labelled(key, id, false)
    }

    /// Returns the reader's token with this id, without addresses. It lets a node in that takes all that members have and
    /// is none itself.
    #[must_use]
    pub fn for_reader(key: &ClusterKey, id: TokenId) -> Self {
        Self::labelled(key, id, true)
    }

    fn labelled(key: &ClusterKey, id: TokenId, reads: bool) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key.0));
        context.update(if reads { READER_LABEL } else { TOKEN_LABEL });
        context.update(&codec::encode(&id));
        Self { id, secret: bytes_of(context.sign()), addresses: Vec::new(), reads }
    }

    /// Returns the same token with the addresses of members.
    #[must_use]
    pub fn at(self, addresses: Vec<String>) -> Self {
        Self { addresses, ..self }
    }

    /// Parses the text from [`JoinToken::to_word`]. White space around it is ignored.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(word: &str) -> Result<Self, TokenError> {
        let word = word.trim();
        let reader = word.strip_prefix(READER_PREFIX);
        let digits = reader.or_else(|| word.strip_prefix(PREFIX)).ok_or(TokenError::Kind)?;
        let bytes = BASE64URL_NOPAD.decode(digits.as_bytes()).map_err(|_| TokenError::Damaged)?;
        let (token, sum) = bytes.split_last_chunk::<SUM>().ok_or(TokenError::Damaged)?;
        if sum_of(token) != *sum {
            return Err(TokenError::Damaged);
        }
        let token: Self = codec::decode(token).map_err(|_| TokenError::Damaged)?;
        Ok(Self { reads: reader.is_some(), ..token })
    }

    /// Returns the token as one word of URL-safe characters.
    #[must_use]
    pub fn to_word(&self) -> String {
        let mut bytes = codec::encode(self);
        bytes.extend(sum_of(&bytes));
        let prefix = if self.reads { READER_PREFIX } else { PREFIX };
        format!("{prefix}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Returns its public part.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Returns true for a reader's token.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// Returns the addresses of members when the token was made.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Returns one side's proof for a TLS channel.
    pub(super) fn prove(&self, side: Side, exporter: &Exporter) -> Mac {
        let mut context = hmac::Context::with_key(&self.key());
        context.update(side.label());
        context.update(exporter);
        bytes_of(context.sign())
    }

    /// Checks the other side's proof in constant time.
    pub(super) fn verify(&self, side: Side, exporter: &Exporter, mac: &Mac) -> bool {
        let message = [side.label(), exporter].concat();
        hmac::verify(&self.key(), &message, mac).is_ok()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.secret)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The side of a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// The newcomer, which proves first.
    Join,
    /// The member that it joins through, which proves in reply.
    Sponsor,
}

impl Side {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Join => b"join",
            Self::Sponsor => b"sponsor",
        }
    }
}

/// Computes the checksum. It detects mistakes, and protects against nothing else.
fn sum_of(bytes: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(&digest::digest(&digest::SHA256, bytes).as_ref()[..SUM]);
    sum
}

fn bytes_of(tag: hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}
