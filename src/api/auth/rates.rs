//! How many requests a second a caller may send: a token bucket for each token, and for each address where there are no
//! tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::super::places::Holder;
use super::super::shared::Shared;

/// Requests a second where nobody says otherwise. A guess: more than any form needs, and less than keeps a node busy.
pub const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(5000).expect("it is not 0");
/// Buckets that are remembered; those that are full again are dropped beyond.
const MAX_BUCKETS: usize = 10_000;

/// How fast callers may be that have no rate of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rate {
    /// [`DEFAULT_RATE`], but any for who calls from this machine a node without tokens.
    #[default]
    Default,
    /// So many requests a second.
    Most(NonZeroU32),
    /// Any.
    Any,
}

impl Rate {
    fn of(self, holder: &Holder) -> Option<NonZeroU32> {
        match (self, holder) {
            (Self::Any, _) => None,
            (Self::Most(most), _) => Some(most),
            // Whoever is on the machine may do everything there, and measures nodes by it.
            (Self::Default, Holder::Address(address)) if is_here(*address) => None,
            (Self::Default, _) => Some(DEFAULT_RATE),
        }
    }
}

fn is_here(address: IpAddr) -> bool {
    // The network of 64 bits that stands for ::1 is all zeros.
    address.is_loopback() || address.is_unspecified()
}

/// A caller's bucket; none for whoever may be as fast as it can.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Bucket(Option<Arc<DefaultDirectRateLimiter>>);

impl Bucket {
    /// Takes one request from the bucket; how long to wait, where it is empty.
    pub(in crate::api) fn take(&self) -> Result<(), Duration> {
        let Some(bucket) = &self.0 else { return Ok(()) };
        bucket.check().map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// Waits until there is one more, and takes it.
    pub(in crate::api) async fn wait(&self) {
        while let Err(wait) = self.take() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// The buckets of all callers.
#[derive(Debug)]
pub(in crate::api) struct Rates {
    rate: Shared<Rate>,
    buckets: Mutex<HashMap<Holder, (NonZeroU32, Arc<DefaultDirectRateLimiter>)>>,
}

impl Rates {
    pub(in crate::api) fn new(rate: Shared<Rate>) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// The bucket of a caller, who may have a rate of its own. It holds what may come in one second.
    pub(super) fn of(&self, holder: &Holder, own: Option<NonZeroU32>) -> Bucket {
        let Some(rate) = own.or_else(|| self.rate.get().of(holder)) else { return Bucket::default() };
        // A panic leaves a map that is whole.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bucket)) = buckets.get(holder).filter(|(as_made, _)| *as_made == rate) {
            return Bucket(Some(Arc::clone(bucket)));
        }
        if buckets.len() >= MAX_BUCKETS {
            // What has not been used for a second is full, and a new one is no different.
            buckets.retain(|_, (rate, bucket)| bucket.check_n(*rate).is_ok_and(|taken| taken.is_err()));
        }
        let bucket = Arc::new(RateLimiter::direct(Quota::per_second(rate)));
        buckets.insert(holder.clone(), (rate, Arc::clone(&bucket)));
        Bucket(Some(bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str) -> Holder {
        Holder::Token(name.to_owned())
    }

    #[test]
    fn an_empty_bucket_says_how_long_to_wait() {
        let rates = Rates::new(Rate::Default.into());
        // So slow that no test is slow enough to see it fill.
        let few = NonZeroU32::new(2);
        let taken: Vec<_> = (0..3).map(|_| rates.of(&token("a"), few).take()).collect();
        assert_eq!(taken[..2], [Ok(()), Ok(())]);
        if let Err(wait) = taken[2] {
            assert!(wait <= Duration::from_millis(500), "{wait:?}");
        }
        assert!(rates.of(&token("b"), few).take().is_ok(), "each has its own");
        assert!(
            (0..2).all(|_| rates.of(&token("a"), NonZeroU32::new(9)).take().is_ok()),
            "another rate counts at once"
        );
    }

    #[test]
    fn whoever_is_on_the_machine_has_no_limit_unless_one_is_set() {
        let here = Holder::Address([127, 0, 0, 1].into());
        let there = Holder::Address([10, 0, 0, 1].into());
        assert_eq!((Rate::Default.of(&here), Rate::Default.of(&there)), (None, Some(DEFAULT_RATE)));
        let one = NonZeroU32::MIN;
        assert_eq!((Rate::Most(one).of(&here), Rate::Any.of(&there)), (Some(one), None));
    }
}
