//! Asks buyers for reviews when their time has come.

use std::{sync::Arc, time::Duration};

use bookworm_contracts::events::rating::{InvitedBook, ReviewInvited};
use bookworm_db::{DbError, Tx};
use bookworm_kernel::{Cause, OrderId};
use bookworm_loops::Loop;

use crate::{domain::InviteToken, service::Ratings, store::invitations};

/// How often to look. What is due at once does not wait for it.
const EVERY: Duration = Duration::from_secs(60);
/// How many are asked in one go.
const BATCH: i64 = 100;

/// Asks whose time has come, until the process ends.
pub(crate) fn regularly(service: Arc<Ratings>) -> Loop {
    Loop::every("rating.invitations", EVERY, move || {
        let service = service.clone();
        async move {
            if let Err(error) = due(&service).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "invitations to review wait");
            }
        }
    })
    .leader_only()
}

/// Asks everybody whose time has come. Returns how many.
pub(crate) async fn due(service: &Arc<Ratings>) -> Result<usize, DbError> {
    let (mut asked, mut unreadable) = (0, Vec::new());
    loop {
        let limit = BATCH + i64::try_from(unreadable.len()).unwrap_or(0);
        let mut orders = invitations::due(service.db.read(), service.now(), limit).await?;
        orders.retain(|order| !unreadable.contains(order));
        if orders.is_empty() {
            return Ok(asked);
        }
        for order in orders {
            let ratings = service.clone();
            let sent = service.db.transact::<_, DbError, _>(move |tx| {
                Box::pin(async move { send(tx, &ratings, &Cause::start(), order).await })
            });
            match sent.await {
                Ok(sent) => asked += usize::from(sent),
                // It does not stand in the way of the others.
                Err(error @ DbError::Corrupt(_)) => {
                    tracing::warn!(%order, error = &error as &dyn std::error::Error, "a buyer cannot be asked for reviews");
                    unreadable.push(order);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Asks the buyer of this order, unless that was done, or nobody is to be asked. That it was done, and the mail, are one
/// unit of work: so there is never a second one, and never none.
pub(crate) async fn send(tx: &Tx, service: &Ratings, cause: &Cause, order_id: OrderId) -> Result<bool, DbError> {
    let (token, rules) = (InviteToken::draw(), service.invitations);
    let expires_at = rules.expires_at(service.now());
    let Some(taken) = invitations::take(tx, order_id, token.hash(), expires_at).await? else { return Ok(false) };
    let books = taken.books.into_iter().map(|book| InvitedBook { book_id: book.book_id, title: book.title });
    let invited = ReviewInvited {
        order_id,
        email: taken.email,
        name: taken.name,
        books: books.collect(),
        token: token.reveal(),
        days: rules.valid_days,
    };
    service.outbox.put(tx, cause, &invited).await?;
    Ok(true)
}
