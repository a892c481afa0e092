//! Webhooks: the list of them, and changes. The registry delivers nothing; `node::webhooks` does.

use uuid::Uuid;

use super::caller::Caller;
use super::query::{Budget, Query};
use super::refusal::Refusal;
use super::reply::Reply;
use super::{Reader, Writer};
use crate::clock::Stamp;
use crate::crdt::{Hook, HookSecret, NameOp, Webhook};
use crate::model::EventType;
use crate::model::limits::{MAX_WEBHOOK_URL, MAX_WEBHOOKS};
use crate::store::schema::{self, Rows, Span};

/// A change of one webhook. It applies at this node from the answer on, and at other nodes once it arrives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetWebhook {
    /// The webhook's id.
    pub id: Uuid,
    /// The change.
    pub change: WebhookChange,
}

/// The change that is to be made of a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WebhookChange {
    /// Makes the webhook.
    Create {
        /// Where events are posted to.
        url: String,
        /// True where each node delivers all events.
        all: bool,
        /// Only these types of event; an empty list means all.
        types: Vec<EventType>,
        /// The key with which deliveries are signed.
        secret: HookSecret,
    },
    /// Changes the parts that are given. The others stay as they are.
    Change {
        /// Where events are posted to.
        url: Option<String>,
        /// True where each node delivers all events.
        all: Option<bool>,
        /// Only these types of event; an empty list means all.
        types: Option<Vec<EventType>>,
        /// False where nothing is delivered for now.
        active: Option<bool>,
    },
    /// Gives the webhook another secret.
    Rotate {
        /// The new secret.
        secret: HookSecret,
        /// For how many milliseconds deliveries are signed with the present secret as well.
        keep: u64,
    },
    /// Removes the webhook.
    Remove,
    /// Stops the webhook, unless it was changed since.
    Stop {
        /// The stamp of the op that set the version which is stopped.
        version: Stamp,
    },
}

/// A webhook with the op that set it. Only the node itself sees it; callers are shown it without its secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownWebhook {
    /// Its id.
    pub id: Uuid,
    /// The stamp of the op that set it. It names this version of the webhook.
    pub stamp: Stamp,
    /// The stamp of the op that stops this version; none where there is none.
    pub stopped: Option<Stamp>,
    /// True where these ops cannot be lost any more, whoever is evicted.
    pub is_final: bool,
    /// The webhook. It is not active where this version is stopped.
    pub hook: Hook,
}

/// Query for all webhooks that are not removed, in the order of their ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebhooksKnown;

impl Query for WebhooksKnown {
    type Answer = Vec<KnownWebhook>;

    fn read(
        &mut self,
        reader: Reader<'_>,
        _: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<Vec<KnownWebhook>, Refusal>> {
        let known = reader.webhooks();
        budget.spend(1 + known.len());
        Some(Ok(known))
    }
}

impl Reader<'_> {
    fn webhooks(&self) -> Vec<KnownWebhook> {
        let mut known = Vec::new();
        schema::Webhooks::each(self.store, &Span::all(), |found| {
            known.extend(found.key().and_then(|id| self.known_webhook(id, found.row())));
        });
        known
    }

    fn known_webhook(&self, id: Uuid, set: Webhook) -> Option<KnownWebhook> {
        let stop = set.stopped();
        let Webhook { stamp, seq, hook, .. } = set;
        let is_final = |stamp: Stamp, seq| seq <= self.log.decided(stamp.node);
        let mut hook = hook?;
        hook.active &= stop.is_none();
        Some(KnownWebhook {
            id,
            stamp,
            stopped: stop.map(|stop| stop.stamp),
            is_final: is_final(stamp, seq) && stop.is_none_or(|stop| is_final(stop.stamp, stop.seq)),
            hook,
        })
    }
}

impl Writer<'_> {
    /// Changes a webhook. The answer is the webhook after the change, or before it where the change removes it.
    pub(crate) fn set_webhook(&mut self, set: SetWebhook, reply: Reply<KnownWebhook>) {
        let answer = self.try_set_webhook(set);
        self.registry.ready.push(reply.with(answer));
    }

    fn try_set_webhook(&mut self, SetWebhook { id, change }: SetWebhook) -> Result<KnownWebhook, Refusal> {
        if !self.log.may_answer() {
            return Err(Refusal::NotMember);
        }
        let before = Webhook::load(self.store, id).and_then(|set| self.reader().known_webhook(id, set));
        let op = if let WebhookChange::Stop { version } = change {
            let known = before.as_ref().ok_or(Refusal::NoWebhook(id))?;
            if known.stamp != version || known.stopped.is_some() {
                return Ok(known.clone());
            }
            NameOp::StopWebhook { id, version }
        } else {
            NameOp::Webhook { id, hook: self.changed_hook(id, before.as_ref(), change)?.map(Box::new) }
        };
        self.log.may_issue()?;
        self.issue(op);
        let after = Webhook::load(self.store, id).and_then(|set| self.reader().known_webhook(id, set));
        after.or(before).ok_or(Refusal::NoWebhook(id))
    }

    fn changed_hook(
        &self,
        id: Uuid,
        before: Option<&KnownWebhook>,
        change: WebhookChange,
    ) -> Result<Option<Hook>, Refusal> {
        let now = self.log.cluster_time();
        let before = before.map(|known| known.hook.clone());
        let hook = match (change, before) {
            (WebhookChange::Create { .. }, Some(_)) => {
                return Err(Refusal::InvalidRequest(format!("webhook {id} exists already; nothing was changed")));
            }
            (WebhookChange::Create { url, all, types, secret }, None) => {
                if self.reader().webhooks().len() >= MAX_WEBHOOKS {
                    let why = format!("the cluster has {MAX_WEBHOOKS} webhooks, which is the most; remove one first");
                    return Err(Refusal::InvalidRequest(why));
                }
                Hook { url, all, types, active: true, secret, previous: None, created: now }
            }
            (_, None) => return Err(Refusal::NoWebhook(id)),
            (WebhookChange::Remove, Some(_)) => return Ok(None),
            (WebhookChange::Stop { .. }, Some(hook)) => Hook { active: false, ..hook },
            (WebhookChange::Change { url, all, types, active }, Some(hook)) => Hook {
                url: url.unwrap_or(hook.url),
                all: all.unwrap_or(hook.all),
                types: types.unwrap_or(hook.types),
                active: active.unwrap_or(hook.active),
                ..hook
            },
            (WebhookChange::Rotate { secret, keep }, Some(hook)) => {
                Hook { previous: Some((hook.secret, now.plus(keep))), secret, ..hook }
            }
        };
        if hook.url.is_empty() || hook.url.len() > MAX_WEBHOOK_URL {
            return Err(Refusal::InvalidRequest(format!("the URL of a webhook has 1 to {MAX_WEBHOOK_URL} bytes")));
        }
        Ok(Some(hook))
    }
}
