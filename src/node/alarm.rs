//! A timer that is set often and seldom goes off.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Setting a timer of the runtime takes a call to the system where it is the next one to go off. So this one is set again
/// only for an earlier time. For a later one it goes off too early, unseen, and is set again then.
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(crate) fn new() -> Self {
        Self(Box::pin(sleep_until(Instant::now())))
    }

    /// Resolves at this time. It may be dropped and asked again.
    pub(crate) async fn goes_off(&mut self, at: Instant) {
        if at < self.0.deadline() {
            self.0.as_mut().reset(at);
        }
        loop {
            self.0.as_mut().await;
            if Instant::now() >= at {
                return;
            }
            self.0.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_time_that_was_said_last() {
        let (mut alarm, start, second) = (Alarm::new(), Instant::now(), Duration::from_secs(1));
        let later = start + 60 * second;
        assert!(timeout(second, alarm.goes_off(later)).await.is_err());
        alarm.goes_off(start + 2 * second).await;
        assert_eq!(Instant::now(), start + 2 * second, "an earlier time");
        assert!(timeout(second, alarm.goes_off(start + 10 * second)).await.is_err());
        alarm.goes_off(later).await;
        assert_eq!(Instant::now(), later, "a later time");
        alarm.goes_off(start).await;
        assert_eq!(Instant::now(), later, "a time that has passed");
        alarm.goes_off(later + second).await;
        assert_eq!(Instant::now(), later + second);
    }
}
