//! What a node keeps is bounded by what lives, not by all that ever happened.
//!
//! Once the cluster has come to rest a little more happens, so that whatever goes with the next event goes, and time passes
//! until nothing is kept for being young. Then the rows of every table of every node are counted, and held against what
//! there is: members, membership ops, registrations that are not over, names.

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

/// How often something happens before the rows are counted: each lets the feed drop one more of its oldest chunks, and what
/// waits for that is looked at again the next time.
const ROUNDS: u64 = 4;
/// Rows of a kind that a node may have whatever lives: single records, and what the last rounds left.
const SOME: usize = 16;
/// Bytes of single records, and for each node that ever was in.
const RECORDS: (usize, usize) = (4096, 512);

/// The length of all that a process has in its memory, written out; its tables left out.
pub(crate) fn memory(world: &World, host: Host) -> usize {
    let replica = world.machines[host].replica();
    replica.map_or(0, |replica| format!("{replica:?}").len().saturating_sub(format!("{:?}", replica.store()).len()))
}

/// What there is.
struct Living {
    /// Nodes that ever were in, or on their way.
    nodes: usize,
    membership_ops: usize,
    /// Registrations of any kind, void ones included.
    registrations: usize,
    /// Registrations that are not over, or whose id is remembered for a month, or that are private.
    remembered: usize,
    /// Names that were ever claimed.
    names: usize,
    /// Claims of all registrations.
    claims: usize,
    namespaces: usize,
}

/// Everything was decided and all nodes are members. Where ops stay in the logs for long, time passes in some runs only.
pub(crate) fn check(world: &mut World) -> Checked {
    if world.plan.keep_log > 1000 && !world.plan.seed.is_multiple_of(8) {
        return Ok(());
    }
    let keep = world.plan.keep_events.unwrap_or(0);
    let hosts = world.present();
    // One whose clock stays wrong takes no names.
    let Some(first) = hosts.iter().copied().find(|host| !is_wrong_for_good(world, *host)) else { return Ok(()) };
    // Members that are evicted for being silent may come and go at any time.
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
    // Somebody who asked to join and never went further is not waited for any more.
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
    // One whose clock is off from all others' judges no age, and forgets nothing until it is right.
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

/// A client takes a name and gives it up.
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
        let registers = all.iter().filter_map(|op| match &op.body {
            Body::Name(NameOp::Register(register)) => Some(register),
            _ => None,
        });
        let admitted = all.iter().filter_map(|op| match &op.body {
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
            membership_ops: all.iter().filter(|op| op.body.is_membership()).count(),
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
                // One that waits for the watermark may wait for the feed too.
                Table::Over => 2 * self.registrations,
                // All is decided, and nothing is missing.
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
                // A reservation that a clock far ahead has made ends when the time has come.
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

    /// Whatever all members hold has left the logs; at rest that is everything but for what is young.
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

    /// Where what is over is forgotten, no more is left of it than the feed still tells.
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
