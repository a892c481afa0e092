//! Private names of the workload, and that nobody else comes to see them: no message carries one, and no store has one
//! but that of a node that was asked for it, in the table that is meant for it.

use std::collections::{BTreeMap, BTreeSet};

use forename::codec;
use forename::crdt::{Body, Namespace, Op};
use forename::name::{Pepper, Rules};
use forename::replica::{Message, NameRequest};
use forename::store::Table;

use crate::checks::ledger::{Checked, broken};
use crate::oracle::{Place, Verdicts};
use crate::plan::Host;
use crate::world::World;
use crate::world::disk::Disk;
use crate::world::machine::SECRET;

/// The namespace whose names are private, as soon as its rules are known.
pub const VAULT: &str = "vault";
/// What its names begin with, and nothing else has.
const MARKER: &[u8] = b"hush-a-bye";

/// What was seen where it should not be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// Private names that hosts were asked for, as typed.
    typed: BTreeMap<Host, BTreeSet<String>>,
    /// A node claimed one before it knew that they are private, so it travelled as it was typed.
    plain: bool,
    /// What their clients keep with these.
    texts: BTreeSet<Option<String>>,
    /// Where one was first seen on its way.
    seen: Option<String>,
}

impl Secrets {
    pub(crate) fn asked(&mut self, host: Host, names: &[NameRequest]) {
        let private = names.iter().filter(|name| name.namespace == VAULT);
        self.typed.entry(host).or_default().extend(private.map(|name| name.name.clone()));
    }

    /// A node writes an op, its own or another's. Its own say no name that it knows to be private; what was plain before
    /// an eviction made it void is so again.
    pub(crate) fn wrote(&mut self, op: &Op, own: bool, disk: &Disk) -> Checked {
        let Body::Register(register) = &op.body else { return Ok(()) };
        if register.claims.iter().any(|claim| claim.namespace == VAULT && !claim.name.is_empty()) {
            let knows = Namespace::load(disk.durable(), VAULT).is_some_and(|known| known.rules.is_private());
            if self.texts.insert(register.metadata.clone()) && own && knows {
                return broken("secret", format!("{} issues a private name: {register:?}", op.node));
            }
            self.plain = true;
        }
        Ok(())
    }

    pub(crate) fn sent(&mut self, host: Host, message: &Message) {
        if !self.plain && !self.typed.is_empty() && self.seen.is_none() && is_marked(&codec::encode(message)) {
            self.seen = Some(format!("host {host} sends {message:?}"));
        }
    }

    /// The private names that clients asked for, by what stands for them.
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

fn is_marked(bytes: &[u8]) -> bool {
    bytes.windows(MARKER.len()).any(|window| window.eq_ignore_ascii_case(MARKER))
}

impl World {
    /// Nobody but who was asked for it has seen a private name.
    pub(crate) fn check_secrets(&mut self, verdicts: &Verdicts) -> Checked {
        let hidden = |fate: &crate::oracle::Fate| fate.register.claims.iter().any(|claim| claim.name.is_empty());
        for fate in verdicts.fates.values().filter(|fate| hidden(fate)) {
            self.mark(if fate.won { "a private name is won" } else { "a private name is lost" });
        }
        if self.secrets.plain {
            return Ok(());
        }
        if let Some(seen) = &self.secrets.seen {
            return broken("secret", format!("a private name travels: {seen}"));
        }
        for (host, machine) in self.machines.iter().enumerate() {
            let rows = |table: Table| machine.disk.durable().rows(table);
            let marked = |table: &Table| rows(*table).any(|(key, value)| is_marked(key) || is_marked(value));
            let asked = self.secrets.typed.get(&host).is_some_and(|typed| !typed.is_empty());
            let may = |table: &Table| asked && *table == Table::Typed;
            if let Some(table) = Table::ALL.into_iter().filter(|table| !may(table)).find(marked) {
                return broken("secret", format!("host {host} has a private name in {}", table.name()));
            }
        }
        Ok(())
    }

    /// A name as its owner reads it back: where it was typed, as it was typed, and nowhere else.
    pub(crate) fn check_read_back(
        &self,
        host: Host,
        view: &forename::replica::RegistrationView,
        here: bool,
    ) -> Checked {
        // What is over its node may have forgotten, and been given again by others on a return.
        let over = view.names.iter().all(|name| name.ended.is_some());
        for name in view.names.iter().filter(|name| name.namespace == VAULT && name.key.len() == 40) {
            let places = self.secrets.places(&Rules::default_of(VAULT).with_private(true));
            let means = places.get(&(VAULT.to_owned(), name.key.clone()));
            let same = |typed: &String| {
                let rules = Rules::default_of(VAULT);
                rules.key(typed) == rules.key(&name.name)
            };
            let right = if name.name.is_empty() { !here || over } else { means.is_some_and(same) };
            if !right {
                return broken("secret", format!("host {host} shows {:?} for {means:?} of {}", name.name, view.id));
            }
        }
        Ok(())
    }
}
