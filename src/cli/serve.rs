//! `forename serve`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Exit, Failure, Outcome, output};
use crate::api::auth::ApiTokens;
use crate::api::json::Span;
use crate::config::{ConfigError, Keep, Partial, Settings};
use crate::node::{Node, Stopped};

/// Flags beat the variables named in brackets, these beat the file, that beats the defaults.
#[derive(Args, Clone, Debug)]
pub(super) struct ServeArgs {
    /// Where the node keeps its identity and its state [env: FORENAME_DATA_DIR] [default: ./forename-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where HTTP listens [env: FORENAME_HTTP] [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where QUIC listens for other nodes [env: FORENAME_PEER] [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDR")]
    peer: Option<SocketAddr>,
    /// Where other nodes reach it, if not where it listens [env: FORENAME_ADVERTISE]
    #[arg(long, value_name = "ADDR")]
    advertise: Option<String>,
    /// With an empty data directory, or one that rejoins: join the cluster of this member [env: FORENAME_JOIN]
    #[arg(long, value_name = "ADDR")]
    join: Option<String>,
    /// What 'forename member token' printed at a member [env: FORENAME_TOKEN]
    #[arg(long)]
    token: Option<String>,
    /// A name for the node, for people [env: FORENAME_NAME]
    #[arg(long, value_name = "LABEL")]
    name: Option<String>,
    /// Evict members that a majority has not heard of for so long; never where not set [env: FORENAME_EVICT_AFTER]
    ///
    /// Names go on being confirmed while a node is down, but their strict order is given up: a node that is cut off for
    /// longer loses the claims that it took alone, if others took the names meanwhile. Set it the same at all nodes, well
    /// above the longest outage that you would rather wait out; less than 1s is refused.
    #[arg(long, value_name = "DURATION")]
    evict_after: Option<Span>,
    /// Drop events of the feed that are older, or keep them forever [env: FORENAME_KEEP_EVENTS] [default: 30d]
    ///
    /// Whoever asks for dropped events is told so, and reads the state anew. Registrations that are over are forgotten with
    /// their last events. Less than 1m is refused.
    #[arg(long, value_name = "DURATION|forever")]
    keep_events: Option<Keep>,
    /// Let an owner have so many open registrations at once, 0 for any number [env: FORENAME_MAX_OPEN] [default: 10000]
    ///
    /// Open are those that are not decided yet, and reservations that are not activated, as this node knows them. More
    /// are refused, so that nobody can reserve the dictionary.
    #[arg(long, value_name = "COUNT")]
    max_open: Option<u32>,
    /// A TOML file with any of these settings [env: FORENAME_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A TOML file of API tokens, as 'forename token new' makes them; no token, no call [env: FORENAME_API_TOKENS]
    #[arg(long, value_name = "FILE")]
    api_tokens: Option<PathBuf>,
    /// Let HTTP listen beyond loopback also without API tokens, so that anybody may call [env: FORENAME_INSECURE]
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    insecure: Option<bool>,
}

impl ServeArgs {
    fn settings(self, lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, ConfigError> {
        let set = lookup("FORENAME_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let file = match self.config.or(set) {
            Some(path) => Partial::from_file(&path)?,
            None => Partial::default(),
        };
        let flags = Partial {
            data_dir: self.data_dir,
            http: self.http,
            peer: self.peer,
            advertise: self.advertise,
            join: self.join,
            token: self.token,
            name: self.name,
            evict_after: self.evict_after,
            keep_events: self.keep_events,
            max_open: self.max_open,
            insecure: self.insecure,
            api_tokens: self.api_tokens,
            api_token: Vec::new(),
        };
        flags.over(Partial::from_variables(lookup)?).over(file).finish()
    }
}

pub(super) fn run(args: ServeArgs) -> Outcome {
    let read = || args.clone().settings(|key| std::env::var(key).ok());
    let settings = read().map_err(|error| Failure::usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(serve(settings, read))
}

/// Takes API tokens that were changed, and nothing else: that takes a restart. Where they are wrong the old ones stay.
fn read_tokens_again(tokens: &ApiTokens, read: impl Fn() -> Result<Settings, ConfigError>) {
    match read() {
        Ok(settings) if settings.tokens.is_empty() != tokens.is_empty() => {
            tracing::error!(
                "API tokens stay as they were: a node with none lets everybody in, so that takes a restart"
            );
        }
        Ok(settings) => {
            tokens.replace(&settings.tokens);
            tracing::info!("API tokens are read anew; other settings take a restart");
        }
        // The line at fault may have a secret in it that was put in the wrong place.
        Err(ConfigError::File { path, error }) => {
            tracing::error!("API tokens stay as they were: {}: {}", path.display(), error.message());
        }
        Err(error) => tracing::error!("API tokens stay as they were: {error}"),
    }
}

async fn serve(settings: Settings, read: impl Fn() -> Result<Settings, ConfigError>) -> Outcome {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("{what}: {error}"));
    // Before anything is started, so that no signal finds it half up with nobody listening.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed("cannot take signals", error))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed("cannot take signals", error))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| failed("cannot take signals", error))?;
    let at = settings.http;
    let listener = TcpListener::bind(at).await.map_err(|error| failed(&format!("cannot listen at {at}"), error))?;
    let http = listener.local_addr().map_err(|error| failed("cannot listen", error))?;

    let start = Node::start(settings.node);
    let node = tokio::select! {
        node = start => node.map_err(|error| Failure::failed(error.to_string()))?,
        _ = interrupt.recv() => return Ok(Exit::Done),
        _ = terminate.recv() => return Ok(Exit::Done),
    };
    output::line(&format!("http://{http}"))?;
    output::line(&format!("peer {}", node.peer_address()))?;

    let (tokens, (stop, stopping)) = (settings.tokens, oneshot::channel::<()>());
    // Sent or dropped, it means the same.
    let shutdown = async move { drop(stopping.await) };
    let server = tokio::spawn(crate::api::serve(listener, node.handle(), node.admin(), tokens.clone(), shutdown));
    tokio::pin!(server);
    let hangups = async {
        while hangup.recv().await.is_some() {
            read_tokens_again(&tokens, &read);
        }
        std::future::pending::<Infallible>().await
    };
    let result = tokio::select! {
        _ = interrupt.recv() => Ok(Exit::Done),
        _ = terminate.recv() => Ok(Exit::Done),
        never = hangups => match never {},
        stopped = node.stopped() => match stopped {
            Ok(Stopped::Left) => {
                output::line("this node has left its cluster; its data directory is of no more use")?;
                Ok(Exit::Done)
            }
            Ok(Stopped::Asked) => Err(Failure::failed("the node has stopped by itself")),
            Err(error) => Err(Failure::failed(error.to_string())),
        },
        ended = &mut server => {
            node.shutdown().await;
            return match ended {
                Ok(Ok(())) => Err(Failure::failed("the HTTP interface has stopped by itself")),
                Ok(Err(error)) => Err(failed("the HTTP interface has failed", error)),
                Err(error) => Err(Failure::failed(format!("the HTTP interface has failed: {error}"))),
            };
        }
    };
    drop(stop);
    if let Err(error) = server.await {
        tracing::warn!("the HTTP interface did not stop cleanly: {error}");
    }
    node.shutdown().await;
    result
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn settings(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let cli = Cli::try_parse_from(["forename", "serve"].iter().chain(arguments)).unwrap();
        let Command::Serve(args) = cli.command else { panic!("serve was parsed as another command") };
        args.settings(|key| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn flags_beat_variables_beat_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forename.toml");
        std::fs::write(&path, "name = 'file'\npeer = '127.0.0.1:9'\nhttp = '0.0.0.0:1'\ninsecure = true").unwrap();
        let path = path.to_str().unwrap();
        let variables = [("FORENAME_CONFIG", path), ("FORENAME_NAME", "variable"), ("FORENAME_PEER", "127.0.0.1:8")];
        let settings = |arguments: &[&str]| settings(arguments, &variables);
        let from_variables = settings(&[]).unwrap();
        assert_eq!(from_variables.node.label, "variable");
        assert_eq!(from_variables.node.peer_listen.to_string(), "127.0.0.1:8");
        assert_eq!(from_variables.http.to_string(), "0.0.0.0:1");
        assert_eq!(settings(&["--name", "flag"]).unwrap().node.label, "flag");
        assert!(matches!(settings(&["--insecure=false"]), Err(ConfigError::Exposed(_))));
    }

    #[test]
    fn insecure_is_a_flag() {
        assert!(matches!(settings(&["--http", "0.0.0.0:0"], &[]), Err(ConfigError::Exposed(_))));
        assert!(settings(&["--http", "0.0.0.0:0", "--insecure"], &[]).is_ok());
        assert!(settings(&["--http", "0.0.0.0:0"], &[("FORENAME_INSECURE", "true")]).is_ok());
    }
}
