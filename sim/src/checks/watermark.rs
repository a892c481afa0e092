//! A watermark only rises, passes no op that has not arrived, and no op is issued below it.

use forename::clock::Hlc;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::{Seen, World};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Watermark;

impl Check for Watermark {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            Seen::Took { host, op } => {
                let machine = &world.machines[*host];
                let issued = op.node == machine.node && !machine.is_old();
                let past = world.books.ledger.host_past(op.hlc, *host).filter(|_| issued);
                match past.filter(|_| world.books.ledger.counts(op.node)) {
                    Some((other, at)) => broken(
                        "watermark",
                        format!("{} issues {} below the watermark {at} of host {other}", op.node, op.hlc),
                    ),
                    None => Ok(()),
                }
            }
            Seen::Watermark { host, watermark } => rises(world, *host, *watermark),
            _ => Ok(()),
        }
    }
}

fn rises(world: &World, host: Host, watermark: Hlc) -> Checked {
    let ledger = &world.books.ledger;
    let before = ledger.watermark_of(host);
    if watermark < before {
        return broken("watermark", format!("host {host} goes back from {before} to {watermark}"));
    }
    if watermark == before || world.machines[host].is_old() {
        return Ok(());
    }
    for (node, log) in ledger.logs() {
        let applied = usize::try_from(ledger.applied(host).get(&node).copied().unwrap_or(0)).unwrap_or(usize::MAX);
        if let Some(missing) = log.get(applied).filter(|op| op.hlc <= watermark && ledger.counts(node)) {
            let text = format!("host {host} at {watermark} lacks {node}#{} of {}", missing.seq, missing.hlc);
            return broken("watermark", text);
        }
    }
    Ok(())
}
