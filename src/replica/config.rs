//! What a replica is given.

use crate::log::{self, Contact};
use crate::model::limits::MAX_OPEN_OF_OWNER;
use crate::registry;

/// What a node knows of itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// What concerns its log, its peers and its clock.
    pub log: log::Config,
    /// Registrations of one owner that may be open at once: undecided, or reservations that are not activated; none: any
    /// number. Counted among the owner's latest ones.
    pub max_open_of_owner: Option<u32>,
    /// Registrations of one owner that may hold names, permanent ones counted; none: any number.
    pub max_total_of_owner: Option<u32>,
}

impl Config {
    /// The defaults for a node. `seed` is that of its random choices of peers.
    #[must_use]
    pub fn new(contact: Contact, seed: u64) -> Self {
        Self {
            log: log::Config::new(contact, seed),
            max_open_of_owner: Some(MAX_OPEN_OF_OWNER),
            max_total_of_owner: None,
        }
    }

    /// What the registry is told of it.
    pub(super) fn registry(&self) -> registry::Config {
        registry::Config {
            tidy_every: self.log.heartbeat,
            max_open_of_owner: self.max_open_of_owner,
            max_total_of_owner: self.max_total_of_owner,
            seed: self.log.seed,
        }
    }
}
