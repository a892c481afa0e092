//! Webhooks: a node posts the events of its feed to the receivers that operators have set.
//!
//! Which webhooks there are is replicated ([`SetWebhook`](crate::replica::SetWebhook)). Delivering is each node's own: a
//! task for each webhook is a reader of the node's durable feed like any client, so a slow receiver slows neither the
//! replica nor other webhooks. A node delivers the events of the registrations that it accepted, in order for each
//! registration, at least once. An event has one id at all nodes, by which a receiver recognizes a repeated delivery.
//!
//! | file | what |
//! | --- | --- |
//! | `role` | for which nodes a node delivers |
//! | `queue` | which event is attempted when, and when it is given up |
//! | `journal` | the files: how far the feed was read, events that wait, dead letters |
//! | `record` | what of these is not on disk, and in which order it is written |
//! | `post`, `sign`, `target` | one attempt, its signature, the addresses that are allowed |
//! | `worker` | the task of one webhook |

mod journal;
mod post;
mod queue;
mod record;
mod role;
mod sign;
mod target;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::journal::{Item, Journal};
use self::post::{Outcome, TIMEOUT, post};
use self::queue::Schedule;
use self::role::Role;
pub(crate) use self::sign::secret_text;
use self::target::Clients;
#[cfg(feature = "otel")]
pub(crate) use self::target::outgoing_tls;
pub(crate) use self::target::{TargetError, check, origin};
use self::worker::{Order, Standing, Tools, Worker};
use super::driver::{random, wall};
use super::handle::Handle;
use crate::metrics::Measured;
use crate::model::{DeadLetter, WebhookDelivery, WebhookTest};
use crate::replica::{Caller, ClusterCommand, KnownWebhook, WebhooksKnown};

/// How often a node asks for the webhooks and the members. A guess: soon enough for a person who has changed one.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Settings of the deliveries of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebhookOptions {
    /// True where receivers may have addresses of private networks.
    pub private_targets: bool,
    /// The pause after the first attempt of an event, which doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause between two attempts.
    pub longest_pause: Duration,
    /// How long an event is attempted before it is given up. Time in which the node or the webhook is stopped does not count.
    pub give_up_after: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
}

impl Default for WebhookOptions {
    /// Three days of attempts, as Standard Webhooks advises. The pauses are guesses: a receiver that restarts is tried again
    /// within seconds, and one that is away for long every hour.
    fn default() -> Self {
        Self {
            private_targets: false,
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(3600),
            give_up_after: Duration::from_secs(3 * 24 * 3600),
            timeout: TIMEOUT,
        }
    }
}

/// The deliveries of a node.
#[derive(Debug)]
pub struct Deliveries {
    handle: Handle,
    dir: PathBuf,
    options: WebhookOptions,
    clients: Arc<Clients>,
    tasks: Mutex<BTreeMap<Uuid, Running>>,
    /// The webhooks whose tasks cannot be started, and why.
    broken: Mutex<BTreeMap<Uuid, String>>,
    stop: watch::Sender<bool>,
    ended: Mutex<Option<JoinHandle<()>>>,
}

/// The task of one webhook.
#[derive(Debug)]
struct Running {
    known: watch::Sender<KnownWebhook>,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Standing>,
    task: JoinHandle<()>,
}

impl Deliveries {
    /// Begins to deliver. The progress is recorded in files in `dir`. A reader delivers nothing: no registration is
    /// accepted there.
    pub(super) fn start(handle: Handle, dir: PathBuf, options: WebhookOptions, is_reader: bool) -> Arc<Self> {
        let deliveries = Arc::new(Self {
            handle,
            dir,
            options,
            clients: Arc::new(Clients::new(options.private_targets, options.timeout)),
            tasks: Mutex::default(),
            broken: Mutex::default(),
            stop: watch::Sender::new(false),
            ended: Mutex::default(),
        });
        if !is_reader {
            let task = tokio::spawn(Arc::clone(&deliveries).run());
            *deliveries.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
        deliveries
    }

    /// Asks for the end of all deliveries, without waiting for it.
    pub(super) fn begin_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Ends all deliveries. Attempts that are under way are cut off, and made again after the next start.
    pub(super) async fn stop(&self) {
        self.begin_to_stop();
        let task = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It ends by itself, and a panic in it was logged.
            let _ = task.await;
        }
    }

    /// Checks whether a URL may be that of a receiver.
    pub(crate) fn check(&self, url: &str) -> Result<(), TargetError> {
        check(url, self.options.private_targets).map(drop)
    }

    /// Returns the state of the deliveries to a webhook; none where they have not begun.
    pub(crate) fn status(&self, id: Uuid) -> Option<WebhookDelivery> {
        let running = self.tasks().get(&id).map(|running| running.status.borrow().delivery.clone());
        let broken = || self.broken().get(&id).cloned();
        running.or_else(|| Some(WebhookDelivery { last_error: Some(broken()?), ..WebhookDelivery::default() }))
    }

    /// Returns what is measured of the deliveries to all webhooks.
    pub(crate) fn measured(&self) -> BTreeMap<Uuid, Measured> {
        self.tasks().iter().map(|(id, running)| (*id, running.status.borrow().measured())).collect()
    }

    /// Delivers the dead letters of a webhook anew. Returns their number; none where there is no such webhook here.
    pub(crate) async fn replay(&self, id: Uuid) -> Option<usize> {
        self.order(id, Order::Replay).await
    }

    /// Returns the dead letters of a webhook; none where there is no such webhook here.
    pub(crate) async fn dead_letters(&self, id: Uuid) -> Option<Vec<DeadLetter>> {
        let dead = self.order(id, Order::Dead).await?;
        let letter = |Item { id, body, attempts, error, .. }: Item| {
            let event = serde_json::from_str(&body).unwrap_or_default();
            DeadLetter { id, event, attempts, error }
        };
        Some(dead.into_iter().map(letter).collect())
    }

    /// Posts an event of the type `forename.webhook.test` to a receiver, once.
    pub(crate) async fn test(&self, known: &KnownWebhook) -> WebhookTest {
        let failed = |error: String| WebhookTest { error: Some(error), ..WebhookTest::default() };
        let (client, number) = match (self.clients.of(&known.hook.url), random::<16>()) {
            (Ok(client), Ok(bytes)) => (client, uuid::Builder::from_random_bytes(bytes).into_uuid()),
            (Err(error), _) => return failed(error),
            (_, Err(error)) => return failed(error.to_string()),
        };
        let (id, now) = (format!("{}/test/{number}", known.id), wall());
        let event = serde_json::json!({
            "specversion": "1.0", "id": id, "source": format!("/nodes/{}", self.handle.node().first_incarnation()),
            "type": "forename.webhook.test", "subject": known.id, "time": crate::model::Time(now),
            "datacontenttype": "application/json", "data": {},
        });
        match post(&client, self.options.private_targets, &known.hook, &id, event.to_string(), now).await {
            Outcome::Delivered(status) => {
                WebhookTest { delivered: true, status: Some(status.as_u16()), ..WebhookTest::default() }
            }
            Outcome::Gone => WebhookTest { status: Some(410), ..failed("the receiver answered 410 Gone".to_owned()) },
            Outcome::Failed { status, why, .. } => {
                WebhookTest { status: status.map(|status| status.as_u16()), ..failed(why) }
            }
        }
    }

    async fn order<A>(&self, id: Uuid, order: impl FnOnce(oneshot::Sender<A>) -> Order) -> Option<A> {
        let orders = self.tasks().get(&id)?.orders.clone();
        let (reply, answer) = oneshot::channel();
        orders.send(order(reply)).await.ok()?;
        answer.await.ok()
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<Uuid, Running>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self) -> MutexGuard<'_, BTreeMap<Uuid, String>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        let (role, mut stop) = (watch::Sender::new(Role::default()), self.stop.subscribe());
        let mut swept = false;
        loop {
            if let Ok(known) = self.handle.query(WebhooksKnown, Caller::ANYBODY).await {
                if !std::mem::replace(&mut swept, true) {
                    self.sweep(&known);
                }
                self.settle(known, &role).await;
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let tasks = std::mem::take(&mut *self.tasks());
        let tasks: Vec<_> = tasks.into_values().map(|Running { task, .. }| task).collect();
        for task in tasks {
            // A panic in it was logged.
            let _ = task.await;
        }
    }

    /// Starts a task for each new webhook, and ends the tasks of webhooks that were removed.
    async fn settle(&self, known: Vec<KnownWebhook>, role: &watch::Sender<Role>) {
        if !known.is_empty()
            && let Ok(cluster) = self.handle.operate(ClusterCommand::Show).await
        {
            let now = Role::of(&cluster);
            role.send_if_modified(|role| std::mem::replace(role, now.clone()) != now);
        }
        let gone: Vec<_> = {
            let mut tasks = self.tasks();
            let gone: Vec<_> = tasks.keys().filter(|id| !known.iter().any(|known| known.id == **id)).copied().collect();
            gone.into_iter().filter_map(|id| Some((id, tasks.remove(&id)?))).collect()
        };
        for (id, Running { orders, task, .. }) in gone {
            drop(orders);
            // A panic in it was logged.
            let _ = task.await;
            self.forget(id);
        }
        self.broken().retain(|id, _| known.iter().any(|known| known.id == *id));
        if *role.borrow() == Role::default() {
            // The node has not said yet who the members are.
            return;
        }
        for known in known {
            self.see(known, role);
        }
    }

    /// Removes the files of webhooks that were removed while the node was away.
    fn sweep(&self, known: &[KnownWebhook]) {
        let files = journal::known(&self.dir).unwrap_or_default();
        files.into_iter().filter(|id| !known.iter().any(|known| known.id == *id)).for_each(|id| self.forget(id));
    }

    fn forget(&self, id: Uuid) {
        if let Err(error) = Journal::new(&self.dir, id).remove() {
            tracing::warn!(webhook = %id, %error, "cannot remove the files of a webhook that was removed");
        }
    }

    /// Tells the task of a webhook of a change, or starts the task.
    fn see(&self, known: KnownWebhook, role: &watch::Sender<Role>) {
        let id = known.id;
        let mut tasks = self.tasks();
        if let Some(running) = tasks.get(&id) {
            running.known.send_if_modified(|before| std::mem::replace(before, known.clone()) != known);
            return;
        }
        match self.launch(known, role) {
            Ok(running) => {
                self.broken().remove(&id);
                tasks.insert(id, running);
            }
            Err(why) => {
                if self.broken().insert(id, why.clone()).as_ref() != Some(&why) {
                    tracing::error!(webhook = %id, why, "a webhook cannot be served; the node tries again");
                }
            }
        }
    }

    fn launch(&self, known: KnownWebhook, role: &watch::Sender<Role>) -> Result<Running, String> {
        let journal = Journal::new(&self.dir, known.id);
        let (known, orders) = (watch::Sender::new(known), mpsc::channel(4));
        let status = watch::Sender::new(Standing::default());
        let WebhookOptions { private_targets, first_pause, longest_pause, give_up_after, .. } = self.options;
        let seen = status.subscribe();
        let worker = Worker::new(Tools {
            handle: self.handle.clone(),
            clients: Arc::clone(&self.clients),
            private: private_targets,
            schedule: Schedule { first: first_pause, longest: longest_pause, give_up: give_up_after },
            known: known.subscribe(),
            role: role.subscribe(),
            status,
            orders: orders.1,
            journal,
        });
        let worker = worker.map_err(|error| format!("its files in {} cannot be read: {error}", self.dir.display()))?;
        Ok(Running { known, orders: orders.0, status: seen, task: tokio::spawn(worker.run()) })
    }
}
