use std::{collections::BTreeSet, sync::Arc};

use bookworm_contracts::events::ordering::OrderCompleted;
use bookworm_messaging::{Reaction, Received};

use crate::{
    service::{Actor, Ratings, Work, WorkError},
    store::{readers, reviews},
};

/// The customer has the books: what they write about them is verified, also what they wrote before.
pub(crate) async fn react(service: Arc<Ratings>, message: Received<OrderCompleted>) -> Reaction {
    let (now, cause, order) = (service.now(), message.cause, message.body.order.clone());
    let outbox = service.outbox.clone();
    let done = message.once::<_, WorkError, _>(&service.db, move |tx| {
        Box::pin(async move {
            let Some(customer) = order.customer_id else { return Ok(()) };
            readers::lock(tx, customer, now).await?;
            let books: BTreeSet<_> = order.lines.iter().map(|line| line.book_id).collect();
            for book in books {
                readers::bought(tx, customer, book, order.order_id, now).await?;
                let Some(row) = reviews::lock_of(tx, book, customer).await? else { continue };
                let mut work = Work::on(tx, row, Actor::Shop, cause, now).await?;
                let events = work.review.state.verify(order.order_id);
                if !events.is_empty() {
                    work.record(tx, &outbox, &events).await?;
                }
            }
            Ok(())
        })
    });
    done.await.map(drop)?;
    Ok(())
}
