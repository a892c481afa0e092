//! Measures how long a claim takes at one node in this process: first alone, then while others read the event feed. The
//! readers ask for an owner who has no events, so each of them reads the whole feed again and again.
//!
//! `cargo run --release --example readers -- [READERS] [REGISTRATIONS] [CLAIMS]`

#![allow(clippy::disallowed_methods, reason = "a benchmark asks for the time")]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forename::Node;
use forename::model::{ClusterSettings, EventQuery, NameRef, RegistrationBody};
use forename::node::NodeConfig;
use futures_util::stream;
use hdrhistogram::Histogram;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The allocator is that of the program `forename`, so that times compare.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn claim(name: String) -> RegistrationBody {
    let names = vec![NameRef { namespace: "username".to_owned(), name }];
    RegistrationBody { owner: "somebody".to_owned(), names, ..RegistrationBody::default() }
}

async fn fill(node: &Node, count: u64) -> Outcome<()> {
    let mut answers = node.register_all(stream::iter((0..count).map(|n| claim(format!("held{n}"))))).await?;
    while answers.next().await?.is_some() {}
    Ok(())
}

/// Reads the whole feed again and again, and finds nothing. Counts the pages.
async fn read(node: Arc<Node>, pages: Arc<AtomicU64>) {
    let query = EventQuery { owner: Some("nobody".to_owned()), ..EventQuery::default() };
    let mut after = None;
    while let Ok(page) = node.events(after, &query).await {
        pages.fetch_add(1, Ordering::Relaxed);
        // At the end of the feed it begins again.
        after = Some(page.next).filter(|next| after != Some(*next));
    }
}

async fn measure(node: &Node, what: &str, claims: u64) -> Outcome<()> {
    let mut latencies = Histogram::<u64>::new(3)?;
    for n in 0..claims {
        let began = Instant::now();
        node.register(&claim(format!("{what}{n}"))).await?;
        latencies.record(u64::try_from(began.elapsed().as_micros())?)?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let at = |quantile| Duration::from_micros(latencies.value_at_quantile(quantile));
    println!("{what}: a claim takes {:?} (p50), {:?} (p99), {:?} (longest)", at(0.5), at(0.99), at(1.0));
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut numbers = env::args().skip(1).map(|text| text.parse::<u64>());
    let mut next = |default| numbers.next().unwrap_or(Ok(default));
    let (readers, registrations, claims) = (next(40)?, next(100_000)?, next(500)?);
    let dir = tempfile::tempdir()?;
    let config = NodeConfig { max_open: None, ..NodeConfig::new(dir.path()) }.founding(ClusterSettings::default());
    let node = Arc::new(Node::start(config).await?);
    fill(&node, registrations).await?;
    measure(&node, "alone", claims).await?;
    let pages = Arc::new(AtomicU64::new(0));
    for _ in 0..readers {
        tokio::spawn(read(Arc::clone(&node), Arc::clone(&pages)));
    }
    let began = Instant::now();
    measure(&node, "read", claims).await?;
    let (pages, seconds) = (pages.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
    println!("{readers} readers have read {pages} pages in {seconds:.1} s");
    Ok(())
}
