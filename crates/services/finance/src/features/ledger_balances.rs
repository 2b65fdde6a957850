use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, finance::LedgerBalance};
use bookworm_http::{ApiJson, Result, auth::StaffOnly};

use crate::{service::Finance, store::ledger};

/// Every account that was ever used, with its balance.
///
/// Debits less credits, one entry for each currency. All of them together are zero. Staff.
#[utoipa::path(
    get,
    path = "/admin/ledger",
    tag = "finance",
    responses(
        (status = 200, description = "All accounts, in one page.", body = Page<LedgerBalance>),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn list_ledger_balances(
    State(finance): State<Arc<Finance>>,
    _staff: StaffOnly,
) -> Result<ApiJson<Page<LedgerBalance>>> {
    let balances = ledger::balances(finance.db.read()).await?;
    let items = balances.into_iter().map(|(account, balance)| LedgerBalance { account, balance }).collect();
    Ok(ApiJson(Page { items, next: None }))
}
