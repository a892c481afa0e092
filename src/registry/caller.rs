//! What callers may ask for: somebody may be allowed to change only what is its own, which it can name the owner of or has
//! opened itself, or not to be told of private names.

use uuid::Uuid;

use super::Reader;
use super::refusal::Refusal;
use super::request::Command;
use crate::crdt::Registration;

/// Who asks, and what it may ask for. Every command and every query comes with one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// It may be told what is known of private names.
    pub reads: bool,
    /// The namespaces that it reaches, of which `org/*` stands for all below `org/`; none for all.
    pub namespaces: Vec<String>,
    /// Which registrations it may change by their ids; none for all.
    pub bearer: Option<Bearer>,
}

/// Whose change it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bearer {
    /// The owner that the caller names.
    pub owner: Option<String>,
    /// The API token that it bears; none of somebody who may change everything.
    pub token: Option<String>,
}

impl Caller {
    /// Somebody who may read and change everything.
    pub const ANYBODY: Self = Self { reads: true, namespaces: Vec::new(), bearer: None };

    /// Whether it reaches a namespace.
    #[must_use]
    pub fn reaches(&self, namespace: &str) -> bool {
        let is = |pattern: &String| match pattern.strip_suffix('*') {
            Some(above) if above.ends_with('/') => namespace.len() > above.len() && namespace.starts_with(above),
            _ => pattern == namespace,
        };
        self.namespaces.is_empty() || self.namespaces.iter().any(is)
    }

    /// Refuses a namespace that it does not reach.
    pub(super) fn reach(&self, namespace: &str) -> Result<(), Refusal> {
        if self.reaches(namespace) { Ok(()) } else { Err(Refusal::OutOfReach(namespace.to_owned())) }
    }

    /// Refuses a registration that has, or had, names in namespaces that it does not reach.
    pub(super) fn reach_all_of(&self, registration: &Registration) -> Result<(), Refusal> {
        registration.claims.iter().try_for_each(|record| self.reach(&record.claim.namespace))
    }

    /// Whether it reaches any of a registration's names.
    pub(super) fn reaches_any_of(&self, registration: &Registration) -> bool {
        self.namespaces.is_empty() || registration.claims.iter().any(|record| self.reaches(&record.claim.namespace))
    }
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
        match command {
            Command::Register(request) => {
                let replaced = request.replaces.iter().map(|replaced| &replaced.namespace);
                let mut all = request.names.iter().map(|name| &name.namespace).chain(replaced);
                all.try_for_each(|namespace| caller.reach(namespace))
            }
            Command::ReleaseName { name, .. } => caller.reach(&name.namespace),
            command => command.changes().map_or(Ok(()), |id| self.may_change(caller, id)),
        }
    }

    /// Of a registration that nobody knows, or of which nothing is left, the command itself says so.
    fn may_change(&self, caller: &Caller, id: Uuid) -> Result<(), Refusal> {
        let known = self.registry.lattice.find(self.store, id).or_else(|| self.void_registration(id));
        let Some(registration) = known else { return Ok(()) };
        caller.reach_all_of(&registration)?;
        let Some(bearer) = &caller.bearer else { return Ok(()) };
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
        let some = Caller { namespaces: vec!["username".to_owned(), "org/*".to_owned()], ..Caller::ANYBODY };
        for (namespace, within) in [
            ("username", true),
            ("org/42/handle", true),
            ("org/", false),
            ("org", false),
            ("organisation/x", false),
            ("username/x", false),
            ("*", false),
        ] {
            assert_eq!(some.reaches(namespace), within, "{namespace}");
        }
        assert!(Caller::ANYBODY.reaches("anything"));
    }
}
