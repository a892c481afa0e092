//! Tests of the saga's process manager, which is stopped after each of its steps.

#[path = "../../examples/saga/account.rs"]
mod account;
#[path = "../../examples/saga/process.rs"]
mod process;
#[path = "../../examples/saga/store.rs"]
mod store;

use std::path::Path;
use std::sync::Arc;

use forename::Client;
use forename::model::EventQuery;
use forename::transport::Cuts;
use uuid::Uuid;

use self::account::{Account, Command, Event};
use self::process::{ProcessManager, Step};
use self::store::EventStore;
use crate::support::facts::agreed;
use crate::support::local::{self, Local};
use crate::support::{all_members, claim, eventually, id, same, user};
use crate::{claim_first, forgetful};

/// A number of steps that no story exceeds.
const ENOUGH: usize = 40;

/// Three people: one whose name somebody else has claimed behind a cut, one whose name nobody else claims, and one
/// whose name is not valid.
struct Story {
    bob: Uuid,
    carol: Uuid,
    eve: Uuid,
    number: usize,
}

impl Story {
    fn new(number: usize) -> Self {
        Self { bob: id(3 * number), carol: id(3 * number + 1), eve: id(3 * number + 2), number }
    }

    fn contested(&self) -> String {
        format!("alice{}", self.number)
    }

    fn sign_up(&self, store: &mut EventStore) {
        let names = [self.contested(), format!("carol{}", self.number), "no name".to_owned()];
        for (id, name) in [self.bob, self.carol, self.eve].into_iter().zip(names) {
            // A person who was told that the sign-up was accepted does not send it again.
            if store.account(id) == Account::New {
                store.dispatch(id, Command::SignUp { name }, None).unwrap();
            }
        }
    }

    /// Runs until all three have an outcome. Checks that nobody is told anything twice.
    async fn to_its_end(&self, file: &Path, node: &Client) {
        let mut manager = open(file, node);
        self.sign_up(&mut manager.store);
        eventually("the saga has come to its end", async || {
            while manager.step().await.unwrap() != Step::Idle {}
            let left = manager
                .store
                .accounts()
                .find(|(_, account)| !matches!(account, Account::Active { .. } | Account::Cancelled));
            same(&left, &None)
        })
        .await;
        let kinds = |id| {
            let of_account = manager.store.history().iter().filter(move |record| record.account == id);
            of_account.map(|record| kind(&record.event)).collect::<Vec<_>>()
        };
        let stored = EventStore::open(file).unwrap();
        assert_eq!(stored.history(), manager.store.history(), "what is on disk is what happened");
        assert_eq!(kinds(self.bob), ["requested", "rejected", "cancelled"]);
        assert_eq!(kinds(self.eve), ["requested", "rejected", "cancelled"]);
        assert_eq!(kinds(self.carol), ["requested", "confirmed"]);
    }
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::SignUpRequested { .. } => "requested",
        Event::NameConfirmed => "confirmed",
        Event::NameRejected { .. } => "rejected",
        Event::SignUpCancelled { .. } => "cancelled",
    }
}

fn open(file: &Path, node: &Client) -> ProcessManager {
    ProcessManager::new(EventStore::open(file).unwrap(), node.clone())
}

/// Takes steps until there is nothing to do, and at most `at_most`. Returns how many are left.
async fn steps(manager: &mut ProcessManager, mut at_most: usize) -> usize {
    while at_most > 0 && manager.step().await.unwrap() != Step::Idle {
        at_most -= 1;
    }
    at_most
}

async fn decided(node: &Client) {
    eventually("all is decided", async || same(&node.cluster().await.unwrap().pending, &0)).await;
}

#[tokio::test]
async fn stopped_after_any_step_it_goes_on_without_a_loss_or_a_duplicate() {
    let cuts = Arc::new(Cuts::new());
    let a = Local::start("a", cuts.clone(), None).await;
    let b = Local::start("b", cuts.clone(), Some(&a)).await;
    let nodes = vec![a, b];
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |number: usize| dir.path().join(number.to_string());

    let mut number = 0;
    loop {
        let story = Story::new(number);
        cuts.cut(nodes[0].peer, nodes[1].peer);
        claim_first(&clients[0], &user(&story.contested(), "ann")).await;
        let mut manager = open(&file(number), &clients[1]);
        story.sign_up(&mut manager.store);
        let left = steps(&mut manager, number).await;
        cuts.heal();
        decided(&clients[1]).await;
        let left = steps(&mut manager, left).await;
        drop(manager);
        story.to_its_end(&file(number), &clients[1]).await;
        if left > 0 {
            break;
        }
        number += 1;
        assert!(number < ENOUGH, "the story never ends by itself");
    }
    assert!(number > 6, "the last story ended after {number} steps, so others were not stopped in between");

    // The same must hold where it is stopped while it writes a line: at its beginning, in its middle and before its
    // end.
    let (story, whole) = (Story::new(number), std::fs::read(file(number)).unwrap());
    let mut line = 0;
    for end in (0..whole.len()).filter(|place| whole[*place] == b'\n') {
        for cut in [line, usize::midpoint(line, end), end] {
            let torn = dir.path().join(format!("cut at {cut}"));
            std::fs::write(&torn, &whole[..cut]).unwrap();
            story.to_its_end(&torn, &clients[1]).await;
        }
        line = end + 1;
    }
    for number in 0..=number {
        let of_owner =
            async |owner: Uuid| clients[1].owner(&owner.to_string(), None, None).await.unwrap().registrations;
        let Story { bob, carol, .. } = Story::new(number);
        assert_eq!(of_owner(carol).await.len(), 1);
        // Where it was stopped before it asked for him, he was refused at once and is not registered.
        let asked_in_time = of_owner(bob).await;
        assert!(asked_in_time.len() <= 1 && (number < 3 || !asked_in_time.is_empty()), "{number}: {asked_in_time:?}");
    }
    agreed(&clients).await;
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn events_that_are_not_kept_any_more_are_made_up_for_by_asking_again() {
    let dir = tempfile::tempdir().unwrap();
    let links = Arc::new(Cuts::new());
    let a = forgetful("a", links.clone()).await;
    let b = Local::start("b", links.clone(), Some(&a)).await;
    let nodes = vec![a, b];
    let clients = local::clients(&nodes);
    all_members(&clients).await;
    let file = dir.path().join("events");

    // The feed must have told something, so that there is a cursor from which it cannot go on.
    let first = Story::new(0);
    claim_first(&clients[0], &user(&first.contested(), "ann")).await;
    first.to_its_end(&file, &clients[1]).await;
    links.cut(nodes[0].peer, nodes[1].peer);
    let second = Story::new(1);
    claim_first(&clients[0], &user(&second.contested(), "ann")).await;
    let mut manager = open(&file, &clients[1]);
    second.sign_up(&mut manager.store);
    steps(&mut manager, ENOUGH).await;
    links.heal();
    decided(&clients[1]).await;
    let (cursor, mut others) = (manager.store.cursor(), 0);
    eventually("the node has forgotten what was not read", async || {
        others += 1;
        claim(&clients[1], &user(&format!("other{others}"), "cid")).await;
        let refused = clients[1].events(cursor, &EventQuery::default()).await.err();
        same(&refused.and_then(|error| error.problem().and_then(|problem| problem.restart)).is_some(), &true)
    })
    .await;
    let mut taken = Vec::new();
    while taken.last() != Some(&Step::Idle) {
        taken.push(manager.step().await.unwrap());
    }
    assert_eq!(taken.first(), Some(&Step::StartedOver), "{taken:?}");
    assert!(taken.contains(&Step::Compensated(second.bob)), "{taken:?}");
    drop(manager);
    second.to_its_end(&file, &clients[1]).await;
    local::shutdown(nodes).await;
}
