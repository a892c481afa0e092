//! The list of namespaces.

use serde::{Deserialize, Serialize};

use super::ProfileName;

/// A namespace that is known at the node that is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ListedNamespace {
    /// The namespace.
    pub namespace: String,
    /// How its names are written.
    pub profile: ProfileName,
    /// Whether its names are private.
    pub private: bool,
    /// Whether somebody has set rules for it; otherwise the defaults are in force.
    pub rules_set: bool,
    /// Whether any of its names was ever claimed.
    pub has_names: bool,
}

/// A page of the namespaces that are known, in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Namespaces {
    /// May be empty although there are more.
    pub namespaces: Vec<ListedNamespace>,
    /// Where to go on: give it as `after`; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
