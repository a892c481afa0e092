//! Tests of webhooks in a cluster: a change at one node reaches all nodes, and the latest change counts.

use super::*;
use crate::crdt::HookSecret;
use crate::model::limits::MAX_WEBHOOKS;

fn create(url: &str) -> WebhookChange {
    WebhookChange::Create { url: url.into(), all: false, types: Vec::new(), secret: HookSecret([1; 32]) }
}

impl Cluster {
    fn set_hook(&mut self, n: u64, id: u128, change: WebhookChange) -> Result<KnownWebhook, Refusal> {
        match self.reply(n, SetWebhook { id: Uuid::from_u128(id), change }) {
            Ok(Answer::Webhook(known)) => Ok(known),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal),
        }
    }

    fn hooks(&mut self, n: u64) -> Vec<KnownWebhook> {
        match self.reply(n, WebhooksKnown) {
            Ok(Answer::Webhooks(known)) => known,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_webhook_is_at_all_nodes_until_it_is_removed() {
    let mut cluster = Cluster::founded(3);
    let made = cluster.set_hook(1, 7, create("https://a.example.org/")).unwrap();
    assert!(made.hook.active && made.hook.previous.is_none());
    cluster.pass(200);
    let stop = WebhookChange::Change { url: None, all: Some(true), types: None, active: Some(false) };
    let stopped = cluster.set_hook(2, 7, stop).unwrap();
    assert_eq!(
        (stopped.hook.url.as_str(), stopped.hook.active, stopped.hook.all),
        ("https://a.example.org/", false, true)
    );
    let rotated = cluster.set_hook(2, 7, WebhookChange::Rotate { secret: HookSecret([2; 32]), keep: 5000 }).unwrap();
    assert_eq!(rotated.hook.previous.as_ref().map(|(secret, _)| secret), Some(&HookSecret([1; 32])));
    cluster.pass(200);
    for n in 1..=3 {
        let known = cluster.hooks(n);
        assert_eq!((known.len(), &known[0].hook, known[0].is_final), (1, &rotated.hook, true), "n{n}");
    }
    cluster.set_hook(3, 7, WebhookChange::Remove).unwrap();
    cluster.pass(200);
    assert!((1..=3).all(|n| cluster.hooks(n).is_empty()));
    let refused = cluster.set_hook(1, 7, WebhookChange::Remove).unwrap_err();
    assert_eq!(refused, Refusal::NoWebhook(Uuid::from_u128(7)));
}

/// A receiver has answered 410 to one version, while another node gives the webhook another URL, another secret, or removes it.
#[test]
fn a_stop_undoes_no_change_that_was_made_meanwhile() {
    let mut cluster = Cluster::founded(3);
    let made = cluster.set_hook(1, 7, create("https://a.example.org/")).unwrap();
    cluster.set_hook(1, 8, create("https://a.example.org/")).unwrap();
    cluster.pass(200);
    cluster.cut(1, 2);
    cluster.cut(1, 3);
    let moved =
        WebhookChange::Change { url: Some("https://b.example.org/".into()), all: None, types: None, active: None };
    let moved = cluster.set_hook(1, 7, moved).unwrap();
    let stopped = cluster.set_hook(2, 7, WebhookChange::Stop { version: made.stamp }).unwrap();
    assert!(!stopped.hook.active && stopped.stopped.is_some());
    let known = cluster.hooks(3).into_iter().find(|known| known.id == Uuid::from_u128(8)).unwrap();
    cluster.set_hook(3, 8, WebhookChange::Stop { version: known.stamp }).unwrap();
    cluster.set_hook(1, 8, WebhookChange::Remove).unwrap();
    cluster.heal();
    cluster.pass(5000);
    for n in 1..=3 {
        let known = cluster.hooks(n);
        assert_eq!((known.len(), &known[0].hook, known[0].stopped), (1, &moved.hook, None), "n{n}");
    }
    let late = cluster.set_hook(2, 7, WebhookChange::Stop { version: made.stamp }).unwrap();
    assert!(late.hook.active, "a 410 to the old URL does not stop the new one");
    cluster.set_hook(2, 7, WebhookChange::Stop { version: late.stamp }).unwrap();
    cluster.pass(200);
    assert!((1..=3).all(|n| !cluster.hooks(n)[0].hook.active && cluster.hooks(n)[0].is_final));
    let resume = WebhookChange::Change { url: None, all: None, types: None, active: Some(true) };
    cluster.set_hook(3, 7, resume).unwrap();
    cluster.pass(200);
    assert!((1..=3).all(|n| cluster.hooks(n)[0].hook.active));
}

#[test]
fn a_cluster_has_a_limited_number_of_webhooks() {
    let mut cluster = Cluster::founded(1);
    for id in 0..MAX_WEBHOOKS as u128 {
        assert!(cluster.set_hook(1, id, create("https://a.example.org/")).is_ok());
    }
    let refused = cluster.set_hook(1, 1000, create("https://a.example.org/")).unwrap_err();
    assert!(matches!(refused, Refusal::InvalidRequest(_)), "{refused}");
    assert!(cluster.set_hook(1, 0, WebhookChange::Remove).is_ok());
    assert!(cluster.set_hook(1, 1000, create("https://a.example.org/")).is_ok());
    let long = "x".repeat(5000);
    assert!(matches!(cluster.set_hook(1, 1, create(&long)), Err(Refusal::InvalidRequest(_))));
}
