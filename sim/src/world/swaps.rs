//! Data directories that are restored from a copy, or run twice.

use crate::plan::{CopyRun, Host, Trouble};
use crate::violation::Checked;
use crate::world::copies::{Copy, Original};
use crate::world::process;
use crate::world::prospects::{self, Prospect};
use crate::world::seen::Seen;
use crate::world::state::World;

/// Restores an old copy of a data directory while the process is down.
pub(crate) fn put_back(world: &mut World, host: Host, index: usize, run: CopyRun) {
    let Some(copy) = world.copies.kept.remove(&index) else { return };
    let replaced = replace(world, host, copy, run, ["an old disk is put back", "an old disk goes on"]);
    world.copies.put_back |= replaced && world.machines[host].is_old();
}

/// Replaces the disk of a machine that is down by a copy, where the prospect of the copy is certain. Sets a mark: the
/// first where the copy must be noticed, the second where it goes on. Returns false where nothing was done.
fn replace(world: &mut World, host: Host, copy: Copy, run: CopyRun, marks: [&'static str; 2]) -> bool {
    let prospect = prospects::prospect(world, host, &copy);
    if prospect == Prospect::Unclear {
        return false;
    }
    world.note(&Seen::Swapped(host));
    if run.clock {
        let back = i64::try_from((world.now - copy.made) / 1000).unwrap_or(0);
        world.machines[host].clock.step(-back);
        world.mark("a machine's clock goes back with its disk");
    }
    if prospect == Prospect::Noticed {
        world.mark(marks[0]);
        let node = world.machines[host].node;
        let others = world.machines.iter().filter(|other| other.host != host);
        let elsewhere = others.map(|other| other.disk.log(node)).max().unwrap_or(0);
        world.books.ledger.replaced(node, copy.disk.head(node), elsewhere);
        prospects::run_with(world, host, copy, true);
        if let Some(old) = world.machines[host].old_mut() {
            old.shunned = !run.served;
        }
    } else {
        world.mark(marks[1]);
        let node = world.machines[host].node;
        let promised = world.books.known.said(node).promised();
        world.books.ledger.nobody_heard(node, promised);
        prospects::run_with(world, host, copy, false);
    }
    true
}

/// Lets the copy of a directory run in its place, where nobody has seen what was done since the copy was made. At the
/// next call the directory itself runs again.
pub(crate) fn swap(world: &mut World, index: usize) -> Checked {
    let plan = world.plan.clone();
    let Trouble::Cloned { host, run, .. } = &plan.faults[index].what else { return Ok(()) };
    let (host, run) = (*host, *run);
    if world.net.is_healed() {
        return Ok(());
    }
    let node = world.machines[host].node;
    let runs = world.machines[host].is_up() && !world.machines[host].is_old();
    if let Some(original) = world.copies.originals.remove(&index) {
        let usable =
            original.node == node && runs && prospects::prospect(world, host, &original.copy) != Prospect::Unclear;
        if usable {
            process::crash(world, host, 100);
            let marks = ["a copied directory runs again", "a copied directory goes on"];
            replace(world, host, original.copy, CopyRun { clock: false, ..run }, marks);
            return process::start(world, host);
        }
        return Ok(());
    }
    for other in (0..world.machines.len()).filter(|other| *other != host) {
        world.net.mend(host, other);
        world.net.mend(other, host);
    }
    let Some(copy) = world.copies.kept.remove(&index) else { return Ok(()) };
    if runs && prospects::prospect(world, host, &copy) == Prospect::GoesOn {
        process::crash(world, host, 100);
        let original = Original { node, copy: prospects::copy_disk(world, host) };
        replace(world, host, copy, run, ["a copy of a directory runs in its place"; 2]);
        world.copies.originals.insert(index, original);
        return process::start(world, host);
    }
    Ok(())
}
