//! What other roles ask: whether a mail may be sent.

use std::sync::Arc;

use bookworm_contracts::grpc::notification::{AdmitRequest, AdmitResponse, mailroom_server::Mailroom};
use bookworm_http::{Problem, grpc::to_status};
use bookworm_kernel::{Email, FieldError};
use tonic::{Request, Response, Status, async_trait};

use crate::{domain::limits::Group, features::admit, service::Notification, store::ledger::TooMany};

pub struct Server(pub Arc<Notification>);

#[async_trait]
impl Mailroom for Server {
    async fn admit(&self, request: Request<AdmitRequest>) -> Result<Response<AdmitResponse>, Status> {
        let AdmitRequest { kind, sender, recipient, proven } = request.into_inner();
        let invalid =
            |field: &str, message: String| to_status(&Problem::validation(vec![FieldError::new(field, message)]));
        let group = Group::of(&kind).ok_or_else(|| invalid("/kind", "must be a kind of mail".to_owned()))?;
        let recipient = Email::parse(&recipient).map_err(|error| invalid("/recipient", error.to_string()))?;
        let wanted = admit::Wanted { group, kind, sender, recipient, proven };
        let admitted = admit::admit(&self.0, wanted).await.map_err(|error| to_status(&error.into()))?;
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
