//! Tests of a newcomer whose connection breaks in the middle of its snapshot.

use std::sync::Arc;

use forename::node::JoinConfig;
use forename::replica::{Caller, Command, RegisterRequest};
use forename::transport::Cuts;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::support::local::{self, Local};
use crate::support::relay::Relay;
use crate::support::{cluster, eventually, same};

/// The number of registrations, and the bytes of metadata of each.
const COUNT: usize = 2000;
const BYTES: usize = 2000;

/// Fills a node with so many rows that its snapshot takes many frames.
async fn fill(node: &Local) {
    let handle = node.handle();
    let registrations = (0..COUNT).map(|number| {
        let name = forename::model::NameRef { namespace: "load".to_owned(), name: format!("n{number}x") };
        let metadata = Some(format!(r#"{{"text":"{}"}}"#, "x".repeat(BYTES)));
        let owner = format!("owner{number}");
        let register = RegisterRequest { owner, names: vec![name], metadata, ..RegisterRequest::default() };
        handle.command(Command::Register(register), Caller::ANYBODY)
    });
    let answers = stream::iter(registrations).buffer_unordered(100).map(|answer| answer.map(drop));
    answers.try_collect::<()>().await.expect("each name is free");
}

/// Starts a newcomer that joins through a relay, which breaks the connection after a number of bytes.
async fn join(label: &str, sponsor: &Local, cuts: &Arc<Cuts>, breaks_after: u64) -> (Local, Relay) {
    let relay = Relay::to(sponsor.peer, breaks_after).await;
    let join = JoinConfig { address: Some(relay.address.to_string()), token: sponsor.token().await };
    let home = tempfile::tempdir().expect("a directory for a node");
    let newcomer = Local::start_in(home, label, cuts.clone(), Some(join)).await;
    eventually("it is a member", async || same(&cluster(&newcomer.client).await?.member, &true)).await;
    (newcomer, relay)
}

#[tokio::test]
async fn a_snapshot_that_breaks_off_goes_on_where_it_was() {
    let cuts = Arc::new(Cuts::new());
    let sponsor = Local::start("a", cuts.clone(), None).await;
    fill(&sponsor).await;
    let (first, relay) = join("b", &sponsor, &cuts, u64::MAX).await;
    let whole = relay.passed();
    let (second, relay) = join("c", &sponsor, &cuts, whole * 3 / 4).await;
    assert!(relay.was_broken(), "the snapshot did not break off: {} bytes", relay.passed());
    // A snapshot that began again would send the bytes before the break once more.
    assert!(relay.passed() < whole * 3 / 2, "{} bytes were sent to bring {whole}", relay.passed());
    for number in [0, COUNT / 2, COUNT - 1] {
        let held = second.client.name("load", &format!("n{number}x")).await.unwrap();
        assert!(held.registration.is_some(), "the newcomer does not know {held:?}");
    }
    local::shutdown(vec![sponsor, first, second]).await;
}
