use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{
    Page,
    identity::{Account as View, Role},
};
use bookworm_http::{
    ApiJson, ApiQuery, PageParams, Result, Validator, auth::AdminOnly, cursor, openapi::ProblemResponses,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{role, view};
use crate::{service::Identity, store};

/// Which accounts to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Part of the e-mail address or of the name, in any case; at most 200 characters.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only accounts with this role.
    #[param(inline)]
    role: Option<Role>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// Lists accounts, the newest first
///
/// For admins.
#[utoipa::path(
    get, path = "/identity/accounts", tag = "identity", params(Wanted, PageParams),
    responses((status = 200, description = "A page of accounts", body = Page<View>), ProblemResponses),
    security(("bearer" = ["admin"]))
)]
pub(crate) async fn list_accounts(
    State(service): State<Arc<Identity>>,
    _admin: AdminOnly,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> Result<ApiJson<Page<View>>> {
    let mut valid = Validator::new();
    let text = valid.optional_text("/q", wanted.q.as_deref(), 1..=200);
    valid.finish()?;
    let limit = wanted.page.limit()?;
    let filter = store::AccountFilter { text, role: wanted.role.map(role), before: wanted.page.after::<Uuid>()? };
    let rows = store::page(service.db.read(), &filter, limit + 1).await?;
    let (rows, next) = cursor::page(rows, limit, |account| account.id.uuid());
    Ok(ApiJson(Page { items: rows.iter().map(view).collect(), next }))
}
