//! Who may call what: API tokens, each with what it may do and how much it may have open.
//!
//! A node keeps the hash of a token's secret, never the secret. Secrets are random and long, so one fast hash is enough:
//! nobody can try them out. Where a node has no tokens, every caller may do everything; such a node listens on loopback,
//! or its operator has said that something else keeps strangers out.

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
pub(super) use allow::{About, allow, forbidden};
pub(super) use attempt::Change;
pub(super) use rates::Rates;
pub use rates::{DEFAULT_RATE, Rate};

use crate::model::limits::MAX_OPEN_OF_TOKEN;
use crate::model::{Scope, Time};
use crate::replica::Charge;

/// What a secret begins with, so that people and scanners know it for what it is.
const PREFIX: &str = "fna1.";
/// Bytes of a token's name; it is a part of what the node keeps.
pub const MAX_TOKEN_NAME: usize = 64;

/// What is kept of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash(
    /// Compared in the same time whatever it is compared with.
    blake3::Hash,
);

/// The text is no hash.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "it is not the hash of a token's secret, 64 hexadecimal digits; `forename token new` prints it beside the secret"
)]
pub struct SecretHashError;

impl SecretHash {
    /// Of a secret as its bearer shows it.
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

/// A token as a node knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// Whose it is, for the operator; what is counted for it goes by its name, so it may be given a new secret.
    pub name: String,
    /// The hash of its secret.
    pub hash: SecretHash,
    /// What it lets its bearer do.
    pub scopes: BTreeSet<Scope>,
    /// Registrations that its bearers may have open at once at this node, undecided or reserved and not activated; 0 for
    /// any number, none for [`MAX_OPEN_OF_TOKEN`], or for any number where it has the scope admin.
    #[serde(default, alias = "max-open", skip_serializing_if = "Option::is_none")]
    pub max_open: Option<u32>,
    /// Registrations that its bearers may have made at this node that hold names, permanent ones counted; none or 0 for
    /// any number. Those are counted that were made while there was a limit.
    #[serde(default, alias = "max-total", skip_serializing_if = "Option::is_none")]
    pub max_total: Option<u32>,
    /// The namespaces that it reaches, `org/*` for all below; none for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// From then on it is none of the node's any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Requests and lines of batches that it may send a second; none for the node's own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<NonZeroU32>,
}

impl ApiToken {
    /// A token with these scopes and no limits of its own.
    #[must_use]
    pub fn new(name: &str, hash: SecretHash, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let (name, scopes) = (name.to_owned(), scopes.into_iter().collect());
        Self { name, hash, scopes, max_open: None, max_total: None, namespaces: Vec::new(), expires: None, rate: None }
    }

    /// The secret of a new token.
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

/// The tokens of a node; none: everybody may do everything. Clones stay the same, also where others take their place.
#[derive(Clone, Debug, Default)]
pub struct ApiTokens(Arc<watch::Sender<Arc<[ApiToken]>>>);

/// The tokens cannot be used together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiTokensError {
    /// A name that is empty, too long or holds what cannot be read.
    #[error("an API token's name has 1 to {MAX_TOKEN_NAME} bytes and no control characters, unlike {0:?}")]
    Name(String),
    /// Two of one name.
    #[error("two API tokens have the name {0:?}; give each one of its own, as what is counted goes by it")]
    SameName(String),
    /// Two of one secret.
    #[error("the API tokens {0:?} and {1:?} have the same secret; make a new one with `forename token new`")]
    SameSecret(String, String),
    /// One that lets its bearer do nothing.
    #[error("the API token {0:?} has no scopes; give it some of register, claim, read and admin, or leave it out")]
    NoScopes(String),
}

impl ApiTokens {
    /// These tokens.
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

    /// Whether there are none, so that everybody may do everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Puts others in their place, for all that is asked from now on. Where they are not the same, event streams end, and what
    /// is left of batches is not taken, so that whoever reads or sends them shows their tokens again.
    pub fn replace(&self, others: &Self) {
        let others = Arc::clone(&others.0.borrow());
        self.0.send_if_modified(|tokens| {
            let differ = *tokens != others;
            *tokens = others;
            differ
        });
    }

    /// Says when others are in their place.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<[ApiToken]>> {
        self.0.subscribe()
    }

    /// The token with this secret. All are looked at, whichever it is.
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
