//! Where answers go.

use std::fmt;

use super::refusal::Refusal;

/// Where the answer to something asked goes: to be given once.
pub struct Reply<A>(Box<dyn FnOnce(Result<A, Refusal>) + Send>);

impl<A: Send + 'static> Reply<A> {
    /// The answer goes to this function, which must not block: it is called where the driver of a replica acts.
    #[must_use]
    pub fn to(tell: impl FnOnce(Result<A, Refusal>) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    /// The answer is known; it is given later, once nothing that it rests on can be lost.
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

/// An answer on its way.
pub struct Ready(Box<dyn FnOnce() + Send>);

impl Ready {
    /// Gives it.
    pub fn tell(self) {
        (self.0)();
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready(…)")
    }
}
