//! What people read who want to know why: the history of a name, names that were claimed more than once, what decides a
//! registration and what it waits for, which names are taken and which are free.
//!
//! All of it changes nothing, and looks at a bounded number of rows a request; whoever wants more goes on after a cursor.

mod conflicts;
mod explain;
mod history;
mod listing;
mod views;

use std::ops::ControlFlow;

pub use self::conflicts::{Conflict, ConflictPage, Precedence};
pub use self::explain::{Awaited, ClaimExplanation, NameExplanation, RegistrationExplanation, Rival, Wait, WaitFor};
pub use self::history::{HistoryPage, TenureClaim, TenureView};
pub use self::listing::{ListedName, NamePage};
use super::Replica;
use crate::crdt::Name;
pub use crate::model::Place;
use crate::store::schema::{self, NameKey, Rows, Span};
use crate::store::{Direction, Store};

/// Rows of names that one page looks at, so that few hits among many names do not hold up the node. A guess.
const MAX_EXAMINED: usize = 5000;

/// The part of the names that a walk visits.
struct Walk<'a> {
    /// Only this namespace.
    namespace: Option<&'a str>,
    /// Only keys that begin so; with a namespace.
    prefix: &'a str,
    /// From this name on, itself included.
    from: Option<&'a Place>,
}

impl<S: Store> Replica<S> {
    /// Visits names in the order of their rows, until `visit` breaks.
    fn walk(&self, walk: &Walk<'_>, visit: &mut dyn FnMut(&str, &str, Name) -> ControlFlow<()>) {
        let mut span = match walk.namespace {
            Some(namespace) => Span::<schema::Names>::of(namespace, walk.prefix),
            None => Span::all(),
        };
        if let Some(place) = walk.from {
            span = span.and_from(NameKey::new(&place.namespace, &place.key));
        }
        schema::Names::scan(&self.registry.store, &span, Direction::Up, &mut |found| match found.key() {
            Some(NameKey { namespace, key }) => visit(namespace, key, found.row()),
            None => ControlFlow::Continue(()),
        });
    }
}
