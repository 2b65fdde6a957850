//! Money: payments, ledger, and whether all of it agrees.

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::finance::{LedgerBalance, Payment, ReconciliationReport};

use super::{PAGE, Staff, next_href};
use crate::{
    error::PageResult,
    form::Query,
    layout::{Shell, never_stored, page},
    service::Web,
    view,
};

#[derive(Template)]
#[template(path = "admin/payments.html")]
struct PaymentsPage {
    shell: Shell,
    payments: Vec<Row>,
    ledger: Vec<LedgerBalance>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/reconciliation.html")]
struct ReconciliationPage {
    shell: Shell,
    report: ReconciliationReport,
}

/// A payment with what identifies it for people.
struct Row {
    payment: Payment,
    number: String,
    customer: String,
}

/// The orders of a page of payments: most are among the newest, the others are asked for one by one.
async fn rows(web: &Web, staff: &Staff, payments: Vec<Payment>) -> Vec<Row> {
    let newest = web.api.orders(staff.caller(), &[("limit", "100")]).await.map(|page| page.items).unwrap_or_default();
    let mut rows = Vec::with_capacity(payments.len());
    for payment in payments {
        let order = match newest.iter().find(|order| order.id == payment.order_id) {
            Some(order) => Some(order.clone()),
            None => web.api.order(staff.caller(), &payment.order_id.to_string(), &[]).await.ok(),
        };
        let named = order.map(|order| (order.number, order.shipping_address.name));
        let (number, customer) = named.unwrap_or_else(|| ("View order".to_owned(), String::new()));
        rows.push(Row { payment, number, customer });
    }
    rows
}

/// An account of the ledger, for people.
pub(crate) fn account(name: &str) -> String {
    match name {
        "provider_clearing" => "With the payment provider".to_owned(),
        "customer_orders" => "Paid orders not delivered yet".to_owned(),
        other => words(other),
    }
}

/// A stable name as words: `captured_twice` as `Captured twice`.
pub(crate) fn words(name: &str) -> String {
    view::capitalised(&name.replace('_', " "))
}

/// `GET /admin/payments`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let filters = [("cursor", query.get("cursor")), ("limit", PAGE)];
    let (found, ledger) = tokio::try_join!(web.api.payments(staff.caller(), &filters), web.api.ledger(staff.caller()))?;
    let next_href = next_href("/admin/payments", &[], found.next.as_deref());
    let payments = rows(&web, &staff, found.items).await;
    page(&PaymentsPage { shell: staff.office("Payments"), payments, ledger, next_href }).map(never_stored)
}

/// `GET /admin/payments/reconciliation`
pub(crate) async fn reconciliation(State(web): State<Web>, staff: Staff) -> PageResult {
    let report = web.api.reconciliation(staff.caller()).await?;
    page(&ReconciliationPage { shell: staff.office("Reconciliation"), report }).map(never_stored)
}
