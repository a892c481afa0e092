//! Large clusters: the cost to spread ops to all nodes and to decide them, and the cost of an idle cluster.

use std::collections::BTreeSet;

use forename::clock::Hlc;
use forename::model::Status;
use forename::replica::GossipLimits;

use crate::plan::{Ask, Disk, Ending, Host, Links, Plan, Slot, Wish};
use crate::run::{Failure, Run};
use crate::stats::Traffic;
use crate::violation::Violation;
use crate::world::net::Micros;
use crate::world::{World, asking};

/// The least one-way latency and the random addition in microseconds: 20 ms, plus or minus a tenth.
const LATENCY: (Micros, Micros) = (18_000, 4_000);
/// How long a founded cluster is left alone before the measurement, and how long its idle traffic is measured.
const CALM: Micros = 2_000_000;
const IDLE: Micros = 5_000_000;
/// How often the state of the cluster is looked at, in microseconds.
const LOOK: Micros = 5_000;
/// The greatest number of nodes that clients ask.
const ISSUERS: usize = 5;
/// The time in microseconds after which a cluster that is not done has failed.
const PATIENCE: Micros = 120_000_000;

/// The cluster and the load that are measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The number of nodes, which found the cluster together.
    pub nodes: usize,
    /// The number of peers to which each node keeps connections of its own accord; none means all.
    pub dials: Option<usize>,
    /// The number of registrations. All are asked for at once, at up to five nodes. Of every ten, the last one asks for
    /// the name of the one before it.
    pub ops: u32,
    /// The seed of the run.
    pub seed: u64,
}

/// The result of a measurement. Times are in virtual milliseconds; counts and bytes are sums over all nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// The time from the requests until all nodes have all ops.
    pub spread: u64,
    /// The time from the requests until readers of every node's feed know the outcome of every registration.
    pub decided: u64,
    /// The number of registrations that were rejected.
    pub rejected: usize,
    /// The number of messages from the requests until all is decided.
    pub messages: u64,
    /// The bytes of these messages.
    pub bytes: u64,
    /// The bytes of those messages among them that carry ops.
    pub op_bytes: u64,
    /// The messages a second of the idle cluster.
    pub idle_messages: u64,
    /// The bytes a second of the idle cluster.
    pub idle_bytes: u64,
}

/// Founds a cluster, leaves it idle, asks for names, and waits until all nodes know all outcomes. Checks run after
/// every step, and at the end all nodes are compared with the oracle, as in any other run.
///
/// # Errors
/// A check failed, or the cluster is not done in time.
pub fn measure(setting: Setting) -> Result<Measured, Failure> {
    let mut run = Run::new(plan(setting), false);
    until(&mut run.world, 100_000, "the founders hear of each other", is_founded)?;
    pass(&mut run.world, CALM)?;
    let idle = idle(&mut run)?;

    run.observers.borrow_mut().stats.traffic = Some(Traffic::default());
    let asked_at = run.world.now;
    let issuers = setting.nodes.min(ISSUERS);
    for slot in 0..setting.ops {
        let host = slot as usize % issuers * (setting.nodes / issuers);
        asking::ask(&mut run.world, host, &Ask::Register(wish(slot)));
    }
    let ops = setting.ops as usize;
    let has_all =
        |world: &World, host| world.books.ledger.op_count() == ops && world.books.ledger.lacks(host).is_none();
    until(&mut run.world, LOOK, "all ops are everywhere", has_all)?;
    let spread = (run.world.now - asked_at) / 1000;
    until(&mut run.world, LOOK, "everything is decided", |world, host| world.books.feeds.decided(host).len() == ops)?;
    let decided = (run.world.now - asked_at) / 1000;
    let busy = run.observers.borrow_mut().stats.traffic.take().unwrap_or_default();

    run.compare().map_err(Failure::Safety)?;
    let rejected = run.world.books.feeds.decided(0).values().filter(|status| **status == Status::Rejected).count();
    Ok(Measured {
        spread,
        decided,
        rejected,
        messages: busy.messages,
        bytes: busy.bytes,
        op_bytes: busy.op_bytes,
        idle_messages: idle.messages * 1_000_000 / IDLE,
        idle_bytes: idle.bytes * 1_000_000 / IDLE,
    })
}

fn plan(setting: Setting) -> Plan {
    Plan {
        seed: setting.seed,
        founders: setting.nodes,
        joiners: Vec::new(),
        links: Links { least: LATENCY.0, jitter: LATENCY.1, slow: 0, loss: 0, twice: 0, idle: 1000, rate: None },
        disk: Disk { least: 100, jitter: 100 },
        clocks: Vec::new(),
        evict_after: None,
        keep_log: 60_000,
        snapshot_ttl: 3_600_000,
        keep_events: None,
        promise_every: 1000,
        acquainted: true,
        dials: setting.dials,
        spread: GossipLimits::default(),
        actions: Vec::new(),
        faults: Vec::new(),
        lies: Vec::new(),
        heal_at: 0,
        ending: Ending::Healed,
        wrong_for_good: Vec::new(),
        recovers: None,
        patience: PATIENCE / 1000,
    }
}

fn wish(slot: Slot) -> Wish {
    let name = if slot % 10 == 9 { slot - 1 } else { slot };
    let names = vec![format!("name{name}")];
    // There are several owners, because one owner may not have so many open registrations.
    Wish { slot, own_id: true, owner: format!("owner{}", slot % 64), names, ..Wish::default() }
}

fn pass(world: &mut World, time: Micros) -> Result<(), Failure> {
    let later = world.now + time;
    world.run_until(later).map_err(Failure::Safety)
}

/// Returns true where a node has the promises of all members.
fn is_founded(world: &World, host: Host) -> bool {
    world.machines[host].replica().is_some_and(|replica| replica.watermark() > Hlc::ZERO)
}

fn idle(run: &mut Run) -> Result<Traffic, Failure> {
    run.observers.borrow_mut().stats.traffic = Some(Traffic::default());
    pass(&mut run.world, IDLE)?;
    Ok(run.observers.borrow_mut().stats.traffic.take().unwrap_or_default())
}

/// Lets time pass until a condition holds at all nodes. It is looked at in the given interval of microseconds.
fn until(
    world: &mut World,
    look: Micros,
    what: &'static str,
    is_so: impl Fn(&World, Host) -> bool,
) -> Result<(), Failure> {
    let deadline = world.now + PATIENCE;
    let mut missing: BTreeSet<Host> = (0..world.machines.len()).collect();
    while !missing.is_empty() {
        if world.now >= deadline {
            let text = format!("{} nodes wait in vain until {what}", missing.len());
            return Err(Failure::Liveness(Violation { check: "undecided", text }));
        }
        pass(world, look)?;
        missing.retain(|host| !is_so(world, *host));
    }
    Ok(())
}
