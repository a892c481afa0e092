//! An event-sourced account whose name is a step of a saga: `cargo run --example saga`.
//!
//! Two cities, each with a node of forename, an event store, and a process manager. The link between them is cut, two
//! people want one name, and Sydney's process manager is stopped again and again.
//!
//! | file | what |
//! | --- | --- |
//! | `account.rs` | the aggregate: commands, events, what they make of an account |
//! | `store.rs` | an event store of a file |
//! | `process.rs` | the process manager: `SignUpRequested`, forename, `NameConfirmed` or `NameRejected`, compensation |

#![allow(clippy::disallowed_methods, reason = "an application chooses ids at random")]
#![allow(clippy::print_stdout, reason = "it tells a story")]

mod account;
mod process;
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::model::ClusterSettings;
use forename::node::{JoinConfig, Node, NodeConfig};
use forename::transport::Cuts;
use tokio::net::TcpListener;
use tokio::time::sleep;
use uuid::Uuid;

use self::account::{Account, Command};
use self::process::{ProcessManager, Step};
use self::store::{EventStore, Failure};

/// The time between two checks for changes elsewhere.
const LOOK: Duration = Duration::from_millis(20);

/// A node, and the file of the application beside it.
struct City {
    name: &'static str,
    node: Node,
    client: Client,
    file: PathBuf,
}

impl City {
    async fn start(
        name: &'static str,
        dir: PathBuf,
        links: &Arc<Cuts>,
        join: Option<JoinConfig>,
    ) -> Result<Self, Failure> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = NodeConfig {
            peer_listen: any_port,
            label: name.to_owned(),
            join,
            found: Some(ClusterSettings::default()),
            min_free: 0,
            links: Some(links.clone()),
            ..NodeConfig::new(dir.join("node"))
        };
        let node = Node::start(config).await?;
        let listener = TcpListener::bind(any_port).await?;
        let client = Client::new(&format!("http://{}", listener.local_addr()?))?;
        // The interface listens on loopback, and everybody on this machine may use it.
        let doors = forename::config::Doors::default();
        tokio::spawn(node.serve(listener, doors, std::future::pending()));
        Ok(Self { name, node, client, file: dir.join("events.ndjson") })
    }

    /// Makes a process manager that knows only what is on disk, as after a crash.
    fn process_manager(&self) -> Result<ProcessManager, Failure> {
        Ok(ProcessManager::new(EventStore::open(&self.file)?, self.client.clone()))
    }

    /// Takes steps, and prints them, until there is nothing to do.
    async fn run(&self, manager: &mut ProcessManager) -> Result<(), Failure> {
        loop {
            let step = manager.step().await?;
            match step {
                Step::Idle => return Ok(()),
                Step::Asked(id) => {
                    println!("  {}: asked forename, account {id}: {:?}", self.name, account(manager, id))
                }
                Step::Heard(id) => println!("  {}: forename told, account {id}: {:?}", self.name, account(manager, id)),
                Step::Compensated(id) => {
                    println!("  {}: compensated, account {id}: {:?}", self.name, account(manager, id))
                }
                Step::StartedOver => println!("  {}: the feed begins later; asking again", self.name),
            }
        }
    }
}

fn account(manager: &ProcessManager, id: Uuid) -> Account {
    manager.store.account(id)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let links = Arc::new(Cuts::new());
    println!("Two cities, each with a node of forename and an application next to it.");
    let frankfurt = City::start("Frankfurt", dir.path().join("frankfurt"), &links, None).await?;
    let token =
        frankfurt.node.mint_token(Some(Duration::from_secs(60))).await.map_err(|problem| problem.to_string())?;
    let join = JoinConfig { address: None, token };
    let sydney = City::start("Sydney", dir.path().join("sydney"), &links, Some(join)).await?;
    for city in [&frankfurt, &sydney] {
        // A node that is still joining answers with an error.
        while city.client.cluster().await.map_or(0, |cluster| cluster.members.len()) < 2 {
            sleep(LOOK).await;
        }
    }

    println!("\nThe link is cut. ann signs up in Frankfurt, bob in Sydney, both as alice.");
    links.cut(frankfurt.node.peer_address(), sydney.node.peer_address());
    let (ann, bob) = (Uuid::new_v4(), Uuid::new_v4());
    let sign_up = || Command::SignUp { name: "alice".to_owned() };
    let mut in_frankfurt = frankfurt.process_manager()?;
    in_frankfurt.store.dispatch(ann, sign_up(), None)?;
    frankfurt.run(&mut in_frankfurt).await?;
    let mut in_sydney = sydney.process_manager()?;
    in_sydney.store.dispatch(bob, sign_up(), None)?;
    sydney.run(&mut in_sydney).await?;

    println!("\nSydney's application dies, and starts again from its event store: what waits is asked for once more.");
    drop(in_sydney);
    let mut in_sydney = sydney.process_manager()?;
    sydney.run(&mut in_sydney).await?;
    let asked = sydney.client.owner(&bob.to_string(), None, None).await?.registrations.len();
    println!("  forename knows of {asked} registration of bob's: the account's id is the registration's id");

    println!("\nThe application dies again; the link is back; forename decides, and nobody listens.");
    drop(in_sydney);
    links.heal();
    while sydney.client.cluster().await?.pending > 0 {
        sleep(LOOK).await;
    }
    println!("\nThe application starts, and hears what became of bob; ann hears too.");
    let mut in_sydney = sydney.process_manager()?;
    sydney.run(&mut in_sydney).await?;
    while account(&in_frankfurt, ann) == (Account::Waiting { name: "alice".to_owned() }) {
        frankfurt.run(&mut in_frankfurt).await?;
        sleep(LOOK).await;
    }

    println!("\nThe whole history of each:");
    for (city, manager) in [(&frankfurt, &in_frankfurt), (&sydney, &in_sydney)] {
        for record in manager.store.history() {
            println!("  {:<10} {}  {:?}", city.name, record.account, record.event);
        }
    }
    sydney.node.shutdown().await;
    frankfurt.node.shutdown().await;
    Ok(())
}
