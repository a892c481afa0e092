//! Which failed dials, and which refused connections, an operator reads of.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Dials may fail for so long without a warning: a process that is restarted, or comes back under its next incarnation, is
/// back by then.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// A connection was refused, for a reason that was told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// For the first time then.
    At(Instant),
    /// Again after a while.
    Still,
}

/// Tells of failed dials to one peer: a warning once they have failed for a while, and again where the reason is another.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// When the first of them failed.
    since: Option<Instant>,
    /// What was told last.
    told: Option<String>,
}

impl Complaint {
    /// A dial has failed, perhaps because there is a connection already.
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

    /// Whether a failure is to be told of.
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
