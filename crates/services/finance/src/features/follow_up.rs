//! Finishes what was requested and never answered: a command that was given up, a webhook that was lost, an answer that
//! came after a crash.

use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_loops::Loop;
use futures::{FutureExt, StreamExt, future::BoxFuture};

use crate::{
    domain::payment::Input,
    service::{Finance, Outcome},
    store::{
        self,
        payments::{self, Key, Stored, check_after},
    },
};

/// How often to look for payments that have been open for too long.
const INTERVAL: Duration = Duration::from_secs(15);
/// The most payments followed up in one round.
const BATCH: i64 = 100;
/// The most calls to providers at once.
const AT_ONCE: usize = 4;
/// How long the id of a webhook's event is stored: longer than any provider repeats one.
const REMEMBER_EVENTS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Follows up open payments until `shutdown`.
pub(crate) fn regularly(finance: Arc<Finance>) -> Loop {
    Loop::every("finance.follow_up", INTERVAL, move || {
        let finance = finance.clone();
        async move {
            if let Err(error) = once(&finance).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "open payments cannot be followed up");
            }
        }
    })
    .leader_only()
}

/// One round. Returns how many payments were due.
pub(crate) async fn once(finance: &Arc<Finance>) -> Result<usize, DbError> {
    let now = finance.now();
    let due = payments::due(finance.db.read(), now, BATCH).await?;
    let count = due.len();
    let rounds: Vec<BoxFuture<'static, Result<(), DbError>>> =
        due.into_iter().map(|stored| follow_up(finance.clone(), stored).boxed()).collect();
    let mut rounds = futures::stream::iter(rounds).buffer_unordered(AT_ONCE);
    while let Some(round) = rounds.next().await {
        round?;
    }
    if count == 0 {
        let before = now.minus(REMEMBER_EVENTS);
        finance
            .db
            .transact::<_, DbError, _>(move |tx| Box::pin(async move { store::prune_events(tx, before).await }))
            .await?;
    }
    Ok(count)
}

async fn follow_up(finance: Arc<Finance>, stored: Stored) -> Result<(), DbError> {
    let payment = &stored.payment;
    let outcome = match payment.unfinished() {
        Some(call) => finance.perform(&stored.provider, payment, &call).await.map(Some),
        None => {
            let seen = finance.fetch(&stored.provider, payment).await;
            seen.map(|seen| seen.map(|seen| Outcome::Done(Input::Seen(seen))))
        }
    };
    let changed = match outcome {
        Ok(Some(Outcome::Done(input) | Outcome::Again(input))) => {
            let decision = finance.record(Key::Payment(payment.id), input, None).await?;
            decision.is_some_and(|decision| decision.payment != *payment)
        }
        Ok(None) => false,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(payment_id = %payment.id, error, "an open payment could not be followed up yet");
            false
        }
    };
    metrics::counter!("payment_follow_ups_total", "changed" => if changed { "yes" } else { "no" }).increment(1);
    if !changed {
        let (id, checks) = (payment.id, stored.checks + 1);
        let check_at = finance.now().plus(check_after(checks));
        finance
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move { payments::postpone(tx, id, checks, check_at).await })
            })
            .await?;
    }
    Ok(())
}
