//! The rights of callers. A caller may be limited to namespaces, may be allowed to change only registrations whose
//! owner it names or which it opened itself, and may be barred from learning about private names.

use uuid::Uuid;

use super::Reader;
use super::refusal::Refusal;
use super::request::Command;
use crate::crdt::Registration;

/// The caller of a command or query, and its rights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// True where it may learn whether private names exist.
    pub reads: bool,
    /// The namespaces that it may use, where `org/*` stands for all namespaces below `org/`; empty for all namespaces.
    pub namespaces: Vec<String>,
    /// Limits the registrations that it may change by id to its own; none for any registration.
    pub bearer: Option<Bearer>,
}

/// The identity by which a caller owns registrations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bearer {
    /// The owner that the caller names. Where it is given, the registration must have this owner.
    pub owner: Option<String>,
    /// The name of its API token. Where no owner is given, the registration must have been opened with this token; none
    /// for a caller that may change everything.
    pub token: Option<String>,
}

impl Caller {
    /// A caller that may read and change everything.
    pub const ANYBODY: Self = Self { reads: true, namespaces: Vec::new(), bearer: None };

    /// Returns true where it may use a namespace.
    #[must_use]
    pub fn reaches(&self, namespace: &str) -> bool {
        let is = |pattern: &String| match pattern.strip_suffix('*') {
            Some(above) if above.ends_with('/') => namespace.len() > above.len() && namespace.starts_with(above),
            _ => pattern == namespace,
        };
        self.namespaces.is_empty() || self.namespaces.iter().any(is)
    }

    /// Refuses a namespace that it may not use.
    pub(super) fn reach(&self, namespace: &str) -> Result<(), Refusal> {
        if self.reaches(namespace) { Ok(()) } else { Err(Refusal::OutOfReach(namespace.to_owned())) }
    }

    /// Refuses a registration that has, or had, names in namespaces that it may not use.
    pub(super) fn reach_all_of(&self, registration: &Registration) -> Result<(), Refusal> {
        registration.claims.iter().try_for_each(|record| self.reach(&record.claim.namespace))
    }

    /// Returns true where it may use the namespace of at least one of a registration's names.
    pub(super) fn reaches_any_of(&self, registration: &Registration) -> bool {
        self.namespaces.is_empty() || registration.claims.iter().any(|record| self.reaches(&record.claim.namespace))
    }
}

impl Command {
    /// Returns the id of the registration that the command changes; none for commands that go by name.
    fn changes(&self) -> Option<Uuid> {
        match self {
            Self::Activate { id } | Self::Extend { id, .. } | Self::Release { id } | Self::Erase { id } => Some(*id),
            Self::Register(_) | Self::ReleaseName { .. } => None,
        }
    }
}

impl Reader<'_> {
    /// Refuses a command that the caller may not give. Rights to private names are checked first, so that no other
    /// refusal shows that a private name exists.
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

    /// Refuses a change of a registration that is not the caller's. A registration that is unknown or erased is let
    /// through, and the command itself deals with it.
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
