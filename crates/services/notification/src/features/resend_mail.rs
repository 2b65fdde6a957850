//! Sends a mail again, for a customer who lost it or after a wrong setting was mended.

use std::sync::Arc;

use axum::extract::State;
use bookworm_http::{ApiPath, Problem, Result, auth::StaffOnly, openapi::ProblemResponses};
use bookworm_kernel::ErrorCode;
use http::StatusCode;
use uuid::Uuid;

use crate::{service::Notification, store};

/// Queues a mail again. Staff.
#[utoipa::path(
    post,
    path = "/admin/mail/{id}/resend",
    tag = "operations",
    params(("id" = Uuid, Path, description = "The mail")),
    responses((status = 204, description = "It is queued"), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub async fn resend_mail(
    _: StaffOnly,
    State(service): State<Arc<Notification>>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode> {
    let unproven = store::find(&service.db, id).await?.is_some_and(|mail| mail.status == "held");
    if unproven {
        return Err(Problem::new(ErrorCode::Forbidden).detail("Its reader has not confirmed the address yet."));
    }
    if !store::requeue(&service.db, id, service.now()).await? {
        return Err(Problem::not_found("mail"));
    }
    service.wake.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
