//! API tokens: what the bearer of each may call, and how many registrations it may have open.
//!
//! A node keeps the hash of a token's secret, never the secret itself. Secrets are long and random, so one fast hash is
//! enough: they cannot be found by trying. Where a node has no tokens, every caller may do everything. Such a node
//! listens on loopback only, or its operator has confirmed that something else keeps strangers out.

mod allow;
mod attempt;
mod rates;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use allow::Caller;
pub(super) use allow::{About, allow, allowed, forbidden};
pub(super) use attempt::Change;
pub(super) use rates::Rates;
pub use rates::{DEFAULT_RATE, Rate};

use crate::model::limits::MAX_OPEN_OF_TOKEN;
use crate::model::{Scope, Time};
use crate::replica::Charge;

/// The prefix of every secret, by which people and secret scanners recognize it.
const PREFIX: &str = "fna1.";
/// The maximum length of a token's name in bytes; the node stores the name.
pub const MAX_TOKEN_NAME: usize = 64;

/// The hash of a token's secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash(
    /// `blake3::Hash` compares in constant time.
    blake3::Hash,
);

/// The text is not a hash.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "it is not the hash of a token's secret, 64 hexadecimal digits; `forename token new` prints it beside the secret"
)]
pub struct SecretHashError;

impl SecretHash {
    /// Hashes a secret as its bearer sends it.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(blake3::hash(secret.as_bytes()))
    }
}

impl TryFrom<String> for SecretHash {
    type Error = SecretHashError;

    fn try_from(text: String) -> Result<Self, SecretHashError> {
        blake3::Hash::from_hex(text).map(Self).map_err(|_| SecretHashError)
    }
}

impl From<SecretHash> for String {
    fn from(SecretHash(hash): SecretHash) -> Self {
        hash.to_hex().as_str().to_owned()
    }
}

/// An API token as a node knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// The name of the token. Limits and counts go by the name, so the token may get a new secret and keep them.
    pub name: String,
    /// The hash of its secret.
    pub hash: SecretHash,
    /// The scopes of the token: what its bearer may do.
    pub scopes: BTreeSet<Scope>,
    /// The number of registrations that its bearers may have open at once at this node, that is undecided, or reserved
    /// and not activated. 0 means any number. Without a value it is [`MAX_OPEN_OF_TOKEN`], or any number where the
    /// token has the scope admin.
    #[serde(default, alias = "max-open", skip_serializing_if = "Option::is_none")]
    pub max_open: Option<u32>,
    /// The number of registrations made by its bearers at this node that may hold names, permanent ones included. 0 or
    /// no value means any number. Only registrations that were made while there was a limit are counted.
    #[serde(default, alias = "max-total", skip_serializing_if = "Option::is_none")]
    pub max_total: Option<u32>,
    /// The namespaces that the token reaches, `org/*` for all below `org`. An empty list means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// The time from which the token is not valid any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// The number of requests and lines of batches a second. Without a value the node's own setting counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<NonZeroU32>,
}

impl ApiToken {
    /// Returns a token with these scopes and no limits of its own.
    #[must_use]
    pub fn new(name: &str, hash: SecretHash, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let (name, scopes) = (name.to_owned(), scopes.into_iter().collect());
        Self { name, hash, scopes, max_open: None, max_total: None, namespaces: Vec::new(), expires: None, rate: None }
    }

    /// Returns the secret of a new token.
    #[must_use]
    pub fn secret(random: [u8; 32]) -> String {
        format!("{PREFIX}{}", HEXLOWER.encode(&random))
    }

    fn may(&self, scope: Scope) -> bool {
        let has = |scope| self.scopes.contains(&scope);
        has(scope) || has(Scope::Admin) || (scope == Scope::Register && has(Scope::Claim))
    }

    fn charge(&self) -> Option<Charge> {
        let default = if self.may(Scope::Admin) { 0 } else { MAX_OPEN_OF_TOKEN };
        let max_open = Some(self.max_open.unwrap_or(default)).filter(|most| *most > 0);
        let max_total = self.max_total.filter(|most| *most > 0);
        let is_limited = max_open.is_some() || max_total.is_some();
        is_limited.then(|| Charge { token: self.name.clone(), max_open, max_total })
    }
}

/// The tokens of a node. Where there are none, everybody may do everything. All clones see it when the tokens are
/// replaced.
#[derive(Clone, Debug, Default)]
pub struct ApiTokens(Arc<watch::Sender<Arc<[ApiToken]>>>);

/// The tokens cannot be used together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiTokensError {
    /// A name is empty, too long or has control characters.
    #[error("an API token's name has 1 to {MAX_TOKEN_NAME} bytes and no control characters, unlike {0:?}")]
    Name(String),
    /// Two tokens have the same name.
    #[error("two API tokens have the name {0:?}; give each one of its own, as what is counted goes by it")]
    SameName(String),
    /// Two tokens have the same secret.
    #[error("the API tokens {0:?} and {1:?} have the same secret; make a new one with `forename token new`")]
    SameSecret(String, String),
    /// A token has no scopes, so it would let its bearer do nothing.
    #[error("the API token {0:?} has no scopes; give it some of register, claim, read and admin, or leave it out")]
    NoScopes(String),
}

impl ApiTokens {
    /// Checks these tokens.
    ///
    /// # Errors
    /// See [`ApiTokensError`].
    pub fn new(tokens: Vec<ApiToken>) -> Result<Self, ApiTokensError> {
        for (index, token) in tokens.iter().enumerate() {
            let name = &token.name;
            if name.is_empty() || name.len() > MAX_TOKEN_NAME || name.contains(char::is_control) {
                return Err(ApiTokensError::Name(name.clone()));
            }
            if token.scopes.is_empty() {
                return Err(ApiTokensError::NoScopes(name.clone()));
            }
            for other in &tokens[..index] {
                if other.name == *name {
                    return Err(ApiTokensError::SameName(name.clone()));
                }
                if other.hash == token.hash {
                    return Err(ApiTokensError::SameSecret(other.name.clone(), name.clone()));
                }
            }
        }
        Ok(Self(Arc::new(watch::Sender::new(tokens.into()))))
    }

    /// Returns true where there are no tokens, so that everybody may do everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Replaces the tokens for all later requests. Where the new tokens differ, event streams end and the rest of each
    /// batch is refused, so that their clients have to show their tokens again.
    pub fn replace(&self, others: &Self) {
        let others = Arc::clone(&others.0.borrow());
        self.0.send_if_modified(|tokens| {
            let differ = *tokens != others;
            *tokens = others;
            differ
        });
    }

    /// Returns a receiver that is notified when the tokens are replaced.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<[ApiToken]>> {
        self.0.subscribe()
    }

    /// Returns the token with this secret. It always looks at all tokens, so that the time does not show which one
    /// matches.
    fn bearing(&self, secret: &str) -> Option<ApiToken> {
        let hash = SecretHash::of(secret);
        let tokens = self.0.borrow();
        tokens.iter().fold(None, |found, token| if token.hash == hash { Some(token) } else { found }).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &str, scopes: &[Scope]) -> ApiToken {
        ApiToken::new(name, SecretHash::of(secret), scopes.iter().copied())
    }

    #[test]
    fn a_secret_finds_its_token_and_no_other() {
        let secrets = [ApiToken::secret([1; 32]), ApiToken::secret([2; 32])];
        assert_eq!(secrets[0], format!("fna1.{}", "01".repeat(32)));
        let all = vec![token("a", &secrets[0], &[Scope::Claim]), token("b", &secrets[1], &[Scope::Read])];
        let tokens = ApiTokens::new(all).unwrap();
        assert_eq!(tokens.bearing(&secrets[0]).map(|token| token.name).as_deref(), Some("a"));
        assert_eq!(tokens.bearing(&secrets[1]).map(|token| token.name).as_deref(), Some("b"));
        for wrong in
            ["", "fna1.", &secrets[0][..68], &secrets[0].to_uppercase(), &String::from(tokens.0.borrow()[0].hash)]
        {
            assert_eq!(tokens.bearing(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn admin_has_the_others_with_it() {
        let may = |scopes: &[Scope]| {
            [Scope::Register, Scope::Claim, Scope::Read, Scope::Admin].map(|scope| token("a", "s", scopes).may(scope))
        };
        assert_eq!(may(&[Scope::Register]), [true, false, false, false]);
        assert_eq!(may(&[Scope::Claim]), [true, true, false, false]);
        assert_eq!(may(&[Scope::Read]), [false, false, true, false]);
        assert_eq!(may(&[Scope::Claim, Scope::Read]), [true, true, true, false]);
        assert_eq!(may(&[Scope::Admin]), [true, true, true, true]);
    }

    #[test]
    fn whoever_sets_no_limit_has_a_wide_one() {
        let most = |scope, max_open| {
            let token = ApiToken { max_open, ..token("a", "s", &[scope]) };
            token.charge().and_then(|charge| charge.max_open)
        };
        assert_eq!(most(Scope::Claim, None), Some(MAX_OPEN_OF_TOKEN));
        assert_eq!((most(Scope::Claim, Some(7)), most(Scope::Claim, Some(0))), (Some(7), None));
        assert_eq!((most(Scope::Admin, None), most(Scope::Admin, Some(7))), (None, Some(7)));
        let total = |max_total| ApiToken { max_total, ..token("a", "s", &[Scope::Admin]) }.charge();
        assert_eq!((total(None), total(Some(0))), (None, None));
        assert_eq!(total(Some(7)).map(|charge| (charge.max_open, charge.max_total)), Some((None, Some(7))));
    }

    #[test]
    fn tokens_that_cannot_be_told_apart_are_refused() {
        let new = |tokens: &[ApiToken]| ApiTokens::new(tokens.to_vec()).unwrap_err().to_string();
        let claim = [Scope::Claim];
        assert!(new(&[token("a", "1", &claim), token("a", "2", &claim)]).contains("\"a\""));
        assert!(new(&[token("a", "1", &claim), token("b", "1", &claim)]).contains("\"a\" and \"b\""));
        assert!(new(&[token("a", "1", &[])]).contains("no scopes"));
        for name in ["", "a\n", &"a".repeat(MAX_TOKEN_NAME + 1)] {
            assert!(matches!(ApiTokens::new(vec![token(name, "1", &claim)]), Err(ApiTokensError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let shop = ApiToken { max_open: Some(7), ..token("shop", "s", &[Scope::Claim, Scope::Read]) };
        let text = serde_json::to_string(&shop).unwrap();
        assert_eq!(serde_json::from_str::<ApiToken>(&text).unwrap(), shop);
        assert!(text.contains(r#""scopes":["claim","read"]"#), "{text}");
        let wrong = text.replace(&String::from(shop.hash), "s");
        assert!(serde_json::from_str::<ApiToken>(&wrong).unwrap_err().to_string().contains("64 hexadecimal digits"));
    }
}
