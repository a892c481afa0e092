//! Arguments that many commands share: which node to ask, and how to print the answer.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::failure::Failure;
use crate::client::Client;
use crate::model::ClusterId;

/// The nodes that a client command may ask, and how to reach them.
#[derive(Args, Debug)]
pub(super) struct NodeArgs {
    /// The node to ask; several with commas, or given again: the next one is asked where one cannot be reached or
    /// refuses for now
    #[arg(
        long = "node",
        value_name = "URL",
        env = "FORENAME_NODE",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7400",
        help_heading = NODE
    )]
    addresses: Vec<String>,
    /// Refuse to talk to a node of another cluster than this one
    #[arg(long, value_name = "ID", env = "FORENAME_CLUSTER", help_heading = NODE)]
    cluster: Option<ClusterId>,
    /// The secret of an API token, where the node asks for one; others on this machine can see it in the list of
    /// processes, so prefer the variable or the file
    #[arg(long, value_name = "SECRET", env = "FORENAME_API_TOKEN", hide_env_values = true, help_heading = NODE)]
    api_token: Option<String>,
    /// A file that contains the secret and nothing else
    #[arg(
        long,
        value_name = "FILE",
        env = "FORENAME_API_TOKEN_FILE",
        conflicts_with = "api_token",
        help_heading = NODE
    )]
    api_token_file: Option<PathBuf>,
    /// With https: trust the certificates of this PEM file, and no others; by default those that the system trusts
    #[arg(long, value_name = "FILE", env = "FORENAME_CA_FILE", help_heading = NODE)]
    ca_file: Option<PathBuf>,
    /// With https: show the certificate of this PEM file, which has its key too, to a node that asks for one
    #[arg(long, value_name = "FILE", env = "FORENAME_CLIENT_CERT", help_heading = NODE)]
    client_cert: Option<PathBuf>,
}

const NODE: &str = "Which node";

/// The node that a client command asks, and the format of the answer.
#[derive(Args, Debug)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    pub(super) node: NodeArgs,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
}

/// The data directory of a stopped node that a command works on, and the format of the result.
#[derive(Args, Debug)]
pub(super) struct OfflineArgs {
    /// Where the node kept its identity and its state; it must not run
    #[arg(long, value_name = "DIR", env = "FORENAME_DATA_DIR")]
    pub(super) data_dir: PathBuf,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
}

/// The format of an answer.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Format {
    Text,
    Json,
}

/// The formats of a command that prints rows.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Tabular {
    Text,
    Json,
    Csv,
}

impl NodeArgs {
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let mut client = Client::any_of(&self.addresses)?;
        if let Some(cluster) = self.cluster {
            client = client.of_cluster(cluster);
        }
        if let Some(path) = &self.ca_file {
            client = client.with_ca(&read("the certificates", path)?)?;
        }
        if let Some(path) = &self.client_cert {
            client = client.with_identity(&read("the certificate to show", path)?)?;
        }
        let secret = match (&self.api_token, &self.api_token_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(path)) => String::from_utf8_lossy(&read("the API token", path)?).into_owned(),
            (None, None) => String::new(),
        };
        match secret.trim() {
            "" => Ok(client),
            secret => Ok(client.with_token(secret)?),
        }
    }
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read {what} in {}: {error}; nothing was done", path.display())))
}

impl ClientArgs {
    /// Makes a client that names an owner when it changes a registration by its id.
    pub(super) fn client_for(&self, owner: Option<&str>) -> Result<Client, Failure> {
        let client = self.client()?;
        Ok(match owner {
            Some(owner) => client.for_owner(owner),
            None => client,
        })
    }

    pub(super) fn client(&self) -> Result<Client, Failure> {
        self.node.client()
    }
}
