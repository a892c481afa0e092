//! What must become of old copies of data directories.
//!
//! Whether a copy must be noticed follows from the simulator's own books ([`Known`](crate::world::books::known::Known))
//! at the moment when it replaces the directory:
//!
//! * Every other member knows something that the copy lacks: an op of the node, a hold that it acknowledged, a promise
//!   above the copy's ceiling. Then the node must stop, or return as its next incarnation, whichever member it meets
//!   first.
//! * No other node knows anything that the copy lacks. Then it can do no harm, and the node must simply go on.
//! * Some do and others do not. No comparison is certain to find that, so the simulator leaves this case to stories.

use std::collections::BTreeSet;

use forename::clock::NodeId;
use forename::log::{Op, Seq};
use forename::replica::{Entry, Input, Message, Replica, Vector, node_in};

use crate::plan::{Ending, Host};
use crate::world::copies::Copy;
use crate::world::disk::Disk;
use crate::world::ids::host_of;
use crate::world::machine::{Directory, Machine, OldDirectory, Process};
use crate::world::state::World;

/// The prospect of a copy that replaces its directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Prospect {
    /// It must be noticed.
    Noticed,
    /// It must go on as if nothing had happened.
    GoesOn,
    /// Neither is certain.
    Unclear,
}

/// Returns the prospect of a copy that replaces a host's directory now.
pub(crate) fn prospect(world: &World, host: Host, copy: &Copy) -> Prospect {
    let machine = &world.machines[host];
    let node = machine.node;
    let others = || world.machines.iter().filter(|other| other.host != host);
    // The operator has made the directory that of its next incarnation, which has not been started.
    let is_next = node_in(machine.disk.durable(), node) != node;
    // A node that leaves takes its knowledge with it.
    let leaves = others().any(|other| world.books.orders.wanted_to_leave(other.node) && !other.stage.has_left());
    let unsure = machine.stage.is_gone() || is_next || leaves || world.plan.ending != Ending::Healed;
    let unsure = unsure || others().any(Machine::is_old);
    // An op that is not durable at its holder may be lost there too.
    let may_forget = |other: &Machine| {
        let mut durable = other.disk.clone();
        durable.crash(0);
        world.books.ledger.applied(other.host).get(&node).is_some_and(|applied| *applied > durable.log(node))
    };
    if unsure || others().any(may_forget) {
        return Prospect::Unclear;
    }
    // An outcome that the node was the first to report may rest on ops that only it held, which the copy lacks.
    let silent = world.books.outcomes.told_first(host) == copy.told_first;
    let said = world.books.known.said(node);
    if copy.is_of(node) && !said.exceeds(&copy.disk, node, &BTreeSet::new(), Some(Seq::MAX)) {
        // Where the copy has an op below a promise of the other directory, it lacks nothing, but other nodes will not
        // accept that op.
        let goes_on = silent && !said.denies(&copy.disk, node);
        return if goes_on { Prospect::GoesOn } else { Prospect::Unclear };
    }
    let out: BTreeSet<_> = world.books.ledger.out().collect();
    let stays: Vec<_> = others().filter(|other| !other.stage.is_gone()).collect();
    let all_know = stays.iter().all(|other| knows_more(world, other, node, copy));
    // A registration that the only remaining member confirmed is lost with its directory.
    let members = || stays.iter().filter(|other| !out.contains(&other.node));
    let kept = |op: &Op| op.seq <= copy.disk.log(op.node) || members().any(|other| op.seq <= other.disk.log(op.node));
    let all_kept = world.books.outcomes.confirmed_ops(&world.books.ledger).all(kept);
    // A node rejects its own registrations without a majority. A copy that has such an op issues it anew where no other
    // node has it.
    let known = |op: &Op| copy.rejects(op) || members().any(|other| op.seq <= other.disk.log(op.node));
    let mut rejected = world.books.outcomes.rejected_ops(&world.books.ledger).filter(|op| op.node == node);
    let all_known = rejected.all(known);
    // A node that is the only member as far as it knows decides before it meets anybody, so no comparison finds this in
    // time.
    let alone = world.books.ledger.members_on(&copy.disk, world.plan.founders).iter().all(|member| *member == node);
    let noticed = all_know && all_kept && all_known && !alone && members().next().is_some();
    let noticed = noticed && copy.knows_others(node);
    if noticed { Prospect::Noticed } else { Prospect::Unclear }
}

/// Returns true where a machine would show a node that its directory is an old copy.
fn knows_more(world: &World, other: &Machine, node: NodeId, copy: &Copy) -> bool {
    let out: BTreeSet<_> = world.books.ledger.out().collect();
    let is_member = other.replica().is_none_or(Replica::is_member);
    let has_ops = !copy.disk.passes(node, other.disk.head(node));
    let applied = world.books.ledger.applied(other.host).get(&node).copied().unwrap_or(0);
    let applied = Some(applied).filter(|_| !world.books.known.is_promising(node));
    let heard = world.books.known.heard(other.host, node).filter(|_| other.is_up());
    is_member && (has_ops || heard.is_some_and(|word| word.exceeds(&copy.disk, node, &out, applied)))
}

/// Before a node with an old copy takes in messages: notes when a member first showed it all that the member knows,
/// where this is more than the directory has.
pub(crate) fn note_shown(world: &mut World, host: Host) {
    let machine = &world.machines[host];
    if machine.old().is_none_or(|old| old.shown_at.is_some()) {
        return;
    }
    // Ops that it has just received it does not lack any more.
    let given = world.books.ledger.applied(host).iter().any(|(origin, seq)| *seq > machine.disk.log(*origin));
    if given {
        return;
    }
    let copy = copy_disk(world, host);
    let shows = |input: &Input| match input {
        Input::Message { from, message: Message::Vector(vector) } => {
            let other = world.machines.get(host_of(*from)).filter(|other| other.node == *from && other.is_up());
            let knows = other.is_some_and(|other| knows_more(world, other, machine.node, &copy));
            // The member may not have known this yet when it sent the message, so the message itself must show it.
            knows && vector.wants && says_more(vector, machine.node, &copy.disk)
        }
        _ => false,
    };
    let is_shown = machine.running().is_some_and(|running| running.inbox.iter().any(shows));
    let now = world.now;
    if let Some(old) = world.machines[host].old_mut().filter(|_| is_shown) {
        old.shown_at = Some(now);
    }
}

/// Notes where a node with an old copy has caught up: it may receive what the copy lacks before anybody notices. If it
/// has issued nothing meanwhile, and it had not promised more than the copy knows, it is as its latest directory was.
pub(crate) fn note_caught_up(world: &mut World, host: Host) {
    let machine = &world.machines[host];
    let node = machine.node;
    let Some(old) = machine.old().filter(|old| old.shown_at.is_none()) else { return };
    let mut durable = machine.disk.clone();
    durable.crash(0);
    let lacks = old.word.exceeds(&durable, node, &BTreeSet::new(), Some(Seq::MAX)) || old.word.denies(&durable, node);
    if lacks || old.promised_more || durable.head(node) != old.end {
        return;
    }
    world.mark("an old disk catches up");
    let (seq, chain) = durable.head(node);
    world.books.ledger.follow(node, seq, chain);
    let machine = &mut world.machines[host];
    (machine.directory, machine.restored) = (Directory::Latest, true);
}

/// Called before a process ends. Where it was the only one that remembered what a restored directory lacks, the outcome
/// of the run is uncertain.
pub(crate) fn witness_goes(world: &mut World, host: Host) {
    let old = |machine: &&Machine| machine.is_old() && machine.host != host;
    for other in world.machines.iter().filter(old).map(|machine| machine.host).collect::<Vec<_>>() {
        let (node, copy) = (world.machines[other].node, copy_disk(world, other));
        let knows = |machine: &&Machine| machine.host != other && knows_more(world, machine, node, &copy);
        let witnesses: Vec<Host> = world.machines.iter().filter(knows).map(|machine| machine.host).collect();
        let on_disk = !copy.disk.passes(node, world.machines[host].disk.head(node));
        world.copies.witness_gone |= witnesses == [host] && !on_disk;
    }
}

/// Called after the process of an old copy has ended. Where it had waited in vain for its peers and served alone, it
/// stored a greater ceiling, so a promise of the node's other directory proves nothing any more. Where there is no
/// other proof, the outcome of the run is uncertain.
pub(crate) fn proof_goes(world: &mut World, host: Host) {
    let machine = &world.machines[host];
    if machine.old().is_some_and(|old| old.shown_at.is_none()) {
        let (node, copy) = (machine.node, copy_disk(world, host));
        let mut others = world.machines.iter().filter(|other| other.host != host);
        let proven = others.any(|other| knows_more(world, other, node, &copy));
        world.copies.witness_gone |= !proven;
    }
}

/// Returns true where no node that a host reaches knows more of it than its directory has. A process that knew it has
/// ended, or it knew a promise and the node has promised more by itself since, or the nodes that the directory knows
/// have left.
pub(crate) fn is_past_notice(world: &World, host: Host) -> bool {
    let copy = copy_disk(world, host);
    let mut others = world.machines.iter().filter(|other| world.net.between(host, other.host).is_some());
    !others.any(|other| knows_more(world, other, world.machines[host].node, &copy))
}

/// Returns a copy of a machine's disk as it is now.
pub(crate) fn copy_disk(world: &World, host: Host) -> Copy {
    let (feed, told_first) = (world.books.feeds.feed(host), world.books.outcomes.told_first(host));
    Copy { disk: world.machines[host].disk.clone(), feed, told_first, made: world.now }
}

/// Keeps a copy of the durable content of a disk, for a fault that uses it later.
pub(crate) fn keep_copy(world: &mut World, index: usize) {
    let mut copy = copy_disk(world, world.plan.faults[index].what.host());
    copy.disk.crash(0);
    world.copies.kept.insert(index, copy);
}

/// Makes a machine that is down run with another disk. With one that is an old copy it must stop.
pub(crate) fn run_with(world: &mut World, host: Host, copy: Copy, is_old: bool) {
    world.books.feeds.set(host, copy.feed);
    let node = world.machines[host].node;
    if copy.disk.leaves() {
        world.books.orders.remembered(node);
    } else {
        world.books.orders.forgotten(node);
    }
    let word = world.books.known.said(node);
    let machine = &mut world.machines[host];
    machine.directory = if is_old {
        let promised_more = word.promised() > copy.disk.ceiling();
        let end = copy.disk.head(node);
        Directory::Old(Box::new(OldDirectory { end, promised_more, word, shown_at: None, shunned: true }))
    } else {
        Directory::Latest
    };
    machine.disk = copy.disk;
    if let Process::Down(down) = &mut machine.process {
        down.swapped = true;
    }
}

/// Returns true where a message shows a node that its directory lacks something.
fn says_more(vector: &Vector, node: NodeId, disk: &Disk) -> bool {
    let own = |entry: &&Entry| entry.origin == node;
    let more = |entry: &Entry| {
        entry.has.max(entry.promise.seq) > disk.log(node)
            || entry.promise.hlc > disk.ceiling()
            || !disk.passes(node, (entry.holds, entry.chain))
    };
    let held = vector.rows.iter().filter(|row| row.by == node).flat_map(|row| &row.held);
    vector.entries.iter().filter(own).any(more) || held.clone().any(|(origin, seq, _)| *seq > disk.log(*origin))
}
