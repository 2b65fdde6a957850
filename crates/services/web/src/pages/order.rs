//! The page of an order, for its customer: where it stands, live.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::ordering::{CancelRequest, Order, OrderStatus, PaymentStatus};

use bookworm_kernel::ErrorCode;

use crate::{
    error::PageResult,
    flash::Flash,
    form::{Fields, Query},
    layout::{Shell, never_stored, page},
    service::Web,
    session::Visitor,
    view::{self, Calendar, encoded},
};

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    shell: Shell,
    heading: &'static str,
    lead: String,
    progress: Progress,
    /// Where it can be cancelled, as long as it can.
    cancel_href: Option<String>,
    address: Vec<String>,
    sends_mail: bool,
    order: Order,
}

/// The part that changes by itself, alone for the island.
#[derive(Template)]
#[template(path = "parts/order_progress.html")]
struct Progress {
    id: String,
    key: String,
    here: String,
    status: &'static str,
    code: &'static str,
    payment: &'static str,
    action_url: Option<String>,
    rejection: Option<String>,
    tracking: Option<String>,
    timeline: Vec<Entry>,
    ahead: Vec<&'static str>,
    every_ms: Option<u32>,
}

struct Entry {
    what: String,
    /// As HTML.
    when: String,
    note: Option<String>,
}

impl Progress {
    fn new(order: &Order, key: &str, calendar: Calendar) -> Self {
        let id = order.id.to_string();
        let link = path(&id, "", key);
        Self {
            key: key.to_owned(),
            here: link,
            status: view::status(&order.status),
            code: view::status_code(&order.status),
            payment: view::payment(&order.payment.status),
            action_url: order.payment.action_url.clone().filter(|_| {
                order.payment.status == PaymentStatus::ActionRequired && order.status == OrderStatus::Pending
            }),
            rejection: order.rejection.as_ref().map(|rejection| rejection.reason.clone()),
            tracking: order.tracking.clone(),
            timeline: order
                .timeline
                .iter()
                .map(|entry| Entry {
                    what: view::step(&entry.status),
                    when: calendar.time(&entry.at),
                    note: entry.note.clone(),
                })
                .collect(),
            ahead: match order.status {
                OrderStatus::Pending => vec!["Order confirmed", "Shipped", "Delivered"],
                OrderStatus::Confirmed => vec!["Shipped", "Delivered"],
                OrderStatus::Shipped => vec!["Delivered"],
                _ => Vec::new(),
            },
            every_ms: match order.status {
                OrderStatus::Pending => Some(1_500),
                OrderStatus::Confirmed
                    if !matches!(order.payment.status, PaymentStatus::Captured | PaymentStatus::NotRequired) =>
                {
                    Some(1_500)
                }
                OrderStatus::Confirmed | OrderStatus::Shipped => Some(10_000),
                // The money of a cancelled order is on its way back.
                OrderStatus::Cancelled
                    if matches!(
                        order.payment.status,
                        PaymentStatus::Authorised | PaymentStatus::Captured | PaymentStatus::PartiallyRefunded
                    ) =>
                {
                    Some(1_500)
                }
                _ => None,
            },
            id,
        }
    }
}

/// `GET /orders/{id}?key=`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, query: Query) -> PageResult {
    let key = query.get("key");
    let order = web.api.order(visitor.caller(), &id, &[("key", key)]).await?;
    let (heading, lead) = words(&order, visitor.sends_mail());
    let mut shell = visitor.shell(format!("Order {}: {}", order.number, view::status(&order.status)));
    shell.refresh_after = (order.status == OrderStatus::Pending).then_some(5);
    page(&OrderPage {
        shell,
        heading,
        lead,
        progress: Progress::new(&order, key, visitor.calendar()),
        cancel_href: is_cancellable(&order).then(|| path(&order.id.to_string(), "/cancel", key)),
        address: order.shipping_address.lines(),
        // Only a confirmed order has had its confirmation.
        sends_mail: visitor.sends_mail() && !matches!(order.status, OrderStatus::Pending | OrderStatus::Rejected),
        order,
    })
    .map(never_stored)
}

/// `GET /orders/{id}/timeline?key=`: the part that changes, for the island.
pub(crate) async fn timeline(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    query: Query,
) -> PageResult {
    let order = web.api.order(visitor.caller(), &id, &[("key", query.get("key"))]).await?;
    page(&Progress::new(&order, query.get("key"), visitor.calendar())).map(never_stored)
}

/// Asks before an order is cancelled, which cannot be undone.
#[derive(Template)]
#[template(path = "order_cancel.html")]
struct CancelPage {
    shell: Shell,
    key: String,
    back: String,
    order: Order,
}

/// `GET /orders/{id}/cancel?key=`
pub(crate) async fn ask_cancel(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    query: Query,
) -> PageResult {
    let key = query.get("key");
    let order = web.api.order(visitor.caller(), &id, &[("key", key)]).await?;
    let back = path(&order.id.to_string(), "", key);
    if !is_cancellable(&order) {
        visitor.flash(&Flash::problem(TOO_LATE));
        return Ok(Redirect::to(&back).into_response());
    }
    let shell = visitor.shell(format!("Cancel order {}?", order.number));
    page(&CancelPage { shell, key: key.to_owned(), back, order }).map(never_stored)
}

const TOO_LATE: &str = "This order can’t be cancelled any more.";

fn is_cancellable(order: &Order) -> bool {
    order.actions.is_some_and(|actions| actions.cancel)
}

/// The address of an order, or of something about it; a guest's has the key.
fn path(id: &str, what: &str, key: &str) -> String {
    let query = if key.is_empty() { String::new() } else { format!("?key={}", encoded(key)) };
    format!("/orders/{}{what}{query}", encoded(id).replace("%2D", "-"))
}

/// `POST /orders/{id}/cancel`
pub(crate) async fn cancel(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Fields,
) -> PageResult {
    let key = fields.get("key");
    let request = CancelRequest { reason: Some("Cancelled by the customer".to_owned()), ..CancelRequest::default() };
    match web.api.cancel_order(visitor.caller(), &id, key, &request).await {
        Ok(()) => visitor.flash(&Flash::success(
            "Your order is cancelled. We’ll refund your original payment method for anything that was charged.",
        )),
        Err(error) if error.code() == ErrorCode::InvalidOrderState.as_str() => {
            visitor.flash(&Flash::problem(TOO_LATE));
        }
        Err(error) if error.status().is_client_error() && error.status() != http::StatusCode::UNAUTHORIZED => {
            visitor.flash(&Flash::problem(error.message()));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to(&order_path(&id, key)).into_response())
}

/// The page of an order, with its key when there is one.
pub(crate) fn order_path(id: &str, key: &str) -> String {
    path(id, "", key)
}

fn words(order: &Order, sends_mail: bool) -> (&'static str, String) {
    let (heading, lead) = match order.status {
        OrderStatus::Pending if order.payment.status == PaymentStatus::ActionRequired => {
            ("One more step", "Please confirm this payment with your bank.")
        }
        OrderStatus::Pending => ("Processing your order", "This takes a moment. This page updates by itself."),
        OrderStatus::Confirmed if sends_mail => {
            let lead = format!("We’ve emailed your confirmation to {}.", order.email);
            return ("Thank you! Your order is confirmed.", lead);
        }
        OrderStatus::Confirmed => {
            ("Thank you! Your order is confirmed.", "Your confirmation is below. You can print it.")
        }
        OrderStatus::Shipped => ("Your order has shipped", "Your books are on their way."),
        OrderStatus::Completed => ("Delivered", "Enjoy your books!"),
        OrderStatus::Cancelled => ("This order is cancelled", "We won’t ship anything."),
        OrderStatus::Rejected => ("We couldn’t complete this order", "You haven’t been charged."),
        OrderStatus::Refunded => ("Your order has been refunded", "Refunds take 3 to 5 business days to reach you."),
    };
    (heading, lead.to_owned())
}
