//! One mail.

use std::sync::Arc;

use axum::{Json, extract::State};
use bookworm_contracts::rest::operations::Mail;
use bookworm_http::{ApiPath, Problem, Result, auth::StaffOnly, openapi::ProblemResponses};
use uuid::Uuid;

use super::shown_to;
use crate::{service::Notification, store};

/// A mail. Staff.
#[utoipa::path(
    get,
    path = "/admin/mail/{id}",
    tag = "operations",
    params(("id" = Uuid, Path, description = "The mail")),
    responses((status = 200, description = "The mail", body = Mail), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub async fn read_mail(
    StaffOnly(account): StaffOnly,
    State(service): State<Arc<Notification>>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Mail>> {
    let row = store::find(&service.db, id).await?.ok_or_else(|| Problem::not_found("mail"))?;
    Ok(Json(shown_to(&account, row.into())))
}
