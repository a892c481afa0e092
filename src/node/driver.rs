//! The driver: the only owner of a replica and its store during one incarnation of the node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::TryRng;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::NodeLimits;
use super::alarm::Alarm;
use super::disk_space::{Disk, LOOK_EVERY, Lost};
use super::error::ResourceError;
use super::incarnations::{Channels, KnownCluster, Watches};
use super::rejoin::{WayIn, come_back, own_token, stay_in_touch};
use super::waiting::Waiting;
use crate::clock::{Millis, NodeId};
use crate::log;
use crate::replica::{Input, Now, Output, Replica, Request, Return, SnapshotId};
use crate::store::Table;
use crate::store::disk::{DiskEvent, DiskStore, View};
use crate::transport::{ClusterKey, Handle, JoinError, JoinToken, Joined};

/// The number of inputs of each kind that one step takes at most, so that a step stays short. A guess.
const STEP: usize = 512;
/// A step takes one message by which this node catches up, and more of them until it has taken so long. Such a message brings
/// up to 2,048 ops, which take far longer than any other input. A guess.
const LONG: Duration = Duration::from_millis(2);
/// The connections of this thread get a turn for so much of a step's time, and so many at most. In a turn QUIC sends some 20
/// datagrams, and a message of 2,048 ops has several hundred. Guesses.
const TURN_EVERY: Duration = Duration::from_micros(250);
const MOST_TURNS: u32 = 64;
/// The number of bytes that may wait for the disk before the driver stops taking inputs. A guess: one second of a slow
/// disk.
const MAX_BACKLOG: usize = 64 << 20;

/// The reason why a node stops where another process goes on as its next incarnation.
const OUTLIVED: &str = "another process runs as a later incarnation of this node and is a member of the cluster: its directory was \
     made from a backup with `forename restore`, or is a copy on which `forename rejoin` was run. So this directory is not the node's \
     latest one any more, and nothing more is taken here. Where the other one is the right one, put this one away and never serve it. \
     Where this one is, or has registrations that the other lacks, stop the other process and run `forename rejoin --data-dir DIR` on \
     this one before it is started: what only this directory has is registered again then";

/// The machine's clocks. All times that a replica gets are read here.
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

    #[expect(clippy::disallowed_methods, reason = "the driver measures what the pure parts take")]
    fn instant_now(self) -> Instant {
        Instant::now()
    }

    fn instant(self, elapsed: Millis) -> Instant {
        // A time that is too far away for an `Instant` is replaced by one a day away; the driver looks again then.
        let day = Duration::from_secs(24 * 3600);
        self.start + Duration::from_millis(elapsed.0).min(self.start.elapsed() + day)
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver hands the time to the pure parts")]
pub(super) fn wall() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Returns random bytes from the system, for secrets and seeds.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ResourceError> {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|error| ResourceError::System(error.to_string()))?;
    Ok(bytes)
}

/// The way in which an incarnation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The node was asked to stop.
    Stop,
    /// The node has left the cluster.
    Left,
    /// The node cannot go on, for this reason.
    Halt(String),
    /// The node was evicted and goes on under this id.
    Rejoin(NodeId),
}

pub(super) struct Driver {
    replica: Replica<DiskStore>,
    clocks: Clocks,
    transport: Handle,
    watches: Watches,
    /// The snapshots that are sent to newcomers which are not members yet.
    snapshots: HashMap<NodeId, (SnapshotId, View)>,
    /// The join token that this node shows before it knows the cluster's secret.
    entry: Option<JoinToken>,
    /// The way to members that a reader goes where it knows of none any more.
    way: Option<WayIn>,
    /// The tasks that search for the cluster that this node was evicted from, or that a reader has lost sight of.
    comeback: JoinSet<()>,
    disk: Disk,
    looks: tokio::time::Interval,
    /// Goes off when the replica wants to be woken.
    alarm: Alarm,
    /// The limits that the replica and the disk have; none before the first look at the disk.
    limits: Option<NodeLimits>,
    /// The time at which the first input of the current step came.
    step_began: Option<Instant>,
    /// Messages that are taken after all other inputs.
    waiting: Waiting,
    /// The number of requests and messages that the current step has taken.
    taken: usize,
    /// The number of turns that the connections of this thread get next.
    turns: u32,
}

/// The answer of a sponsor to a newcomer.
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
            way: None,
            comeback: JoinSet::new(),
            disk,
            looks,
            alarm: Alarm::new(),
            limits: None,
            step_began: None,
            waiting: Waiting::default(),
            taken: 0,
            turns: 1,
        }
    }

    /// Returns the store. Callers that wait for an answer are told that there is none.
    pub(super) fn into_store(self) -> DiskStore {
        self.replica.into_store()
    }

    /// Runs this incarnation to its end. `told` gets a sponsor's answer to this newcomer, once. For a node that is no
    /// newcomer it is dropped as soon as the node runs.
    pub(super) async fn run(
        &mut self,
        channels: &mut Channels,
        join: Option<&WayIn>,
        told: Option<mpsc::Sender<JoinOutcome>>,
    ) -> End {
        let own = |back: Return| Some(own_token(back.founding.id, back.secret?));
        self.entry = self.replica.returning().and_then(own).or_else(|| join.map(|join| join.token.clone()));
        self.way = join.cloned().filter(|join| join.token.reads());
        // This step comes before `told` can be dropped, so that a node which has started knows its cluster and can let
        // others in.
        if let Some(end) = self.step() {
            return end;
        }
        let mut joining = self.begin_join(join).map(|outcome| (outcome, told));
        let transport = self.transport.clone();
        let mut outlived = std::pin::pin!(transport.outlived());
        loop {
            let is_unhurried = self.is_unhurried();
            if let Some(end) = self.step() {
                return end;
            }
            // The store may have made the batch of this step durable at once, and then its outputs can go at once.
            if is_unhurried && self.take_disk_events(channels) {
                continue;
            }
            // The connections that this thread serves get their turns, also while inputs never run out.
            for _ in 0..std::mem::replace(&mut self.turns, 1) {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                _ = channels.stopping.recv() => return self.finish(channels).await,
                // This arm comes before those whose inputs may never run out.
                _ = self.looks.tick() => if let Some(lost) = self.look_at_disk() {
                    return End::Halt(lost.to_string());
                },
                () = &mut outlived => return End::Halt(OUTLIVED.to_owned()),
                Some(event) = channels.disk_events.recv() => self.on_disk(event),
                Some(input) = channels.inputs.recv(), if self.has_room() => self.on_input(input),
                outcome = reception(&mut joining) => {
                    if let Some((_, Some(told))) = joining.take() {
                        // Sending fails where the caller that started the node has given up.
                        let _ = told.send(outcome).await;
                    }
                }
                // Sending fails where the caller has gone.
                Some(asked) = channels.backups.recv() => drop(asked.send(self.replica.store_mut().backup())),
                Some(call) = channels.calls.recv(), if self.keeps_up() => self.on_call(call),
                () = std::future::ready(()), if self.keeps_up() && !self.waiting.is_empty() => {}
                () = self.alarm.goes_off(self.clocks.instant(self.replica.wake_at()).into()) => {
                    self.hand(Input::Wake);
                }
            }
            self.take_more(channels);
        }
    }

    /// Takes the other inputs that wait into the same step.
    fn take_more(&mut self, channels: &mut Channels) {
        self.take_disk_events(channels);
        if !self.keeps_up() {
            return;
        }
        for _ in 0..STEP {
            if !self.has_room() {
                break;
            }
            let Ok(input) = channels.inputs.try_recv() else { break };
            self.on_input(input);
        }
        for _ in 0..STEP {
            let Ok(call) = channels.calls.try_recv() else { break };
            self.on_call(call);
        }
        while let Some(message) = self.waiting.next() {
            self.take(message);
            if self.has_run_long() {
                break;
            }
        }
    }

    /// Takes the disk's events that wait. Returns false where there is none.
    fn take_disk_events(&mut self, channels: &mut Channels) -> bool {
        let mut any = false;
        while let Ok(event) = channels.disk_events.try_recv() {
            self.on_disk(event);
            any = true;
        }
        any
    }

    /// Returns true while the disk keeps up with the writes. Clients and peers have to wait otherwise.
    fn keeps_up(&self) -> bool {
        self.replica.store().backlog() < MAX_BACKLOG
    }

    /// Returns true where the current step should take no more messages by which this node catches up.
    fn has_run_long(&self) -> bool {
        self.step_began.is_some_and(|began| self.clocks.instant_now() - began >= LONG)
    }

    /// Returns true while messages of peers are taken.
    fn has_room(&self) -> bool {
        self.keeps_up() && self.waiting.has_room()
    }

    /// Returns true where the current step has taken one request or message at most and none waits, so that nobody is held up.
    fn is_unhurried(&self) -> bool {
        self.taken <= 1 && self.waiting.is_empty()
    }

    /// Ends the step. Returns the end of the incarnation, where it ends.
    fn step(&mut self) -> Option<End> {
        let is_unhurried = self.is_unhurried();
        self.replica.store_mut().set_unhurried(is_unhurried);
        self.taken = 0;
        let outputs = self.replica.flush(self.clocks.now());
        self.tell_cluster();
        self.tell_private();
        let end = outputs.into_iter().find_map(|output| self.act(output));
        let took = self.step_began.take().map(|began| self.clocks.instant_now() - began);
        took.into_iter().for_each(|took| self.watches.metrics.stepped(took));
        let turns = took.unwrap_or_default().as_micros() / TURN_EVERY.as_micros();
        self.turns = u32::try_from(turns).unwrap_or(MOST_TURNS).clamp(self.turns, MOST_TURNS);
        end
    }

    /// Hands the replica an input.
    fn hand(&mut self, input: Input) {
        if self.step_began.is_none() {
            self.step_began = Some(self.clocks.instant_now());
        }
        self.replica.handle(self.clocks.now(), input);
    }

    /// Gives the transport the cluster's id, and the secret as soon as it is known. A token is shown on every
    /// connection that this node opens: by a newcomer so that any member answers it and it does not depend on one
    /// sponsor, and by a member because the other node may not know yet that it is one.
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
        if let Some(way) = self.way.clone() {
            self.comeback.spawn(stay_in_touch(self.transport.clone(), way));
        }
    }

    /// Publishes which namespaces are private. This comes before the answers of the step in which that changed.
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
            Output::Events(told) => {
                self.watches.metrics.told(&told.tally);
                self.watches.events.send_replace(told.last);
            }
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

    /// Streams a snapshot to a newcomer, from the beginning or from the place where it broke off.
    fn send_snapshot(&mut self, to: NodeId, snapshot: SnapshotId, after: Option<(Table, Vec<u8>)>) {
        if after.is_none() {
            self.snapshots.insert(to, (snapshot, View::default()));
        }
        if let Some((_, view)) = self.snapshots.get(&to).filter(|(kept, _)| *kept == snapshot) {
            let parts = self.replica.store_mut().snapshot(view, after);
            self.transport.send_snapshot(to, snapshot, parts);
        }
    }

    /// Returns an error where the data directory is no longer where it was. Otherwise updates the free space of the
    /// disk.
    fn look_at_disk(&mut self) -> Option<Lost> {
        self.take_limits();
        let disk_hangs = self.replica.disk_hangs();
        self.watches.metrics.sized(&self.replica.store().sizes());
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

    /// Applies limits that were changed. A new incarnation needs this too, because its replica was opened with the
    /// limits of the start.
    fn take_limits(&mut self) {
        let limits = *self.watches.limits.borrow();
        if self.limits.replace(limits) != Some(limits) {
            self.replica.set_limits_of_owner(limits.max_open, limits.max_total);
            self.disk.keep(limits.min_free);
        }
    }

    fn on_disk(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::Persisted(batch) => {
                self.replica.store_mut().persisted(batch);
                for took in self.replica.store().take_syncs() {
                    self.watches.metrics.synced(took);
                }
                self.hand(Input::Persisted(batch));
            }
            // The replica checks the store for a failure at the end of the step.
            DiskEvent::Failed(_) => {}
        }
    }

    fn on_input(&mut self, input: Input) {
        if let Input::Disconnected(peer) = input {
            // The replica gets no message of a connection after the end of it.
            while let Some(message) = self.waiting.next_of(peer) {
                self.take(message);
            }
        }
        if let Some(input) = self.waiting.sort(input) {
            self.take(input);
        }
    }

    fn on_call(&mut self, request: Request) {
        self.take(Input::Request(request));
    }

    fn take(&mut self, input: Input) {
        self.taken += 1;
        self.hand(input);
    }

    /// Starts to join. A node that was evicted searches for its cluster by itself. For a newcomer the transport tries
    /// until it reaches the sponsor, and again after a connection breaks.
    fn begin_join(&mut self, join: Option<&WayIn>) -> Option<oneshot::Receiver<JoinOutcome>> {
        if let Some(back) = self.replica.returning() {
            let (me, given) = (*self.watches.node.borrow(), join.cloned());
            self.comeback.spawn(come_back(self.transport.clone(), me, back, given));
            return None;
        }
        let join = join.filter(|_| self.replica.founding().is_none())?;
        Some(self.transport.join(join.addresses.clone(), join.token.clone()))
    }

    /// Answers the requests that were accepted before the stop, once they are durable. Takes nothing else.
    async fn finish(&mut self, channels: &mut Channels) -> End {
        channels.calls.close();
        while let Ok(call) = channels.calls.try_recv() {
            self.on_call(call);
        }
        self.replica.hurry();
        loop {
            match self.step() {
                // The next start brings the node back.
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

/// Returns the outcome of joining. Stays pending for ever where the node is not joining.
async fn reception(joining: &mut Option<Joining>) -> JoinOutcome {
    if let Some((receiver, _)) = joining
        && let Ok(outcome) = receiver.await
    {
        return outcome;
    }
    std::future::pending().await
}
