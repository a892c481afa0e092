//! The private names that clients asked for.

use std::collections::{BTreeMap, BTreeSet};

use forename::name::{Pepper, Rules};
use forename::replica::Command;
use forename::replica::any::Request;

use crate::oracle::Place;
use crate::plan::{Host, VAULT};
use crate::world::ids::SECRET;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Private {
    /// The names as typed, by host.
    pub(crate) typed: BTreeMap<Host, BTreeSet<String>>,
}

impl Private {
    /// Notes the private names in a request to a host.
    pub(crate) fn asked(&mut self, host: Host, request: &Request) {
        if let Request::Name(Command::Register(request), _) = request {
            for name in request.names.iter().filter(|name| name.namespace == VAULT) {
                self.typed.entry(host).or_default().insert(name.name.clone());
            }
        }
    }

    /// Returns true where nobody asked for a private name.
    pub(crate) fn is_empty(&self) -> bool {
        self.typed.is_empty()
    }

    /// Returns the private names as typed, by namespace and key.
    pub(crate) fn places(&self, rules: &Rules) -> BTreeMap<Place, String> {
        let pepper = Pepper::derive(&SECRET);
        let names = self.typed.values().flatten();
        let place = |name: &String| {
            let key = rules.key(name).ok()?;
            Some(((VAULT.to_owned(), pepper.hash(VAULT, &key)), name.clone()))
        };
        if rules.is_private() { names.filter_map(place).collect() } else { BTreeMap::new() }
    }
}
