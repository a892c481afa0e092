//! `forename serve`

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::failure::{Exit, Failure, Outcome};
use super::logs::Logs;
use super::output;
use super::reload::{self, Live, Loaded};
use super::settings::effective;
use super::signals::{Reload, Stop, Turn, tell_manager};
use super::version;
use crate::api::{Connections, Doors};
use crate::config::{Audit, ConfigError, Partial, Traces};
use crate::files;
use crate::node::{Node, NodeConfig, NodeError, Reception, Stopped, descriptors};

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
    /// The settings that count, and which of them are from where.
    pub(super) fn load(self, lookup: impl Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
        let set = lookup("FORENAME_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let file = match self.config.or(set) {
            Some(path) => Partial::from_file(&path)?,
            None => Partial::default(),
        };
        let variables = Partial::from_variables(lookup)?;
        let effective = effective(&self.flags, &variables, &file);
        let settings = self.flags.over(variables).over(file).finish()?;
        reload::filter(settings.log.as_deref())?;
        Ok(Loaded { settings, effective })
    }
}

pub(super) fn run(args: ServeArgs, logs: &Logs) -> Outcome {
    let read = || args.clone().load(|key| std::env::var(key).ok());
    let unusable = |error: ConfigError| Failure::usage(error.to_string());
    let loaded = read().map_err(unusable)?;
    logs.set(reload::filter(loaded.settings.log.as_deref()).map_err(unusable)?);
    let audit = Audit::default();
    reload::open(&audit, loaded.settings.audit_log.clone()).map_err(unusable)?;
    let traces = Traces::from_environment().map_err(|error| Failure::usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(serve(loaded, audit, traces.clone(), logs, read));
    drop(runtime);
    traces.stop();
    outcome
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

fn failed(what: &str, error: io::Error) -> Failure {
    Failure::failed(format!("{what}: {error}"))
}

/// Starts the node and its HTTP interface, and serves until a signal or the node itself ends that.
async fn serve(
    loaded: Loaded,
    audit: Audit,
    traces: Traces,
    logs: &Logs,
    read: impl Fn() -> Result<Loaded, ConfigError>,
) -> Outcome {
    let Loaded { settings, effective } = loaded;
    // Signals are handled before anything is started, so that none arrives while the node is half started.
    let mut stopped = Stop::listen().map_err(|error| failed("cannot take signals", error))?;
    let mut reload = Reload::listen().map_err(|error| failed("cannot take signals", error))?;
    let at = settings.http;
    let listener = TcpListener::bind(at).await.map_err(|error| {
        let next = "give another address as --http, or stop what uses it";
        Failure::failed(format!("cannot listen for clients at {at}: {error}; {next}"))
    })?;
    let http = listener.local_addr().map_err(|error| failed("cannot listen", error))?;
    let doors = Doors {
        tokens: settings.tokens,
        gate: settings.gate.into(),
        rate: settings.rate.into(),
        connections: connections(settings.connections).into(),
        tls: settings.tls,
        audit,
        traces,
    };
    let (node, reception) = launch(settings.node, settings.fix_permissions, http)?;
    let mut live = Live::new(&node, logs, &doors, effective);
    let scheme = if doors.tls.is_some() { "https" } else { "http" };
    let mut interface = Interface::start(&node, listener, doors);
    output::line(&format!("{scheme}://{http}"))?;
    // Until the node is a member, probes are answered, and other requests are told that it is still joining.
    let received = tokio::select! {
        received = reception.outcome() => Some(received),
        () = stopped.asked() => None,
    };
    let outcome = match received {
        Some(Ok(())) => {
            output::line(&format!("peer {}", node.peer_address()))?;
            tell_manager(Turn::Serves);
            let reloads = async {
                loop {
                    reload.asked().await;
                    live.take(read(), connections);
                }
            };
            let outcome = tokio::select! {
                () = stopped.asked() => Ok(Exit::Done),
                never = reloads => never,
                ended = node.stopped() => end_of(ended),
                ended = interface.ended() => Err(ended),
            };
            tell_manager(Turn::Stops);
            outcome
        }
        Some(Err(error)) => Err(Failure::failed(error.to_string())),
        None => Ok(Exit::Done),
    };
    interface.stop().await;
    node.shutdown().await;
    outcome
}

/// Launches the node, and logs where it listens.
fn launch(config: NodeConfig, fix_permissions: bool, http: SocketAddr) -> Result<(Node, Reception), Failure> {
    let (dir, label) = (&config.data_dir, config.label.clone());
    tracing::info!(version = version::VERSION.as_str(), data_dir = %dir.display(), label, "forename starts");
    if fix_permissions && dir.exists() {
        files::close_to_others(dir)
            .map_err(|error| failed(&format!("cannot close {} to others", dir.display()), error))?;
    }
    let sponsor = config.join.as_ref().map(|join| join.address.clone());
    let (node, reception) = Node::launch(config).map_err(|error| Failure::failed(error.to_string()))?;
    let (id, peer) = (node.handle().node(), node.peer_address());
    tracing::info!(node = %id, label, %http, %peer, "listening: for clients over HTTP, for other nodes over QUIC (UDP)");
    if let Some(sponsor) = &sponsor {
        tracing::info!(
            member = sponsor,
            "asks this member to be let in, unless this node is in already; 'forename member list' there says what it waits for"
        );
    }
    Ok((node, reception))
}

/// Turns the end of a node that nobody asked to stop into the outcome of the command.
fn end_of(ended: Result<Stopped, NodeError>) -> Outcome {
    match ended {
        Ok(Stopped::Left) => {
            output::line("this node has left its cluster; its data directory is of no more use")?;
            Ok(Exit::Done)
        }
        Ok(Stopped::Asked) => Err(Failure::failed("the node has stopped by itself")),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

/// The HTTP interface, in a task of its own.
struct Interface {
    /// Dropped where the interface is to stop.
    stop: oneshot::Sender<()>,
    /// None once it was seen to have ended.
    server: Option<JoinHandle<io::Result<()>>>,
}

impl Interface {
    fn start(node: &Node, listener: TcpListener, doors: Doors) -> Self {
        let (stop, stopping) = oneshot::channel::<()>();
        // A message and a dropped sender mean the same.
        let shutdown = async move { drop(stopping.await) };
        Self { stop, server: Some(tokio::spawn(node.serve(listener, doors, shutdown))) }
    }

    /// Resolves where the interface has ended although nobody asked for that.
    async fn ended(&mut self) -> Failure {
        let Some(server) = &mut self.server else { return std::future::pending().await };
        let ended = server.await;
        self.server = None;
        match ended {
            Ok(Ok(())) => Failure::failed("the HTTP interface has stopped by itself"),
            Ok(Err(error)) => failed("the HTTP interface has failed", error),
            Err(error) => Failure::failed(format!("the HTTP interface has failed: {error}")),
        }
    }

    /// Stops the interface. Requests under way get a few seconds.
    async fn stop(self) {
        drop(self.stop);
        if let Some(server) = self.server
            && let Err(error) = server.await
        {
            tracing::warn!("the HTTP interface did not stop cleanly: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::config::Settings;

    use super::super::{Cli, Command};
    use super::*;

    fn settings(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let cli = Cli::try_parse_from(["forename", "serve"].iter().chain(arguments)).unwrap();
        let Command::Serve(args) = cli.command else { panic!("serve was parsed as another command") };
        args.load(|key| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
            .map(|loaded| loaded.settings)
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
