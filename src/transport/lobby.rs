//! The places for connections whose peers have not said yet who they are.
//!
//! Such a connection costs memory and time, and anybody can make one. So there are few places; whoever comes once half of them
//! are taken has to show first that it receives at its address (RFC 9000, section 8.1.2), which is where the cost of a false
//! address ends; and some more are kept for the addresses of members, so that strangers keep no member out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::Limits;

/// The places.
#[derive(Debug)]
pub(super) struct Lobby {
    all: Arc<Semaphore>,
    most: usize,
    for_members: Arc<Semaphore>,
}

/// What becomes of somebody who comes.
#[derive(Debug)]
pub(super) enum Place {
    /// It has a place as long as this is held.
    Taken(OwnedSemaphorePermit),
    /// It has to show that it receives at its address.
    Prove,
    /// There is no place.
    Full,
}

/// What is known of somebody who comes, by its address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// It has shown that it receives there.
    pub(super) proved: bool,
    /// A member is reached there.
    pub(super) member: bool,
}

impl Lobby {
    pub(super) fn new(limits: &Limits) -> Self {
        let (most, for_members) = (limits.handshakes, limits.handshakes_of_members);
        Self { all: Arc::new(Semaphore::new(most)), most, for_members: Arc::new(Semaphore::new(for_members)) }
    }

    pub(super) fn place(&self, caller: Caller) -> Place {
        if !caller.proved && 2 * self.all.available_permits() <= self.most {
            return Place::Prove;
        }
        let any = Arc::clone(&self.all).try_acquire_owned().ok();
        let kept = || caller.member.then(|| Arc::clone(&self.for_members).try_acquire_owned().ok()).flatten();
        any.or_else(kept).map_or(Place::Full, Place::Taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_places_are_for_anybody_the_rest_for_who_proves_an_address_and_some_more_for_members() {
        let lobby = Lobby::new(&Limits { handshakes: 4, handshakes_of_members: 1, ..Limits::default() });
        let come = |proved, member| lobby.place(Caller { proved, member });
        let first = [come(false, false), come(false, false)];
        assert!(first.iter().all(|place| matches!(place, Place::Taken(_))), "{first:?}");
        assert!(matches!(come(false, true), Place::Prove));
        let rest = [come(true, false), come(true, false)];
        assert!(rest.iter().all(|place| matches!(place, Place::Taken(_))), "{rest:?}");
        assert!(matches!(come(true, false), Place::Full));
        let member = come(true, true);
        assert!(matches!(member, Place::Taken(_)));
        assert!(matches!(come(true, true), Place::Full));
        drop(first);
        assert!(matches!(come(true, false), Place::Taken(_)));
    }
}
