//! The health of a node: a verdict, and what an operator should look at.

use serde::{Deserialize, Serialize};

use crate::clock::NodeId;

/// How a node is, as it says itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Health {
    /// In a word.
    pub verdict: Verdict,
    /// What an operator should look at, the worst first; none where it is healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
}

/// Whether a node takes registrations, and whether anything is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It takes registrations, and nothing is wrong.
    Healthy,
    /// It takes registrations, and there is something to look at: outcomes may take longer.
    Degraded,
    /// It answers questions and takes no registrations.
    ReadOnly,
}

/// Something that an operator should look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Trouble {
    /// As a code: that of the problem which registrations are refused with, or `fork`, `skewed`, `refuses-ours`, `silent`,
    /// `unconnected`, `eviction`, `joining` or `overdue`.
    pub code: String,
    /// The members that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeId>,
    /// What is wrong and what it means, as a sentence.
    pub why: String,
    /// The command that helps, or tells more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

#[cfg(feature = "node")]
impl Health {
    pub(crate) fn new(verdict: Verdict, troubles: Vec<Trouble>) -> Self {
        Self { verdict, troubles }
    }
}

#[cfg(feature = "node")]
impl Trouble {
    pub(crate) fn new(code: impl Into<String>, nodes: Vec<NodeId>, why: String, command: Option<String>) -> Self {
        Self { code: code.into(), nodes, why, command }
    }
}
