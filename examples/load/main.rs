//! A load generator with closed-loop clients that claim names, at forename nodes, at etcd or at Redis.
//!
//! `cargo run --release --example load -- --node http://127.0.0.1:7400 --clients 64 --seconds 10`
//!
//! Each client claims one name after the other and waits for each answer. Of the answer only its status is read. One
//! thread drives all clients, because it shares the machine with the servers that it measures. It runs on Linux only,
//! because it reads /proc.

#![allow(clippy::disallowed_methods, reason = "a benchmark asks for the time")]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod etcd;
mod floor;
mod http;
mod people;
mod picture;
mod process;
mod redis;
mod report;
mod slices;

use std::cell::RefCell;
use std::error::Error;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use tokio::task::LocalSet;

use self::process::Usage;
use self::report::{Report, Tally};
use self::slices::{Cut, Slices, size_of};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The time that clients may still wait for answers after the end. A guess, longer than any stall worth measuring.
const PATIENCE: Duration = Duration::from_secs(15);
/// The time that a client waits after a failure before it connects again. A guess, so that a dead node costs no CPU
/// time.
const PAUSE: Duration = Duration::from_millis(20);
/// The number of names that are checked in one request, which is the most that a node takes.
const CHECKED: u64 = 100;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Target {
    /// Registrations through forename's HTTP interface
    Forename,
    /// Transactions through etcd's gRPC interface: put the key if there is none
    Etcd,
    /// Redis's SET with NX
    Redis,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Wait {
    None,
    Final,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The names that are claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Names {
    /// Random names, each of which is almost certainly claimed only once.
    Fresh,
    /// One of this number of names, so that most claims find the name taken.
    Hot(u64),
    /// The name of one of the first so many people.
    People(u64),
}

impl Names {
    fn pick(self, number: u64) -> String {
        match self {
            Self::Fresh => format!("n{number:016x}"),
            Self::Hot(count) => format!("hot{}", number % count),
            Self::People(count) => people::name(number % count),
        }
    }
}

impl std::str::FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = |kind: &str| text.strip_prefix(kind)?.parse().ok().filter(|count| *count > 0);
        let counted = || count("hot:").map(Self::Hot).or_else(|| count("people:").map(Self::People));
        match text {
            "fresh" => Ok(Self::Fresh),
            _ => counted().ok_or_else(|| "it must be 'fresh', or like 'hot:100' or 'people:100'".to_owned()),
        }
    }
}

/// The kind of request that the clients send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Ask {
    /// A claim to a name
    Claim,
    /// Who holds a name: `GET /v1/names/username/NAME` of forename
    LookUp,
    /// Whether 100 names are available, in one request: `POST /v1/names:check` of forename
    Check,
}

/// Claims names at a node or several, or looks them up, and prints throughput and latencies.
#[derive(Parser, Debug)]
struct Args {
    /// Where a node listens for clients; more than one is used round robin
    #[arg(long = "node", value_name = "URL", default_value = "http://127.0.0.1:7400")]
    nodes: Vec<String>,
    #[arg(long, value_enum, default_value = "forename")]
    target: Target,
    /// Clients, each with one claim under way
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Connections that etcd's clients share; those of the others have one each
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// How long it measures, after the warm-up
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// End after so many claims instead
    #[arg(long)]
    count: Option<u64>,
    /// Seconds of load before it measures
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// Whether a registration is answered when accepted or when final
    #[arg(long, value_enum, default_value = "none")]
    wait: Wait,
    /// fresh, hot:K for K names that all clients want, or people:K for the names of the first K people
    #[arg(long, default_value = "fresh")]
    names: Names,
    #[arg(long, value_enum, default_value = "claim")]
    ask: Ask,
    /// Write a file of so many people for `forename import` to the standard output, in place of asking anything
    #[arg(long, value_name = "COUNT")]
    people: Option<u64>,
    /// The number of the first of these people
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "people")]
    first: u64,
    /// How the ids of their owners begin
    #[arg(long, value_name = "TEXT", default_value = "user", requires = "people")]
    owners: String,
    /// Processes whose CPU time and memory are reported too
    #[arg(long = "pid")]
    pids: Vec<u32>,
    #[arg(long, value_enum, default_value = "text")]
    output: Format,
    /// Print a row of a table after so many claims, and go on
    #[arg(long, value_name = "CLAIMS")]
    every: Option<u64>,
    /// Data directories whose size the table has
    #[arg(long = "dir")]
    directories: Vec<PathBuf>,
    /// Write all latencies to this file, as percentiles that HdrHistogram's plotter reads
    #[arg(long, value_name = "FILE")]
    histogram: Option<PathBuf>,
    /// Draw claims a second and latencies over the run into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measure what the machine itself needs, in this directory, in place of claims: one synced append and one round trip over loopback
    #[arg(long, value_name = "DIRECTORY")]
    floor: Option<PathBuf>,
}

/// A generator of well spread numbers (splitmix64 of Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The state that clients share.
struct Shared {
    numbers: Numbers,
    tally: Tally,
    /// The run by seconds, for the picture.
    seconds: Slices,
    /// The run by numbers of claims, for the table.
    millions: Option<Slices>,
    pids: Vec<u32>,
    directories: Vec<PathBuf>,
    measure_from: Instant,
    until: Instant,
    left: Option<u64>,
}

impl Shared {
    /// Returns the number of the next name, and the time at which it was drawn; none where it is time to end.
    fn next(&mut self) -> Option<(u64, Instant)> {
        let now = Instant::now();
        if now >= self.until || self.left == Some(0) {
            return None;
        }
        if now >= self.measure_from
            && let Some(left) = &mut self.left
        {
            *left -= 1;
        }
        Some((self.numbers.next(), now))
    }

    fn record(&mut self, began: Instant, status: Option<u16>) {
        if began < self.measure_from {
            return;
        }
        let (took, now) = (began.elapsed(), self.measure_from.elapsed());
        self.tally.record(took, status);
        if status.is_some_and(|status| (200..300).contains(&status)) {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.seconds.add(micros, now);
            if self.millions.as_mut().is_some_and(|millions| millions.add(micros, now)) {
                self.end_slice(now);
            }
        }
    }

    fn end_slice(&mut self, now: Duration) {
        let usage = Usage::of(&self.pids).unwrap_or_default();
        let disk_bytes = self.directories.iter().map(|directory| size_of(directory)).sum();
        if let Some(millions) = &mut self.millions {
            millions.end(now, usage, disk_bytes);
        }
    }
}

/// The connection of a client to its node.
enum Client {
    Forename(http::Connection),
    Etcd(etcd::Client),
    Redis(redis::Client),
}

impl Client {
    /// Claims a name, or asks for it. Returns the HTTP status of the answer: 200 to 299 where the client got the name, or
    /// somebody has the name that was looked up.
    async fn ask(&mut self, what: Ask, names: Names, number: u64) -> Outcome<u16> {
        let name = names.pick(number);
        match (self, what) {
            (Self::Forename(connection), Ask::Claim) => connection.register(&name).await,
            (Self::Forename(connection), Ask::LookUp) => connection.look_up(&name).await,
            (Self::Forename(connection), Ask::Check) => {
                let mut numbers = Numbers(number);
                connection.check((0..CHECKED).map(|_| names.pick(numbers.next()))).await
            }
            (Self::Etcd(client), Ask::Claim) => client.create(&name).await,
            (Self::Redis(client), Ask::Claim) => client.create(&name).await,
            (Self::Etcd(_) | Self::Redis(_), _) => Err("only forename's names are looked up here".into()),
        }
    }
}

async fn run_client(mut client: Client, ask: Ask, names: Names, shared: Rc<RefCell<Shared>>) {
    loop {
        // This is a statement of its own, so that the borrow ends before the claim begins.
        let next = shared.borrow_mut().next();
        let Some((number, began)) = next else { return };
        let answer = client.ask(ask, names, number).await;
        shared.borrow_mut().record(began, answer.as_ref().ok().copied());
        if answer.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn connect(args: &Args) -> Outcome<Vec<Client>> {
    let mut clients = Vec::with_capacity(args.clients);
    let addresses = args.nodes.iter().map(|node| node.trim_start_matches("http://").trim_end_matches('/').to_owned());
    let addresses: Vec<_> = addresses.collect();
    match args.target {
        Target::Forename => {
            for address in addresses.iter().cycle().take(args.clients) {
                let connection = http::Connection::open(address, args.wait == Wait::Final).await?;
                clients.push(Client::Forename(connection));
            }
        }
        Target::Etcd => {
            let connections = args.connections.clamp(1, args.clients).max(addresses.len());
            let mut shared = Vec::new();
            for address in addresses.iter().cycle().take(connections) {
                shared.push(etcd::Client::open(address).await?);
            }
            clients.extend(shared.iter().cycle().take(args.clients).cloned().map(Client::Etcd));
        }
        Target::Redis => {
            for address in addresses.iter().cycle().take(args.clients) {
                clients.push(Client::Redis(redis::Client::open(address).await?));
            }
        }
    }
    Ok(clients)
}

async fn run(args: &Args) -> Outcome<Report> {
    let clients = connect(args).await?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let measure_from = Instant::now() + Duration::from_secs(args.warmup);
    // A run with a count ends by the count. The bound is for a node that does not answer.
    let seconds = if args.count.is_some() { 3600 } else { args.seconds };
    let until = measure_from + Duration::from_secs(seconds);
    let shared = Shared {
        numbers: Numbers(u64::from(since_epoch.subsec_nanos()) << 32 ^ since_epoch.as_secs()),
        tally: Tally::new()?,
        seconds: Slices::new(Cut::After(Duration::from_secs(1)))?,
        millions: args.every.map(|count| Slices::new(Cut::Every(count))).transpose()?,
        pids: args.pids.clone(),
        directories: args.directories.clone(),
        measure_from,
        until,
        left: args.count,
    };
    let shared = Rc::new(RefCell::new(shared));
    let local = LocalSet::new();
    let mut running = Vec::new();
    for client in clients {
        running.push(local.spawn_local(run_client(client, args.ask, args.names, shared.clone())));
    }
    let ended = local.run_until(async {
        tokio::time::sleep_until(measure_from.into()).await;
        let before = Usage::of(&args.pids)?;
        let all = async {
            for client in &mut running {
                client.await?;
            }
            Ok::<_, tokio::task::JoinError>(())
        };
        let stuck = match tokio::time::timeout_at((until + PATIENCE).into(), all).await {
            Ok(done) => done.map(|()| false)?,
            Err(_) => true,
        };
        Ok::<_, Box<dyn Error>>((Usage::of(&args.pids)?.since(&before), stuck))
    });
    let (usage, stuck) = ended.await?;
    let took = measure_from.elapsed();
    let unfinished = if stuck { running.iter().filter(|client| !client.is_finished()).count() } else { 0 };
    let shared = shared.borrow();
    if let Some(millions) = &shared.millions {
        println!("{millions}");
    }
    if let Some(file) = &args.svg {
        std::fs::write(file, picture::draw(&shared.seconds.done))?;
    }
    if let Some(file) = &args.histogram {
        std::fs::write(file, shared.tally.percentiles())?;
    }
    Ok(shared.tally.report(args.ask, args.clients, took, unfinished, usage))
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    if let Some(count) = args.people {
        people::write(args.first, count, &args.owners, std::io::stdout().lock())?;
        return Ok(());
    }
    if let Some(directory) = &args.floor {
        let floor = floor::measure(directory)?;
        match args.output {
            Format::Text => {
                println!("one synced append: p50 {:?}; one round trip: p50 {:?}", floor.append, floor.round_trip)
            }
            Format::Json => println!("{}", floor.json()),
        }
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(&args))?;
    match args.output {
        Format::Text => print!("{report}"),
        Format::Json => println!("{}", report.json()),
    }
    Ok(())
}
