//! Explanations of why a registration or a name has its present state.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::WaitReason;
use super::text::{Time, stamp};
use crate::clock::{NodeId, Stamp};

/// Which of the cases it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Case {
    /// Nobody ever claimed the name.
    NeverHeld,
    /// The name was held and is free again.
    FreeAgain,
    /// The outcome is not final; no earlier claim is known.
    Pending,
    /// The outcome is not final; an earlier claim is known.
    Contested,
    /// It has its names.
    Confirmed,
    /// It has its names until its time is over.
    Reserved,
    /// Its time is over, which is not final.
    Expiring,
    /// It was given up, which is not final.
    Releasing,
    /// It had its names, and they have all ended.
    Ended,
    /// It lost.
    Rejected,
    /// It is over, and was erased.
    Erased,
}

/// Why something is where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Explanation {
    /// The name, or the registration's id.
    pub subject: String,
    /// Which of the cases it is.
    pub case: Case,
    /// What is so, in a sentence or two.
    pub summary: String,
    /// The rule that makes it so.
    pub rule: String,
    /// The operations that decide it, earliest first.
    pub decided_by: Vec<DecidingOp>,
    /// Members that it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<AwaitedMember>,
    /// What ends the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// An operation that decides something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DecidingOp {
    /// Its stamp.
    #[serde(with = "stamp")]
    #[cfg_attr(feature = "node", schema(value_type = String, pattern = "^[0-9]+[.][0-9]+@[0-9a-f]{16}$"))]
    pub stamp: Stamp,
    /// The node that issued it.
    pub node: NodeId,
    /// That node's label, as far as it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// When.
    pub at: Time,
    /// What it did and what came of that.
    pub what: String,
}

/// A member that is waited for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct AwaitedMember {
    /// The member.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// When it was last heard of; none where it has not been since the answering node started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What is the matter with it, as a code.
    #[serde(default)]
    #[cfg_attr(feature = "node", schema(required = true))]
    pub reason: WaitReason,
    /// The same as a sentence.
    pub why: String,
}

impl fmt::Display for Explanation {
    /// Writes the explanation on several lines, for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        writeln!(f, "  {}", self.summary)?;
        writeln!(f, "  The rule: {}", self.rule)?;
        if !self.decided_by.is_empty() {
            writeln!(f, "  Decided by:")?;
        }
        for op in &self.decided_by {
            writeln!(f, "    {} node {} {}", op.at, labelled(op.node, &op.label), op.what)?;
        }
        if !self.waiting_for.is_empty() {
            writeln!(f, "  Waits for:")?;
        }
        for member in &self.waiting_for {
            writeln!(f, "    {}: {}", labelled(member.node, &member.label), member.why)?;
        }
        match &self.until {
            Some(until) => writeln!(f, "  {until}"),
            None => Ok(()),
        }
    }
}

fn labelled(node: NodeId, label: &str) -> String {
    if label.is_empty() { node.to_string() } else { format!("{label} ({node})") }
}
