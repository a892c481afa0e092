//! Incoming requests: those of operators about the cluster are handled here, and all others by the registry.

use super::Replica;
use super::input::Output;
use super::log_view::refusal_of_reader;
use super::request::{ClusterCommand, Request};
use crate::log::{STARTS, Setting};
use crate::model::Cluster;
use crate::registry::{LogView, Ready, Refusal};
use crate::store::Store;

/// The most requests that wait for the end of the start. A guess: some seconds' worth of sign-ups.
const MOST_WAITING: usize = 4096;

impl<S: Store> Replica<S> {
    pub(super) fn on_request(&mut self, request: Request) {
        // An answer must not wait for a disk that hangs.
        if let Some(waited) = self.outbox.is_full(self.now.elapsed) {
            let why = format!("its disk has made nothing durable for {} s, and too much waits for it", waited / 1000);
            let refused = refuse(request, Refusal::Unavailable(why));
            return refused.into_iter().for_each(|ready| self.outbox.push_at_once(Output::Reply(ready)));
        }
        if self.log.phase().is_reader() && request.changes_something() {
            let refused = refuse(request, refusal_of_reader(&self.log));
            return self.answer(refused);
        }
        if request.issues_ops() && self.log.phase().is_starting() {
            return self.wait_for_start(request);
        }
        if !matches!(request, Request::Query(_)) {
            self.readings.step_is_busy();
        }
        let installed = self.log.phase().may_answer();
        match request {
            Request::Command(command, caller, reply) => self.writer().command(*command, &caller, reply),
            Request::Outcome { id, wait, caller, reply } => self.writer().outcome(id, wait, &caller, reply),
            Request::SetRules(set, caller, reply) => self.writer().set_rules(set, &caller, reply),
            Request::SetWebhook(set, reply) => self.writer().set_webhook(set, reply),
            Request::Query(asked) if !installed => self.answer(asked.refuse(Refusal::NotMember)),
            Request::Query(asked) => {
                let refused = self.readings.add(asked);
                self.answer(refused);
            }
            Request::Cluster(_, reply) if !installed => self.answer(Some(reply.with(Err(Refusal::NotMember)))),
            Request::Cluster(command, reply) => {
                let answer = self.on_cluster(command);
                self.answer(Some(reply.with(answer)));
            }
        }
        self.take_ready();
    }

    fn answer(&mut self, ready: Option<Ready>) {
        self.outbox.extend(ready.map(Output::Reply));
    }

    /// Takes the finished answers of the registry.
    pub(super) fn take_ready(&mut self) {
        let ready = self.registry.take_ready();
        self.outbox.extend(ready.into_iter().map(Output::Reply));
    }

    /// Keeps a request until the start has ended.
    fn wait_for_start(&mut self, request: Request) {
        if self.waiting_for_start.len() < MOST_WAITING {
            self.waiting_for_start.push_back(request);
        } else {
            self.answer(refuse(request, Refusal::Unavailable(STARTS.to_owned())));
        }
    }

    /// Handles the requests that waited for the end of the start.
    pub(super) fn answer_after_start(&mut self) {
        for request in std::mem::take(&mut self.waiting_for_start) {
            self.on_request(request);
        }
    }

    fn on_cluster(&mut self, command: ClusterCommand) -> Result<Cluster, Refusal> {
        match command {
            ClusterCommand::Show => {}
            ClusterCommand::Evict { node, force } => {
                self.log.evict(node, force)?;
                self.take_events();
            }
            ClusterCommand::Configure(change) => {
                if change.is_empty() {
                    let why = "it names no setting of the cluster; nothing was changed".to_owned();
                    return Err(Refusal::InvalidRequest(why));
                }
                change.check().map_err(|error| Refusal::InvalidRequest(format!("{error}; nothing was changed")))?;
                self.log.may_issue()?;
                self.log.configure(Setting::all_of(&change));
                self.take_events();
            }
            ClusterCommand::Ban { node, banned } => {
                self.log.ban(node, banned)?;
                self.take_events();
            }
            ClusterCommand::RotateSecret(secret) => {
                self.log.rotate_secret(&mut self.store, secret.0)?;
                self.take_events();
            }
            ClusterCommand::Leave { cancel: true } => self.log.cancel_leave(&mut self.store)?,
            ClusterCommand::Leave { cancel: false } => {
                if self.log.view().may_leave()? {
                    if self.registry.has_void() {
                        let why = "it registers again what an eviction had made void".to_owned();
                        return Err(Refusal::Unavailable(why));
                    }
                    self.log.leave(&mut self.store);
                }
            }
        }
        Ok(self.cluster_view())
    }
}

fn refuse(request: Request, refusal: Refusal) -> Option<Ready> {
    match request {
        Request::Command(_, _, reply) | Request::Outcome { reply, .. } => Some(reply.with(Err(refusal))),
        Request::SetRules(_, _, reply) => Some(reply.with(Err(refusal))),
        Request::SetWebhook(_, reply) => Some(reply.with(Err(refusal))),
        Request::Query(asked) => asked.refuse(refusal),
        Request::Cluster(_, reply) => Some(reply.with(Err(refusal))),
    }
}
