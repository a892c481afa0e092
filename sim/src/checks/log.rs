//! Logs grow op by op, no op contradicts a promise of its origin, and no node holds an op that its origin never issued.

use forename::log::{Op, Seq};

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::{Seen, World};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Log;

impl Check for Log {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        let Seen::Takes { host, op } = what else { return Ok(()) };
        if op.node == world.machines[*host].node { issued(world, *host, op) } else { received(world, *host, op) }
    }
}

/// Judges an op that a node issues. A directory that is an old copy may issue anything, but no node may accept it.
fn issued(world: &World, host: Host, op: &Op) -> Checked {
    if world.machines[host].is_old() {
        return Ok(());
    }
    let log = world.books.ledger.log(op.node);
    if op.seq != log.len() as Seq + 1 {
        return broken("log", format!("{} issues op {} after {}", op.node, op.seq, log.len()));
    }
    if log.last().is_some_and(|last| last.hlc >= op.hlc) {
        return broken("log", format!("{} issues op {} at {}, not above its last", op.node, op.seq, op.hlc));
    }
    if !op.continues(log.last().map(|last| last.chain).unwrap_or_default()) {
        return broken("chain", format!("{} issues op {} that does not continue its log", op.node, op.seq));
    }
    let promised = world.books.ledger.promised(op.node);
    if op.hlc <= promised {
        return broken("promise", format!("{} issues {} at {}, but promised {promised}", op.node, op.seq, op.hlc));
    }
    Ok(())
}

fn received(world: &World, host: Host, op: &Op) -> Checked {
    if !world.books.ledger.was_issued(op) {
        return broken("log", format!("host {host} holds {}#{} that its origin never issued", op.node, op.seq));
    }
    if world.books.ledger.was_cut_for(host, op) {
        return broken("void", format!("host {host} takes {}#{}, which is void", op.node, op.seq));
    }
    Ok(())
}
