//! Join tokens: a newcomer's right to be let in, proved both ways over the TLS channel.
//!
//! A token is its id, an expiry and a nonce, and a secret that follows from the id and the cluster's key: any member
//! can verify it and none has to remember it. The secret itself never travels; each side shows an HMAC (RFC 2104)
//! over key material that only the two ends of this very TLS channel can export (RFC 9266 uses exporters likewise),
//! so that a proof is of no use to anyone in between.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// What a token begins with: the kind and its version.
const PREFIX: &str = "fn1.";
/// Bytes of expiry, nonce and secret.
const LENGTH: usize = 8 + 16 + 32;
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
    /// From then on it is refused.
    pub expires: Millis,
    /// Random, so that no two tokens are alike.
    pub nonce: [u8; 16],
}

/// A join token as its holder has it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    id: TokenId,
    secret: [u8; 32],
}

/// A new token, as one word of URL-safe characters.
#[must_use]
pub fn mint_token(key: &ClusterKey, expires: Millis, nonce: [u8; 16]) -> String {
    JoinToken::of(key, TokenId { expires, nonce }).to_word()
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
    /// The token with this id.
    #[must_use]
    pub fn of(key: &ClusterKey, id: TokenId) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key.0));
        context.update(TOKEN_LABEL);
        context.update(&id.expires.0.to_be_bytes());
        context.update(&id.nonce);
        Self { id, secret: bytes_of(context.sign()) }
    }

    /// Reads what [`mint_token`] printed; white space around it does no harm.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(word: &str) -> Result<Self, TokenError> {
        let digits = word.trim().strip_prefix(PREFIX).ok_or(TokenError::Kind)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| TokenError::Damaged)?;
        let (expires, rest) = bytes.split_first_chunk::<8>().ok_or(TokenError::Damaged)?;
        let (nonce, secret) = rest.split_first_chunk::<16>().ok_or(TokenError::Damaged)?;
        let secret = secret.try_into().map_err(|_| TokenError::Damaged)?;
        Ok(Self { id: TokenId { expires: Millis(u64::from_be_bytes(*expires)), nonce: *nonce }, secret })
    }

    /// Its public part.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    fn to_word(&self) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(self.id.expires.0.to_be_bytes());
        bytes.extend(self.id.nonce);
        bytes.extend(self.secret);
        format!("{PREFIX}{}", HEXLOWER.encode(&bytes))
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

fn bytes_of(tag: hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}
