//! Nodes in the process of the test, whose links can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use forename::Client;
use forename::config::Doors;
use forename::model::ClusterSettings;
use forename::node::{Handle, JoinConfig, Node, NodeConfig, WebhookOptions};
use forename::transport::LinkFilter;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{DEADLINE, eventually};

/// A node with its HTTP interface and its directory.
pub(crate) struct Local {
    pub(crate) client: Client,
    pub(crate) peer: SocketAddr,
    node: Node,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    dir: TempDir,
}

impl Local {
    /// Founds a cluster, or joins one through `sponsor`.
    pub(crate) async fn start(label: &str, links: Arc<dyn LinkFilter>, sponsor: Option<&Self>) -> Self {
        let join = match sponsor {
            Some(sponsor) => Some(sponsor.to_join().await),
            None => None,
        };
        Self::start_in(tempfile::tempdir().expect("a directory for a node"), label, links, join).await
    }

    /// Starts a node on a directory, with the state in it where there is any.
    pub(crate) async fn start_in(
        dir: TempDir,
        label: &str,
        links: Arc<dyn LinkFilter>,
        join: Option<JoinConfig>,
    ) -> Self {
        Self::start_otherwise(|_| {}, dir, label, links, join).await
    }

    /// Starts a node with changed options.
    pub(crate) async fn start_otherwise(
        change: impl FnOnce(&mut NodeConfig),
        dir: TempDir,
        label: &str,
        links: Arc<dyn LinkFilter>,
        join: Option<JoinConfig>,
    ) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = NodeConfig {
            data_dir: dir.path().to_owned(),
            peer_listen: any,
            advertise: None,
            label: label.to_owned(),
            join,
            reader: false,
            found: Some(ClusterSettings::default()),
            max_open: None,
            max_total: None,
            keep_log: None,
            min_free: 0,
            links: Some(links),
            webhooks: WebhookOptions::default(),
        };
        change(&mut config);
        let node = Node::start(config).await.unwrap_or_else(|error| panic!("{label} does not start: {error}"));
        let listener = TcpListener::bind(any).await.expect("a port of loopback");
        let http = listener.local_addr().expect("a bound listener has an address");
        let (stop, stopping) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopping.await) };
        let doors = Doors::default();
        let server = tokio::spawn(node.serve(listener, doors, shutdown));
        let client = Client::new(&format!("http://{http}")).expect("an address");
        Self { client, peer: node.peer_address(), node, stop, server, dir }
    }

    /// Returns the options with which another node joins through this one.
    pub(crate) async fn to_join(&self) -> JoinConfig {
        JoinConfig { address: Some(self.peer.to_string()), token: self.token().await }
    }

    /// Makes a join token. A node that has just joined may have to wait for the cluster's secret first.
    pub(crate) async fn token(&self) -> String {
        eventually("a token", async || {
            self.node.mint_token(Some(DEADLINE)).await.map_err(|problem| problem.to_string())
        })
        .await
    }

    /// The node itself, for calls without HTTP.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn handle(&self) -> Handle {
        self.node.handle()
    }

    /// Stops the node. The directory exists until the returned value is dropped.
    pub(crate) async fn shutdown(self) -> TempDir {
        // Sending fails where the server has ended by itself, and then its result says so.
        let _ = self.stop.send(());
        self.server.await.expect("the server does not panic").expect("the server does not fail");
        self.node.shutdown().await;
        self.dir
    }
}

pub(crate) fn clients(nodes: &[Local]) -> Vec<Client> {
    nodes.iter().map(|node| node.client.clone()).collect()
}

pub(crate) async fn shutdown(nodes: Vec<Local>) {
    futures_util::future::join_all(nodes.into_iter().map(Local::shutdown)).await;
}
