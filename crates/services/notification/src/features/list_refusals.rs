//! Mails that were not written.

use std::sync::Arc;

use axum::{Json, extract::State};
use bookworm_contracts::rest::operations::MailRefusals;
use bookworm_http::{Result, auth::StaffOnly, openapi::ProblemResponses};

use crate::{service::Notification, store::ledger};

/// What was refused in the last 24 hours because a limit was reached, by kind and limit. Staff.
#[utoipa::path(
    get,
    path = "/admin/mail/refusals",
    tag = "operations",
    responses((status = 200, description = "Since when and how often", body = Vec<MailRefusals>), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub async fn list_refusals(_: StaffOnly, State(service): State<Arc<Notification>>) -> Result<Json<Vec<MailRefusals>>> {
    Ok(Json(ledger::refusals(&service.db, service.now()).await?))
}
