//! Places for connections whose hello is not over.
//!
//! Such a connection costs memory and time, and anybody can make one, so there are few places. Once half of them are
//! taken, a new connection must first prove that it receives at its address (RFC 9000, section 8.1.2), which rules out
//! false addresses. Some further places are reserved for the addresses of members, so that strangers cannot keep
//! members out. A handshake also takes the time of the driver's thread, so there are only some a second without a proof, and
//! only some with strangers.

use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::Limits;

/// The places, as two semaphores, and how often one may be taken: without a proof of the address, and by strangers with one.
#[derive(Debug)]
pub(super) struct Lobby {
    unproved: DefaultDirectRateLimiter,
    strangers: DefaultDirectRateLimiter,
    all: Arc<Semaphore>,
    most: usize,
    for_members: Arc<Semaphore>,
}

/// The decision about an incoming connection.
#[derive(Debug)]
pub(super) enum Place {
    /// It has a place for as long as the permit is held.
    Taken(OwnedSemaphorePermit),
    /// It must prove that it receives at its address.
    Prove,
    /// There is no place.
    Full,
}

/// What the address of an incoming connection says about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// True where it has proved that it receives at its address.
    pub(super) proved: bool,
    /// True where this is the address of a member.
    pub(super) member: bool,
}

impl Lobby {
    pub(super) fn new(limits: &Limits) -> Self {
        let (most, for_members) = (limits.handshakes, limits.handshakes_of_members);
        let quota = Quota::per_second(limits.handshake_rate).allow_burst(limits.handshake_burst);
        let (all, for_members) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(for_members)));
        let limiter = || RateLimiter::direct(quota);
        Self { unproved: limiter(), strangers: limiter(), all, most, for_members }
    }

    pub(super) fn place(&self, caller: Caller) -> Place {
        if !caller.proved {
            let is_crowded = 2 * self.all.available_permits() <= self.most;
            // Packets with false addresses use up this limit, and not that of strangers who can prove theirs.
            if is_crowded || self.unproved.check().is_err() {
                return Place::Prove;
            }
        } else if !caller.member && self.strangers.check().is_err() {
            return Place::Full;
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

    #[test]
    fn strangers_have_only_some_handshakes_a_second_and_members_any_number() {
        let lobby = Lobby::new(&Limits::default());
        let taken = |proved, member| {
            let come = || lobby.place(Caller { proved, member });
            (0..10_000).filter(|_| matches!(come(), Place::Taken(_))).count()
        };
        let some = 256..5000;
        // Packets with false addresses keep nobody out who can prove an address.
        let unproved = taken(false, false);
        assert!(some.contains(&unproved), "{unproved}");
        let unproved = taken(false, true);
        assert!(unproved < some.end, "{unproved}: an address that looks like a member's proves nothing");
        let strangers = taken(true, false);
        assert!(some.contains(&strangers), "{strangers}");
        assert_eq!(taken(true, true), 10_000);
    }
}
