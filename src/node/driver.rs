//! The driver: the only owner of a replica and its store, for one life of the node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::TryRng;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::disk_space::{Disk, LOOK_EVERY, Lost};
use super::error::ResourceError;
use super::incarnations::{Channels, KnownCluster, Watches};
use super::rejoin::{WayIn, come_back, own_token};
use crate::clock::{Millis, NodeId};
use crate::log;
use crate::replica::{Input, Now, Output, Replica, Request, Return, SnapshotId};
use crate::store::Table;
use crate::store::disk::{DiskEvent, DiskStore, View};
use crate::transport::{ClusterKey, Handle, JoinError, JoinToken, Joined};

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
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ResourceError> {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|error| ResourceError::System(error.to_string()))?;
    Ok(bytes)
}

/// How a life came to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It was asked to stop.
    Stop,
    /// It has left the cluster.
    Left,
    /// It cannot go on; why.
    Halt(String),
    /// It was evicted and goes on under this id.
    Rejoin(NodeId),
}

pub(super) struct Driver {
    replica: Replica<DiskStore>,
    clocks: Clocks,
    transport: Handle,
    watches: Watches,
    /// The snapshots of newcomers that are not in yet.
    snapshots: HashMap<NodeId, (SnapshotId, View)>,
    /// What lets a newcomer in.
    entry: Option<JoinToken>,
    /// The search for the cluster that it was evicted from.
    comeback: JoinSet<()>,
    disk: Disk,
    looks: tokio::time::Interval,
}

/// How a sponsor received a newcomer.
pub(super) type JoinOutcome = Result<Joined, JoinError>;

impl Driver {
    pub(super) fn new(
        replica: Replica<DiskStore>,
        clocks: Clocks,
        transport: Handle,
        watches: Watches,
        disk: Disk,
    ) -> Self {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            replica,
            clocks,
            transport,
            watches,
            snapshots: HashMap::new(),
            entry: None,
            comeback: JoinSet::new(),
            disk,
            looks,
        }
    }

    /// The store. Who waits for an answer is told that there is none.
    pub(super) fn into_store(self) -> DiskStore {
        self.replica.into_store()
    }

    /// Runs this life to its end. `told` hears of a newcomer's reception by its sponsor, once; for others it is dropped
    /// as soon as the node runs.
    pub(super) async fn run(
        &mut self,
        channels: &mut Channels,
        join: Option<&WayIn>,
        told: Option<mpsc::Sender<JoinOutcome>>,
    ) -> End {
        let own = |back: Return| Some(own_token(back.founding.id, back.secret?));
        self.entry = self.replica.returning().and_then(own).or_else(|| join.map(|join| join.token.clone()));
        // Before `told` can be dropped, so that a node which has started knows its cluster and can let others in.
        if let Some(end) = self.step() {
            return end;
        }
        let mut joining = self.begin_join(join).map(|outcome| (outcome, told));
        loop {
            if let Some(end) = self.step() {
                return end;
            }
            tokio::select! {
                biased;
                _ = channels.stopping.recv() => return self.finish(channels).await,
                // Before what may come without end.
                _ = self.looks.tick() => if let Some(lost) = self.look_at_disk() {
                    return End::Halt(lost.to_string());
                },
                Some(event) = channels.disk_events.recv() => self.on_disk(event),
                Some(input) = channels.inputs.recv(), if self.keeps_up() => self.on_input(input),
                outcome = reception(&mut joining) => {
                    if let Some((_, Some(told))) = joining.take() {
                        // Whoever started the node may have given up.
                        let _ = told.send(outcome).await;
                    }
                }
                // Whoever asked may have gone.
                Some(asked) = channels.backups.recv() => drop(asked.send(self.replica.store_mut().backup())),
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

    /// Ends the step; how the life ends, where it does.
    fn step(&mut self) -> Option<End> {
        let outputs = self.replica.flush(self.clocks.now());
        self.tell_cluster();
        self.tell_private();
        outputs.into_iter().find_map(|output| self.act(output))
    }

    /// Tells the transport which cluster this is, and its secret as soon as that is known. At every dial a token is shown: by a
    /// newcomer so that any member answers it and nothing hangs on one sponsor, by a member because whom it dials may not
    /// have heard yet that it is one.
    fn tell_cluster(&mut self) {
        let Some(founding) = self.replica.founding() else { return };
        let secret = self.replica.secret();
        let known = Some(KnownCluster { id: founding.id, key: secret.map(ClusterKey) });
        if *self.watches.cluster.borrow() == known {
            return;
        }
        self.transport.set_cluster(founding.id, secret.map(ClusterKey));
        let own = secret.map(|secret| own_token(founding.id, secret));
        self.transport.show_token(own.or_else(|| self.entry.clone()));
        self.watches.cluster.send_replace(known);
        self.comeback.abort_all();
    }

    /// Tells which namespaces are private, before the answers of the step go out that saw it change.
    fn tell_private(&self) {
        let private = self.replica.private_namespaces();
        self.watches.private.send_if_modified(|known| {
            let changed = !Arc::ptr_eq(known, private);
            *known = Arc::clone(private);
            changed
        });
    }

    fn act(&mut self, output: Output) -> Option<End> {
        match output {
            Output::Reply(ready) => ready.tell(),
            Output::Log(output) => self.act_for_log(output),
            Output::Events(cursor) => drop(self.watches.events.send_replace(cursor)),
            Output::Halt(reason) => return Some(End::Halt(reason)),
            Output::Rejoin(next) => return Some(End::Rejoin(next)),
            Output::Left => return Some(End::Left),
        }
        None
    }

    fn act_for_log(&mut self, output: log::Output) {
        match output {
            log::Output::Send { to, lane, message } => self.transport.send(to, lane, &message),
            log::Output::SendSnapshot { to, snapshot, after } => self.send_snapshot(to, snapshot, after),
            log::Output::EndSnapshot { to } => drop(self.snapshots.remove(&to)),
            log::Output::Hear { peer } => self.transport.hear(peer),
            log::Output::Peers { members, former, barred } => self.transport.set_peers(members, former, barred),
        }
    }

    /// Streams a snapshot to a newcomer, from its beginning or where it broke off.
    fn send_snapshot(&mut self, to: NodeId, snapshot: SnapshotId, after: Option<(Table, Vec<u8>)>) {
        if after.is_none() {
            self.snapshots.insert(to, (snapshot, View::default()));
        }
        if let Some((_, view)) = self.snapshots.get(&to).filter(|(kept, _)| *kept == snapshot) {
            let parts = self.replica.store_mut().snapshot(view, after);
            self.transport.send_snapshot(to, snapshot, parts);
        }
    }

    /// Whether the data directory is not where it was; takes note of how much room it has.
    fn look_at_disk(&self) -> Option<Lost> {
        let disk_hangs = self.replica.disk_hangs();
        self.watches.health.send_modify(|health| {
            (health.disk_hangs, health.seen) = (disk_hangs, tokio::time::Instant::now());
        });
        if let Some(lost) = self.disk.lost() {
            return Some(lost);
        }
        let low = self.disk.room();
        self.watches.disk_low.send_if_modified(|known| {
            match (&*known, &low) {
                (None, Some(why)) => tracing::error!("registrations are refused: {why}"),
                (Some(_), None) => tracing::info!("the disk has room again, registrations are taken"),
                _ => {}
            }
            std::mem::replace(known, low.clone()) != low
        });
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

    fn on_call(&mut self, request: Request) {
        self.replica.handle(self.clocks.now(), Input::Request(request));
    }

    /// A node that was evicted searches for its cluster by itself. For a newcomer the transport goes on trying until
    /// the sponsor is reached, also again where the connection breaks.
    fn begin_join(&mut self, join: Option<&WayIn>) -> Option<oneshot::Receiver<JoinOutcome>> {
        if let Some(back) = self.replica.returning() {
            let (me, given) = (*self.watches.node.borrow(), join.cloned());
            self.comeback.spawn(come_back(self.transport.clone(), me, back, given));
            return None;
        }
        let join = join.filter(|_| self.replica.founding().is_none())?;
        Some(self.transport.join(join.addresses.clone(), join.token.clone()))
    }

    /// Answers what was accepted before the stop, once it is durable. Nothing else is taken.
    async fn finish(&mut self, channels: &mut Channels) -> End {
        channels.calls.close();
        while let Ok(call) = channels.calls.try_recv() {
            self.on_call(call);
        }
        self.replica.hurry();
        loop {
            match self.step() {
                // It comes back when it is started again.
                Some(End::Rejoin(_)) => return End::Stop,
                Some(end) => return end,
                None => {}
            }
            if self.replica.store().backlog() == 0 {
                return End::Stop;
            }
            match channels.disk_events.recv().await {
                Some(event) => self.on_disk(event),
                None => return End::Stop,
            }
        }
    }
}

type Joining = (oneshot::Receiver<JoinOutcome>, Option<mpsc::Sender<JoinOutcome>>);

/// The outcome of joining; for ever pending where nobody is joining.
async fn reception(joining: &mut Option<Joining>) -> JoinOutcome {
    if let Some((receiver, _)) = joining
        && let Ok(outcome) = receiver.await
    {
        return outcome;
    }
    std::future::pending().await
}
