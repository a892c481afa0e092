//! Limits the requests a second of each caller, with a token bucket for each API token, or for each address where the
//! node has no API tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::super::places::Holder;
use super::super::shared::Shared;

/// The number of requests a second where nothing else is set. A guess: more than any sign-up form needs, and less than
/// keeps a node busy.
pub const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(5000).expect("it is not 0");
/// The number of buckets that are remembered. Beyond it, buckets that are full again are dropped.
const MAX_BUCKETS: usize = 10_000;

/// The number of requests a second of callers that have no rate of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rate {
    /// [`DEFAULT_RATE`]. On a node without tokens, callers from the same machine have no limit.
    #[default]
    Default,
    /// This many requests a second.
    Most(NonZeroU32),
    /// No limit.
    Any,
}

impl Rate {
    fn of(self, holder: &Holder) -> Option<NonZeroU32> {
        match (self, holder) {
            (Self::Any, _) => None,
            (Self::Most(most), _) => Some(most),
            // Somebody on the same machine may do everything there, and may run benchmarks.
            (Self::Default, Holder::Address(address)) if is_here(*address) => None,
            (Self::Default, _) => Some(DEFAULT_RATE),
        }
    }
}

fn is_here(address: IpAddr) -> bool {
    // The network of 64 bits that stands for ::1 is all zeros.
    address.is_loopback() || address.is_unspecified()
}

/// A caller's token bucket; none for a caller without a limit.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Bucket(Option<Arc<DefaultDirectRateLimiter>>);

impl Bucket {
    /// Takes one request from the bucket. The error is the time to wait where the bucket is empty.
    pub(in crate::api) fn take(&self) -> Result<(), Duration> {
        let Some(bucket) = &self.0 else { return Ok(()) };
        bucket.check().map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// Waits until a request is allowed, and takes it from the bucket.
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

    /// Returns the bucket of a caller, which may have a rate of its own. A bucket holds the requests of one second.
    pub(super) fn of(&self, holder: &Holder, own: Option<NonZeroU32>) -> Bucket {
        let Some(rate) = own.or_else(|| self.rate.get().of(holder)) else { return Bucket::default() };
        // A panic of another thread leaves the map whole.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bucket)) = buckets.get(holder).filter(|(as_made, _)| *as_made == rate) {
            return Bucket(Some(Arc::clone(bucket)));
        }
        if buckets.len() >= MAX_BUCKETS {
            // A bucket that was not used for a second is full, and so is a new one.
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
        // The rate is so low that no bucket refills during the test.
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
