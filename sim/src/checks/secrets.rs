//! Nobody else comes to see the private names of the workload: no message carries one, and no store has one but that of a
//! node that was asked for it, in the table that is meant for it.

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

/// What the names of the vault begin with, and nothing else has.
const MARKER: &[u8] = b"hush-a-bye";

/// What was seen where it should not be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// A node claimed one before it knew that they are private, so it travelled as it was typed.
    plain: bool,
    /// What their clients keep with these.
    texts: BTreeSet<Option<String>>,
    /// Where one was first seen on its way.
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
    /// A node writes an op, its own or another's. Its own say no name that it knows to be private; what was plain before
    /// an eviction made it void is so again.
    fn wrote(&mut self, op: &Op, own: bool, disk: &Disk) -> Checked {
        let Body::Name(NameOp::Register(register)) = &op.body else { return Ok(()) };
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
