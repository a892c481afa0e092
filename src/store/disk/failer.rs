//! Tells the owner of a store what happens, and stops the store, from any thread that meets a failure.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use super::event::DiskEvent;
use super::shared::Shared;

type OnEvent = Box<dyn Fn(DiskEvent) + Send>;

/// The owner of a store, who is told its events.
pub(super) struct Owner {
    /// None once a failure was told, which is the last event.
    on_event: Mutex<Option<OnEvent>>,
}

impl Owner {
    pub(super) fn new(on_event: impl Fn(DiskEvent) + Send + 'static) -> Self {
        Self { on_event: Mutex::new(Some(Box::new(on_event))) }
    }

    pub(super) fn tell(&self, event: DiskEvent) {
        let mut on_event = self.on_event.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = matches!(event, DiskEvent::Failed(_));
        if let Some(on_event) = on_event.as_ref() {
            on_event(event);
        }
        if is_last {
            *on_event = None;
        }
    }
}

/// Marks the store as failed, and tells its owner.
#[derive(Clone)]
pub(super) struct Failer {
    pub(super) shared: Arc<Shared>,
    pub(super) owner: Arc<Owner>,
}

impl Failer {
    pub(super) fn fail(&self, doing: &str, error: &dyn Display) {
        self.shared.fail(doing, error);
        if let Some(failure) = self.shared.failure() {
            self.owner.tell(DiskEvent::Failed(failure.clone()));
        }
    }
}
