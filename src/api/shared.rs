//! A setting that may be changed while the node runs.

use tokio::sync::watch;

/// A value that clones share: what one of them is set to, all have.
#[derive(Clone, Debug, Default)]
pub struct Shared<T>(std::sync::Arc<watch::Sender<T>>);

impl<T: Clone> Shared<T> {
    /// The value as it is now.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }

    /// Sets it, at all clones.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(std::sync::Arc::new(watch::Sender::new(value)))
    }
}
