//! Messages that waited for an fsync go out together. There must be no more of them than a peer can use.

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::stats::burst;
use crate::violation::{Checked, broken};
use crate::world::{Seen, World};

/// Greatest number of messages to one peer in one step: some for each message that a peer may have sent meanwhile. A
/// guess.
const BURST: usize = 400;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Burst;

impl Check for Burst {
    fn saw(&mut self, what: &Seen<'_>, _: &World, _: &mut Marks) -> Checked {
        let Seen::Says { host, outputs } = what else { return Ok(()) };
        match burst(outputs) {
            most if most > BURST => {
                broken("bounds", format!("host {host} lets out {most} messages to one peer at once"))
            }
            _ => Ok(()),
        }
    }
}
