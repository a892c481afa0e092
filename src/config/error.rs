//! Errors of the settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::api::auth::ApiTokensError;
use crate::api::{GateError, TlsError};

/// The reason why settings cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {error}; correct --config or FORENAME_CONFIG")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The file is not TOML, or has keys or values that are not valid.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The place in the file, and the reason.
        error: Box<toml::de::Error>,
    },
    /// The value of a variable is not valid.
    #[error("{name}={value:?}: {why}; 'forename serve --help' tells what to write")]
    Variable {
        /// The name of the variable.
        name: String,
        /// Its value.
        value: String,
        /// The reason.
        why: String,
    },
    /// An address to join was given without a join token.
    #[error(
        "to join a cluster takes a join token besides --join, the address of a member: 'forename member token' prints one \
         there; write it into a file and give that as --join-token-file"
    )]
    HalfJoin,
    /// Two join tokens were given.
    #[error("a join token is given as --token and as --join-token-file; leave one out")]
    TwoTokens,
    /// The file with the join token cannot be read.
    #[error("cannot read the join token in {path}: {error}; write what 'forename member token' printed into it")]
    JoinToken {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The address at which other nodes are to reach this one is none.
    #[error(
        "advertise is {0:?}, and not an address at which other nodes reach this one; write HOST:PORT, with the name or the \
         address of this machine"
    )]
    Advertise(String),
    /// A node that is to join listens at every address, and does not say at which of them others reach it.
    #[error(
        "this node is to join a cluster, and the members could not reach it: it listens at {0}, which means every address of \
         this machine; give the one that they reach as --advertise HOST:PORT"
    )]
    Nowhere(SocketAddr),
    /// A number of connections with which nobody could be served.
    #[error(
        "{setting} is {given}, with which the node could not be asked any more; write {least} or more, or leave it out"
    )]
    TooFew {
        /// The setting.
        setting: &'static str,
        /// Its value.
        given: u32,
        /// The least value that it may have.
        least: u32,
    },
    /// The file of the API tokens cannot be read.
    #[error(
        "cannot read the API tokens in {path}: {error}; correct api_tokens, or make the file: 'forename token new' prints a \
         token for it"
    )]
    ApiTokenFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The API tokens cannot be used together.
    #[error(transparent)]
    ApiTokens(#[from] ApiTokensError),
    /// A host name or an origin is not valid.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A certificate was given without its key, or a key without its certificate.
    #[error("TLS takes both a certificate and its key: give tls.cert and tls.key, or --tls-cert and --tls-key")]
    HalfTls,
    /// The certificates or the key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of the audit log cannot be opened.
    #[error("cannot open the audit log {path}: {error}; its directory has to be there and be the node's user's to write", path = path.display())]
    AuditLog {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The filter of the log is not valid.
    #[error(
        "{filter:?} does not say what to log ({why}); write a level, or parts with levels, like info,forename=debug"
    )]
    Log {
        /// The filter as it was given.
        filter: String,
        /// The reason.
        why: String,
    },
    /// A file of API tokens is empty. Whoever names such a file does not want to let everybody in.
    #[error(
        "{0} has no [[api_token]], so that everybody could call this node; put one in, or leave the file out. `forename \
         token new` makes one"
    )]
    NoApiTokens(PathBuf),
    /// HTTP would be open to strangers.
    #[error(
        "refusing to serve HTTP at {0}, beyond this machine: without API tokens callers are not authenticated, so whoever \
         reaches it could take and release names and let nodes into the cluster; listen at a loopback address, make \
         tokens with 'forename token new' and give their file as --api-tokens, or give --insecure where a firewall or a \
         proxy keeps strangers out"
    )]
    Exposed(SocketAddr),
}
