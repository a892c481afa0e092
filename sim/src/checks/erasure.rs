//! At the end nothing is left of erased text in any table.

use forename::crdt::{Claim, Registration};
use forename::replica::any::{Answer, Request};
use forename::store::Table;
use forename::store::memory::MemoryStore;
use forename::store::schema::{self, NameKey, Rows, Span};

use crate::ask::ask;
use crate::oracle::{Fate, Verdicts};
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::World;

/// Returns the first table in which some bytes occur in a key or a value, with the number of such rows.
pub(crate) fn find(store: &MemoryStore, text: &[u8]) -> Option<(&'static str, usize)> {
    Table::ALL.into_iter().find_map(|table| {
        let count = rows_with(store, table, text);
        (count > 0).then_some((table.name(), count))
    })
}

/// Returns true where a registration that only its own node knows, because its op is void, lost this name.
fn is_claimed_alone(store: &MemoryStore, verdicts: &Verdicts, to: &Claim) -> bool {
    let mut claimed = false;
    schema::Registrations::each(store, &Span::all(), |found| {
        let alone = found.key().is_some_and(|stamp| !verdicts.fates.contains_key(&stamp));
        claimed |= alone && found.row().claim(&to.namespace, &to.key).is_some();
    });
    claimed
}

/// Returns true where any row is found under a name.
fn stands(store: &MemoryStore, name: NameKey<'_>) -> bool {
    let mut stands = schema::Names::has(store, name);
    schema::Claims::each(store, &Span::<schema::Claims>::of(name), |_| stands = true);
    schema::Followed::each(store, &Span::all(), |found| stands |= found.key().is_some_and(|key| key.name == name));
    stands
}

fn rows_with(store: &MemoryStore, table: Table, text: &[u8]) -> usize {
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    store.rows(table).filter(|(key, value)| has(key) || has(value)).count()
}

/// Checks that a node has no metadata of an erased registration outside of the logs, which ops leave in time, unless
/// another registration has the same metadata; and that it has no erased name, unless another registration claimed it.
/// The node must also report that the registration was erased.
pub(crate) fn check(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    for (stamp, fate) in verdicts.fates.iter().filter(|(_, fate)| fate.erased) {
        world.mark("a registration is erased");
        if !fate.first {
            world.mark("a later twin is erased with the first");
        }
        let store = world.machines[host].disk.durable();
        let text = fate.register.metadata.clone().unwrap_or_default();
        let lives = |other: &Fate| !other.erased && other.register.metadata == fate.register.metadata;
        let shared = text.is_empty() || verdicts.fates.values().any(lives);
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Log && !shared) {
            if rows_with(store, table, text.as_bytes()) > 0 {
                return broken("erased", format!("host {host} has the text of {stamp} in {}", table.name()));
            }
        }
        let known = Registration::load(store, *stamp);
        let whole = |known: &Registration| !known.erased || !known.owner.is_empty() || known.replaces.is_some();
        if known.as_ref().is_some_and(whole) {
            return broken("erased", format!("host {host} has not erased {stamp}: {known:?}"));
        }
        for claim in &fate.register.claims {
            let claims = |other: &Fate| {
                let of = other.register.claims.iter().any(|c| (&c.namespace, &c.key) == (&claim.namespace, &claim.key));
                of && !other.erased
            };
            let others = verdicts.fates.values().any(claims);
            if others {
                world.mark("an erased name is somebody else's");
                continue;
            }
            // A node that had forgotten the registration before keeps the name, because it does not know that the name
            // belongs to it.
            let forgotten = known.is_none() && world.plan.keep_events.is_some();
            let store = world.machines[host].disk.durable();
            let stands = stands(store, NameKey::new(&claim.namespace, &claim.key));
            if stands && !forgotten && !is_claimed_alone(store, verdicts, claim) {
                return broken("erased", format!("host {host} has the name {} of {stamp}", claim.key));
            }
        }
    }
    let ids = verdicts.fates.iter().filter(|(_, fate)| fate.erased && fate.first);
    let ids: Vec<_> =
        ids.map(|(s, fate)| fate.register.id.unwrap_or_else(|| forename::crdt::id_of_stamp(*s))).collect();
    for id in ids {
        match ask(world, host, Request::outcome(id, None))? {
            Some(Ok(Answer::Registration(view))) if !view.erased || !view.owner.is_empty() => {
                return broken("erased", format!("host {host} does not say that {id} was erased: {view:?}"));
            }
            _ => {}
        }
    }
    Ok(())
}
