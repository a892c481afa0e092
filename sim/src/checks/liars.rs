//! No node takes a node for a member that nobody admitted, or believes a false address that a liar sent.

use forename::replica::Contact;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::violation::{Checked, broken};
use crate::world::ids::{host_of, is_stranger};
use crate::world::{Seen, World};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Liars;

impl Check for Liars {
    fn saw(&mut self, what: &Seen<'_>, _: &World, _: &mut Marks) -> Checked {
        let Seen::Peers { host, members } = what else { return Ok(()) };
        let made_up = |contact: &&Contact| {
            is_stranger(contact.node) || contact.address != format!("host{}:7400", host_of(contact.node))
        };
        match members.iter().find(made_up) {
            Some(contact) => broken("liar", format!("host {host} takes {contact:?} for a member, as a liar said")),
            None => Ok(()),
        }
    }
}
