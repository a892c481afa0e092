//! Calls about webhooks.

use reqwest::Method;
use uuid::Uuid;

use super::{Client, Result};
use crate::model::{DeadLetters, Replayed, RotationBody, Webhook, WebhookBody, WebhookPatch, WebhookTest, Webhooks};

impl Client {
    /// Makes a webhook. Only this answer has its secret.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`](crate::model::ProblemType::InvalidRequest) where nothing may be posted to the URL.
    pub async fn make_webhook(&self, body: &WebhookBody) -> Result<Webhook> {
        self.answer(self.call(Method::POST, &["v1", "webhooks"], &[])?.json(body)).await
    }

    /// Returns all webhooks, and how the deliveries of the node that answers stand.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn webhooks(&self) -> Result<Webhooks> {
        self.answer(self.call(Method::GET, &["v1", "webhooks"], &[])?).await
    }

    /// Returns a webhook.
    ///
    /// # Errors
    /// [`ProblemType::NoWebhook`](crate::model::ProblemType::NoWebhook) where the node knows none of this id.
    pub async fn webhook(&self, id: Uuid) -> Result<Webhook> {
        self.answer(self.call(Method::GET, &["v1", "webhooks", &id.to_string()], &[])?).await
    }

    /// Changes a webhook, stops it, or lets it go on.
    ///
    /// # Errors
    /// [`ProblemType::NoWebhook`](crate::model::ProblemType::NoWebhook) where the node knows none of this id.
    pub async fn change_webhook(&self, id: Uuid, patch: &WebhookPatch) -> Result<Webhook> {
        self.answer(self.call(Method::PATCH, &["v1", "webhooks", &id.to_string()], &[])?.json(patch)).await
    }

    /// Gives a webhook another secret. Only this answer has it.
    ///
    /// # Errors
    /// [`ProblemType::NoWebhook`](crate::model::ProblemType::NoWebhook) where the node knows none of this id.
    pub async fn rotate_webhook(&self, id: Uuid, body: &RotationBody) -> Result<Webhook> {
        self.answer(self.webhook_call(id, "rotate")?.json(body)).await
    }

    /// Has the node that answers post a test event.
    ///
    /// # Errors
    /// [`ProblemType::NoWebhook`](crate::model::ProblemType::NoWebhook) where the node knows none of this id.
    pub async fn test_webhook(&self, id: Uuid) -> Result<WebhookTest> {
        self.answer(self.webhook_call(id, "test")?).await
    }

    /// Has the node that answers deliver its dead letters anew.
    ///
    /// # Errors
    /// [`ProblemType::NoWebhook`](crate::model::ProblemType::NoWebhook) where the node knows none of this id.
    pub async fn replay_webhook(&self, id: Uuid) -> Result<Replayed> {
        self.answer(self.webhook_call(id, "replay")?).await
    }

    /// Returns the dead letters of the node that answers.
    ///
    /// # Errors
    /// [`ProblemType::NoWebhook`](crate::model::ProblemType::NoWebhook) where the node knows none of this id.
    pub async fn dead_letters(&self, id: Uuid) -> Result<DeadLetters> {
        self.answer(self.call(Method::GET, &["v1", "webhooks", &id.to_string(), "dead-letters"], &[])?).await
    }

    /// Removes a webhook.
    ///
    /// # Errors
    /// [`ProblemType::NoWebhook`](crate::model::ProblemType::NoWebhook) where the node knows none of this id.
    pub async fn remove_webhook(&self, id: Uuid) -> Result<Webhook> {
        self.answer(self.call(Method::DELETE, &["v1", "webhooks", &id.to_string()], &[])?).await
    }

    fn webhook_call(&self, id: Uuid, act: &str) -> Result<reqwest::RequestBuilder> {
        self.call(Method::POST, &["v1", "webhooks", &id.to_string(), act], &[])
    }
}
