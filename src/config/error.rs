//! Why settings cannot be used.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::api::auth::ApiTokensError;
use crate::api::{GateError, TlsError};

/// Why settings cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no TOML, or has keys or values that do not fit.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// A variable's value does not fit.
    #[error("{name}={value:?}: {why}; 'forename serve --help' tells what to write")]
    Variable {
        /// Which variable.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// Half of what joining takes.
    #[error(
        "to join a cluster takes a join token besides --join, the address of a member: 'forename member token' prints one \
         there; write it into a file and give that as --join-token-file"
    )]
    HalfJoin,
    /// Two join tokens.
    #[error("a join token is given as --token and as --join-token-file; leave one out")]
    TwoTokens,
    /// The file with the join token cannot be read.
    #[error("cannot read the join token in {path}: {error}; write what 'forename member token' printed into it")]
    JoinToken {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The API tokens cannot be used together.
    #[error(transparent)]
    ApiTokens(#[from] ApiTokensError),
    /// A name or an origin that cannot be let in.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// TLS takes a certificate and its key.
    #[error("TLS takes both a certificate and its key: give tls.cert and tls.key, or --tls-cert and --tls-key")]
    HalfTls,
    /// The certificates or the key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of the audit log cannot be opened.
    #[error("cannot open the audit log {path}: {error}; its directory has to be there and be the node's user's to write", path = path.display())]
    AuditLog {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What is to be logged cannot be understood.
    #[error(
        "{filter:?} does not say what to log ({why}); write a level, or parts with levels, like info,forename=debug"
    )]
    Log {
        /// As it was given.
        filter: String,
        /// What is wrong.
        why: String,
    },
    /// A file of API tokens has none, and whoever names one does not mean everybody.
    #[error(
        "{0} has no [[api_token]], so that everybody could call this node; put one in, or leave the file out. `forename \
         token new` makes one"
    )]
    NoApiTokens(PathBuf),
    /// HTTP would listen where anybody may come.
    #[error(
        "refusing to serve HTTP at {0}, beyond this machine: without API tokens callers are not authenticated, so whoever \
         reaches it could take and release names and let nodes into the cluster; listen at a loopback address, make \
         tokens with 'forename token new' and give their file as --api-tokens, or give --insecure where a firewall or a \
         proxy keeps strangers out"
    )]
    Exposed(SocketAddr),
}
