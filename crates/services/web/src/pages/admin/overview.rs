//! What needs attention now.

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::{finance::LedgerBalance, operations::DeadLetter, ordering::Order};

use super::{
    Staff,
    orders::{Row, rows},
};
use crate::{
    error::PageResult,
    layout::{Shell, never_stored, page},
    service::Web,
};

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct Overview {
    shell: Shell,
    to_ship: Vec<Row>,
    to_ship_more: bool,
    waiting: Vec<Order>,
    letters: Vec<DeadLetter>,
    letters_more: bool,
    ledger: Vec<LedgerBalance>,
}

/// `GET /admin`
pub(crate) async fn show(State(web): State<Web>, staff: Staff) -> PageResult {
    let caller = staff.caller();
    let (to_ship, waiting, letters, ledger) = tokio::try_join!(
        web.api.orders(caller, &[("status", "confirmed"), ("sort", "oldest"), ("limit", "10")]),
        web.api.orders(caller, &[("status", "pending"), ("sort", "oldest"), ("limit", "5")]),
        web.api.dead_letters(caller, &[("limit", "5")]),
        web.api.ledger(caller),
    )?;
    page(&Overview {
        shell: staff.office("Overview"),
        to_ship_more: to_ship.next.is_some(),
        to_ship: rows(&web, &staff, to_ship.items).await,
        waiting: waiting.items,
        letters_more: letters.next.is_some(),
        letters: letters.items,
        ledger,
    })
    .map(never_stored)
}
