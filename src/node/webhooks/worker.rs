//! The task of one webhook: it reads the feed, makes the attempts that are due, and records its progress.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::super::driver::{random, wall};
use super::super::handle::Handle;
use super::journal::{Item, Journal, Pass, Place};
use super::post::{Outcome, guarded, post};
use super::queue::{self, Failed, MOST_WAITING, Schedule};
use super::record::Record;
use super::role::Role;
use super::target::Clients;
use crate::clock::{Millis, Stamp};
use crate::metrics::Measured;
use crate::model::{Cursor, Event, EventQuery, Events, MissedEvents, Time, WebhookDelivery};
use crate::replica::{Caller, EventsAfter, KnownWebhook, Refusal, RepeatedUntil, SetWebhook, SinceMade, WebhookChange};

/// The longest time for which a task sleeps.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The shortest time between two records of the progress. What was delivered after the last record is delivered again after a
/// crash. A guess: a record costs two fsyncs of each file.
const RECORD_EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two records where no delivery would be repeated if the later one were lost: the task has only read
/// events that are not for the webhook, for instance. A guess.
const RECORD_MOVES_EVERY: Duration = Duration::from_secs(10);

/// How the deliveries to a webhook stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) delivery: WebhookDelivery,
    /// True where the node delivers to the webhook for now.
    works: bool,
    /// How often events were not kept any more when they were to be read, since the node started.
    gaps: u64,
}

impl Standing {
    pub(super) fn measured(&self) -> Measured {
        let WebhookDelivery { lag_events, dead, .. } = self.delivery;
        Measured { lag: self.works.then_some(lag_events), dead, gaps: self.gaps }
    }
}

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
    pub(super) clients: Arc<Clients>,
    pub(super) private: bool,
    pub(super) schedule: Schedule,
    pub(super) known: watch::Receiver<KnownWebhook>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) status: watch::Sender<Standing>,
    /// Closed when the task is to end.
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) journal: Journal,
}

/// The task of one webhook.
pub(super) struct Worker {
    tools: Tools,
    record: Record,
    /// The attempts under way, each with its event's id and the version of the webhook that it was made for.
    attempts: JoinSet<(String, Stamp, Outcome)>,
    events: watch::Receiver<Cursor>,
    written: Instant,
    /// True where the feed has more to read.
    more: bool,
    /// The version of the webhook that this node has stopped because of the receiver's 410, until it is seen to be stopped.
    gone: Option<Stamp>,
}

impl Worker {
    /// Reads the recorded progress. Where there is none, the deliveries begin with the first event kept that is not older
    /// than the webhook.
    pub(super) fn new(tools: Tools) -> io::Result<Self> {
        let events = tools.handle.events();
        let last = events.borrow().number;
        let fresh = || {
            // The feed of a later incarnation repeats events.
            let repeats = tools.handle.node().incarnation() > 0;
            let undecided = tools.role.borrow().undecided;
            Place { known_from: (!repeats).then_some(last), repeats, undecided, ..Place::default() }
        };
        let record = Record::open(&tools.journal, fresh)?;
        let (attempts, written) = (JoinSet::new(), Instant::now());
        Ok(Self { tools, record, attempts, events, written, more: true, gone: None })
    }

    /// Runs until the webhook is removed or the node stops.
    pub(super) async fn run(mut self) {
        loop {
            let works = self.works();
            if works {
                self.take_over();
                self.read().await;
                self.begin();
            }
            self.write_if_due().await;
            self.report(works);
            let pause = self.pause(works);
            tokio::select! {
                Some(ended) = self.attempts.join_next() => {
                    self.ended(ended).await;
                    while let Some(ended) = self.attempts.try_join_next() {
                        self.ended(ended).await;
                    }
                }
                order = self.tools.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => break,
                },
                Ok(()) = self.events.changed() => self.more = true,
                Ok(()) = self.tools.known.changed() => {
                    self.more = true;
                    let known = self.tools.known.borrow();
                    self.gone = self.gone.filter(|gone| *gone == known.stamp && known.stopped.is_none());
                }
                () = tokio::time::sleep(pause) => self.more |= self.is_behind(),
            }
        }
        self.attempts.shutdown().await;
        self.write().await;
    }

    /// Returns true where this node delivers to the webhook for now.
    fn works(&self) -> bool {
        let known = self.tools.known.borrow();
        known.hook.active && self.gone != Some(known.stamp) && self.tools.role.borrow().member
    }

    fn pause(&self, works: bool) -> Duration {
        if works && self.more && self.record.place.waiting.len() < MOST_WAITING {
            return Duration::ZERO;
        }
        let due = queue::next_due(&self.record.place).filter(|_| works && self.attempts.is_empty());
        let until = due.map_or(LOOK_EVERY, |due| Duration::from_millis(due.since(wall()).max(1)));
        until.min(LOOK_EVERY)
    }

    fn is_behind(&self) -> bool {
        let last = self.events.borrow().number;
        !self.record.place.passes.is_empty() || self.record.place.cursor.is_none_or(|cursor| cursor.number < last)
    }

    fn take_over(&mut self) {
        let all = self.tools.known.borrow().hook.all;
        let read = self.record.place.cursor.map_or(0, |cursor| cursor.number);
        if !all && self.tools.role.borrow().take_over(&mut self.record.place, read) {
            self.record.changed();
            self.more = true;
        }
    }

    /// Reads one page of the feed: where nodes were taken over, for these first.
    async fn read(&mut self) {
        let room = MOST_WAITING.saturating_sub(self.record.place.waiting.len());
        if !self.more || room == 0 {
            return;
        }
        let (all, types) = {
            let known = self.tools.known.borrow();
            (known.hook.all, known.hook.types.clone())
        };
        let since_made = match self.since_made().await {
            Ok(since_made) => since_made,
            Err(_) => {
                // The node is not ready; the next turn asks again.
                self.more = false;
                return;
            }
        };
        let place = &self.record.place;
        let pass = place.passes.first();
        let after = pass.map_or(place.cursor, |pass| pass.cursor);
        let local = !all && pass.is_none() && place.taken.is_empty();
        let query = EventQuery { types, local, limit: Some(room), ..EventQuery::default() };
        let asked = EventsAfter::new(after, query).since_made(since_made);
        match self.tools.handle.query(asked, Caller::ANYBODY).await {
            Ok(events) => self.take(events, after, all),
            Err(Refusal::EventsCompacted { after, restart }) => self.missed(after, restart),
            Err(Refusal::CursorUnknown { restart, .. }) => self.begin_anew(restart),
            // The node is not ready; the next turn asks again.
            Err(_) => self.more = false,
        }
    }

    /// Returns which events are left out where the feed repeats events; none where it repeats none.
    async fn since_made(&mut self) -> Result<Option<SinceMade>, Refusal> {
        if !self.record.place.repeats {
            return Ok(None);
        }
        if self.record.place.known_from.is_none() {
            self.record.place.known_from = self.tools.handle.query(RepeatedUntil, Caller::ANYBODY).await?;
            self.record.moved();
        }
        let made = self.tools.known.borrow().hook.created;
        let Place { known_from, undecided, .. } = self.record.place;
        let (until, undecided) = (known_from.unwrap_or(u64::MAX), undecided.unwrap_or(made));
        Ok(Some(SinceMade { until, made, undecided }))
    }

    fn take(&mut self, Events { events, next }: Events, after: Option<Cursor>, all: bool) {
        for event in events {
            if self.wants(&event, all) && !self.record.place.waiting.iter().any(|item| item.id == event.id) {
                self.record.place.waiting.extend(item(&event));
            }
        }
        let last = self.events.borrow().number;
        let place = &mut self.record.place;
        match place.passes.first_mut() {
            Some(pass) if next.number >= pass.until || after == Some(next) => drop(place.passes.remove(0)),
            Some(pass) => pass.cursor = Some(next),
            None => {
                self.more = next.number < last && after != Some(next);
                place.cursor = Some(next);
            }
        }
        if after != Some(next) {
            self.record.moved();
        }
    }

    /// Returns true where this node delivers an event.
    fn wants(&self, event: &Event, all: bool) -> bool {
        let (node, number) = (event.data.registration.node, event.cursor.map_or(0, |cursor| cursor.number));
        let place = &self.record.place;
        let is_later = place.repeats || place.known_from.is_some_and(|from| number > from);
        let created = self.tools.known.borrow().hook.created;
        if !is_later && event.time.0 < created {
            return false;
        }
        match place.passes.first() {
            _ if all => true,
            Some(pass) => number <= pass.until && pass.keys.contains(&node.key_part()),
            None => self.tools.role.borrow().delivers(&place.taken, node),
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
        self.record.place.missed = Some(MissedEvents::new(after, restart, Time(wall())));
        self.tools.status.send_modify(|status| status.gaps += 1);
        self.go_on_after(restart);
    }

    /// Reads a new feed from its beginning. It repeats the events of the registrations that this node accepted.
    fn begin_anew(&mut self, restart: Cursor) {
        let last = self.events.borrow().number;
        let place = &mut self.record.place;
        (place.known_from, place.repeats) = (None, true);
        place.passes.iter_mut().for_each(|pass| (pass.cursor, pass.until) = (None, last));
        if place.passes.is_empty() {
            self.go_on_after(restart);
        } else {
            place.cursor = None;
            self.record.changed();
        }
    }

    fn go_on_after(&mut self, restart: Cursor) {
        match self.record.place.passes.first_mut() {
            Some(pass) => pass.cursor = Some(restart),
            None => self.record.place.cursor = Some(restart),
        }
        self.record.changed();
    }

    fn begin(&mut self) {
        let now = wall();
        for Item { id, body, .. } in queue::begin(&mut self.record.place, now, &self.tools.schedule) {
            let (clients, private) = (Arc::clone(&self.tools.clients), self.tools.private);
            let KnownWebhook { hook, stamp, .. } = self.tools.known.borrow().clone();
            self.attempts.spawn(async move {
                let attempt = async {
                    match clients.of(&hook.url) {
                        Ok(client) => post(&client, private, &hook, &id, body, now).await,
                        Err(why) => Outcome::Failed { status: None, why, after: 0 },
                    }
                };
                let outcome = guarded(attempt).await;
                (id, stamp, outcome)
            });
        }
    }

    async fn ended(&mut self, ended: Result<(String, Stamp, Outcome), JoinError>) {
        // A task that panics has caught that; none is cancelled before the end.
        let Ok((id, version, outcome)) = ended else { return };
        let now = wall();
        match outcome {
            Outcome::Delivered(_) => {
                self.record.delivered(&id, now);
                self.tools.status.send_modify(|Standing { delivery: status, .. }| {
                    (status.delivered, status.delivered_at) = (status.delivered + 1, Some(Time(now)));
                    (status.last_error, status.last_error_at) = (None, None);
                });
            }
            Outcome::Gone => {
                self.failed(&id, "the receiver answered 410 Gone, which stops the webhook".to_owned(), now, 0);
                self.stop(version).await;
            }
            Outcome::Failed { why, after, .. } => self.failed(&id, why, now, after),
        }
    }

    fn failed(&mut self, id: &str, why: String, now: Millis, after: u64) {
        let webhook = self.tools.known.borrow().id;
        tracing::debug!(%webhook, event = id, why, "a delivery failed");
        self.tools.status.send_modify(|Standing { delivery: status, .. }| {
            (status.last_error, status.last_error_at) = (Some(why.clone()), Some(Time(now)));
        });
        let dice = random().map_or(0, u64::from_le_bytes);
        if self.record.failed((id, why.clone()), (now, after, dice), &self.tools.schedule) == Failed::Dead {
            tracing::warn!(%webhook, event = id, why, "an event was given up; replay it when the receiver is well");
        }
    }

    /// Stops a version of the webhook at all nodes. A version that was set since is not touched: the receiver did not answer
    /// to it.
    async fn stop(&mut self, version: Stamp) {
        if self.gone == Some(version) {
            return;
        }
        let id = self.tools.known.borrow().id;
        let change = WebhookChange::Stop { version };
        match self.tools.handle.set_webhook(SetWebhook { id, change }).await {
            Ok(known) if known.stamp == version => {
                self.gone = Some(version);
                tracing::warn!(webhook = %id, "the receiver answered 410 Gone: the webhook is stopped");
            }
            Ok(_) => {
                tracing::info!(webhook = %id, "the receiver answered 410 Gone; the webhook was changed since and goes on")
            }
            Err(error) => tracing::warn!(webhook = %id, %error, "the receiver answered 410 Gone; it is asked again"),
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            // Whoever asked may have gone.
            Order::Dead(reply) => drop(reply.send(self.record.dead().to_vec())),
            Order::Replay(reply) => {
                let count = self.record.replay(wall());
                self.write().await;
                // Whoever asked may have gone.
                let _ = reply.send(count);
            }
        }
    }

    async fn write_if_due(&mut self) {
        let pause = if self.record.is_urgent() { RECORD_EVERY } else { RECORD_MOVES_EVERY };
        if self.written.elapsed() >= pause {
            self.write().await;
        }
    }

    /// Writes all that is not on disk.
    async fn write(&mut self) {
        while let Some(unsaved) = self.record.unsaved() {
            self.written = Instant::now();
            let journal = self.tools.journal.clone();
            let written = tokio::task::spawn_blocking(move || unsaved.write(&journal)).await;
            // A panic in it was logged.
            let Ok((saved, result)) = written else { return };
            self.record.saved(saved);
            if let Err(error) = result {
                let id = self.tools.known.borrow().id;
                tracing::error!(webhook = %id, %error, "cannot write where deliveries stand; they are made again after a restart");
                return;
            }
        }
    }

    fn report(&self, works: bool) {
        let last = self.events.borrow().number;
        let place = &self.record.place;
        let read = place.cursor.map_or(0, |cursor| cursor.number);
        let again = |pass: &Pass| pass.until.saturating_sub(pass.cursor.map_or(0, |cursor| cursor.number));
        let passes: u64 = place.passes.iter().map(again).sum();
        let waiting = place.waiting.len() as u64;
        self.tools.status.send_modify(|Standing { delivery: status, works: standing, .. }| {
            status.lag_events = last.saturating_sub(read) + passes + waiting;
            (status.waiting, status.dead) = (waiting, self.record.dead().len() as u64);
            status.missed.clone_from(&place.missed);
            *standing = works;
        });
    }
}

/// Makes an item of an event. Its place in this node's feed means nothing to the receiver, and differs between nodes.
fn item(event: &Event) -> Option<Item> {
    let told = Event { cursor: None, ..event.clone() };
    let body = serde_json::to_string(&told)
        .inspect_err(|error| tracing::error!(event = event.id, %error, "an event cannot be written as JSON"));
    Some(Item::new(event.id.clone(), event.data.registration.id, body.ok()?))
}
