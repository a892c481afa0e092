//! What people read who want to know why: the history of a name, names that were claimed more than once, what decides a
//! registration and what it waits for, which names are taken and which are free.
//!
//! All of it changes nothing, and looks at a bounded number of rows a request; whoever wants more goes on after a cursor.

mod conflicts;
mod explain;
mod history;
mod listing;

use std::ops::ControlFlow;

pub use self::conflicts::{Conflict, ConflictPage, Precedence};
pub use self::explain::{Awaited, ClaimExplanation, NameExplanation, RegistrationExplanation, Rival, Wait, WaitFor};
pub use self::history::{HistoryPage, TenureClaim, TenureView};
pub use self::listing::{ListedName, NamePage};
use super::Replica;
use crate::crdt::{Name, name_key, read_record};
use crate::store::{Direction, Store, Table, prefix_end};

/// Rows of names that one page looks at, so that few hits among many names do not hold up the node. A guess.
const MAX_EXAMINED: usize = 5000;

/// A place among all names, which are in the order of their namespaces and keys: where a page goes on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The key.
    pub key: String,
    /// How many tenures of that name have been looked at.
    pub tenures: usize,
}

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
        let within = walk.namespace.map(|namespace| name_key(namespace, walk.prefix)).unwrap_or_default();
        let from = walk.from.map(|place| name_key(&place.namespace, &place.key));
        let from = from.filter(|from| *from > within).unwrap_or_else(|| within.clone());
        let to = prefix_end(&within);
        if to.as_ref().is_some_and(|to| *to <= from) {
            return;
        }
        self.registry.store.scan(
            Table::Names,
            &from,
            to.as_deref(),
            Direction::Up,
            &mut |row, value| match parts(row) {
                Some((namespace, key)) => visit(namespace, key, read_record(value, "name")),
                None => ControlFlow::Continue(()),
            },
        );
    }
}

/// The namespace and the key of a name's row.
fn parts(row: &[u8]) -> Option<(&str, &str)> {
    let end = row.iter().position(|byte| *byte == 0)?;
    Some((str::from_utf8(&row[..end]).ok()?, str::from_utf8(&row[end + 1..]).ok()?))
}
