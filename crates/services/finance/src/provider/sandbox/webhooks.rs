//! The sandbox's deliveries to the shop: signed, repeated until taken.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, body::Body};
use bookworm_kernel::Timestamp;
use http::{Request, StatusCode, header};
use tower::ServiceExt;

use super::{Sandbox, store};
use crate::domain::signature;

/// After this many attempts (about three days) a delivery is abandoned, as real providers do.
const MAX_ATTEMPTS: i64 = 80;
/// The longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(3600);
/// How often to look without having been woken.
const POLL: Duration = Duration::from_secs(1);
/// How long one delivery may take.
const DELIVERY: Duration = Duration::from_secs(10);

/// A signed webhook, ready to be posted as `application/json`.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Path on the shop's public API.
    pub path: &'static str,
    /// Value of the header `Payment-Signature`.
    pub signature: String,
    /// The JSON body.
    pub body: Vec<u8>,
}

/// The way from the sandbox to the shop.
#[async_trait]
pub trait WebhookSender: Send + Sync + 'static {
    /// Posts a webhook; returns the answer's status.
    ///
    /// # Errors
    /// A sentence for the log when nothing answered.
    async fn post(&self, webhook: Webhook) -> Result<StatusCode, String>;
}

/// Posts to a router in this process, as if over HTTP.
#[derive(Debug, Clone)]
pub struct RouterSender(Router);

impl RouterSender {
    /// The router must serve `/api/v1`, e.g. the gateway's.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self(router)
    }
}

#[async_trait]
impl WebhookSender for RouterSender {
    async fn post(&self, webhook: Webhook) -> Result<StatusCode, String> {
        let request = Request::post(webhook.path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(signature::HEADER, webhook.signature)
            .body(Body::from(webhook.body))
            .map_err(|error| error.to_string())?;
        match self.0.clone().oneshot(request).await {
            Ok(answer) => Ok(answer.status()),
            Err(never) => match never {},
        }
    }
}

/// The pause after this many attempts.
fn pause(attempts: i64) -> Duration {
    Duration::from_secs(1 << attempts.clamp(0, 20)).min(MAX_PAUSE)
}

impl Sandbox {
    /// Delivers what is due. Several at once are harmless: a webhook may come twice. Returns how many were taken.
    pub(super) async fn deliver_due(self: &Arc<Self>) -> Result<usize, bookworm_db::DbError> {
        let Some(sender) = self.sender.get() else { return Ok(0) };
        let mut taken = 0;
        for waiting in store::due_webhooks(self.db.read(), self.clock.now()).await? {
            let now = self.clock.now();
            let webhook = Webhook {
                path: super::WEBHOOK_PATH,
                signature: signature::sign(&self.secret, now, waiting.body.as_bytes()),
                body: waiting.body.into_bytes(),
            };
            let answer = tokio::time::timeout(DELIVERY, sender.post(webhook))
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned()));
            let attempts = waiting.attempts + 1;
            let (status, due): (&'static str, Timestamp) = match answer {
                Ok(status) if status.is_success() => {
                    taken += 1;
                    ("delivered", now)
                }
                failed => {
                    tracing::warn!(?failed, attempts, "a sandbox webhook was not taken");
                    if attempts >= MAX_ATTEMPTS { ("abandoned", now) } else { ("waiting", now.plus(pause(attempts))) }
                }
            };
            self.db
                .transact::<_, bookworm_db::DbError, _>(move |tx| {
                    Box::pin(async move { store::set_webhook(tx, waiting.seq, status, attempts, due).await })
                })
                .await?;
        }
        Ok(taken)
    }

    /// Delivers webhooks and ends challenges whose time is over, until `shutdown`.
    pub(super) async fn work(self: Arc<Self>, shutdown: tokio_util::sync::CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Err(error) = self.tick().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the sandbox provider cannot work");
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    pub(super) async fn tick(self: &Arc<Self>) -> Result<(), bookworm_db::DbError> {
        for row in store::expired(self.db.read(), self.clock.now()).await? {
            self.expire(bookworm_kernel::PaymentId::from_uuid(row.payment_id)).await?;
        }
        self.deliver_due().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        assert_eq!([1, 2, 5, 12, 80].map(|n| pause(n).as_secs()), [2, 4, 32, 3600, 3600]);
    }
}
