//! Reads the feed of a node, and records when it learnt the outcomes of registrations.

use std::time::Duration;

use super::Traces;
use crate::model::{Cursor, EventQuery, EventType};
use crate::node::Handle;
use crate::replica::{Caller, EventsAfter, Refusal, RepeatedUntil};

/// The pause after which a node that does not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The number of events that are read at once.
const PAGE: usize = 500;

impl Traces {
    /// Records outcomes from now on, until the node stops. Resolves at once where no spans are exported.
    pub(crate) async fn follow(self, handle: Handle) {
        if self.0.is_none() {
            return;
        }
        let mut events = handle.events();
        let mut after = *events.borrow_and_update();
        let types = vec![EventType::Confirmed, EventType::Rejected];
        loop {
            let query = EventQuery { types: types.clone(), limit: Some(PAGE), ..EventQuery::default() };
            match handle.query(EventsAfter::new(Some(after), query), Caller::ANYBODY).await {
                Ok(page) => {
                    let node = handle.node();
                    page.events.iter().for_each(|event| self.decided(node, event));
                    let is_last = page.next == after;
                    after = page.next;
                    if is_last && events.changed().await.is_err() {
                        return;
                    }
                }
                Err(Refusal::EventsCompacted { restart, .. }) => after = restart,
                // The node has a feed of its own only now, or its feed began anew and repeats what is known.
                Err(Refusal::CursorUnknown { restart, .. }) => {
                    match handle.query(RepeatedUntil, Caller::ANYBODY).await {
                        Ok(Some(number)) => after = Cursor { number, ..restart },
                        Ok(None) | Err(_) => tokio::time::sleep(ASK_AGAIN).await,
                    }
                }
                Err(_) if events.has_changed().is_err() => return,
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }
}
