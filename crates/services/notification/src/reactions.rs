//! Which event leads to a mail.

use std::sync::Arc;

use bookworm_contracts::events::{
    chat::{AnsweredByMail, TranscriptRequested},
    identity::{EmailConfirmationRequested, EmailConfirmed, PasswordResetRequested},
    ordering::{OrderCancelled, OrderConfirmed, OrderRefunded, OrderRejected, OrderShipped},
    rating::ReviewInvited,
};
use bookworm_db::{DbError, Tx};
use bookworm_kernel::{Email, Timestamp};
use bookworm_messaging::{Consumer, Message, Reaction, ReactionError, Received};

use crate::{
    domain::{
        self, Admission, Occasion,
        limits::Wish,
        link::{self, Token},
    },
    service::Notification,
    store::{self, ledger::TooMany, proofs},
};

/// Writes a mail for each event that customers are informed of.
pub fn consumer(service: &Arc<Notification>) -> Consumer {
    Consumer::new("notification.mails")
        .on(writer::<EmailConfirmationRequested>(service))
        .on(writer::<EmailConfirmed>(service))
        .on(writer::<PasswordResetRequested>(service))
        .on(writer::<OrderConfirmed>(service))
        .on(writer::<OrderRejected>(service))
        .on(writer::<OrderCancelled>(service))
        .on(writer::<OrderShipped>(service))
        .on(writer::<OrderRefunded>(service))
        .on(writer::<AnsweredByMail>(service))
        .on(writer::<TranscriptRequested>(service))
        .on(writer::<ReviewInvited>(service))
}

fn writer<M: Message + Occasion>(
    service: &Arc<Notification>,
) -> impl Fn(Received<M>) -> futures::future::BoxFuture<'static, Reaction> + Send + Sync + 'static {
    let service = service.clone();
    move |message| Box::pin(write(service.clone(), message))
}

async fn write<M: Message + Occasion>(service: Arc<Notification>, message: Received<M>) -> Reaction {
    let draft = message.body.write(&service.letterhead).map_err(failed)?;
    let (admission, scope) = (message.body.admission(), message.body.wants_proof());
    let token = Token::draw();
    let request = domain::ask_for_proof(draft.to.clone(), &token, &service.letterhead).map_err(failed)?;
    let (db, now) = (service.db.clone(), service.now());
    message
        .once::<_, DbError, _>(&db, move |tx| {
            Box::pin(async move {
                let Some(scope) = wanted(tx, scope, &draft.to).await? else {
                    match service.grant(tx, &admission, draft.kind, &draft.to, now).await? {
                        Ok(()) => drop(store::queue(tx, &draft, now).await?),
                        Err(too_many) => store::refuse(tx, &draft, &too_many, now).await?,
                    }
                    tx.after_commit(move || service.wake.notify_one());
                    return Ok(());
                };
                proofs::store(tx, &draft, &scope, now, now.plus(link::VALID_FOR)).await?;
                let enough = now.minus(link::ENOUGH_FOR);
                if proofs::link_since(tx, &scope, &draft.to, enough).await? {
                    return Ok(());
                }
                let granted = service.grant(tx, &admission, request.kind, &draft.to, now).await?;
                // One that was not sent must not keep the next from being sent.
                let made_at = if granted.is_ok() { now } else { enough };
                let expires_at = now.plus(link::VALID_FOR);
                proofs::insert_link(tx, &token.hash(), &scope, &draft.to, made_at, expires_at).await?;
                match granted {
                    Ok(()) => drop(store::queue(tx, &request, now).await?),
                    // Staff see it, and can send the link: what waits for it does not pass unnoticed.
                    Err(too_many) => store::refuse(tx, &request, &too_many, now).await?,
                }
                tx.after_commit(move || service.wake.notify_one());
                Ok(())
            })
        })
        .await?;
    Ok(())
}

/// For what an address is still to be proved.
async fn wanted(tx: &Tx, scope: Option<String>, to: &Email) -> Result<Option<String>, DbError> {
    match scope {
        Some(scope) if !proofs::is_proven(tx, &scope, to).await? => Ok(Some(scope)),
        _ => Ok(None),
    }
}

fn failed(error: askama::Error) -> ReactionError {
    ReactionError::refuse(format!("the template failed: {error}"))
}

impl Notification {
    /// Counts a mail that is wanted. A refusal is noted.
    async fn grant(
        &self,
        tx: &Tx,
        admission: &Admission,
        kind: &'static str,
        to: &Email,
        now: Timestamp,
    ) -> Result<Result<(), TooMany>, DbError> {
        let Admission::Counted { group, sender, proven } = admission else { return Ok(Ok(())) };
        let wish = Wish { group: *group, sender, recipient: to, proven: *proven };
        self.admit(tx, wish, kind, now).await
    }
}
