//! A node stops by itself only where it must, because its store has failed or its data directory is an old copy; and
//! then it does stop.

use forename::clock::Hlc;
use forename::replica::Message;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::net::Micros;
use crate::world::{Seen, World};

/// Time within which a node must stop after a peer has shown it that its directory is an old copy: an fsync on the
/// slowest disk, and some more.
const STOPS_WITHIN: Micros = 5_000_000;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Halt;

impl Check for Halt {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            Seen::Halts(host, why) if !world.machines[*host].is_failing() && !world.machines[*host].is_old() => {
                broken("halt", format!("host {host} stops: {why}"))
            }
            Seen::Sends { host, message, .. } => speaks_on(world, *host, message),
            _ => Ok(()),
        }
    }
}

/// Checks that a node whose directory is an old copy, and which was shown that, sends nothing of its own log any more.
fn speaks_on(world: &World, host: Host, message: &Message) -> Checked {
    let machine = &world.machines[host];
    let shown = machine.old().and_then(|old| old.shown_at).filter(|at| world.now > *at + STOPS_WITHIN);
    let speaks = match message {
        Message::Ops { ops, .. } => ops.iter().any(|op| op.node == machine.node),
        Message::Vector(vector) => {
            vector.entries.iter().any(|entry| entry.origin == machine.node && entry.promise.hlc > Hlc::ZERO)
        }
        _ => false,
    };
    if shown.is_some() && speaks {
        let text = format!("host {host} goes on with an old disk although it was shown what that lacks: {message:?}");
        return broken("halt", text);
    }
    Ok(())
}
