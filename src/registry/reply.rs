//! Replies to requests.

use std::fmt;

use super::refusal::Refusal;

/// The way back to whoever asked, to be used once.
pub struct Reply<A>(Box<dyn FnOnce(Result<A, Refusal>) + Send>);

impl<A: Send + 'static> Reply<A> {
    /// Makes a reply that passes the answer to a function. The function must not block, because the driver of the
    /// replica calls it.
    #[must_use]
    pub fn to(tell: impl FnOnce(Result<A, Refusal>) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    /// Binds the answer. It is given later, once everything that it rests on is durable.
    #[must_use]
    pub fn with(self, answer: Result<A, Refusal>) -> Ready {
        Ready(Box::new(move || (self.0)(answer)))
    }
}

impl<A> fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply(…)")
    }
}

/// An answer that waits to be given.
pub struct Ready(Box<dyn FnOnce() + Send>);

impl Ready {
    /// Gives the answer.
    pub fn tell(self) {
        (self.0)();
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready(…)")
    }
}
