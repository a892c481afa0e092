//! Queries for people who want to know why: the history of a name, names that were claimed more than once, what decides
//! a registration and what it waits for, which names are taken and which are free.
//!
//! Queries change nothing, and examine a bounded number of rows per request. A reader that wants more continues after a
//! cursor.

mod conflicts;
mod events;
mod explain;
mod history;
mod listing;
mod namespaces;
mod owner;
mod views;

pub use self::conflicts::ConflictsOf;
pub use self::events::{EventsAfter, RepeatedUntil, SinceMade};
pub use self::explain::{
    Awaited, ClaimExplanation, ExplainName, ExplainRegistration, NameExplanation, RegistrationExplanation, Rival, Wait,
    WaitFor,
};
pub use self::history::HistoryOf;
pub use self::listing::{NamesOf, NamesTaken, Suggestions};
pub use self::namespaces::NamespacesKnown;
pub use self::owner::RegistrationsOf;
pub use self::views::NameOf;

/// Rows of names that one page examines at most, so that few hits among many names do not delay the node. A guess.
const MAX_EXAMINED: usize = 5000;
