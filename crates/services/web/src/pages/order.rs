//! The page of an order, for its customer: where it stands, live.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::ordering::{CancelRequest, Order, OrderStatus, PaymentStatus};

use crate::{
    Web,
    error::PageResult,
    flash::Flash,
    form::{Fields, Query},
    layout::{Shell, never_stored, page},
    session::Visitor,
    view::{self, Calendar, encoded},
};

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    shell: Shell,
    heading: &'static str,
    lead: &'static str,
    progress: Progress,
    cancellable: bool,
    key: String,
    address: Vec<String>,
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
        let link = if key.is_empty() { format!("/orders/{id}") } else { format!("/orders/{id}?key={}", encoded(key)) };
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
                OrderStatus::Pending => vec!["Order confirmed", "Handed to the carrier", "Delivered"],
                OrderStatus::Confirmed => vec!["Handed to the carrier", "Delivered"],
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
    let (heading, lead) = words(&order);
    let mut shell = visitor.shell(format!("Order {}: {}", order.number, view::status(&order.status)));
    shell.refresh_after = (order.status == OrderStatus::Pending).then_some(5);
    page(&OrderPage {
        shell,
        heading,
        lead,
        progress: Progress::new(&order, key, visitor.calendar()),
        cancellable: order.actions.is_some_and(|actions| actions.cancel),
        key: key.to_owned(),
        address: order.shipping_address.lines(),
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
        Ok(()) => visitor.tell(&Flash::success("Your order is cancelled. What was charged goes back the way it came.")),
        Err(error) if error.status().is_client_error() && error.status() != http::StatusCode::UNAUTHORIZED => {
            visitor.tell(&Flash::problem(error.message()));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to(&order_path(&id, key)).into_response())
}

/// The page of an order, with its key when there is one.
pub(crate) fn order_path(id: &str, key: &str) -> String {
    let query = if key.is_empty() { String::new() } else { format!("?key={}", encoded(key)) };
    format!("/orders/{}{query}", encoded(id).replace("%2D", "-"))
}

fn words(order: &Order) -> (&'static str, &'static str) {
    match order.status {
        OrderStatus::Pending if order.payment.status == PaymentStatus::ActionRequired => {
            ("One more step", "Your bank asks you to confirm the payment.")
        }
        OrderStatus::Pending => {
            ("We are checking your order", "This takes a moment. The page keeps itself up to date.")
        }
        OrderStatus::Confirmed => {
            ("Thank you, it is yours", "Your order is confirmed and a mail is on its way to you.")
        }
        OrderStatus::Shipped => ("On its way to you", "The parcel is with the carrier."),
        OrderStatus::Completed => ("Delivered", "We hope you enjoy the reading."),
        OrderStatus::Cancelled => ("This order is cancelled", "Nothing will be sent."),
        OrderStatus::Rejected => ("We could not accept this order", "Nothing was charged."),
        OrderStatus::Refunded => ("Your money is on its way back", "It goes the way it came and can take some days."),
    }
}
