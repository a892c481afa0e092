//! The scopes of API tokens.

use serde::{Deserialize, Serialize};

/// What an API token lets its bearer do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[non_exhaustive]
pub enum Scope {
    /// Registers, and nothing else. It is told which names are taken, and not by which registration.
    Register,
    /// Registers, and activates, extends, renames, releases and erases what it can name the owner of, or has opened itself.
    Claim,
    /// Is told what is known of names, registrations and the cluster; reads the feed.
    Read,
    /// Sets rules, makes join tokens, takes backups, puts members out. Has the others with it.
    Admin,
}
