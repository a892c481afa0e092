//! The causes of a loss: the earlier registrations that hold the names of one that lost, or its id.
//!
//! A verdict asks several things about them: whether a majority holds one, which of them is a twin, whom the event names. So they
//! are read from the store once, and the answers come from what was read.

use super::Reader;
use super::feed::LostTo;
use crate::clock::Stamp;
use crate::crdt::Registration;

/// All registrations that a registration lost to.
#[derive(Debug)]
pub(super) struct Causes(Vec<Cause>);

/// One of them.
#[derive(Debug)]
pub(super) struct Cause {
    /// The index of the lost claim; none where the registration lost as a later twin.
    claim: Option<usize>,
    /// The stamp of the registration that won.
    pub(super) stamp: Stamp,
    /// The registration that won; none where it is forgotten.
    pub(super) winner: Option<Registration>,
}

impl Reader<'_> {
    /// Returns what a registration lost to; nothing where it has not lost.
    pub(super) fn causes(&self, registration: &Registration) -> Causes {
        let causes = self.registry.lattice.causes(self.store, registration);
        let load = |(claim, stamp)| Cause { claim, stamp, winner: Registration::load(self.store, stamp) };
        Causes(causes.into_iter().map(load).collect())
    }
}

impl Causes {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cause> {
        self.0.iter()
    }

    /// Returns the earlier registration with the same id, where the registration is a later twin.
    pub(super) fn earlier_twin(&self) -> Option<Stamp> {
        self.iter().find(|cause| cause.claim.is_none()).map(|cause| cause.stamp)
    }

    /// Returns the claim that was lost, and to whom; none where none was, or the winner is forgotten.
    pub(super) fn lost_to(&self) -> Option<LostTo> {
        let (claim, cause) = self.iter().find_map(|cause| Some((cause.claim?, cause)))?;
        let claim = u8::try_from(claim).unwrap_or(u8::MAX);
        Some(LostTo { claim, winner: cause.stamp, id: cause.winner.as_ref()?.id() })
    }
}
