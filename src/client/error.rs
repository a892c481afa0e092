//! Why a call has no answer.

use crate::model::{ClusterId, Problem};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("{address:?} is not the address of a node: {why}; write it like http://127.0.0.1:7400")]
    Address {
        /// As given.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The token cannot be sent.
    #[error("the API token has characters that no header can hold; give it as 'forename token new' printed it")]
    Token,
    /// The certificates to trust with `https` cannot be used.
    #[error("the certificates to trust cannot be used: {0}; give a PEM file of the authority that signed the node's")]
    Ca(String),
    /// A name that no path can hold.
    #[error("{0:?} cannot be part of an address, so it can only be reached by its registration")]
    Path(String),
    /// No answer arrived. Whether the node did what it was asked is not known, unless [`is_unsent`](Self::is_unsent).
    #[error("no answer from the node at {address}: {why}; a request with an id of its own can be repeated safely")]
    Unreachable {
        /// The node's address.
        address: String,
        /// What happened.
        why: String,
        /// Whether there was a connection, so that the node may have got the request.
        sent: bool,
    },
    /// The address leads to another cluster than the one that is meant. A node does nothing for whoever says that it means
    /// another cluster; a client that has not been told says so from its first answer on.
    #[error(
        "the node at {address} belongs to cluster {found}, and this client means cluster {meant}; check the address, or \
         name the other cluster if it is the one that you mean"
    )]
    OtherCluster {
        /// The node's address.
        address: String,
        /// The cluster that is meant.
        meant: ClusterId,
        /// The one that answered.
        found: ClusterId,
    },
    /// A node may have taken the registration and its answer was lost, while others refuse it: they may not have heard of it.
    #[error(
        "a node may have taken registration {id} and did not answer, and another one refuses it ({refusal}); ask again with the \
         same id, or take the outcome from the event feed"
    )]
    Uncertain {
        /// The registration's id.
        id: uuid::Uuid,
        /// The refusal.
        refusal: Box<Problem>,
    },
    /// The node refused, or the registration lost.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// Whatever answered is no node, or of another version.
    #[error("the answer of {address} (HTTP status {status}) cannot be understood: {why}")]
    Answer {
        /// The node's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong.
        why: String,
    },
}

impl ClientError {
    /// The problem that the node answered with, where it did.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether no connection came about, so that the node has certainly done nothing: another one may be asked as if it
    /// were the first.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable { sent: false, .. })
    }

    /// Whether no answer arrived.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the node refuses for now and has done nothing: another one may take it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.problem().is_some_and(|problem| matches!(problem.status, 503 | 507))
    }

    /// Of a request that could not be sent, or had no answer.
    pub(super) fn unreachable(address: &str, error: &reqwest::Error) -> Self {
        Self::Unreachable { address: address.to_owned(), why: chain(error), sent: !error.is_connect() }
    }

    /// Of several nodes, why none has answered: the last word of one that refused, or all that was tried.
    pub(super) fn all(failures: Vec<Self>) -> Self {
        let (mut addresses, mut whys, mut any_sent) = (Vec::new(), Vec::new(), false);
        let (several, mut refused) = (failures.len() > 1, None);
        for failure in failures {
            match failure {
                Self::Unreachable { address, why, sent } => {
                    whys.push(if several { format!("{address}: {why}") } else { why });
                    addresses.push(address);
                    any_sent |= sent;
                }
                other => refused = Some(other),
            }
        }
        let (address, why) = (addresses.join(" and "), whys.join("; "));
        refused.unwrap_or(Self::Unreachable { address, why, sent: any_sent })
    }

    /// Whether the names went to somebody else, now or for good.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.problem().is_some_and(Problem::is_taken)
    }
}

impl From<Box<Problem>> for ClientError {
    /// The error of a caller that asks a node in its own process.
    fn from(problem: Box<Problem>) -> Self {
        Self::Problem(problem)
    }
}

/// The innermost cause, which says most: "Connection refused".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
