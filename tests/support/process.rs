//! Runs `forename` as a process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use forename::Client;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{DEADLINE, eventually, within};

const FORENAME: &str = env!("CARGO_BIN_EXE_forename");

/// The environment variables of the settings, without their common prefix.
const VARIABLES: [&str; 33] = [
    "DATA_DIR",
    "HTTP",
    "PEER",
    "ADVERTISE",
    "JOIN",
    "TOKEN",
    "NAME",
    "INSECURE",
    "CONFIG",
    "NODE",
    "CLUSTER",
    "MAX_OPEN",
    "MAX_TOTAL",
    "API_TOKENS",
    "HOSTS",
    "RATE",
    "FIX_PERMISSIONS",
    "MIN_FREE",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_OF_ADDRESS",
    "ORIGINS",
    "API_TOKEN",
    "JOIN_TOKEN_FILE",
    "API_TOKEN_FILE",
    "CA_FILE",
    "CLIENT_CERT",
    "TLS_CERT",
    "TLS_KEY",
    "TLS_CLIENT_CA",
    "AUDIT_LOG",
    "LOG",
    "LOG_FORMAT",
    "READER",
];

/// A directory for one node. It outlives the node's processes.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory for a node"))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Returns the text that the processes have written to stderr.
    pub(crate) fn read_log(&self) -> String {
        read(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }
}

/// The options with which a node is run.
#[derive(Clone, Debug)]
pub(crate) struct Serve {
    /// The command through which the program is run; empty where it is run directly.
    pub(crate) through: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    /// True where a cluster is to be founded first if the directory is empty.
    pub(crate) founds: bool,
    http: SocketAddr,
    peer: SocketAddr,
}

impl Serve {
    /// Options with ports of loopback that the system chooses.
    pub(crate) fn new(label: &str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let arguments = vec!["--name".to_owned(), label.to_owned()];
        Self { through: Vec::new(), arguments, variables: Vec::new(), founds: true, http: any, peer: any }
    }

    pub(crate) fn with(mut self, arguments: &[String]) -> Self {
        self.arguments.extend_from_slice(arguments);
        self
    }

    /// Lets webhooks have receivers on loopback.
    pub(crate) fn with_hooks_on_loopback(self) -> Self {
        self.with(&["--webhook-private-targets".to_owned()])
    }

    pub(crate) fn at(mut self, http: SocketAddr, peer: SocketAddr) -> Self {
        (self.http, self.peer) = (http, peer);
        self
    }

    pub(crate) fn join(mut self, peer: SocketAddr, token: &str) -> Self {
        self.arguments.extend(["--join".to_owned(), peer.to_string(), "--token".to_owned(), token.to_owned()]);
        self.founds = false;
        self
    }

    /// Founds a cluster as an operator does, where the directory holds none.
    fn found(&self, home: &Home) {
        if self.founds && !home.data().exists() {
            let mut init = command(&[]);
            init.arg("init").arg("--data-dir").arg(home.data()).envs(self.variables.iter().cloned());
            let founded = run(&mut init);
            assert!(founded.status.success(), "{founded:?}");
        }
    }

    fn command(&self, home: &Home) -> Command {
        let log = File::options().create(true).append(true).open(home.log()).expect("a log can be opened");
        let mut command = command(&self.through);
        command.arg("serve").arg("--data-dir").arg(home.data()).args(&self.arguments);
        command.args(["--http", &self.http.to_string(), "--peer", &self.peer.to_string()]);
        command.envs(self.variables.iter().cloned()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    }
}

/// Makes a command that runs `forename`, through another command or directly. No setting comes from the environment of
/// the test.
pub(crate) fn command(through: &[String]) -> Command {
    let mut command = match through.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(FORENAME);
            command
        }
        None => Command::new(FORENAME),
    };
    for variable in VARIABLES {
        command.env_remove(format!("FORENAME_{variable}"));
    }
    command
}

/// A child process that is killed at the end of the test, however the test ends.
pub(crate) struct Guarded(pub(crate) Child);

impl Guarded {
    /// Waits until the process ends.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", async || {
            let ended = self.0.try_wait().expect("a child can be waited for");
            ended.ok_or_else(|| "it still runs".to_owned())
        })
        .await
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running node.
pub(crate) struct Process {
    child: Guarded,
    pub(crate) http: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) client: Client,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Process {
    /// Starts a node and waits until it serves.
    pub(crate) async fn start(home: &Home, serve: &Serve) -> Self {
        match Self::try_start(home, serve).await {
            Ok(process) => process,
            Err((status, log)) => panic!("serve ended with {status}:\n{log}"),
        }
    }

    /// Starts a node and waits until it serves. Where the process ends instead, returns its status and the text that it
    /// wrote to stderr.
    pub(crate) async fn try_start(home: &Home, serve: &Serve) -> Result<Self, (ExitStatus, String)> {
        serve.found(home);
        let mut child = Guarded(serve.command(home).spawn().expect("forename can be run"));
        let mut lines = lines(&mut child.0);
        let mut announced = Vec::new();
        while announced.len() < 2 {
            match within("serve says where it listens", lines.recv()).await {
                Some(line) => announced.push(line),
                None => return Err((child.ended().await, read(&home.log()))),
            }
        }
        let address = |line: &str, before: &str| -> Option<SocketAddr> { line.strip_prefix(before)?.parse().ok() };
        let http: Option<SocketAddr> = ["http://", "https://"].iter().find_map(|scheme| address(&announced[0], scheme));
        let http = http.expect("the first line is the address of HTTP");
        let peer: SocketAddr = address(&announced[1], "peer ").expect("the second line is the address for peers");
        let client = Client::new(&format!("http://{http}")).expect("serve prints an address");
        Ok(Self { child, http, peer, client, lines })
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Kills the process like `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.0.kill().expect("the process was running");
        self.child.0.wait().expect("a child can be waited for");
    }

    /// Asks the process to stop, as a service manager does.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        signal("TERM", self.child.0.id());
        self.child.ended().await
    }

    /// Tells the process that its settings were changed.
    pub(crate) fn hang_up(&self) {
        signal("HUP", self.child.0.id());
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.ended().await
    }

    /// Returns true where the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().expect("a child can be waited for").is_some()
    }

    /// Returns the lines that the process has printed after its addresses, up to its end.
    pub(crate) async fn printed(&mut self) -> Vec<String> {
        let mut printed = Vec::new();
        while let Some(line) = within("it prints to its end", self.lines.recv()).await {
            printed.push(line);
        }
        printed
    }

    /// Fails where the node has ended by itself.
    pub(crate) fn assert_lives(&mut self) {
        let ended = self.child.0.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "the node has ended: {ended:?}");
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }
}

/// Sends a signal to a process of this test.
pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status().expect("kill can be run");
    assert!(sent.success(), "cannot signal {process}");
}

/// Returns the lines that a child prints.
pub(crate) fn lines(child: &mut Child) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The output is read to its end also where the receiver is gone, because a full pipe would stop the child.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string())
}

/// Three processes of one cluster.
pub(crate) struct Three {
    pub(crate) homes: [Home; 3],
    pub(crate) nodes: Vec<Process>,
}

pub(crate) const LABELS: [&str; 3] = ["a", "b", "c"];

impl Three {
    fn serve(label: &str) -> Serve {
        Serve::new(label).with_hooks_on_loopback()
    }

    pub(crate) async fn start() -> Self {
        let homes = [Home::new(), Home::new(), Home::new()];
        let first = Process::start(&homes[0], &Self::serve(LABELS[0])).await;
        let token = first.client.mint_token_for(2, Some(DEADLINE)).await.expect("a member makes tokens");
        let peer = first.peer;
        let mut nodes = vec![first];
        for (home, label) in homes.iter().zip(LABELS).skip(1) {
            nodes.push(Process::start(home, &Self::serve(label).join(peer, &token)).await);
        }
        let three = Self { homes, nodes };
        super::all_members(&three.clients()).await;
        three
    }

    pub(crate) fn clients(&self) -> Vec<Client> {
        self.nodes.iter().map(|node| node.client.clone()).collect()
    }

    /// Runs a stopped node again, at its old addresses.
    pub(crate) async fn run_again(&mut self, index: usize) {
        let (http, peer) = (self.nodes[index].http, self.nodes[index].peer);
        let serve = Self::serve(LABELS[index]).at(http, peer);
        self.nodes[index] = Process::start(&self.homes[index], &serve).await;
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}
