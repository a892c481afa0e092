//! Secrets go to members only: the cluster's secret, from which join tokens are derived, and the key of private names.
//! That key goes to readers too.

use forename::clock::NodeId;
use forename::codec;
use forename::name::Pepper;
use forename::replica::Message;
use forename::store::Write;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::ids::{SECRET, host_of};
use crate::world::{Seen, World};

const PRIVATE_KEY: &str = "the key of private names";

/// Returns the name of the secret that some bytes contain; none where they contain none.
fn secret_in(bytes: &[u8]) -> Option<&'static str> {
    let has = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    if has(&SECRET) {
        Some("the cluster's secret")
    } else if has(&codec::encode(&Pepper::derive(&SECRET))) {
        Some(PRIVATE_KEY)
    } else {
        None
    }
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Confidential;

impl Check for Confidential {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            Seen::Gives { host, to, rows } => gives(*host, *to, rows),
            Seen::Sends { host, to, message, .. } => sends(world, *host, *to, message),
            _ => Ok(()),
        }
    }
}

/// Checks a snapshot, which goes to a node that is not a member yet.
fn gives(host: Host, to: NodeId, rows: &[Write]) -> Checked {
    let secret = |row: &Write| secret_in(row.value.as_deref().unwrap_or_default());
    match rows.iter().find_map(|row| secret(row).map(|what| (what, row))) {
        Some((what, Write { table, key, .. })) => {
            let (table, key) = (table.name(), String::from_utf8_lossy(key));
            broken("confidential", format!("host {host} gives {to}, which is no member, {what} in {table}/{key}"))
        }
        None => Ok(()),
    }
}

/// Checks a message that is sent.
fn sends(world: &World, host: Host, to: NodeId, message: &Message) -> Checked {
    // These are most of all messages, and contain no bytes that a node chose.
    if matches!(message, Message::Ops { .. } | Message::Vector(_)) {
        return Ok(());
    }
    let Some(what) = secret_in(&codec::encode(message)) else { return Ok(()) };
    if world.books.ledger.was_ever_let_in(to, world.plan.founders) {
        return Ok(());
    }
    if world.plan.reads(host_of(to)) && matches!(message, Message::PrivateKey(_)) && what == PRIVATE_KEY {
        return Ok(());
    }
    broken("confidential", format!("host {host} tells {to}, which is no member, {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_stands() {
        assert_eq!(secret_in(&[1; 100]), None);
        assert_eq!(secret_in(&[&[1; 5], SECRET.as_slice(), &[2; 9]].concat()), Some("the cluster's secret"));
        let pepper = codec::encode(&Pepper::derive(&SECRET));
        assert_eq!(secret_in(&[&[1; 5], pepper.as_slice()].concat()), Some("the key of private names"));
    }
}
