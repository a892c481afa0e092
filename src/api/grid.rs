//! Delays answers about private names to the points of a fixed grid of time. Otherwise the time of an answer could show
//! whether a name exists, because the node did more work, read from disk, or found its rows in a cache.
//!
//! The grid of an answer begins when the node takes up its request. An answer leaves at the first point after it is
//! ready. So all that can be measured is whether the work took longer than a whole step of the grid.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::node::Handle;

/// The time between two points of the grid. A guess: several syncs of a slow disk, and less than a person notices.
pub(super) const STEP: Duration = Duration::from_millis(50);

/// Awaits an answer. With `discreet`, an answer that concerns private names is held back to the next point of the grid.
/// Whether it does is asked when the answer is ready, by what the node knows then.
pub(super) async fn on_grid<A>(
    handle: &Handle,
    discreet: bool,
    is_private: impl FnOnce(&Handle) -> bool,
    answer: impl Future<Output = A>,
) -> A {
    let since = discreet.then(Instant::now);
    let answer = answer.await;
    if let Some(since) = since
        && is_private(handle)
    {
        // Boxed, so that the futures of all other answers are no larger for it: they are copied from call to call.
        Box::pin(sleep_until(since + leaves_after(since.elapsed()))).await;
    }
    answer
}

/// Returns how long after its request an answer leaves that was ready after this time.
fn leaves_after(ready: Duration) -> Duration {
    let steps = ready.as_nanos() / STEP.as_nanos() + 1;
    u32::try_from(steps).map_or(ready, |steps| STEP.saturating_mul(steps))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::sync::{mpsc, watch};
    use tokio::time::sleep;

    use super::super::auth::{ApiToken, Caller, SecretHash};
    use super::super::registrations::registered;
    use super::*;
    use crate::clock::NodeId;
    use crate::model::{Cursor, NameRef, RegistrationBody, Scope};
    use crate::replica::any::Request;
    use crate::replica::{Command, Refusal};

    proptest! {
        #[test]
        fn an_answer_leaves_at_the_first_point_after_it_is_ready(micros in 0u64..10_000_000) {
            let (ready, step) = (Duration::from_micros(micros), STEP.as_micros());
            let leaves = leaves_after(ready);
            prop_assert!(leaves > ready && leaves <= ready + STEP);
            prop_assert_eq!(leaves.as_micros() % step, 0);
            prop_assert_eq!(leaves.as_micros() / step, u128::from(micros) / step + 1);
        }
    }

    /// Returns a node where `email` is private, and where an answer takes this long.
    fn node(took: Duration) -> Handle {
        let (calls, mut inbox) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(call) = inbox.recv().await {
                sleep(took).await;
                let (request, tell) = crate::replica::Request::into_any(call);
                assert!(matches!(request, Request::Name(Command::Register(_), _)), "{request:?}");
                tell(Err(Refusal::NotMember));
            }
        });
        let events = watch::channel(Cursor { feed: 1, number: 0 }).1;
        let private = Arc::new(BTreeSet::from(["email".to_owned()]));
        Handle::new(watch::channel(NodeId(1)).1, calls, events).with_private(watch::channel(private).1)
    }

    /// Returns how long the answer to a registration took, in paused time, where the node is ready after `took`.
    async fn answered(scope: Scope, namespace: &str, took: Duration) -> Duration {
        let handle = node(took);
        let caller = Caller::of(&ApiToken::new("form", SecretHash::of("s"), [scope]));
        let names = vec![NameRef { namespace: namespace.to_owned(), name: "ann@example.org".to_owned() }];
        let body = RegistrationBody { owner: "ann".to_owned(), names, ..RegistrationBody::default() };
        let since = Instant::now();
        assert!(registered(&handle, Some(&caller), body).await.is_err());
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_took_a_moment_and_what_took_longer_leave_at_the_same_instant() {
        let (short, long) = (Duration::from_micros(1), Duration::from_millis(3));
        for took in [short, long, STEP - long] {
            assert_eq!(answered(Scope::Register, "email", took).await, STEP, "{took:?}");
        }
        assert_eq!(answered(Scope::Claim, "email", STEP + long).await, STEP * 2, "it missed a point");
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_read_and_who_asks_for_public_names_does_not_wait() {
        let took = Duration::from_millis(3);
        assert_eq!(answered(Scope::Admin, "email", took).await, took);
        assert_eq!(answered(Scope::Register, "username", took).await, took);
    }
}
