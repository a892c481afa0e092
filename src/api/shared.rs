//! A setting that may be changed while the node runs.

use tokio::sync::watch;

/// A value that all clones share: a value set through one of them is seen by all.
#[derive(Clone, Debug, Default)]
pub struct Shared<T>(std::sync::Arc<watch::Sender<T>>);

impl<T: Clone> Shared<T> {
    /// Returns the current value.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }

    /// Sets the value for all clones.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(std::sync::Arc::new(watch::Sender::new(value)))
    }
}
