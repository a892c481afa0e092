//! Join tokens: a newcomer's right to be let in, proved both ways over the TLS channel.
//!
//! A token is its id, which says which cluster it is for, until when and how often it lets somebody in; a secret that
//! follows from the id and the cluster's key; and the addresses of some members. So any member can verify it and none
//! has to remember it. The secret itself never travels; each side shows an HMAC (RFC 2104) over key material that only
//! the two ends of this very TLS channel can export (RFC 9266 uses exporters likewise), so that a proof is of no use to
//! anyone in between.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::codec;
use crate::log::TokenNonce;
use crate::model::ClusterId;

/// What a token begins with: the kind and its version.
const PREFIX: &str = "fn1.";
/// Bytes of the sum that finds a token which was cut or mistyped.
const SUM: usize = 4;
/// Keeps this use of the cluster's key apart from any other.
const TOKEN_LABEL: &[u8] = b"forename join token 1";

/// Key material exported from a TLS channel.
pub(super) type Exporter = [u8; 32];
/// One side's proof.
pub(super) type Mac = [u8; 32];

/// The secret that the members of a cluster share; join tokens follow from it.
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
    /// From then on it is refused.
    pub expires: Millis,
    /// How many newcomers it lets in; 0 for any number, which only members make, for themselves.
    pub uses: u32,
    /// Random, so that no two tokens are alike.
    pub nonce: TokenNonce,
}

/// A join token as its holder has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    id: TokenId,
    secret: [u8; 32],
    addresses: Vec<String>,
}

/// The text is no join token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It begins with something else.
    #[error("this is not a join token, which begins with `fn1.`; make one with `forename member token` on a member")]
    Kind,
    /// It was cut or mistyped.
    #[error("the join token is incomplete or mistyped; copy the whole word that `forename member token` printed")]
    Damaged,
}

impl JoinToken {
    /// The token with this id, and no addresses.
    #[must_use]
    pub fn of(key: &ClusterKey, id: TokenId) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key.0));
        context.update(TOKEN_LABEL);
        context.update(&codec::encode(&id));
        Self { id, secret: bytes_of(context.sign()), addresses: Vec::new() }
    }

    /// The same with the addresses of members.
    #[must_use]
    pub fn at(self, addresses: Vec<String>) -> Self {
        Self { addresses, ..self }
    }

    /// Reads what [`JoinToken::to_word`] gave; white space around it does no harm.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(word: &str) -> Result<Self, TokenError> {
        let digits = word.trim().strip_prefix(PREFIX).ok_or(TokenError::Kind)?;
        let bytes = BASE64URL_NOPAD.decode(digits.as_bytes()).map_err(|_| TokenError::Damaged)?;
        let (token, sum) = bytes.split_last_chunk::<SUM>().ok_or(TokenError::Damaged)?;
        if sum_of(token) != *sum {
            return Err(TokenError::Damaged);
        }
        codec::decode(token).map_err(|_| TokenError::Damaged)
    }

    /// The token as one word of URL-safe characters.
    #[must_use]
    pub fn to_word(&self) -> String {
        let mut bytes = codec::encode(self);
        bytes.extend(sum_of(&bytes));
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Its public part.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Where members listened when it was made.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What one side shows the other.
    pub(super) fn prove(&self, side: Side, exporter: &Exporter) -> Mac {
        let mut context = hmac::Context::with_key(&self.key());
        context.update(side.label());
        context.update(exporter);
        bytes_of(context.sign())
    }

    /// Whether that is what the other side must show; takes the same time either way.
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

/// Who proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// The newcomer, first.
    Join,
    /// The member that lets it in, in reply.
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

/// Finds a token that was cut or mistyped; it protects against nothing else.
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
