//! The task of one webhook: it reads the feed, makes the attempts that are due, and records its progress.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::driver::{random, wall};
use super::super::handle::Handle;
use super::journal::{Item, Journal, Place};
use super::post::{Outcome, post};
use super::queue::{self, Failed, MOST_WAITING, Schedule};
use super::role::Role;
use crate::clock::Millis;
use crate::model::{Cursor, Event, EventQuery, Events, MissedEvents, Time, WebhookDelivery};
use crate::replica::{Caller, EventsAfter, KnownWebhook, Refusal, SetWebhook, WebhookChange};

/// The longest time for which a task sleeps, and the shortest between two records of its progress. What was delivered
/// after the last record is delivered again after a crash.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A request to the task of a webhook.
#[derive(Debug)]
pub(super) enum Order {
    /// Deliver the dead letters anew. The answer is their number.
    Replay(oneshot::Sender<usize>),
    /// Show the dead letters.
    Dead(oneshot::Sender<Vec<Item>>),
}

/// The parts that the task of a webhook works with.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) handle: Handle,
    pub(super) client: reqwest::Client,
    pub(super) private: bool,
    pub(super) schedule: Schedule,
    pub(super) known: watch::Receiver<KnownWebhook>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) status: watch::Sender<WebhookDelivery>,
    /// Closed when the task is to end.
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) journal: Journal,
}

/// The task of one webhook.
pub(super) struct Worker {
    tools: Tools,
    place: Place,
    dead: Arc<Vec<Item>>,
    attempts: JoinSet<(String, Outcome)>,
    events: watch::Receiver<Cursor>,
    /// True where the place differs from the recorded one.
    changed: bool,
    written: Instant,
    /// True where the feed has more to read.
    more: bool,
    /// True from the receiver's 410 on, until the webhook is seen to have changed.
    gone: bool,
}

impl Worker {
    /// Reads the recorded progress. Where there is none, the deliveries begin with the first event kept that is not older
    /// than the webhook.
    pub(super) fn new(tools: Tools) -> io::Result<Self> {
        let events = tools.handle.events();
        let last = events.borrow().number;
        let place = tools.journal.place()?;
        let (changed, dead) = (place.is_none(), Arc::new(tools.journal.dead()?));
        let place = place.unwrap_or_else(|| Place { known_from: Some(last), ..Place::default() });
        let (attempts, written) = (JoinSet::new(), Instant::now());
        Ok(Self { tools, place, dead, attempts, events, changed, written, more: true, gone: false })
    }

    /// Runs until the webhook is removed or the node stops.
    pub(super) async fn run(mut self) {
        loop {
            let works = !self.gone && self.tools.known.borrow().hook.active && self.tools.role.borrow().member;
            if works {
                self.take_over();
                self.read().await;
                self.begin();
            }
            self.write(false).await;
            self.report();
            let pause = self.pause(works);
            tokio::select! {
                Some(ended) = self.attempts.join_next() => {
                    self.ended(ended.ok()).await;
                    while let Some(ended) = self.attempts.try_join_next() {
                        self.ended(ended.ok()).await;
                    }
                }
                order = self.tools.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => break,
                },
                Ok(()) = self.events.changed() => self.more = true,
                Ok(()) = self.tools.known.changed() => (self.more, self.gone) = (true, false),
                () = tokio::time::sleep(pause) => self.more |= self.is_behind(),
            }
        }
        self.attempts.shutdown().await;
        self.write(true).await;
    }

    fn pause(&self, works: bool) -> Duration {
        if works && self.more && self.place.waiting.len() < MOST_WAITING {
            return Duration::ZERO;
        }
        let due = queue::next_due(&self.place).filter(|_| works && self.attempts.is_empty());
        let until = due.map_or(LOOK_EVERY, |due| Duration::from_millis(due.since(wall()).max(1)));
        until.min(LOOK_EVERY)
    }

    fn is_behind(&self) -> bool {
        let last = self.events.borrow().number;
        !self.place.passes.is_empty() || self.place.cursor.is_none_or(|cursor| cursor.number < last)
    }

    fn take_over(&mut self) {
        let all = self.tools.known.borrow().hook.all;
        let read = self.place.cursor.map_or(0, |cursor| cursor.number);
        if !all && self.tools.role.borrow().take_over(&mut self.place, read) {
            (self.changed, self.more) = (true, true);
        }
    }

    /// Reads one page of the feed: where nodes were taken over, for these first.
    async fn read(&mut self) {
        let room = MOST_WAITING.saturating_sub(self.place.waiting.len());
        if !self.more || room == 0 {
            return;
        }
        let (all, types) = {
            let known = self.tools.known.borrow();
            (known.hook.all, known.hook.types.clone())
        };
        let pass = self.place.passes.first();
        let after = pass.map_or(self.place.cursor, |pass| pass.cursor);
        let local = !all && pass.is_none() && self.place.taken.is_empty();
        let query = EventQuery { types, local, limit: Some(room), ..EventQuery::default() };
        match self.tools.handle.query(EventsAfter::new(after, query), Caller::ANYBODY).await {
            Ok(events) => self.take(events, after, all),
            Err(Refusal::EventsCompacted { after, restart }) => self.missed(after, restart),
            Err(Refusal::CursorUnknown { restart, .. }) => self.begin_anew(restart),
            // The node is not ready; the next turn asks again.
            Err(_) => self.more = false,
        }
    }

    fn take(&mut self, Events { events, next }: Events, after: Option<Cursor>, all: bool) {
        for event in events {
            if self.wants(&event, all) && !self.place.waiting.iter().any(|item| item.id == event.id) {
                self.place.waiting.extend(item(&event));
            }
        }
        let last = self.events.borrow().number;
        match self.place.passes.first_mut() {
            Some(pass) if next.number >= pass.until || after == Some(next) => drop(self.place.passes.remove(0)),
            Some(pass) => pass.cursor = Some(next),
            None => {
                self.more = next.number < last && after != Some(next);
                self.place.cursor = Some(next);
            }
        }
        self.changed |= after != Some(next);
    }

    /// Returns true where this node delivers an event.
    fn wants(&self, event: &Event, all: bool) -> bool {
        let (node, number) = (event.data.registration.node, event.cursor.map_or(0, |cursor| cursor.number));
        let is_later = self.place.known_from.is_some_and(|from| number > from);
        let created = self.tools.known.borrow().hook.created;
        if !is_later && event.time.0 < created {
            return false;
        }
        match self.place.passes.first() {
            _ if all => true,
            Some(pass) => number <= pass.until && pass.keys.contains(&node.key_part()),
            None => self.tools.role.borrow().delivers(&self.place.taken, node),
        }
    }

    /// Goes on after events that the node no longer keeps, and reports the gap.
    fn missed(&mut self, after: Cursor, restart: Cursor) {
        let id = self.tools.known.borrow().id;
        tracing::warn!(
            webhook = %id, %after, %restart,
            "events were not delivered to a webhook, because the node no longer keeps them: the receiver was away for longer. \
             Let it read anew what became of what it follows"
        );
        self.place.missed = Some(MissedEvents::new(after, restart, Time(wall())));
        self.go_on_after(restart);
    }

    /// Reads a new feed from its beginning. It repeats the events of the registrations that this node accepted.
    fn begin_anew(&mut self, restart: Cursor) {
        self.place.known_from = None;
        let last = self.events.borrow().number;
        self.place.passes.iter_mut().for_each(|pass| (pass.cursor, pass.until) = (None, last));
        if self.place.passes.is_empty() {
            self.go_on_after(restart);
        } else {
            (self.place.cursor, self.changed) = (None, true);
        }
    }

    fn go_on_after(&mut self, restart: Cursor) {
        match self.place.passes.first_mut() {
            Some(pass) => pass.cursor = Some(restart),
            None => self.place.cursor = Some(restart),
        }
        self.changed = true;
    }

    fn begin(&mut self) {
        let now = wall();
        for Item { id, body, .. } in queue::begin(&mut self.place, now) {
            let (client, private) = (self.tools.client.clone(), self.tools.private);
            let hook = self.tools.known.borrow().hook.clone();
            self.attempts.spawn(async move {
                let outcome = post(&client, private, &hook, &id, body, now).await;
                (id, outcome)
            });
        }
    }

    async fn ended(&mut self, ended: Option<(String, Outcome)>) {
        self.changed = true;
        let Some((id, outcome)) = ended else {
            // An attempt was cut short by a bug. It counts as not made.
            if self.attempts.is_empty() {
                self.place.waiting.iter_mut().for_each(|item| item.under_way = false);
            }
            return;
        };
        let now = wall();
        match outcome {
            Outcome::Delivered(_) => {
                queue::delivered(&mut self.place, &id, now);
                self.tools.status.send_modify(|status| {
                    (status.delivered, status.delivered_at) = (status.delivered + 1, Some(Time(now)));
                    (status.last_error, status.last_error_at) = (None, None);
                });
            }
            Outcome::Gone => {
                self.failed(&id, "the receiver answered 410 Gone, which stops the webhook".to_owned(), now, 0).await;
                self.stop().await;
            }
            Outcome::Failed { why, after, .. } => self.failed(&id, why, now, after).await,
        }
    }

    async fn failed(&mut self, id: &str, why: String, now: Millis, after: u64) {
        let webhook = self.tools.known.borrow().id;
        tracing::debug!(%webhook, event = id, why, "a delivery failed");
        self.tools.status.send_modify(|status| {
            (status.last_error, status.last_error_at) = (Some(why.clone()), Some(Time(now)));
        });
        let dice = random().map_or(0, u64::from_le_bytes);
        let dead = Arc::make_mut(&mut self.dead);
        let schedule = self.tools.schedule;
        if queue::failed(&mut self.place, dead, (id, why.clone()), (now, after, dice), &schedule) == Failed::Dead {
            tracing::warn!(%webhook, event = id, why, "an event was given up; replay it when the receiver is well");
            // The letter is written before the place forgets the event, so that a crash between the two loses nothing.
            self.write_dead().await;
        }
    }

    /// Stops the webhook at all nodes.
    async fn stop(&mut self) {
        if self.gone {
            return;
        }
        let id = self.tools.known.borrow().id;
        let change = WebhookChange::Change { url: None, all: None, types: None, active: Some(false) };
        match self.tools.handle.set_webhook(SetWebhook { id, change }).await {
            Ok(_) => {
                self.gone = true;
                tracing::warn!(webhook = %id, "the receiver answered 410 Gone: the webhook is stopped");
            }
            Err(error) => tracing::warn!(webhook = %id, %error, "the receiver answered 410 Gone; it is asked again"),
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            // Whoever asked may have gone.
            Order::Dead(reply) => drop(reply.send(self.dead.to_vec())),
            Order::Replay(reply) => {
                let count = queue::replay(&mut self.place, Arc::make_mut(&mut self.dead), wall());
                // The place is written first, so that a crash between the two loses no letter.
                self.changed = true;
                self.write(true).await;
                self.write_dead().await;
                // Whoever asked may have gone.
                let _ = reply.send(count);
            }
        }
    }

    async fn write(&mut self, now: bool) {
        if !self.changed || !(now || self.written.elapsed() >= LOOK_EVERY) {
            return;
        }
        let (journal, place) = (self.tools.journal.clone(), self.place.clone());
        if self.on_disk(move || journal.save_place(&place)).await {
            self.changed = false;
        }
        self.written = Instant::now();
    }

    async fn write_dead(&mut self) {
        let (journal, dead) = (self.tools.journal.clone(), Arc::clone(&self.dead));
        self.on_disk(move || journal.save_dead(&dead)).await;
    }

    async fn on_disk(&self, write: impl FnOnce() -> io::Result<()> + Send + 'static) -> bool {
        let written = tokio::task::spawn_blocking(write).await;
        match written {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                let id = self.tools.known.borrow().id;
                tracing::error!(webhook = %id, %error, "cannot write where deliveries stand; they are made again after a restart");
                false
            }
            Err(_) => false,
        }
    }

    fn report(&self) {
        let last = self.events.borrow().number;
        let read = self.place.cursor.map_or(0, |cursor| cursor.number);
        let again =
            |pass: &super::journal::Pass| pass.until.saturating_sub(pass.cursor.map_or(0, |cursor| cursor.number));
        let passes: u64 = self.place.passes.iter().map(again).sum();
        let waiting = self.place.waiting.len() as u64;
        self.tools.status.send_modify(|status| {
            status.lag_events = last.saturating_sub(read) + passes + waiting;
            (status.waiting, status.dead) = (waiting, self.dead.len() as u64);
            status.missed.clone_from(&self.place.missed);
        });
    }
}

/// Makes an item of an event. Its place in this node's feed means nothing to the receiver, and differs between nodes.
fn item(event: &Event) -> Option<Item> {
    let told = Event { cursor: None, ..event.clone() };
    let body = serde_json::to_string(&told)
        .inspect_err(|error| tracing::error!(event = event.id, %error, "an event cannot be written as JSON"));
    Some(Item {
        id: event.id.clone(),
        registration: event.data.registration.id,
        body: body.ok()?,
        attempts: 0,
        since: None,
        due: Millis(0),
        error: None,
        under_way: false,
    })
}
