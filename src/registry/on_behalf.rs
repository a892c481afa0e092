//! Changes of somebody who may change only what is its own: what it can name the owner of, or has opened itself.

use uuid::Uuid;

use super::answer::Outcome;
use super::refusal::Refusal;
use super::request::Request;
use super::request::Token;
use super::{Reader, Writer};

/// Whose change it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bearer {
    /// The owner that the caller names.
    pub owner: Option<String>,
    /// The API token that it bears; none of somebody who may change everything.
    pub token: Option<String>,
    /// The namespaces that it reaches, see [`reaches`]; none for all.
    pub namespaces: Vec<String>,
}

/// Whether a namespace is among these, of which `org/*` stands for all below `org/`; where there are none, every one is.
#[must_use]
pub fn reaches(namespaces: &[String], namespace: &str) -> bool {
    let is = |pattern: &String| match pattern.strip_suffix('*') {
        Some(above) if above.ends_with('/') => namespace.len() > above.len() && namespace.starts_with(above),
        _ => pattern == namespace,
    };
    namespaces.is_empty() || namespaces.iter().any(is)
}

impl Request {
    /// The registration that it changes by its id, and whether the caller may not be told of private names.
    fn changes(&self) -> Option<(Uuid, bool)> {
        match self {
            Self::Activate { id } | Self::Extend { id, .. } | Self::Release { id } | Self::Erase { id } => {
                Some((*id, false))
            }
            Self::Discreet(request) => request.changes().map(|(id, _)| (id, true)),
            _ => None,
        }
    }
}

impl Reader<'_> {
    /// Of a registration that nobody knows, or of which nothing is left, the command itself says so.
    fn may_change(&self, bearer: &Bearer, id: Uuid) -> Result<(), Refusal> {
        let known = self.registry.lattice.find(self.store, id).or_else(|| self.void_registration(id));
        let Some(registration) = known else { return Ok(()) };
        let mut namespaces = registration.claims.iter().map(|record| &record.claim.namespace);
        if let Some(other) = namespaces.find(|namespace| !reaches(&bearer.namespaces, namespace)) {
            return Err(Refusal::OutOfReach(other.clone()));
        }
        let owns = match &bearer.owner {
            Some(owner) => registration.owner == *owner,
            None => bearer.token.as_ref().is_none_or(|token| self.has_opened(token, id)),
        };
        if owns || registration.erased { Ok(()) } else { Err(Refusal::NotOwner(id)) }
    }
}

impl Writer<'_> {
    pub(crate) fn on_behalf(&mut self, token: Token, bearer: &Bearer, request: Request) -> Outcome {
        if let Some((id, discreet)) = request.changes() {
            if discreet {
                // Before anything else is said of it.
                self.reader().told_by_id(id)?;
            }
            self.reader().may_change(bearer, id)?;
        }
        self.outcome_of(token, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_reaches_what_is_below() {
        let some = ["username".to_owned(), "org/*".to_owned()];
        for (namespace, within) in [
            ("username", true),
            ("org/42/handle", true),
            ("org/", false),
            ("org", false),
            ("organisation/x", false),
            ("username/x", false),
            ("*", false),
        ] {
            assert_eq!(reaches(&some, namespace), within, "{namespace}");
        }
        assert!(reaches(&[], "anything"));
    }
}
