//! Errors of the client.

use crate::model::{ClusterId, Problem};

/// The reason why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("{address:?} is not the address of a node: {why}; write it like http://127.0.0.1:7400")]
    Address {
        /// The address as it was given.
        address: String,
        /// The reason.
        why: String,
    },
    /// The token cannot be sent.
    #[error("the API token has characters that no header can hold; give it as 'forename token new' printed it")]
    Token,
    /// The certificates to trust over `https` cannot be used.
    #[error("the certificates to trust cannot be used: {0}; give a PEM file of the authority that signed the node's")]
    Ca(String),
    /// The client certificate for `https` cannot be used.
    #[error("the certificate to show cannot be used: {0}; give a PEM file that has the certificate and its key")]
    Identity(String),
    /// The name cannot be a segment of a URL's path.
    #[error("{0:?} cannot be part of an address, so it can only be reached by its registration")]
    Path(String),
    /// No answer arrived. It is not known whether the node did what it was asked, unless
    /// [`is_unsent`](Self::is_unsent).
    #[error("no answer from the node at {address}: {why}; a request with an id of its own can be repeated safely")]
    Unreachable {
        /// The node's address.
        address: String,
        /// The reason.
        why: String,
        /// True where there was a connection, so that the node may have got the request.
        sent: bool,
    },
    /// The address leads to another cluster than the one that is meant. Such a node has done nothing, if the request
    /// named the cluster. A client for which no cluster is set names it from its first answer on.
    #[error(
        "the node at {address} belongs to cluster {found}, and this client means cluster {meant}; check the address, or \
         name the other cluster if it is the one that you mean"
    )]
    OtherCluster {
        /// The node's address.
        address: String,
        /// The cluster that is meant.
        meant: ClusterId,
        /// The cluster that answered.
        found: ClusterId,
    },
    /// A node may have taken the registration and its answer was lost, while other nodes refuse it. They may not know
    /// of it yet.
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
    /// The answer does not come from a node, or from one of another version.
    #[error("the answer of {address} (HTTP status {status}) cannot be understood: {why}")]
    Answer {
        /// The node's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The reason.
        why: String,
    },
}

impl ClientError {
    /// Returns the problem that the node answered with, where it did.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Returns true where no connection was made. The node has certainly done nothing, so another node may be asked as
    /// if it were the first one.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable { sent: false, .. })
    }

    /// Returns true where no answer arrived.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Returns true where the node refuses for now and has done nothing: another node may do it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.problem().is_some_and(|problem| matches!(problem.status, 503 | 507))
    }

    /// Returns the error of a request that could not be sent or got no answer.
    pub(super) fn unreachable(address: &str, error: &reqwest::Error) -> Self {
        Self::Unreachable { address: address.to_owned(), why: chain(error), sent: !error.is_connect() }
    }

    /// Returns one error for all nodes that were tried: the last refusal, or else all attempts.
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

    /// Returns true where the names have gone to another registration, now or for good.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.problem().is_some_and(Problem::is_taken)
    }
}

impl From<Box<Problem>> for ClientError {
    /// Makes the error of a caller that asks a node in its own process.
    fn from(problem: Box<Problem>) -> Self {
        Self::Problem(problem)
    }
}

/// Returns the innermost cause, which says most: "Connection refused".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
