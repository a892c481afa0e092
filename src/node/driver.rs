//! The driver: the only owner of a replica and its store. A thread of its own, so that a read from disk never holds up
//! the sockets.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::TryRng;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Call, JoinConfig, NodeError};
use crate::clock::Millis;
use crate::replica::{Cursor, Founding, Input, Now, Output, Replica, Reply, Token};
use crate::store::disk::{DiskEvent, DiskStore};
use crate::transport::{ClusterId, ClusterKey, Handle, JoinError, Joined};

/// Inputs of each kind that one step takes at most, so that a step stays short. A guess.
const STEP: usize = 512;
/// Bytes that wait for the disk before the driver takes nothing more in. A guess: a second of a slow disk.
const MAX_BACKLOG: usize = 64 << 20;

/// The machine's clocks, read here and nowhere else on the way to a replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    start: Instant,
}

impl Clocks {
    #[expect(clippy::disallowed_methods, reason = "the driver hands the time to the pure parts")]
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn now(self) -> Now {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall: wall(), elapsed: Millis(elapsed) }
    }

    fn instant(self, elapsed: Millis) -> Instant {
        // A time too far to be told is as good as a day away: the driver looks again then.
        let day = Duration::from_secs(24 * 3600);
        self.start + Duration::from_millis(elapsed.0).min(self.start.elapsed() + day)
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver hands the time to the pure parts")]
pub(super) fn wall() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Bytes from the system, for secrets and seeds.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NodeError> {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|error| NodeError::System(error.to_string()))?;
    Ok(bytes)
}

/// How a driver came to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    Stopped,
    Halted(String),
}

/// Where a driver's work comes from.
pub(super) struct Channels {
    pub(super) disk_events: mpsc::UnboundedReceiver<DiskEvent>,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) stopping: mpsc::Receiver<()>,
}

pub(super) struct Driver {
    replica: Replica<DiskStore>,
    clocks: Clocks,
    transport: Handle,
    join: Option<JoinConfig>,
    replies: HashMap<Token, oneshot::Sender<Reply>>,
    next_token: Token,
    events: watch::Sender<Cursor>,
    founding: watch::Sender<Option<Founding>>,
    ended: watch::Sender<Option<Ended>>,
}

type JoinOutcome = Result<Joined, JoinError>;
type Watches = (watch::Receiver<Cursor>, watch::Receiver<Option<Founding>>, watch::Receiver<Option<Ended>>);

impl Driver {
    pub(super) fn new(
        replica: Replica<DiskStore>,
        clocks: Clocks,
        transport: Handle,
        join: Option<JoinConfig>,
    ) -> Self {
        let last = replica.last_event();
        Self {
            replica,
            clocks,
            transport,
            join,
            replies: HashMap::new(),
            next_token: 1,
            events: watch::Sender::new(last),
            founding: watch::Sender::new(None),
            ended: watch::Sender::new(None),
        }
    }

    pub(super) fn watches(&self) -> Watches {
        (self.events.subscribe(), self.founding.subscribe(), self.ended.subscribe())
    }

    /// Runs the driver on a thread of its own. The receiver tells a newcomer's reception by its sponsor, once; for
    /// others it closes at once.
    pub(super) fn start(mut self, mut channels: Channels) -> Result<mpsc::Receiver<JoinOutcome>, NodeError> {
        let (told, joined) = mpsc::channel(1);
        let runtime = tokio::runtime::Handle::current();
        let run = move || {
            let ended = runtime.block_on(self.run(&mut channels, told));
            let Self { replica, ended: watch, .. } = self;
            let closed = replica.into_store().close();
            let ended = match (ended, closed) {
                (Ended::Stopped, Err(failure)) => Ended::Halted(failure.to_string()),
                (ended, _) => ended,
            };
            watch.send_replace(Some(ended));
        };
        let spawned = std::thread::Builder::new().name("forename-driver".to_owned()).spawn(run);
        spawned.map_err(|error| NodeError::System(error.to_string()))?;
        Ok(joined)
    }

    async fn run(&mut self, channels: &mut Channels, told: mpsc::Sender<JoinOutcome>) -> Ended {
        // Before `told` can be dropped, so that a node which has started knows its cluster and can let others in.
        if let Some(reason) = self.step() {
            return Ended::Halted(reason);
        }
        let mut joining = self.begin_join().map(|outcome| (outcome, told));
        loop {
            if let Some(reason) = self.step() {
                return Ended::Halted(reason);
            }
            tokio::select! {
                biased;
                _ = channels.stopping.recv() => return self.finish(channels).await,
                Some(event) = channels.disk_events.recv() => self.on_disk(event),
                Some(input) = channels.inputs.recv(), if self.keeps_up() => self.on_input(input),
                outcome = reception(&mut joining) => {
                    if let Some((_, told)) = joining.take() {
                        // Whoever started the node may have given up.
                        let _ = told.send(outcome).await;
                    }
                }
                Some(call) = channels.calls.recv(), if self.keeps_up() => self.on_call(call),
                () = tokio::time::sleep_until(self.clocks.instant(self.replica.wake_at()).into()) => {
                    self.replica.handle(self.clocks.now(), Input::Wake);
                }
            }
            self.take_more(channels);
        }
    }

    /// Whatever else is there goes into the same step.
    fn take_more(&mut self, channels: &mut Channels) {
        while let Ok(event) = channels.disk_events.try_recv() {
            self.on_disk(event);
        }
        if !self.keeps_up() {
            return;
        }
        for _ in 0..STEP {
            let Ok(input) = channels.inputs.try_recv() else { break };
            self.on_input(input);
        }
        for _ in 0..STEP {
            let Ok(call) = channels.calls.try_recv() else { break };
            self.on_call(call);
        }
    }

    /// Whether the disk can take what is written; if not, clients and peers are made to wait.
    fn keeps_up(&self) -> bool {
        self.replica.store().backlog() < MAX_BACKLOG
    }

    /// Ends the step; the reason where the node must halt.
    fn step(&mut self) -> Option<String> {
        let outputs = self.replica.flush(self.clocks.now());
        if self.founding.borrow().is_none()
            && let Some(founding) = self.replica.founding().cloned()
        {
            let key = ClusterKey(founding.secret);
            self.transport.set_cluster(ClusterId(founding.cluster_id()), Some(key));
            self.founding.send_replace(Some(founding));
        }
        outputs.into_iter().find_map(|output| self.act(output))
    }

    fn act(&mut self, output: Output) -> Option<String> {
        match output {
            Output::Reply { token, reply } => {
                if let Some(sender) = self.replies.remove(&token) {
                    // The client may have gone.
                    let _ = sender.send(reply);
                }
            }
            Output::Send { to, lane, message } => self.transport.send(to, lane, &message),
            Output::SendSnapshot { to } => self.transport.send_snapshot(to, self.replica.store().snapshot()),
            Output::Peers { members, former: _ } => self.transport.set_peers(members),
            Output::Events(cursor) => drop(self.events.send_replace(cursor)),
            Output::Halt(reason) => return Some(reason),
            Output::Rejoin(next) => return Some(format!("evicted; next incarnation {next}")),
            Output::Left => return Some("left".to_owned()),
        }
        None
    }

    fn on_disk(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::Persisted(batch) => {
                self.replica.store_mut().persisted(batch);
                self.replica.handle(self.clocks.now(), Input::Persisted(batch));
            }
            // The replica asks the store at the end of the step.
            DiskEvent::Failed(_) => {}
        }
    }

    fn on_input(&mut self, input: Input) {
        self.replica.handle(self.clocks.now(), input);
    }

    fn on_call(&mut self, call: Call) {
        let token = self.next_token;
        self.next_token += 1;
        self.replies.insert(token, call.reply);
        self.replica.handle(self.clocks.now(), Input::Request { token, request: call.request });
    }

    /// The transport goes on trying until the sponsor is reached, also again where the connection breaks.
    fn begin_join(&self) -> Option<oneshot::Receiver<JoinOutcome>> {
        let join = self.join.as_ref().filter(|_| self.replica.founding().is_none())?;
        Some(self.transport.join(join.address.clone(), &join.token))
    }

    /// Answers what was accepted before the stop, once it is durable. Nothing else is taken.
    async fn finish(&mut self, channels: &mut Channels) -> Ended {
        channels.calls.close();
        while let Ok(call) = channels.calls.try_recv() {
            self.on_call(call);
        }
        loop {
            if let Some(reason) = self.step() {
                return Ended::Halted(reason);
            }
            if self.replica.store().backlog() == 0 {
                return Ended::Stopped;
            }
            match channels.disk_events.recv().await {
                Some(event) => self.on_disk(event),
                None => return Ended::Stopped,
            }
        }
    }
}

/// The outcome of joining; for ever pending where nobody is joining.
async fn reception(joining: &mut Option<(oneshot::Receiver<JoinOutcome>, mpsc::Sender<JoinOutcome>)>) -> JoinOutcome {
    if let Some((receiver, _)) = joining
        && let Ok(outcome) = receiver.await
    {
        return outcome;
    }
    std::future::pending().await
}
