//! Which event leads to a mail.

use bookworm_contracts::events::{
    chat::{AnsweredByMail, TranscriptRequested},
    identity::{CustomerRegistered, PasswordResetRequested},
    ordering::{OrderCancelled, OrderConfirmed, OrderRefunded, OrderRejected, OrderShipped},
};
use bookworm_db::DbError;
use bookworm_messaging::{Consumer, Message, Reaction, ReactionError, Received};

use crate::{NotificationService, domain::Occasion, store};

/// Writes a mail for each event that customers want to hear of.
pub fn consumer(service: NotificationService) -> Consumer {
    Consumer::new("notification.mails")
        .on(writer::<CustomerRegistered>(&service))
        .on(writer::<PasswordResetRequested>(&service))
        .on(writer::<OrderConfirmed>(&service))
        .on(writer::<OrderRejected>(&service))
        .on(writer::<OrderCancelled>(&service))
        .on(writer::<OrderShipped>(&service))
        .on(writer::<OrderRefunded>(&service))
        .on(writer::<AnsweredByMail>(&service))
        .on(writer::<TranscriptRequested>(&service))
}

fn writer<M: Message + Occasion>(
    service: &NotificationService,
) -> impl Fn(Received<M>) -> futures::future::BoxFuture<'static, Reaction> + Send + Sync + 'static {
    let service = service.clone();
    move |message| Box::pin(write(service.clone(), message))
}

async fn write<M: Message + Occasion>(service: NotificationService, message: Received<M>) -> Reaction {
    let draft = message
        .body
        .write(&service.0.letterhead)
        .map_err(|error| ReactionError::refuse(format!("the template failed: {error}")))?;
    let (db, now) = (service.db().clone(), service.now());
    message
        .once::<_, DbError, _>(&db, move |tx| {
            Box::pin(async move {
                store::queue(tx, &draft, now).await?;
                tx.after_commit(move || service.0.wake.notify_one());
                Ok(())
            })
        })
        .await?;
    Ok(())
}
