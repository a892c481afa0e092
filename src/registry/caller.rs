//! What callers may ask for: somebody may be allowed to change only what is its own, which it can name the owner of or has
//! opened itself, or not to be told of private names.

use uuid::Uuid;

use super::Reader;
use super::refusal::Refusal;
use super::request::{Caller, Command};
use crate::crdt::Registration;

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

/// Refuses a registration that has, or had, names in other namespaces than these.
pub(super) fn within_reach(registration: &Registration, namespaces: &[String]) -> Result<(), Refusal> {
    let mut all = registration.claims.iter().map(|record| &record.claim.namespace);
    let other = all.find(|namespace| !reaches(namespaces, namespace));
    other.map_or(Ok(()), |other| Err(Refusal::OutOfReach(other.clone())))
}

impl Command {
    /// The registration that it changes by its id.
    fn changes(&self) -> Option<Uuid> {
        match self {
            Self::Activate { id } | Self::Extend { id, .. } | Self::Release { id } | Self::Erase { id } => Some(*id),
            Self::Register(_) | Self::ReleaseName { .. } => None,
        }
    }
}

impl Reader<'_> {
    /// Whether the caller may ask for this. Where something private is concerned, that is said before anything else.
    pub(super) fn check_caller(&self, command: &Command, caller: &Caller) -> Result<(), Refusal> {
        if !caller.reads {
            match command {
                Command::ReleaseName { name, .. } => self.told_by_name(name)?,
                command => command.changes().map_or(Ok(()), |id| self.told_by_id(id))?,
            }
        }
        match (&caller.bearer, command.changes()) {
            (Some(bearer), Some(id)) => self.may_change(bearer, id),
            _ => Ok(()),
        }
    }

    /// Of a registration that nobody knows, or of which nothing is left, the command itself says so.
    fn may_change(&self, bearer: &Bearer, id: Uuid) -> Result<(), Refusal> {
        let known = self.registry.lattice.find(self.store, id).or_else(|| self.void_registration(id));
        let Some(registration) = known else { return Ok(()) };
        within_reach(&registration, &bearer.namespaces)?;
        let owns = match &bearer.owner {
            Some(owner) => registration.owner == *owner,
            None => bearer.token.as_ref().is_none_or(|token| self.has_opened(token, id)),
        };
        if owns || registration.erased { Ok(()) } else { Err(Refusal::NotOwner(id)) }
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
