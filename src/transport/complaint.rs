//! Which failed dials and refused connections are logged for an operator.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Dials may fail for this long without a warning: a process that is restarted, or returns under its next incarnation,
/// is back by then.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// A refused connection whose refusal has been logged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// The refusal was first logged at this time.
    At(Instant),
    /// The refusal was logged a second time, because it went on.
    Still,
}

/// Logs failed dials to one peer: a warning once they have failed for a while, and another one where the reason
/// changes.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// The time of the first failure.
    since: Option<Instant>,
    /// The reason in the last warning.
    told: Option<String>,
}

impl Complaint {
    /// Logs a failed dial. With `duplicate` it failed because there is a connection already, which is never a warning.
    pub(super) fn about(&mut self, label: &str, address: &str, error: &dyn fmt::Display, duplicate: bool) {
        let text = error.to_string();
        if self.is_due(duplicate, &text) {
            tracing::warn!(
                label,
                address,
                %error,
                "dialing has failed for a while; look whether the node runs and is reached there. It is tried again until it succeeds"
            );
        } else {
            tracing::debug!(label, address, %error, "dialing failed");
        }
    }

    /// Returns true where a failure deserves a warning.
    fn is_due(&mut self, duplicate: bool, text: &str) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let is_due = !duplicate && since.elapsed() >= QUIET && self.told.as_deref() != Some(text);
        if is_due {
            self.told = Some(text.to_owned());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_back_soon_is_not_complained_about() {
        let mut complaint = Complaint::default();
        assert!(!complaint.is_due(false, "refused"));
        tokio::time::advance(QUIET / 2).await;
        assert!(!complaint.is_due(false, "refused"));
        tokio::time::advance(QUIET / 2).await;
        assert!(!complaint.is_due(true, "there is a connection already"));
        assert!(complaint.is_due(false, "refused"));
        assert!(!complaint.is_due(false, "refused"), "once");
        assert!(complaint.is_due(false, "nothing was heard in time"), "another reason");
    }
}
