//! The settings of a node. Flags come before environment variables, these before the file, and the file before the
//! defaults.

mod error;

#[cfg(feature = "cli")]
use std::error::Error;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

#[cfg(feature = "cli")]
use clap::{Arg, CommandFactory, Parser, builder::BoolishValueParser};
use serde::{Deserialize, Serialize};

pub use self::error::ConfigError;
pub use crate::api::auth::{ApiToken, ApiTokens, ApiTokensError, Rate, SecretHash, SecretHashError};
pub use crate::api::{Connections, Doors, Gate, GateError, Shared, Tls, TlsError, TlsFiles};
pub use crate::audit::Audit;
use crate::model::limits::MAX_OPEN_OF_OWNER;
use crate::node::{JoinConfig, MIN_FREE, NodeConfig, WebhookOptions};
pub use crate::traces::{Traces, TracesError};

/// The default port of the HTTP interface.
pub const HTTP_PORT: u16 = 7400;
/// The default port for other nodes.
pub const PEER_PORT: u16 = 7401;
/// The default directory of a node's state.
pub const DATA_DIR: &str = "./forename-data";

/// Settings from one source; what is not set is left to the next. Each field is a flag, the variable `FORENAME_` with the
/// field's name, and a key of the file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(Parser))]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// Where the node keeps its identity and its state [env: FORENAME_DATA_DIR] [default: ./forename-data]
    #[serde(alias = "data-dir")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "DIR"))]
    pub data_dir: Option<PathBuf>,
    /// Where HTTP listens [env: FORENAME_HTTP] [default: 127.0.0.1:7400]
    #[cfg_attr(feature = "cli", arg(long, value_name = "ADDR", value_parser = address))]
    pub http: Option<SocketAddr>,
    /// Where QUIC listens for other nodes [env: FORENAME_PEER] [default: 127.0.0.1:7401]
    #[cfg_attr(feature = "cli", arg(long, value_name = "ADDR", value_parser = address))]
    pub peer: Option<SocketAddr>,
    /// Where other nodes reach it, if not where it listens [env: FORENAME_ADVERTISE]
    #[cfg_attr(feature = "cli", arg(long, value_name = "ADDR"))]
    pub advertise: Option<String>,
    /// With an empty data directory, or one that rejoins: join the cluster of the member at this address, in place of those that
    /// the join token names [env: FORENAME_JOIN]
    #[cfg_attr(feature = "cli", arg(long, value_name = "ADDR"))]
    pub join: Option<String>,
    /// What 'forename member token' printed at a member; others on this machine can see it in the list of processes, so prefer
    /// the file [env: FORENAME_TOKEN]
    #[cfg_attr(feature = "cli", arg(long))]
    pub token: Option<String>,
    /// Be a reader: take all that the members have, answer what is asked, and change nothing [env: FORENAME_READER]
    ///
    /// Nobody waits for a reader. It needs what 'forename member token --reader' printed at every start.
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "true",
            value_parser = BoolishValueParser::new(),
            value_name = "BOOL"
        )
    )]
    pub reader: Option<bool>,
    /// A file with the join token on its last line [env: FORENAME_JOIN_TOKEN_FILE]
    #[serde(alias = "join-token-file")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    pub join_token_file: Option<PathBuf>,
    /// A name for the node, for people [env: FORENAME_NAME]
    #[cfg_attr(feature = "cli", arg(long, value_name = "LABEL"))]
    pub name: Option<String>,
    /// The most registrations that an owner may have open at once, 0 for any number [env: FORENAME_MAX_OPEN] [default: 10000]
    ///
    /// Open are those that are not decided yet, and reservations that are not activated, as this node knows them. More
    /// are refused, so that nobody can reserve the dictionary.
    #[serde(alias = "max-open")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COUNT"))]
    pub max_open: Option<u32>,
    /// The most registrations that hold names that an owner may have, 0 for any number [env: FORENAME_MAX_TOTAL] [default: 0]
    ///
    /// All are counted that this node knows, pending, reserved or permanent, until their names have been given up. A token
    /// may have a limit of its own, on what is registered with it.
    #[serde(alias = "max-total")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COUNT"))]
    pub max_total: Option<u32>,
    /// A TOML file of API tokens, as 'forename token new' makes them; no token, no call [env: FORENAME_API_TOKENS]
    #[serde(alias = "api-tokens")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    pub api_tokens: Option<PathBuf>,
    /// Speak HTTPS, with the certificate in this PEM file; as `tls = { cert, key, client_ca }` in the file
    /// [env: FORENAME_TLS_CERT]
    ///
    /// Those between it and the authority follow it in the file. It is read anew at the signal HUP, with the key.
    #[serde(skip_deserializing)]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate, in a PEM file [env: FORENAME_TLS_KEY]
    #[serde(skip_deserializing)]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    pub tls_key: Option<PathBuf>,
    /// Let only those call who show a certificate of an authority in this PEM file [env: FORENAME_TLS_CLIENT_CA]
    #[serde(skip_deserializing)]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    pub tls_client_ca: Option<PathBuf>,
    /// The three of them, as a table of the file.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "cli", arg(skip))]
    pub tls: Option<TlsTable>,
    /// Write what administrators do into this file too, a JSON object a line [env: FORENAME_AUDIT_LOG]
    ///
    /// It is appended to, and opened anew at the signal HUP.
    #[serde(alias = "audit-log")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    pub audit_log: Option<PathBuf>,
    /// What is logged, like `info` or `forename=debug` [env: FORENAME_LOG] [default: info]
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILTER"))]
    pub log: Option<String>,
    /// Names by which HTTP may be called, besides localhost and IP addresses; several with commas [env: FORENAME_HOSTS]
    ///
    /// A call to another name is refused: a web page that points its own name at this node could read everything.
    #[serde(default)]
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME", value_delimiter = ','))]
    pub hosts: Vec<String>,
    /// Origins of web pages that may call, like `https://desk.example.org`; several with commas [env: FORENAME_ORIGINS]
    #[serde(default)]
    #[cfg_attr(feature = "cli", arg(long, value_name = "ORIGIN", value_delimiter = ','))]
    pub origins: Vec<String>,
    /// The most requests a second from one token or address, 0 for any number [env: FORENAME_RATE] [default: 5000]
    ///
    /// A token may have a rate of its own. Each line of a batch counts. Where it is not set, a node without tokens takes
    /// any number from its own machine.
    #[cfg_attr(feature = "cli", arg(long, value_name = "COUNT"))]
    pub rate: Option<u32>,
    /// Refuse registrations where the disk has fewer bytes free [env: FORENAME_MIN_FREE] [default: 536870912]
    #[serde(alias = "min-free")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "BYTES"))]
    pub min_free: Option<u64>,
    /// The most HTTP connections at once [env: FORENAME_MAX_CONNECTIONS] [default: 4096]
    #[serde(alias = "max-connections")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..)))]
    pub max_connections: Option<u32>,
    /// The most of them from one address, never more than half of all [env: FORENAME_MAX_CONNECTIONS_OF_ADDRESS] [default: 1024]
    #[serde(alias = "max-connections-of-address")]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..)))]
    pub max_connections_of_address: Option<u32>,
    /// Take from others what they may do with the data directory (chmod 700) [env: FORENAME_FIX_PERMISSIONS]
    #[serde(alias = "fix-permissions")]
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "true",
            value_parser = BoolishValueParser::new(),
            value_name = "BOOL"
        )
    )]
    pub fix_permissions: Option<bool>,
    /// Let HTTP listen beyond loopback also without API tokens, so that anybody may call [env: FORENAME_INSECURE]
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "true",
            value_parser = BoolishValueParser::new(),
            value_name = "BOOL"
        )
    )]
    pub insecure: Option<bool>,
    /// Let webhooks have receivers in private networks too, which they may not by default
    /// [env: FORENAME_WEBHOOK_PRIVATE_TARGETS]
    ///
    /// Whoever may make a webhook can then have this node call services that only it can reach.
    #[serde(alias = "webhook-private-targets")]
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "true",
            value_parser = BoolishValueParser::new(),
            value_name = "BOOL"
        )
    )]
    pub webhook_private_targets: Option<bool>,
    /// Who may call the HTTP interface, as `[[api_token]]` tables of the file; where there are none, everybody may.
    #[serde(default, alias = "api-token")]
    #[cfg_attr(feature = "cli", arg(skip))]
    pub api_token: Vec<ApiToken>,
}

#[cfg(feature = "cli")]
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an IP address and a port, like 127.0.0.1:7400")
}

/// The paths of the certificates in a configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsTable {
    /// The node's certificate.
    pub cert: Option<PathBuf>,
    /// The key of the certificate.
    pub key: Option<PathBuf>,
    /// The authorities of the clients' certificates.
    #[serde(alias = "client-ca")]
    pub client_ca: Option<PathBuf>,
}

/// A file of API tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    #[serde(default, alias = "api-token")]
    api_token: Vec<ApiToken>,
}

/// The complete settings, with the defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address on which HTTP listens.
    pub http: SocketAddr,
    /// The API tokens.
    pub tokens: ApiTokens,
    /// The host names of the node, and the origins of web pages that may call it.
    pub gate: Gate,
    /// True where other users' permissions on the data directory are removed at the start.
    pub fix_permissions: bool,
    /// The number of requests a second that a caller may send.
    pub rate: Rate,
    /// The limits of HTTP connections.
    pub connections: Connections,
    /// The certificates for HTTPS. Without them the interface is served as plain HTTP.
    pub tls: Option<Tls>,
    /// The file to which the audit log is written besides the log.
    pub audit_log: Option<PathBuf>,
    /// The filter of the log; none for the default of the program.
    pub log: Option<String>,
    /// The settings of the node itself.
    pub node: NodeConfig,
}

impl Partial {
    /// Reads the settings of a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, or has keys or values that are not valid.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        Self::from_toml(&text).map_err(|error| ConfigError::File { path: path.to_owned(), error: Box::new(error) })
    }

    fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        let mut settings: Self = toml::from_str(text)?;
        if let Some(TlsTable { cert, key, client_ca }) = settings.tls.take() {
            (settings.tls_cert, settings.tls_key, settings.tls_client_ca) = (cert, key, client_ca);
        }
        Ok(settings)
    }

    /// Reads the settings of the variables `FORENAME_…`, which `lookup` finds. An empty variable counts as not set.
    ///
    /// # Errors
    /// A value is not valid.
    #[cfg(feature = "cli")]
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for flag in Self::command().get_arguments().filter_map(Arg::get_long) {
            let name = format!("FORENAME_{}", flag.replace('-', "_").to_uppercase());
            let Some(value) = lookup(&name).filter(|value| !value.is_empty()) else { continue };
            if let Err(error) = settings.try_update_from(["", &format!("--{flag}={value}")]) {
                let why = error.source().map_or_else(|| error.kind().to_string(), ToString::to_string);
                return Err(ConfigError::Variable { name, value, why });
            }
        }
        Ok(settings)
    }

    /// Returns these settings, and those of `lower` where these leave something out.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(lower.data_dir),
            http: self.http.or(lower.http),
            peer: self.peer.or(lower.peer),
            advertise: self.advertise.or(lower.advertise),
            join: self.join.or(lower.join),
            token: self.token.or(lower.token),
            reader: self.reader.or(lower.reader),
            join_token_file: self.join_token_file.or(lower.join_token_file),
            name: self.name.or(lower.name),
            max_open: self.max_open.or(lower.max_open),
            max_total: self.max_total.or(lower.max_total),
            hosts: if self.hosts.is_empty() { lower.hosts } else { self.hosts },
            origins: if self.origins.is_empty() { lower.origins } else { self.origins },
            max_connections: self.max_connections.or(lower.max_connections),
            max_connections_of_address: self.max_connections_of_address.or(lower.max_connections_of_address),
            rate: self.rate.or(lower.rate),
            min_free: self.min_free.or(lower.min_free),
            fix_permissions: self.fix_permissions.or(lower.fix_permissions),
            insecure: self.insecure.or(lower.insecure),
            webhook_private_targets: self.webhook_private_targets.or(lower.webhook_private_targets),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            tls_client_ca: self.tls_client_ca.or(lower.tls_client_ca),
            tls: None,
            audit_log: self.audit_log.or(lower.audit_log),
            log: self.log.or(lower.log),
            api_tokens: self.api_tokens.or(lower.api_tokens),
            api_token: if self.api_token.is_empty() { lower.api_token } else { self.api_token },
        }
    }

    /// Fills in the defaults.
    ///
    /// # Errors
    /// The settings contradict each other or would open the node to strangers, or the file of API tokens cannot be
    /// read.
    pub fn finish(self) -> Result<Settings, ConfigError> {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let http = self.http.unwrap_or_else(|| loopback(HTTP_PORT));
        let peer = self.peer.unwrap_or_else(|| loopback(PEER_PORT));
        let tokens = api_tokens(self.api_token, self.api_tokens)?;
        let gate = Gate::new(&self.hosts, &self.origins)?;
        let rate = self.rate.map_or(Rate::Default, |most| NonZeroU32::new(most).map_or(Rate::Any, Rate::Most));
        let connections = connections(self.max_connections, self.max_connections_of_address)?;
        let strangers = tokens.is_empty() && self.insecure != Some(true);
        if !http.ip().to_canonical().is_loopback() && strangers {
            return Err(ConfigError::Exposed(http));
        }
        let tls = tls(self.tls_cert, self.tls_key, self.tls_client_ca)?;
        let data_dir = self.data_dir.unwrap_or_else(|| DATA_DIR.into());
        let join = join(self.join, self.token, self.join_token_file, &data_dir)?;
        match &self.advertise {
            Some(address) if !is_reachable(address) => return Err(ConfigError::Advertise(address.clone())),
            None if join.is_some() && peer.ip().is_unspecified() => return Err(ConfigError::Nowhere(peer)),
            _ => {}
        }
        // The address tells nodes apart where nobody has named them.
        let named = self.name.filter(|name| !name.trim().is_empty());
        let label = named.or_else(|| self.advertise.clone()).unwrap_or_else(|| peer.to_string());
        let node = NodeConfig {
            data_dir,
            peer_listen: peer,
            advertise: self.advertise,
            label,
            join,
            reader: self.reader == Some(true),
            found: None,
            max_open: Some(self.max_open.unwrap_or(MAX_OPEN_OF_OWNER)).filter(|most| *most > 0),
            max_total: self.max_total.filter(|most| *most > 0),
            keep_log: None,
            min_free: self.min_free.unwrap_or(MIN_FREE),
            links: None,
            webhooks: WebhookOptions {
                private_targets: self.webhook_private_targets == Some(true),
                ..WebhookOptions::default()
            },
        };
        Ok(Settings {
            http,
            tokens,
            gate,
            fix_permissions: self.fix_permissions == Some(true),
            rate,
            connections,
            tls,
            audit_log: self.audit_log,
            log: self.log,
            node,
        })
    }
}

/// Reads the certificates for HTTPS from these files.
fn tls(cert: Option<PathBuf>, key: Option<PathBuf>, client_ca: Option<PathBuf>) -> Result<Option<Tls>, ConfigError> {
    match (cert, key, client_ca) {
        (None, None, None) => Ok(None),
        (Some(cert), Some(key), client_ca) => Ok(Some(Tls::read(&TlsFiles { cert, key, client_ca })?)),
        _ => Err(ConfigError::HalfTls),
    }
}

/// Returns true for a host and a port to which another machine may connect.
fn is_reachable(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let anywhere = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    !host.is_empty() && !anywhere && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn connections(most: Option<u32>, of_address: Option<u32>) -> Result<Connections, ConfigError> {
    for (setting, given, least) in [("max_connections", most, 2), ("max_connections_of_address", of_address, 1)] {
        if let Some(given) = given.filter(|given| *given < least) {
            return Err(ConfigError::TooFew { setting, given, least });
        }
    }
    let defaults = Connections::default();
    let or = |given: Option<u32>, default| given.and_then(|given| usize::try_from(given).ok()).unwrap_or(default);
    let most_of_address = or(of_address, defaults.most_of_address);
    Ok(Connections { most: or(most, defaults.most), most_of_address, ..defaults })
}

/// Returns how the node joins. An address alone is not enough, while the token may contain addresses. A node that has a
/// state does not join any more, and the file of the join token may be gone by then.
fn join(
    address: Option<String>,
    token: Option<String>,
    file: Option<PathBuf>,
    data_dir: &Path,
) -> Result<Option<JoinConfig>, ConfigError> {
    let token = match (token, file) {
        (Some(_), Some(_)) => return Err(ConfigError::TwoTokens),
        (None, Some(path)) => {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound && data_dir.join("db").is_dir() => return Ok(None),
                Err(error) => return Err(ConfigError::JoinToken { path, error }),
            };
            Some(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned())
        }
        (token, None) => token,
    };
    match (address, token) {
        (address, Some(token)) => Ok(Some(JoinConfig { address, token })),
        (Some(_), None) => Err(ConfigError::HalfJoin),
        (None, None) => Ok(None),
    }
}

/// Returns the API tokens of the settings together with those of a file.
fn api_tokens(mut tokens: Vec<ApiToken>, file: Option<PathBuf>) -> Result<ApiTokens, ConfigError> {
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(&path).map_err(|error| ConfigError::ApiTokenFile { path: path.clone(), error })?;
        let read = toml::from_str::<TokenFile>(&text);
        let TokenFile { api_token } =
            read.map_err(|error| ConfigError::File { path: path.clone(), error: Box::new(error) })?;
        if api_token.is_empty() {
            return Err(ConfigError::NoApiTokens(path));
        }
        tokens.extend(api_token);
    }
    Ok(ApiTokens::new(tokens)?)
}

#[cfg(test)]
mod tests;
