//! The data that a node keeps is bounded by what still exists, not by everything that ever happened.
//!
//! Once the cluster has come to rest, some more events happen, since some data is dropped only with a later event, and
//! time passes until nothing is kept because of its age. Then the rows of every table of every node are counted and
//! compared with the numbers of members, membership ops, registrations that are not over, and names.

use std::collections::BTreeSet;

use forename::clock::{NodeId, Stamp};
use forename::crdt::NameOp;
use forename::log::{Body, MemberOp, Op};
use forename::model::NameRef;
use forename::replica::any::Answer;
use forename::replica::{Command, RegisterRequest};
use forename::store::memory::MemoryStore;
use forename::store::schema::{self, Rows, Span};
use forename::store::{Direction, Table};

use crate::ask::{ask, ask_patiently, cluster};
use crate::oracle::{self, Fate, Verdicts};
use crate::plan::{Host, VAULT};
use crate::violation::{Checked, broken};
use crate::world::World;
use crate::world::healing::is_wrong_for_good;

/// Number of further events before the rows are counted. Each lets the feed drop one more of its oldest chunks, and
/// registrations that wait for this are looked at again the next time.
const ROUNDS: u64 = 4;
/// Rows of a table that are always allowed: single records, and leftovers of the last rounds.
const SOME: usize = 16;
/// Bytes of single records that are allowed in all, and for each node that was ever admitted.
const RECORDS: (usize, usize) = (4096, 512);

/// Returns the length of a process's memory in debug format, without its tables.
pub(crate) fn memory(world: &World, host: Host) -> usize {
    let replica = world.machines[host].replica();
    replica.map_or(0, |replica| format!("{replica:?}").len().saturating_sub(format!("{:?}", replica.store()).len()))
}

/// The numbers that bound what a node may keep.
struct Living {
    /// Nodes that were ever admitted or tried to join.
    nodes: usize,
    membership_ops: usize,
    /// Registrations of any kind, void ones included.
    registrations: usize,
    /// Registrations that are not over, or have an id chosen by the client, which is remembered for a month, or have
    /// private names.
    remembered: usize,
    /// Names that were ever claimed.
    names: usize,
    /// Number of claims of all registrations.
    claims: usize,
    namespaces: usize,
    webhooks: usize,
}

/// Checks all nodes, once everything is decided and all nodes are members. This is done in one run of three, and in fewer
/// where ops stay in the logs for long or promises are frequent, because about as much time has to pass as in the run before.
pub(crate) fn check(world: &mut World) -> Checked {
    let (slow, talkative) = (world.plan.keep_log > 1000, world.plan.promise_every < 1000);
    let one_in = match (slow, talkative) {
        (true, _) => 8,
        (false, true) => 5,
        (false, false) => 3,
    };
    if !world.plan.seed.is_multiple_of(one_in) {
        return Ok(());
    }
    // Where a clock was ahead for a moment, its host looks at some registrations more often before it forgets them, and each
    // look waits for further events. So what is left is judged the second time.
    count(world).or_else(|_| count(world))
}

/// Lets names come and go, and counts what is left then.
fn count(world: &mut World) -> Checked {
    let keep = world.plan.keep_events.unwrap_or(0);
    let hosts = world.present();
    // A host whose clock stays wrong takes no registrations.
    let Some(first) = hosts.iter().copied().find(|host| !is_wrong_for_good(world, *host)) else { return Ok(()) };
    // With automatic evictions, members may be evicted and return at any time.
    let lives = |world: &World| world.machines.iter().map(|machine| u64::from(machine.life)).sum::<u64>();
    let before = lives(world);
    for round in 0..ROUNDS {
        match come_and_go(world, first, round) {
            Err(_) if lives(world) > before || !is_member(world, first) => return Ok(()),
            done => done?,
        }
        let later = world.now + (keep + 3000) * 1000;
        world.run_until(later)?;
    }
    // A newcomer that asked to join and never continued is dropped by then.
    let ttl = if world.plan.lies.is_empty() { 0 } else { world.plan.snapshot_ttl };
    let later = world.now + (world.plan.keep_log + ttl + 5000) * 1000;
    world.run_until(later)?;
    if lives(world) > before {
        return Ok(());
    }
    let ops: Vec<Op> = world.books.ledger.ops().cloned().collect();
    let replicas = hosts.iter().filter_map(|host| world.machines[*host].replica());
    let time = replicas.map(|replica| replica.watermark()).min();
    let verdicts = oracle::judge(&ops, time.unwrap_or_default());
    let living = Living::of(world, &verdicts);
    // A host whose clock differs from all others' does not judge ages, and forgets nothing while its clock is wrong.
    for host in hosts {
        if !is_wrong_for_good(world, host) {
            living.check(world, host)?;
        }
    }
    Ok(())
}

fn is_member(world: &World, host: Host) -> bool {
    world.machines[host].is_member()
}

/// A client claims a name and releases it.
fn come_and_go(world: &mut World, host: Host, round: u64) -> Checked {
    let name = format!("atrest{round}x{}", world.now / 1000);
    let names = vec![NameRef { namespace: "username".to_owned(), name }];
    let request = RegisterRequest { owner: format!("atrest{round}"), names, ..RegisterRequest::default() };
    match ask_patiently(world, host, Command::Register(request))? {
        Some(Ok(Answer::Registration(view))) => {
            let later = world.now + 1_000_000;
            world.run_until(later)?;
            ask(world, host, Command::Release { id: view.id })?;
            Ok(())
        }
        other => broken("bounds", format!("host {host} does not take a new name at rest: {other:?}")),
    }
}

impl Living {
    fn of(world: &World, verdicts: &Verdicts) -> Self {
        let all: Vec<&Op> = world.books.ledger.all_ops().collect();
        let registers = all.iter().filter_map(|op| match op.body() {
            Body::Name(NameOp::Register(register)) => Some(register),
            _ => None,
        });
        let admitted = all.iter().filter_map(|op| match op.body() {
            Body::Member(MemberOp::Admit { node, .. }) => Some(*node),
            _ => None,
        });
        let issued = all.iter().map(|op| op.node);
        let keys = world.machines.iter().map(|machine| machine.node);
        let lives =
            keys.flat_map(|last| (0..=last.0 - last.first_incarnation().0).map(move |life| NodeId(last.0 - life)));
        let nodes: BTreeSet<NodeId> = lives.chain(admitted).chain(issued).collect();
        let lasts = |fate: &Fate| {
            let over = fate.register.claims.iter().all(|c| fate.ended.contains(&(c.namespace.clone(), c.key.clone())));
            let private = fate.register.claims.iter().any(|claim| claim.namespace == VAULT);
            !over || private || fate.register.id.is_some()
        };
        Self {
            nodes: nodes.len(),
            membership_ops: all.iter().filter(|op| op.body().is_membership()).count(),
            registrations: registers.clone().count(),
            remembered: verdicts.fates.values().filter(|fate| lasts(fate)).count(),
            names: registers
                .clone()
                .flat_map(|r| &r.claims)
                .map(|c| (&c.namespace, &c.key))
                .collect::<BTreeSet<_>>()
                .len(),
            claims: registers.map(|register| register.claims.len()).sum(),
            namespaces: verdicts.rules.len(),
            webhooks: verdicts.webhooks.len(),
        }
    }

    fn check(&self, world: &mut World, host: Host) -> Checked {
        self.rows(world, host)?;
        self.log(world, host)?;
        if let Some(newcomer) = world.machines[host].running().and_then(|running| running.snapshots.keys().next()) {
            return broken("bounds", format!("host {host} keeps a snapshot for {newcomer}, which is in or gone"));
        }
        self.registrations(world, host)
    }

    fn rows(&self, world: &World, host: Host) -> Checked {
        let store = world.machines[host].disk.durable();
        let time = world.machines[host].replica().map(|replica| replica.watermark()).unwrap_or_default();
        for table in Table::ALL {
            let most = match table {
                Table::Meta => SOME,
                Table::Cluster => SOME + self.nodes,
                Table::Contacts => self.nodes,
                Table::Membership => self.membership_ops,
                Table::Names | Table::Erased => self.names,
                Table::Registrations | Table::Ids | Table::Owners => self.registrations,
                // A registration may have a row that waits for the watermark and one that waits for the feed.
                Table::Over => 2 * self.registrations,
                // Everything is decided and no op is missing, so these tables must be empty.
                Table::Contested | Table::Early => {
                    let contested = schema::Contested::first(store, &Span::all(), Direction::Up, |found| found.key());
                    let early = schema::Early::first(store, &Span::all(), Direction::Up, |found| found.key());
                    let first = if table == Table::Contested { contested } else { early };
                    if let Some(stamp) = first {
                        let of = usize::from(schema::Registrations::has(store, stamp));
                        let name = table.name();
                        let text =
                            format!("host {host} keeps {stamp} in {name}, and all is decided; it has {of} of it");
                        return broken("bounds", text);
                    }
                    continue;
                }
                // A reservation made under a clock far ahead still waits for its end, so only reservations that the
                // watermark has passed count.
                Table::Expiries => {
                    let mut left = 0;
                    let over = Span::all().below((time, Stamp::default()));
                    schema::Expiries::each(store, &over, |_| left += 1);
                    if left > 0 {
                        return broken("bounds", format!("host {host} keeps {left} reservations that are over"));
                    }
                    continue;
                }
                Table::Claims | Table::Followed => self.claims,
                Table::Endings => self.claims + self.registrations,
                Table::Typed => self.claims,
                Table::Namespaces => self.namespaces,
                Table::Webhooks => self.webhooks,
                Table::Charges | Table::Held => self.registrations,
                Table::Void | Table::Log | Table::Events => continue,
            };
            let rows = store.rows(table).count();
            if rows > most {
                let text = format!("host {host} has {rows} rows in {}, where there may be {most}", table.name());
                return broken("bounds", text);
            }
        }
        let bytes = bytes(store, Table::Meta) + bytes(store, Table::Cluster) + bytes(store, Table::Contacts);
        let most = RECORDS.0 + RECORDS.1 * self.nodes;
        if bytes > most {
            return broken(
                "bounds",
                format!("host {host} has {bytes} bytes of single records for {} nodes", self.nodes),
            );
        }
        Ok(())
    }

    /// Ops that all members hold must have left the logs. At rest these are all ops except recent ones.
    fn log(&self, world: &World, host: Host) -> Checked {
        let machine = &world.machines[host];
        let ops = machine.disk.logged_ops().into_iter();
        let young = machine.replica().map(|replica| replica.watermark().millis().0).unwrap_or_default();
        let young = young.saturating_sub(world.plan.keep_log + 2000);
        let old: Vec<_> = ops.filter(|op| op.hlc.millis().0 < young).collect();
        match old.first() {
            Some(op) => {
                let (node, seq, count) = (op.node, op.seq, old.len());
                broken(
                    "bounds",
                    format!("host {host} keeps {count} ops that all hold in its logs, such as {node}#{seq}"),
                )
            }
            None => Ok(()),
        }
    }

    /// Where registrations that are over are forgotten, no more of them may be left than kept events refer to.
    fn registrations(&self, world: &mut World, host: Host) -> Checked {
        if world.plan.keep_events.is_none() {
            return Ok(());
        }
        let told = cluster(world, host)?.map(|view| view.events).unwrap_or_default();
        let told = usize::try_from(told.last.number - told.start.number).unwrap_or(usize::MAX);
        let known = schema::Registrations::count(world.machines[host].disk.durable());
        let most = self.remembered + told + SOME;
        if known > most {
            let text = format!(
                "host {host} remembers {known} registrations, where {} are to be remembered and {told} events are kept",
                self.remembered
            );
            return broken("bounds", text);
        }
        Ok(())
    }
}

fn bytes(store: &MemoryStore, table: Table) -> usize {
    store.rows(table).map(|(key, value)| key.len() + value.len()).sum()
}
