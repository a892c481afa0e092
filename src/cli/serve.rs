//! `forename serve`

use std::path::PathBuf;

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::signals::{Reload, Stop, Turn, tell_manager};
use super::version;
use crate::api::auth::ApiTokens;
use crate::api::{Connections, Doors};
use crate::config::{ConfigError, Partial, Settings};
use crate::files;
use crate::node::{Node, Stopped, descriptors};

/// Flags override the variables named in brackets, these override the file, and the file overrides the defaults.
#[derive(Args, Clone, Debug)]
pub(super) struct ServeArgs {
    /// A TOML file with any of these settings [env: FORENAME_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Partial,
}

impl ServeArgs {
    fn settings(self, lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, ConfigError> {
        let set = lookup("FORENAME_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let file = match self.config.or(set) {
            Some(path) => Partial::from_file(&path)?,
            None => Partial::default(),
        };
        self.flags.over(Partial::from_variables(lookup)?).over(file).finish()
    }
}

pub(super) fn run(args: ServeArgs) -> Outcome {
    let read = || args.clone().settings(|key| std::env::var(key).ok());
    let settings = read().map_err(|error| Failure::usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(serve(settings, read))
}

/// Reads the API tokens again. All other settings need a restart. Where the new tokens are not valid the old ones stay.
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
        // The faulty line may contain a misplaced secret, so only the message is logged.
        Err(ConfigError::File { path, error }) => {
            tracing::error!("API tokens stay as they were: {}: {}", path.display(), error.message());
        }
        Err(error) => tracing::error!("API tokens stay as they were: {error}"),
    }
}

/// Returns the limits of connections, reduced where too few file descriptors would be left for the store and the peers.
fn connections(wanted: Connections) -> Connections {
    let limit = descriptors::raise();
    let most = descriptors::connections(wanted.most, limit);
    if most < wanted.most {
        tracing::warn!(
            most,
            wanted = wanted.most,
            "HTTP takes fewer connections than set: the system's limit of open files is {}, and some are kept for the store. \
             Raise it (LimitNOFILE= of a systemd service, ulimit -Hn)",
            limit.unwrap_or_default()
        );
    }
    Connections { most, ..wanted }
}

async fn serve(settings: Settings, read: impl Fn() -> Result<Settings, ConfigError>) -> Outcome {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("{what}: {error}"));
    // Signals are handled before anything is started, so that none arrives while the node is half started.
    let mut stopped = Stop::listen().map_err(|error| failed("cannot take signals", error))?;
    let mut reload = Reload::listen().map_err(|error| failed("cannot take signals", error))?;
    let at = settings.http;
    let listener = TcpListener::bind(at).await.map_err(|error| failed(&format!("cannot listen at {at}"), error))?;
    let http = listener.local_addr().map_err(|error| failed("cannot listen", error))?;

    let config = &settings.node;
    let (dir, label) = (&config.data_dir, config.label.clone());
    tracing::info!(version = version::VERSION.as_str(), data_dir = %dir.display(), label, "forename starts");
    let sponsor = config.join.as_ref().map(|join| join.address.clone());
    if settings.fix_permissions && dir.exists() {
        files::close_to_others(dir)
            .map_err(|error| failed(&format!("cannot close {} to others", dir.display()), error))?;
    }
    let connections = connections(settings.connections);
    let (node, reception) = Node::launch(settings.node).map_err(|error| Failure::failed(error.to_string()))?;
    let (id, peer) = (node.handle().node(), node.peer_address());
    tracing::info!(node = %id, label, %http, %peer, "listening: for clients over HTTP, for other nodes over QUIC (UDP)");
    if let Some(sponsor) = &sponsor {
        tracing::info!(
            member = sponsor,
            "asks this member to be let in, unless this node is in already; 'forename member list' there says what it waits for"
        );
    }
    let (tokens, (stop, stopping)) = (settings.tokens, oneshot::channel::<()>());
    // A message and a dropped sender mean the same.
    let shutdown = async move { drop(stopping.await) };
    let doors = Doors { tokens: tokens.clone(), gate: settings.gate, connections, rate: settings.rate };
    let server = tokio::spawn(node.serve(listener, doors, shutdown));
    tokio::pin!(server);
    output::line(&format!("http://{http}"))?;
    // Until the node is a member, probes are answered, and other requests are told that it is still joining.
    let received = tokio::select! {
        received = reception.outcome() => Some(received),
        () = stopped.asked() => None,
    };
    match received {
        Some(Ok(())) => {
            output::line(&format!("peer {}", node.peer_address()))?;
            tell_manager(Turn::Serves);
        }
        not_in => {
            drop(stop);
            // The error of the node explains why the server ended.
            let _ = server.await;
            node.shutdown().await;
            return match not_in {
                Some(Err(error)) => Err(Failure::failed(error.to_string())),
                _ => Ok(Exit::Done),
            };
        }
    }
    let reloads = async {
        loop {
            reload.asked().await;
            read_tokens_again(&tokens, &read);
        }
    };
    let result = tokio::select! {
        () = stopped.asked() => Ok(Exit::Done),
        never = reloads => never,
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
    tell_manager(Turn::Stops);
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
