//! Private names stay private: no message has one, and no store has one, except that of a node where it was typed, in
//! the table for typed names.

use std::collections::BTreeSet;

use forename::codec;
use forename::crdt::{NameOp, Namespace};
use forename::log::{Body, Op};
use forename::replica::Message;
use forename::store::Table;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::{Fate, Verdicts};
use crate::plan::{Host, VAULT};
use crate::violation::{Checked, broken};
use crate::world::disk::Disk;
use crate::world::{Seen, World};

/// The prefix of all names in the private namespace of the workload, which occurs nowhere else.
const MARKER: &[u8] = b"hush-a-bye";

/// The violations and exceptions that were seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// True where a node claimed such a name before it knew that the namespace is private, so that the name travelled
    /// as typed.
    plain: bool,
    /// The metadata of such registrations.
    texts: BTreeSet<Option<String>>,
    /// The first message that had a private name.
    seen: Option<String>,
}

impl Check for Secrets {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            Seen::Writes { host, ops } => {
                let machine = &world.machines[*host];
                ops.iter().try_for_each(|op| self.wrote(op, op.node == machine.node, &machine.disk))
            }
            Seen::Sends { host, message, .. } => {
                self.sent(world, *host, message);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, verdicts: &Verdicts, world: &World, marks: &mut Marks) -> Checked {
        let hidden = |fate: &Fate| fate.register.claims.iter().any(|claim| claim.name.is_empty());
        for fate in verdicts.fates.values().filter(|fate| hidden(fate)) {
            marks.mark(if fate.won { "a private name is won" } else { "a private name is lost" });
        }
        if self.plain {
            return Ok(());
        }
        if let Some(seen) = &self.seen {
            return broken("secret", format!("a private name travels: {seen}"));
        }
        for (host, machine) in world.machines.iter().enumerate() {
            let rows = |table: Table| machine.disk.durable().rows(table);
            let marked = |table: &Table| rows(*table).any(|(key, value)| is_marked(key) || is_marked(value));
            let asked = world.books.private.typed.get(&host).is_some_and(|typed| !typed.is_empty());
            let may = |table: &Table| asked && *table == Table::Typed;
            if let Some(table) = Table::ALL.into_iter().filter(|table| !may(table)).find(marked) {
                return broken("secret", format!("host {host} has a private name in {}", table.name()));
            }
        }
        Ok(())
    }
}

impl Secrets {
    /// Judges an op that a node writes. Its own ops must not have a name that it knows to be private; but a claim that
    /// was plain before an eviction made it void may be issued anew as plain.
    fn wrote(&mut self, op: &Op, own: bool, disk: &Disk) -> Checked {
        let Body::Name(NameOp::Register(register)) = op.body() else { return Ok(()) };
        if register.claims.iter().any(|claim| claim.namespace == VAULT && !claim.name.is_empty()) {
            let knows = Namespace::load(disk.durable(), VAULT).is_some_and(|known| known.rules.is_private());
            if self.texts.insert(register.metadata.clone()) && own && knows {
                return broken("secret", format!("{} issues a private name: {register:?}", op.node));
            }
            self.plain = true;
        }
        Ok(())
    }

    fn sent(&mut self, world: &World, host: Host, message: &Message) {
        if !self.plain && !world.books.private.is_empty() && self.seen.is_none() && is_marked(&codec::encode(message)) {
            self.seen = Some(format!("host {host} sends {message:?}"));
        }
    }
}

fn is_marked(bytes: &[u8]) -> bool {
    bytes.windows(MARKER.len()).any(|window| window.eq_ignore_ascii_case(MARKER))
}
