//! Leave to cause a mail: the one place where limits are kept.

use bookworm_contracts::grpc::notification::{AdmitRequest, AdmitResponse, mailroom_server::Mailroom};
use bookworm_db::{DbError, Tx};
use bookworm_http::{Problem, grpc::to_status};
use bookworm_kernel::{Email, FieldError, Timestamp};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    NotificationService,
    domain::limits::{self, Group, Wish},
    store::ledger::{self, TooMany},
};

/// Answers other services.
pub struct Server(pub NotificationService);

#[async_trait]
impl Mailroom for Server {
    async fn admit(&self, request: Request<AdmitRequest>) -> Result<Response<AdmitResponse>, Status> {
        let AdmitRequest { kind, sender, recipient, proven } = request.into_inner();
        let invalid =
            |field: &str, message: String| to_status(&Problem::validation(vec![FieldError::new(field, message)]));
        let group = Group::of(&kind).ok_or_else(|| invalid("/kind", "must be a kind of mail".to_owned()))?;
        let recipient = Email::parse(&recipient).map_err(|error| invalid("/recipient", error.to_string()))?;
        let (service, now) = (self.0.clone(), self.0.now());
        let admitted = self
            .0
            .db()
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    let wish = Wish { group, sender: &sender, recipient: &recipient, proven };
                    service.admit(tx, wish, &kind, now).await
                })
            })
            .await
            .map_err(|error| to_status(&error.into()))?;
        Ok(Response::new(match admitted {
            Ok(()) => AdmitResponse { granted: true, wait_seconds: 0, limit: String::new() },
            Err(TooMany { whose, wait }) => AdmitResponse {
                granted: false,
                wait_seconds: wait.as_secs().saturating_add(1),
                limit: whose.name().to_owned(),
            },
        }))
    }
}

impl NotificationService {
    /// Counts a mail, or notes that it is refused.
    pub(crate) async fn admit(
        &self,
        tx: &Tx,
        wish: Wish<'_>,
        kind: &str,
        now: Timestamp,
    ) -> Result<Result<(), TooMany>, DbError> {
        let taken = ledger::take(tx, &limits::limits(wish, &self.0.limits), now).await?;
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
