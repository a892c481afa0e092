//! `forename demo`: three nodes, a partition, two people who want one name, the healing, and the rejection.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use owo_colors::{OwoColorize, Style};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::failure::{Exit, Failure, Outcome};
use super::output::{line, status};
use super::signals::Stop;
use crate::api::Doors;
use crate::client::{Client, ClientError};
use crate::model::{ClusterSettings, EventQuery, EventType, NameRef, Registration, RegistrationBody, Status};
use crate::node::{JoinConfig, Node, NodeConfig};
use crate::transport::Cuts;

/// Time limit of a step: long enough for what takes milliseconds, short enough for a person to learn that it does not
/// work.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two requests for the state of a node.
const LOOK: Duration = Duration::from_millis(20);
/// Pause in which a person can read a line before the next thing happens.
const BEAT: Duration = Duration::from_millis(700);

#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// End after the story instead of serving on
    #[arg(long)]
    exit: bool,
}

pub(super) fn run(args: &DemoArgs) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let directory = std::env::temp_dir().join(format!("forename-demo-{}", std::process::id()));
    let outcome = runtime.block_on(async {
        let mut stop = Stop::listen().map_err(|error| Failure::failed(format!("cannot take signals: {error}")))?;
        let mut places = Vec::new();
        let outcome = tokio::select! {
            outcome = play(&directory, args.exit, &mut places) => outcome,
            () = stop.asked() => Ok(Exit::Done),
        };
        let stopping: JoinSet<()> = places.into_iter().map(Place::stop).collect();
        // The directory is removed in any case; a task that still writes into it ends with the process.
        let _ = timeout(PATIENCE, stopping.join_all()).await;
        outcome
    });
    runtime.shutdown_timeout(PATIENCE);
    remove(&directory);
    outcome
}

/// Removes the directory of the nodes, even where a node that was just starting still writes into it.
fn remove(directory: &Path) {
    for _ in 0..50 {
        // A file that cannot be removed stays in the system's temporary directory.
        let _ = std::fs::remove_dir_all(directory);
        if !directory.exists() {
            break;
        }
        std::thread::sleep(LOOK);
    }
}

/// Returns how the reader can call this program: by its name where it was called by name, or else by its path, as after
/// `cargo run`.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains(std::path::MAIN_SEPARATOR) { called } else { "forename".to_owned() }
}

/// A node of the demonstration, with its HTTP interface.
struct Place {
    city: &'static str,
    node: Node,
    client: Client,
    stop: watch::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

async fn play(directory: &Path, exit: bool, places: &mut Vec<Place>) -> Outcome {
    let paint = Paint { colours: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
    let cuts = Arc::new(Cuts::new());
    line(&paint.title("forename: who gets the name when two people want it and the network is down?"))?;
    line("\nThree nodes, each with its own data directory, QUIC between them:\n")?;
    start(directory, &cuts, places).await?;
    for place in places.iter() {
        line(&format!("  {:<10} {}   node {}", place.city, place.client.address(), place.node.handle().node()))?;
    }
    let [.., sydney] = places.as_slice() else { return Err(Failure::failed("three nodes were started")) };
    line(&format!("\nTo watch it, open the dashboard of Sydney in a browser: {}/", sydney.client.address()))?;
    let mut person = Person::at_terminal(exit);
    person.presses_enter("to cut the link to Sydney").await?;
    let (first, second) = tell(places, &cuts, &paint).await?;
    person.presses_enter("to bring the link back").await?;
    heal(places, &cuts, &paint, &first, &second).await?;
    if !exit {
        line(&format!("\n{}", paint.title("The cluster goes on. Try:")))?;
        let (a, b) = (places[0].client.address(), places[2].client.address());
        let forename = program();
        line(&format!("  {forename} claim username/carol --owner carol --wait --node {a}"))?;
        line(&format!("  {forename} show username/alice --node {b}"))?;
        line(&format!("  {forename} watch --node {b}"))?;
        line(&format!("  {forename} status --node {a}"))?;
        line(&format!("  or the same in the dashboard: {a}/"))?;
        line("Ctrl-C ends it, and removes what it has written.")?;
        std::future::pending::<()>().await;
    }
    Ok(Exit::Done)
}

/// Cuts the link and makes the two claims. Returns both registrations as they were accepted.
async fn tell(places: &[Place], cuts: &Cuts, paint: &Paint) -> Result<(Registration, Registration), Failure> {
    let [frankfurt, virginia, sydney] = places else { return Err(Failure::failed("three nodes were started")) };
    line(&format!("\n{}", paint.bad("The link to Sydney is cut.")))?;
    for other in [frankfurt, virginia] {
        cuts.cut(sydney.node.peer_address(), other.node.peer_address());
    }
    sleep(BEAT).await;
    let first = claim(frankfurt, "ann").await?;
    line(&format!("  Frankfurt: ann signs up as {}  →  {}", paint.name("alice"), paint.status(first.status)))?;
    sleep(BEAT).await;
    let second = claim(sydney, "bob").await?;
    line(&format!("  Sydney:    bob signs up as {}  →  {}", paint.name("alice"), paint.status(second.status)))?;
    sleep(BEAT).await;
    line("\nBoth were taken at once, and neither node calls its answer final while it cannot hear the other:\n")?;
    for (place, registration) in [(frankfurt, &first), (sydney, &second)] {
        let now = place.client.registration(registration.id).await?;
        let waits: Vec<_> = now.waiting_for.iter().map(|waiting| waiting.label.as_str()).collect();
        let (who, waits) = (&now.owner, waits.join(" and "));
        line(&format!("  {:<10} {who}'s alice is {}, waits for {waits}", place.city, paint.status(now.status)))?;
    }
    Ok((first, second))
}

/// Heals the link, and shows what each node knows then.
async fn heal(
    places: &[Place],
    cuts: &Cuts,
    paint: &Paint,
    first: &Registration,
    second: &Registration,
) -> Result<(), Failure> {
    line(&format!("\n{}", paint.good("The link is back.")))?;
    cuts.heal();
    for registration in [first, second] {
        for place in places {
            eventually("the claims to be decided", async || {
                let now = place.client.registration(registration.id).await?;
                Ok(now.status.is_final().then_some(()))
            })
            .await?;
        }
    }
    line("The earlier claim wins, by the same rule on every node:\n")?;
    for place in places {
        let name = place.client.name("username", "alice").await?;
        let holder = match name.registration {
            Some(id) => place.client.registration(id).await?,
            None => return Err(Failure::failed(format!("{} says that nobody holds alice", place.city))),
        };
        let (owner, at) = (paint.name(&holder.owner), holder.accepted_at);
        line(&format!("  {:<10} alice belongs to {owner}, {}, claimed {at}", place.city, status(holder.status)))?;
    }
    let [.., sydney] = places else { return Err(Failure::failed("three nodes were started")) };
    let query = EventQuery { types: vec![EventType::Rejected], local: true, ..EventQuery::default() };
    line("\nAnd Sydney's event feed tells its application, once and durably, what to tell bob:\n")?;
    for event in sydney.client.events(None, &query).await?.events {
        let lost = &event.data.registration;
        let Some(winner) = &event.data.rejected_by else { continue };
        let (owner, id) = (&lost.owner, lost.id);
        let verdict = paint.bad("rejected");
        line(&format!("  #{} {verdict}: {owner}'s registration {id}", event.cursor.unwrap_or_default()))?;
        let (name, winner_id, stamp) = (&winner.name, winner.registration, winner.stamp);
        line(&format!("     because {name} was claimed earlier by {winner_id}"))?;
        line(&format!("     (stamp {stamp}, bob's {})", lost.stamp))?;
    }
    Ok(())
}

async fn claim(place: &Place, owner: &str) -> Result<Registration, Failure> {
    let names = vec![NameRef { namespace: "username".into(), name: "alice".into() }];
    let body = RegistrationBody { owner: owner.into(), names, ..RegistrationBody::default() };
    Ok(place.client.register(&body).await?)
}

/// Founds a cluster, lets two nodes join it, and waits until every node sees all members as connected.
async fn start(directory: &Path, cuts: &Arc<Cuts>, places: &mut Vec<Place>) -> Result<(), Failure> {
    for city in ["Frankfurt", "Virginia", "Sydney"] {
        let join = match places.first() {
            Some(founder) => Some(JoinConfig {
                address: None,
                token: founder.node.mint_token(Some(Duration::from_secs(60))).await.map_err(ClientError::from)?,
            }),
            None => None,
        };
        places.push(Place::start(city, directory.join(city), cuts, join).await?);
        let count = places.len();
        for place in places.iter() {
            eventually("the nodes to let each other in", async || {
                let cluster = place.client.cluster().await?;
                let members = cluster.members.iter().filter(|member| member.connected).count();
                Ok((members == count).then_some(()))
            })
            .await?;
        }
    }
    Ok(())
}

impl Place {
    async fn start(
        city: &'static str,
        data_dir: PathBuf,
        cuts: &Arc<Cuts>,
        join: Option<JoinConfig>,
    ) -> Result<Self, Failure> {
        let failed = |error: &dyn Display| Failure::failed(format!("cannot start the node {city}: {error}"));
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let links: Option<Arc<dyn crate::transport::LinkFilter>> = Some(cuts.clone());
        let config = NodeConfig {
            data_dir,
            peer_listen: any_port,
            advertise: None,
            label: city.to_owned(),
            join,
            reader: false,
            found: Some(ClusterSettings::default()),
            max_open: None,
            max_total: None,
            keep_log: None,
            min_free: 0,
            links,
            webhooks: crate::node::WebhookOptions::default(),
        };
        let node = Node::start(config).await.map_err(|error| failed(&error))?;
        let listener = TcpListener::bind(any_port).await.map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let (stop, mut stopping) = watch::channel(());
        // A message and a dropped sender mean the same.
        let shutdown = async move { drop(stopping.changed().await) };
        let server = tokio::spawn(node.serve(listener, Doors::default(), shutdown));
        Ok(Self { city, node, client: Client::new(&format!("http://{address}"))?, stop, server })
    }

    async fn stop(self) {
        self.stop.send_replace(());
        // The server was asked to stop; its outcome does not matter.
        let _ = self.server.await;
        self.node.shutdown().await;
    }
}

/// The person at the terminal, where there is one: the story waits for them, so that they can look around.
struct Person(Option<mpsc::UnboundedReceiver<()>>);

impl Person {
    fn at_terminal(exit: bool) -> Self {
        if exit || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Self(None);
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        // A thread of its own, which ends with the process: nothing can interrupt the reading of a terminal.
        std::thread::spawn(move || {
            io::stdin().lines().map_while(Result::ok).all(|_| sender.send(()).is_ok());
        });
        Self(Some(receiver))
    }

    /// Waits for Enter, or for a moment where nobody is there to press it.
    async fn presses_enter(&mut self, what: &str) -> Result<(), Failure> {
        match &mut self.0 {
            None => sleep(BEAT).await,
            Some(keys) => {
                line(&format!("\n  Press Enter {what}."))?;
                // The end of the input means the same.
                let _ = keys.recv().await;
            }
        }
        Ok(())
    }
}

/// Calls `look` again and again until it returns something.
async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, ClientError>,
) -> Result<T, Failure> {
    let looking = async {
        loop {
            if let Ok(Some(seen)) = look().await {
                return seen;
            }
            sleep(LOOK).await;
        }
    };
    let seen = timeout(PATIENCE, looking).await;
    seen.map_err(|_| Failure::failed(format!("waited {} s in vain for {what}", PATIENCE.as_secs())))
}

/// Colours for a terminal.
struct Paint {
    colours: bool,
}

impl Paint {
    fn paint(&self, text: &str, style: Style) -> String {
        if self.colours { text.style(style).to_string() } else { text.to_owned() }
    }

    fn title(&self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    fn name(&self, text: &str) -> String {
        self.paint(text, Style::new().cyan().bold())
    }

    fn good(&self, text: &str) -> String {
        self.paint(text, Style::new().green().bold())
    }

    fn bad(&self, text: &str) -> String {
        self.paint(text, Style::new().red().bold())
    }

    fn status(&self, of: Status) -> String {
        let style = match of {
            Status::Pending | Status::Contested => Style::new().yellow(),
            Status::Confirmed => Style::new().green(),
            Status::Rejected => Style::new().red(),
        };
        self.paint(status(of), style)
    }
}
