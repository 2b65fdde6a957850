//! Hands queued mails to the transport.

use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_kernel::TraceParent;
use bookworm_trace::{KeyValue, Kind, Parent, Span};
use futures::future::join_all;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::{
    service::Notification,
    store::{self, Outcome, Row},
    transport::{Handover, Outgoing, TransportError},
};

/// How many mails are on their way at once.
const BATCH: i64 = 32;
/// How long the transport may take before a mail counts as not sent.
const LEASE: Duration = Duration::from_secs(120);
/// How often to look without having been woken.
const POLL: Duration = Duration::from_secs(1);
/// The pause after the first failure; it doubles each time, up to `MAX_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Delivers until `shutdown`.
pub async fn run(service: Arc<Notification>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match deliver(&service).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "mails wait in the queue");
            }
        }
        tokio::select! {
            () = service.wake.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Delivers what is due now; returns how many mails that were.
pub async fn deliver(service: &Notification) -> Result<usize, DbError> {
    let now = service.now();
    let mails = store::lease(&service.db, now, now.plus(LEASE), BATCH).await?;
    let outcomes = join_all(mails.into_iter().map(|row| attempt(service, row))).await;
    let tried = outcomes.len();
    if tried > 0 {
        store::settle(&service.db, outcomes, service.now()).await?;
    }
    Ok(tried)
}

async fn attempt(service: &Notification, row: Row) -> (uuid::Uuid, Outcome) {
    let (id, attempts) = (row.id, u32::try_from(row.attempts).unwrap_or(u32::MAX));
    let parent = row.trace.as_deref().and_then(TraceParent::parse);
    let mut step = Span::begin(Kind::Client, parent.map(Parent::from), || {
        let mut attributes = vec![
            KeyValue::new("bookworm.mail.id", id.to_string()),
            KeyValue::new("bookworm.mail.kind", row.kind.clone()),
            KeyValue::new("bookworm.attempt", i64::from(attempts)),
        ];
        attributes.extend(row.order_id.map(|order| KeyValue::new(bookworm_trace::SUBJECT, order.to_string())));
        ("send mail".into(), attributes)
    });
    let mail = Outgoing {
        id,
        to: row.recipient,
        subject: row.subject,
        text: row.text,
        html: row.html,
        unsubscribe: row.unsubscribe,
    };
    let outcome = match service.transport.send(&mail).await {
        Ok(Handover::Sent) => Outcome::Sent,
        Ok(Handover::Kept) => Outcome::Kept,
        Err(TransportError::Later(why)) if attempts < service.max_attempts => {
            tracing::warn!(mail = %id, attempts, why, "a mail waits");
            Outcome::Later(service.now().plus(pause(attempts)), why)
        }
        Err(TransportError::Later(why) | TransportError::Refused(why)) => {
            tracing::error!(mail = %id, attempts, why, "a mail is given up");
            Outcome::Failed(why)
        }
    };
    let label = match &outcome {
        Outcome::Sent => "sent",
        Outcome::Kept => "kept",
        Outcome::Later(..) => "retried",
        Outcome::Failed(_) => "failed",
    };
    step.set("bookworm.mail.outcome", label);
    if matches!(outcome, Outcome::Later(..) | Outcome::Failed(_)) {
        step.fail("not_sent");
    }
    metrics::counter!("mails_total", "kind" => row.kind, "outcome" => label).increment(1);
    (id, outcome)
}

/// Exponential, with jitter, so that a mail server that comes back is not met by everything at once.
fn pause(attempts: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(MAX_PAUSE);
    doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
}
