//! Requests of clients come in: those of operators, about the cluster, are taken here, and all others are the registry's.

use super::Replica;
use super::input::Output;
use crate::clock::NodeId;
use crate::log::{STARTS, Setting};
use crate::model::ClusterSettingsBody;
use crate::registry::{Answer, ClusterSecret, LogView, Outcome, Refusal, Request, Token};
use crate::store::Store;

/// Requests that wait for the end of the start at most. A guess: some seconds' worth of sign-ups.
const MOST_WAITING: usize = 4096;

impl<S: Store> Replica<S> {
    pub(super) fn on_request(&mut self, token: Token, request: Request) {
        // No answer may wait behind the disk for ever.
        if let Some(waited) = self.outbox.is_full(self.now.elapsed) {
            let why = format!("its disk has made nothing durable for {} s, and too much waits for it", waited / 1000);
            return self.outbox.push_at_once(Output::Reply { token, reply: Err(Refusal::Unavailable(why)) });
        }
        let outcome = match self.wait_for_start(token, request) {
            Ok(Some(request)) => self.outcome_of(token, request),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(Some(answer)) => self.outbox.push(Output::Reply { token, reply: Ok(answer) }),
            Ok(None) => {}
            Err(refusal) => self.outbox.push(Output::Reply { token, reply: Err(refusal) }),
        }
    }

    /// Takes the answers that the registry has ready.
    pub(super) fn take_replies(&mut self) {
        let replies = self.registry.take_replies();
        self.outbox.extend(replies.into_iter().map(|(token, reply)| Output::Reply { token, reply }));
    }

    /// Keeps a request for after the start; gives it back where it need not wait.
    fn wait_for_start(&mut self, token: Token, request: Request) -> Result<Option<Request>, Refusal> {
        if !request.issues_ops() || !self.log.phase().is_starting() {
            return Ok(Some(request));
        }
        if self.waiting_for_start.len() >= MOST_WAITING {
            return Err(Refusal::Unavailable(STARTS.to_owned()));
        }
        self.waiting_for_start.push_back((token, request));
        Ok(None)
    }

    /// Takes the requests that waited for the end of the start.
    pub(super) fn answer_after_start(&mut self) {
        for (token, request) in std::mem::take(&mut self.waiting_for_start) {
            self.on_request(token, request);
        }
    }

    fn on_evict(&mut self, node: NodeId, force: bool) -> Outcome {
        self.log.evict(node, force)?;
        self.take_events();
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    fn on_ban(&mut self, node: NodeId, banned: bool) -> Outcome {
        self.log.ban(node, banned)?;
        self.take_events();
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    fn on_rotate_secret(&mut self, secret: &ClusterSecret) -> Outcome {
        self.log.rotate_secret(&mut self.store, secret.0)?;
        self.take_events();
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    /// An operator wants this node to leave, or to stay after all.
    fn on_leave(&mut self, cancel: bool) -> Outcome {
        let store = &mut self.store;
        if cancel {
            self.log.cancel_leave(store)?;
        } else if self.log.view().may_leave()? {
            if self.registry.has_void() {
                let why = "it registers again what an eviction had made void".to_owned();
                return Err(Refusal::Unavailable(why));
            }
            self.log.leave(store);
        }
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    /// An operator changes settings of the cluster.
    fn on_configure(&mut self, change: &ClusterSettingsBody) -> Outcome {
        if change.is_empty() {
            return Err(Refusal::InvalidRequest("it names no setting of the cluster; nothing was changed".to_owned()));
        }
        change.check().map_err(|error| Refusal::InvalidRequest(format!("{error}; nothing was changed")))?;
        self.log.may_issue()?;
        self.log.configure(Setting::all_of(change));
        self.take_events();
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    fn outcome_of(&mut self, token: Token, request: Request) -> Outcome {
        let installed = self.log.phase().may_answer();
        match request {
            Request::Evict { .. } | Request::Leave { .. } | Request::Configure(_) | Request::Cluster if !installed => {
                Err(Refusal::NotMember)
            }
            Request::Ban { .. } | Request::RotateSecret(_) if !installed => Err(Refusal::NotMember),
            Request::Evict { node, force } => self.on_evict(node, force),
            Request::Leave { cancel } => self.on_leave(cancel),
            Request::Ban { node, banned } => self.on_ban(node, banned),
            Request::RotateSecret(secret) => self.on_rotate_secret(&secret),
            Request::Configure(change) => self.on_configure(&change),
            Request::Cluster => Ok(Some(Answer::Cluster(Box::new(self.cluster_view())))),
            request => self.writer().outcome_of(token, request),
        }
    }
}
