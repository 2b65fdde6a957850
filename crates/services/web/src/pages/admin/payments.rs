//! Money: payments, ledger, and whether all of it agrees.

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::finance::{LedgerBalance, Payment, ReconciliationReport};

use super::{PAGE, Staff, next_href};
use crate::{
    Web,
    error::PageResult,
    form::Query,
    layout::{Shell, never_stored, page},
};

#[derive(Template)]
#[template(path = "admin/payments.html")]
struct PaymentsPage {
    shell: Shell,
    payments: Vec<Payment>,
    ledger: Vec<LedgerBalance>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/reconciliation.html")]
struct ReconciliationPage {
    shell: Shell,
    report: ReconciliationReport,
}

/// `GET /admin/payments`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let filters = [("cursor", query.get("cursor")), ("limit", PAGE)];
    let (found, ledger) = tokio::try_join!(web.api.payments(staff.caller(), &filters), web.api.ledger(staff.caller()))?;
    let next_href = next_href("/admin/payments", &[], found.next.as_deref());
    page(&PaymentsPage { shell: staff.office("Payments"), payments: found.items, ledger, next_href }).map(never_stored)
}

/// `GET /admin/payments/reconciliation`
pub(crate) async fn reconciliation(State(web): State<Web>, staff: Staff) -> PageResult {
    let report = web.api.reconciliation(staff.caller()).await?;
    page(&ReconciliationPage { shell: staff.office("Reconciliation"), report }).map(never_stored)
}
