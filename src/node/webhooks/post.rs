//! One attempt to deliver an event.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};

use super::sign::{signatures, webhook_id};
use super::target;
use crate::clock::Millis;
use crate::crdt::Hook;

/// Bytes of an answer that are read at most. The answer says nothing that is needed; reading it keeps the connection.
const MOST_READ: usize = 16 << 10;

/// The outcome of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The receiver has taken the event.
    Delivered(StatusCode),
    /// The receiver wants no more events (410).
    Gone,
    /// The receiver may not have the event.
    Failed {
        /// The status of its answer; none where it gave none.
        status: Option<StatusCode>,
        /// The reason, in words.
        why: String,
        /// The pause that the receiver asked for, in milliseconds; 0 where it asked for none.
        after: u64,
    },
}

/// Returns the outcome of an attempt, also of one that panics: that one counts as failed.
pub(super) async fn guarded(attempt: impl Future<Output = Outcome>) -> Outcome {
    let panicked = |_| {
        let why = "the attempt was cut short by a bug of the node, which its log has".to_owned();
        Outcome::Failed { status: None, why, after: 0 }
    };
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(panicked)
}

/// Posts an event, signed with the present secret, and with the one before it while that is good.
pub(super) async fn post(client: &Client, private: bool, hook: &Hook, id: &str, body: String, now: Millis) -> Outcome {
    let failed = |why: String| Outcome::Failed { status: None, why, after: 0 };
    let url = match target::check(&hook.url, private) {
        Ok(url) => url,
        Err(error) => return failed(error.to_string()),
    };
    let (id, timestamp) = (webhook_id(id), now.0 / 1000);
    let previous = hook.previous.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
    let signature = signatures([&hook.secret].into_iter().chain(previous), &id, timestamp, body.as_bytes());
    let request = client
        .post(url)
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .header(CONTENT_TYPE, "application/json")
        .body(body);
    match request.send().await {
        Ok(answer) => judged(answer).await,
        // The URL may hold a secret of the receiver, so it is left out of logs and answers.
        Err(error) => failed(chain(&error.without_url())),
    }
}

async fn judged(mut answer: Response) -> Outcome {
    let status = answer.status();
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    let after = seconds.map_or(0, |seconds| u64::from(seconds) * 1000);
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > MOST_READ {
            break;
        }
    }
    if status.is_success() {
        return Outcome::Delivered(status);
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let why = if status.is_redirection() {
        format!(
            "the receiver answered {status}; redirects are not followed, give the webhook the URL that they lead to"
        )
    } else {
        format!("the receiver answered {status}")
    };
    Outcome::Failed { status: Some(status), why, after }
}

/// Returns an error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How long an attempt may take. Source: Standard Webhooks, which advises 15 to 30 seconds.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_attempt_that_panics_has_failed() {
        let outcome = guarded(async { panic!("a bug") }).await;
        assert!(matches!(outcome, Outcome::Failed { status: None, after: 0, .. }), "{outcome:?}");
        assert_eq!(guarded(async { Outcome::Gone }).await, Outcome::Gone);
    }
}
