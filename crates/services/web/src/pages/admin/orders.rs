//! Orders, as staff work on them.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::ordering::{CancelRequest, Order, OrderEvent, OrderStatus, RefundRequest, ShipRequest};
use uuid::Uuid;

use super::{PAGE, Staff, next_href, settle};
use crate::{
    Web,
    error::PageResult,
    flash::Flash,
    form::{Fields, Query},
    layout::{Shell, never_stored, page},
    pages::order::address_lines,
    view,
};

pub(crate) const STATUSES: &[(&str, &str)] = &[
    ("", "All"),
    ("pending", "Being checked"),
    ("confirmed", "To ship"),
    ("shipped", "On the way"),
    ("completed", "Delivered"),
    ("cancelled", "Cancelled"),
    ("rejected", "Rejected"),
    ("refunded", "Refunded"),
];

#[derive(Template)]
#[template(path = "admin/orders.html")]
struct OrdersPage {
    shell: Shell,
    orders: Vec<Order>,
    status: String,
    words: String,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/order.html")]
struct OrderPage {
    shell: Shell,
    events: Vec<EventRow>,
    address: Vec<String>,
    as_of: String,
    refund_key: String,
    refundable: String,
    can: Can,
    order: Order,
}

struct EventRow {
    version: u64,
    kind: String,
    at: String,
    as_of: String,
    data: String,
    correlation: String,
}

/// Which buttons make sense.
struct Can {
    ship: bool,
    complete: bool,
    cancel: bool,
    refund: bool,
}

/// `GET /admin/orders?status=&q=&cursor=`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let (status, words) = (query.get("status"), query.get("q"));
    let filters = [("status", status), ("q", words), ("cursor", query.get("cursor")), ("limit", PAGE)];
    let found = web.api.orders(staff.caller(), &filters).await?;
    page(&OrdersPage {
        shell: staff.office("Orders"),
        next_href: next_href("/admin/orders", &[("status", status), ("q", words)], found.next.as_deref()),
        orders: found.items,
        status: status.to_owned(),
        words: words.to_owned(),
    })
    .map(never_stored)
}

/// `GET /admin/orders/{id}?as_of=`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>, query: Query) -> PageResult {
    let as_of = query.get("as_of");
    let then = [("as_of", as_of)];
    let (order, events) =
        tokio::try_join!(web.api.order(staff.caller(), &id, &then), web.api.order_events(staff.caller(), &id))?;
    let now = as_of.is_empty();
    let left = order.total.checked_sub(order.payment.refunded).unwrap_or(order.total);
    page(&OrderPage {
        shell: staff.office(format!("Order {}", order.number)),
        events: events.into_iter().map(event_row).collect(),
        address: address_lines(&order.shipping_address),
        as_of: as_of.to_owned(),
        refund_key: Uuid::new_v4().to_string(),
        refundable: left.decimal(),
        can: Can {
            ship: now && order.status == OrderStatus::Confirmed,
            complete: now && order.status == OrderStatus::Shipped,
            cancel: now && matches!(order.status, OrderStatus::Pending | OrderStatus::Confirmed),
            refund: now
                && left.amount > 0
                && matches!(order.status, OrderStatus::Confirmed | OrderStatus::Shipped | OrderStatus::Completed),
        },
        order,
    })
    .map(never_stored)
}

fn event_row(event: OrderEvent) -> EventRow {
    EventRow {
        version: event.version,
        kind: event.kind,
        at: view::stamp(&event.at),
        as_of: view::encoded(&event.at.to_string()),
        data: serde_json::to_string_pretty(&event.data).unwrap_or_default(),
        correlation: event.correlation_id.to_string(),
    }
}

fn back(id: &str) -> String {
    format!("/admin/orders/{}", view::encoded(id))
}

/// `POST /admin/orders/{id}/ship`: `tracking`.
pub(crate) async fn ship(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let request = ShipRequest { tracking: fields.optional("tracking") };
    let outcome = web.api.ship_order(staff.caller(), &id, &request).await;
    settle(&staff, outcome, "Marked as shipped; the customer gets a mail.", &back(&id))
}

/// `POST /admin/orders/{id}/complete`
pub(crate) async fn complete(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let outcome = web.api.complete_order(staff.caller(), &id).await;
    settle(&staff, outcome, "Marked as delivered.", &back(&id))
}

/// `POST /admin/orders/{id}/cancel`: `reason`.
pub(crate) async fn cancel(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let request = CancelRequest { reason: fields.optional("reason") };
    let outcome = web.api.cancel_order(staff.caller(), &id, "", &request).await;
    settle(&staff, outcome, "Cancelled; stock and money go back.", &back(&id))
}

/// `POST /admin/orders/{id}/refund`: `amount`, `reason`, `idempotency_key`.
pub(crate) async fn refund(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let order = web.api.order(staff.caller(), &id, &[]).await?;
    let amount = match fields.get("amount") {
        "" => None,
        typed => match order.total.currency.parse_amount(typed) {
            Ok(amount) => Some(amount),
            Err(error) => {
                staff.tell(&Flash::problem(error.to_string()));
                return Ok(Redirect::to(&back(&id)).into_response());
            }
        },
    };
    let request = RefundRequest { amount, reason: fields.get("reason").to_owned() };
    let key = fields.get("idempotency_key").parse::<Uuid>().unwrap_or_else(|_| Uuid::new_v4()).to_string();
    let outcome = web.api.refund_order(staff.caller(), &id, &key, &request).await;
    settle(&staff, outcome, "The refund is on its way.", &back(&id))
}
