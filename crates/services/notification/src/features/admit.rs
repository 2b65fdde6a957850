//! Whether somebody may cause a mail; a yes counts.

use std::sync::Arc;

use bookworm_db::{DbError, Tx};
use bookworm_kernel::{Email, Timestamp};

use crate::{
    domain::limits::{self, Group, Wish},
    service::Notification,
    store::ledger::{self, TooMany},
};

/// A mail that another role wants to cause.
pub struct Wanted {
    pub group: Group,
    /// Stable name of what it is about.
    pub kind: String,
    /// The client's address, or what stands for it; empty when it is not known.
    pub sender: String,
    pub recipient: Email,
    /// Whether the mailbox's owner has proved it to be theirs.
    pub proven: bool,
}

pub async fn admit(service: &Arc<Notification>, wanted: Wanted) -> Result<Result<(), TooMany>, DbError> {
    let (this, now) = (service.clone(), service.now());
    service
        .db
        .transact(move |tx| {
            Box::pin(async move {
                let Wanted { group, kind, sender, recipient, proven } = wanted;
                let wish = Wish { group, sender: &sender, recipient: &recipient, proven };
                this.admit(tx, wish, &kind, now).await
            })
        })
        .await
}

impl Notification {
    /// Counts a mail, or notes that it is refused.
    pub(crate) async fn admit(
        &self,
        tx: &Tx,
        wish: Wish<'_>,
        kind: &str,
        now: Timestamp,
    ) -> Result<Result<(), TooMany>, DbError> {
        let taken = ledger::take(tx, &limits::limits(wish, &self.limits), now).await?;
        if let Err(too_many) = taken {
            ledger::note_refusal(tx, kind, too_many.whose, now).await?;
            let (kind, whose) = (kind.to_owned(), too_many.whose.name());
            tx.after_commit(move || {
                metrics::counter!("mails_refused_total", "kind" => kind, "limit" => whose).increment(1);
            });
        }
        Ok(taken)
    }
}
