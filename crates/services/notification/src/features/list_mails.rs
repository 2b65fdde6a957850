//! What the shop wrote, and whether it was sent.

use std::sync::Arc;

use axum::{Json, extract::State};
use bookworm_contracts::rest::{Page, operations::Mail};
use bookworm_http::{ApiQuery, PageParams, Result, Validator, auth::StaffOnly, cursor, openapi::ProblemResponses};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::shown_to;
use crate::{service::Notification, store};

/// The most characters of a kind.
const MAX_KIND: usize = 100;
/// Where a mail may stand.
const STATUSES: [&str; 6] = ["queued", "sent", "kept", "failed", "held", "refused"];

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Params {
    /// Only mails about this, e.g. `order_confirmed`.
    #[param(max_length = 100)]
    kind: Option<String>,
    /// Only `queued`, `sent`, `kept`, `failed`, `held` or `refused` ones.
    #[param(pattern = "^(queued|sent|kept|failed|held|refused)$")]
    status: Option<String>,
    /// Only mails about this order.
    order_id: Option<Uuid>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// Emails, newest first. Staff only.
#[utoipa::path(
    get,
    path = "/admin/mail",
    tag = "operations",
    params(Params, PageParams),
    responses((status = 200, description = "A page of mails", body = Page<Mail>), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub async fn list_mails(
    StaffOnly(account): StaffOnly,
    State(service): State<Arc<Notification>>,
    ApiQuery(params): ApiQuery<Params>,
) -> Result<Json<Page<Mail>>> {
    let mut valid = Validator::new();
    let kind = valid.optional_text("/kind", params.kind.as_deref(), 1..=MAX_KIND);
    let status = params.status.filter(|status| {
        valid.check("/status", STATUSES.contains(&status.as_str()), format!("must be one of {}", STATUSES.join(", ")));
        true
    });
    valid.finish()?;
    let limit = params.page.limit()?;
    let filter = store::Filter { kind, status, order_id: params.order_id };
    let rows = store::list(&service.db, &filter, params.page.after()?, limit + 1).await?;
    let (rows, next) = cursor::page(rows, limit, |row| row.id);
    Ok(Json(Page { items: rows.into_iter().map(|row| shown_to(&account, row.into())).collect(), next }))
}
