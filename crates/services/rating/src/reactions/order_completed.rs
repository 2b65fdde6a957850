use std::sync::Arc;

use bookworm_contracts::events::ordering::{OrderCompleted, OrderSummary};
use bookworm_db::{DbError, Tx};
use bookworm_kernel::{Cause, Timestamp};
use bookworm_messaging::{Reaction, Received};

use crate::{
    domain,
    features::invite,
    service::{Actor, Ratings, Work, WorkError},
    store::{
        invitations::{self, Book, Invitee},
        readers, reviews,
    },
};

/// The customer has the books: what they write about them is verified, also what they wrote before, and in time they are
/// asked for it.
pub(crate) async fn react(service: Arc<Ratings>, message: Received<OrderCompleted>) -> Reaction {
    let (now, cause, order) = (service.now(), message.cause, message.body.order.clone());
    let ratings = service.clone();
    let done = message.once::<_, WorkError, _>(&service.db, move |tx| {
        Box::pin(async move {
            let invitee = invitee(&order);
            readers::lock(tx, invitee.reader, now).await?;
            for book in invitee.books.iter().map(|book| book.book_id) {
                readers::bought(tx, invitee.reader, book, order.order_id, now).await?;
                let Some(row) = reviews::lock_of(tx, book, invitee.reader).await? else { continue };
                let mut work = Work::on(tx, row, Actor::Shop, cause, now).await?;
                let events = work.review.state.verify(order.order_id);
                if !events.is_empty() {
                    work.record(tx, &ratings.outbox, &events).await?;
                }
            }
            Ok(ask(tx, &ratings, &cause, &invitee, now).await?)
        })
    });
    done.await.map(drop)?;
    Ok(())
}

/// Asks now if it is time, or notes when it will be.
async fn ask(tx: &Tx, service: &Ratings, cause: &Cause, invitee: &Invitee, now: Timestamp) -> Result<(), DbError> {
    let due_at = service.invitations.due_at(now);
    invitations::plan(tx, invitee, due_at).await?;
    if due_at <= now {
        invite::send(tx, service, cause, invitee.order).await?;
    }
    Ok(())
}

/// Each book once, in the order of their ids: everybody locks reviews that way.
fn invitee(order: &OrderSummary) -> Invitee {
    let book = |line: &bookworm_contracts::events::ordering::OrderedLine| Book {
        book_id: line.book_id,
        title: line.title.clone(),
    };
    let mut books: Vec<Book> = order.lines.iter().map(book).collect();
    books.sort_by_key(|book| book.book_id);
    books.dedup_by_key(|book| book.book_id);
    Invitee {
        order: order.order_id,
        reader: order.customer_id.unwrap_or_else(|| domain::guest(&order.email)),
        mailbox: domain::mailbox(&order.email),
        email: order.email.clone(),
        name: order.name.clone(),
        author_name: domain::public_name(&order.name),
        books,
    }
}
