//! Commands about reservations: activate and extend.

use uuid::Uuid;

use super::commands::check_ttl;
use super::refusal::{Lasting, Over, Refusal};
use super::waiters::Later;
use super::{Reader, Writer};
use crate::clock::Hlc;
use crate::crdt::{NameOp, Registration};
use crate::model::limits::MAX_EXTENSIONS;

impl Reader<'_> {
    /// Returns the end of a reservation that begins now and lasts this many milliseconds.
    pub(crate) fn ends_after(&self, ttl: u64) -> Hlc {
        Hlc::from_millis(self.log.last_timestamp().millis().max(self.log.cluster_time()).plus(ttl))
    }

    /// Refuses where the registration was rejected, or cluster time has reached the given end and it was not activated.
    fn not_over(&self, registration: &Registration, end: Hlc) -> Result<(), Refusal> {
        let too_late = |reason| Err(Refusal::TooLate { id: registration.id(), reason });
        if registration.rejected {
            return too_late(Over::Rejected);
        }
        let over = self.log.last_timestamp().max(Hlc::from_millis(self.log.cluster_time())) >= end;
        if over && !registration.activated_in_time() { too_late(Over::Expired) } else { Ok(()) }
    }
}

impl Writer<'_> {
    pub(super) fn activate(&mut self, id: Uuid) -> Result<Later, Refusal> {
        let registration = self.registry.lattice.find(self.store, id).ok_or(Refusal::NoRegistration(id))?;
        let Some(end) = registration.end().filter(|_| !registration.activated_in_time()) else {
            return Ok(Later::now(registration));
        };
        self.reader().not_over(&registration, end)?;
        self.log.may_issue()?;
        self.issue(NameOp::Activate { registration: registration.stamp });
        let registration = self.reader().reload(registration);
        Ok(Later::now(registration))
    }

    pub(super) fn extend(&mut self, id: Uuid, ttl: u64) -> Result<Later, Refusal> {
        check_ttl(Some(ttl))?;
        let registration = self.registry.lattice.find(self.store, id).ok_or(Refusal::NoRegistration(id))?;
        let permanent = |reason| Refusal::Permanent { id, reason };
        let end = registration.end().ok_or_else(|| permanent(Lasting::NeverReserved))?;
        self.reader().not_over(&registration, end)?;
        if registration.claims.iter().all(|record| record.released || record.ended.is_some()) {
            return Err(Refusal::TooLate { id, reason: Over::Released });
        }
        if registration.activated_in_time() {
            return Err(permanent(Lasting::Activated));
        }
        let expires = self.reader().ends_after(ttl);
        if expires <= end {
            return Ok(Later::now(registration));
        }
        self.log.may_issue()?;
        if registration.extensions.kept() >= MAX_EXTENSIONS {
            return Err(Refusal::TooManyExtensions { id, limit: MAX_EXTENSIONS });
        }
        self.issue(NameOp::Extend { registration: registration.stamp, expires });
        let registration = self.reader().reload(registration);
        Ok(Later::now(registration))
    }
}
