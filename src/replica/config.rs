//! The configuration of a replica.

use crate::log::{self, Contact};
use crate::model::limits::MAX_OPEN_OF_OWNER;
use crate::registry;

/// The configuration of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The configuration of its log, its gossip and its clock.
    pub log: log::Config,
    /// How many registrations of one owner may be open at once, which are the undecided ones and the reservations that
    /// are not activated; none: any number. Only the owner's latest registrations are counted.
    pub max_open_of_owner: Option<u32>,
    /// How many registrations of one owner may hold names, with the permanent ones; none: any number.
    pub max_total_of_owner: Option<u32>,
}

impl Config {
    /// The defaults for a node. `seed` is the seed of its random choices of peers.
    #[must_use]
    pub fn new(contact: Contact, seed: u64) -> Self {
        Self {
            log: log::Config::new(contact, seed),
            max_open_of_owner: Some(MAX_OPEN_OF_OWNER),
            max_total_of_owner: None,
        }
    }

    /// Returns the registry's part of the configuration.
    pub(super) fn registry(&self) -> registry::Config {
        registry::Config {
            tidy_every: self.log.heartbeat,
            max_open_of_owner: self.max_open_of_owner,
            max_total_of_owner: self.max_total_of_owner,
            seed: self.log.seed,
        }
    }
}
