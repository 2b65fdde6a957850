//! Orders, as staff work on them.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::ordering::{
    CancelRequest, Order, OrderActions, PaymentStatus, RefundRequest, ShipRequest, ShippingMethod,
};
use bookworm_kernel::{Money, Timestamp};
use http::StatusCode;
use uuid::Uuid;

use super::{
    PAGE, Staff,
    history::{self, Entry},
    next_href, settle, traces,
};
use crate::{
    api::ApiError,
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    view,
};

/// Characters of a reason. The API has the same limit.
const REASON: u32 = 500;

pub(crate) const STATUSES: &[(&str, &str)] = &[
    ("", "All orders"),
    ("pending", "Awaiting payment"),
    ("confirmed", "To ship"),
    ("shipped", "Shipped"),
    ("completed", "Delivered"),
    ("cancelled", "Cancelled"),
    ("rejected", "Declined"),
    ("refunded", "Refunded"),
];

/// The status of an order, for those who work on it.
pub(crate) fn status(order: &Order) -> &'static str {
    let code = view::status_code(&order.status);
    STATUSES.iter().find(|(value, _)| *value == code).map_or("", |(_, label)| label)
}

/// The state of a payment, for those who manage it.
pub(crate) fn payment(status: &PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::Pending => "Awaiting payment",
        PaymentStatus::ActionRequired => "Waiting for the customer’s bank",
        PaymentStatus::Authorised => "Authorized",
        PaymentStatus::Captured => "Paid",
        PaymentStatus::Declined => "Declined",
        PaymentStatus::Voided => "Authorization released",
        PaymentStatus::PartiallyRefunded => "Partly refunded",
        PaymentStatus::Refunded => "Refunded",
        PaymentStatus::NotRequired => "Nothing to pay",
        PaymentStatus::Failed => "Capture failed",
    }
}

/// An order in a table, with what decides how it is packed.
pub(crate) struct Row {
    pub(crate) order: Order,
    /// The name of the shipping method.
    pub(crate) method: String,
    /// `Portland, US`
    pub(crate) town: String,
    /// Copies of all lines.
    pub(crate) copies: i64,
}

/// Orders for a table.
pub(super) async fn rows(web: &Web, staff: &Staff, orders: Vec<Order>) -> Vec<Row> {
    // Without the names, their codes say enough.
    let methods = web.api.shipping_methods(staff.caller()).await.unwrap_or_default();
    let row = |order: Order| Row {
        method: method_name(&methods, &order.shipping_method),
        town: format!("{}, {}", order.shipping_address.city, order.shipping_address.country),
        copies: order.lines.iter().map(|line| i64::from(line.quantity.get())).sum(),
        order,
    };
    orders.into_iter().map(row).collect()
}

fn method_name(methods: &[ShippingMethod], code: &str) -> String {
    methods
        .iter()
        .find(|method| method.code == code)
        .map_or_else(|| view::capitalised(code), |method| method.name.clone())
}

#[derive(Template)]
#[template(path = "admin/orders.html")]
struct OrdersPage {
    shell: Shell,
    orders: Vec<Row>,
    status: String,
    words: String,
    oldest_first: bool,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/order.html")]
struct OrderPage {
    shell: Shell,
    history: Vec<Entry>,
    address: Vec<String>,
    as_of: String,
    method: String,
    /// Whether what happened to it can still be seen step by step.
    traced: bool,
    /// What may be done with it now; nothing with an order of the past.
    can: OrderActions,
    order: Order,
}

#[derive(Template)]
#[template(path = "admin/order_cancel.html")]
struct CancelPage {
    shell: Shell,
    errors: Errors,
    reason: Field,
    paid: bool,
    order: Order,
}

#[derive(Template)]
#[template(path = "admin/order_refund.html")]
struct RefundPage {
    shell: Shell,
    errors: Errors,
    amount: Field,
    reason: Field,
    key: String,
    /// The most that can be refunded.
    most: Money,
    /// Set on the second step, which asks whether this is what is meant.
    sure: Option<Sure>,
    order: Order,
}

struct Sure {
    amount: Money,
    reason: String,
}

/// `GET /admin/orders?status=&q=&cursor=`. What is to be shipped comes oldest first: who waits longest goes first.
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let (status, words) = (query.get("status"), query.get("q"));
    let oldest_first = status == "confirmed";
    let sort = if oldest_first { "oldest" } else { "" };
    let filters = [("status", status), ("q", words), ("sort", sort), ("cursor", query.get("cursor")), ("limit", PAGE)];
    let found = web.api.orders(staff.caller(), &filters).await?;
    page(&OrdersPage {
        shell: staff.office("Orders"),
        next_href: next_href("/admin/orders", &[("status", status), ("q", words)], found.next.as_deref()),
        orders: rows(&web, &staff, found.items).await,
        status: status.to_owned(),
        words: words.to_owned(),
        oldest_first,
    })
    .map(never_stored)
}

/// `GET /admin/orders/{id}?as_of=`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>, query: Query) -> PageResult {
    let as_of = query.get("as_of");
    let then = [("as_of", as_of)];
    let methods = async { Ok(web.api.shipping_methods(staff.caller()).await.unwrap_or_default()) };
    let traced = async { Ok(traces::of_order(&web, &staff, &id).await) };
    let (order, events, methods, traced) = tokio::try_join!(
        web.api.order(staff.caller(), &id, &then),
        web.api.order_events(staff.caller(), &id),
        methods,
        traced
    )?;
    page(&OrderPage {
        shell: staff.office(format!("Order {}", order.number)),
        history: history::entries(events, staff.calendar()),
        address: order.shipping_address.lines(),
        as_of: Timestamp::parse(as_of).map(|at| staff.calendar().zone.date_time(at)).unwrap_or_default(),
        method: method_name(&methods, &order.shipping_method),
        traced,
        can: order.actions.unwrap_or_default(),
        order,
    })
    .map(never_stored)
}

fn back(id: &str) -> String {
    format!("/admin/orders/{}", view::encoded(id))
}

/// `POST /admin/orders/{id}/ship`: `tracking`.
pub(crate) async fn ship(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let request = ShipRequest { tracking: fields.optional("tracking") };
    let outcome = web.api.ship_order(staff.caller(), &id, &request).await;
    settle(&staff, outcome, "Order marked as shipped.", &back(&id))
}

/// `POST /admin/orders/{id}/complete`
pub(crate) async fn complete(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let outcome = web.api.complete_order(staff.caller(), &id).await;
    settle(&staff, outcome, "Order marked as delivered.", &back(&id))
}

/// `GET /admin/orders/{id}/cancel`: asks whether it is meant.
pub(crate) async fn ask_cancel(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let order = web.api.order(staff.caller(), &id, &[]).await?;
    cancel_page(&staff, StatusCode::OK, order, &Fields::default(), Errors::default())
}

fn cancel_page(staff: &Staff, status: StatusCode, order: Order, typed: &Fields, errors: Errors) -> PageResult {
    let reason = Field::new("reason", "Reason")
        .maxlength(REASON)
        .hint("The customer reads it in the email about the cancellation.")
        .optional()
        .fill(typed, &errors);
    let paid = matches!(order.payment.status, PaymentStatus::Captured | PaymentStatus::PartiallyRefunded);
    let shell = staff.office(format!("Cancel order {}", order.number));
    page_with(status, &CancelPage { shell, errors, reason, paid, order }).map(never_stored)
}

/// `POST /admin/orders/{id}/cancel`: `reason`.
pub(crate) async fn cancel(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let request = CancelRequest { reason: fields.optional("reason"), ..CancelRequest::default() };
    match web.api.cancel_order(staff.caller(), &id, "", &request).await {
        Err(error) if error.problem().is_some_and(|problem| problem.status == 400) => {
            let order = web.api.order(staff.caller(), &id, &[]).await?;
            let mut errors = Errors::default();
            errors.add("reason", too_long());
            cancel_page(&staff, error.status(), order, &fields, errors)
        }
        outcome => settle(&staff, outcome, "Order cancelled. Any payment is being refunded or released.", &back(&id)),
    }
}

fn too_long() -> String {
    format!("Enter a reason of up to {REASON} characters.")
}

/// An order and what can still be refunded of it.
async fn with_refundable(web: &Web, staff: &Staff, id: &str) -> Result<(Order, Money), ApiError> {
    let order = web.api.order(staff.caller(), id, &[]).await?;
    let most = order.actions.and_then(|actions| actions.refund).unwrap_or_else(|| Money::zero(order.total.currency));
    Ok((order, most))
}

/// `GET /admin/orders/{id}/refund`: how much, and why.
pub(crate) async fn ask_refund(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let found = with_refundable(&web, &staff, &id).await?;
    refund_page(&staff, StatusCode::OK, found, &Fields::default(), Errors::default(), None)
}

fn refund_page(
    staff: &Staff,
    status: StatusCode,
    (order, most): (Order, Money),
    typed: &Fields,
    errors: Errors,
    sure: Option<Sure>,
) -> PageResult {
    let given = typed.get("idempotency_key").parse::<Uuid>().unwrap_or_else(|_| Uuid::new_v4());
    let refund_page = RefundPage {
        shell: staff.office(format!("Refund order {}", order.number)),
        amount: Field::new("amount", "Refund amount")
            .inputmode("decimal")
            .maxlength(14)
            .hint(format!("In {}. Leave blank to refund {most}.", most.currency))
            .optional()
            .fill(typed, &errors),
        reason: Field::new("reason", "Reason")
            .maxlength(REASON)
            .hint("The customer reads it in the email about the refund.")
            .fill(typed, &errors),
        key: given.to_string(),
        errors,
        most,
        sure,
        order,
    };
    page_with(status, &refund_page).map(never_stored)
}

/// `POST /admin/orders/{id}/refund`: `amount`, `reason`, `idempotency_key`; with `confirm` it is done, without it is
/// asked whether it is meant.
pub(crate) async fn refund(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let (order, most) = with_refundable(&web, &staff, &id).await?;
    let mut errors = Errors::default();
    let amount = match fields.get("amount") {
        "" => Some(most),
        typed => most.currency.parse_amount(typed).map_err(|error| errors.add("amount", error.to_string())).ok(),
    };
    match amount {
        Some(amount) if amount.amount == 0 => errors.add("amount", "Enter an amount above zero."),
        // What a repeat of this very request has refunded already is the API's to know.
        Some(amount) if amount.amount > most.amount && fields.get("confirm").is_empty() => {
            errors.add("amount", format!("At most {most}."));
        }
        _ => {}
    }
    let reason = fields.get("reason");
    if reason.is_empty() {
        errors.add("reason", "Enter a reason. The customer reads it in the email about the refund.");
    }
    let Some(amount) = amount.filter(|_| errors.is_empty()) else {
        return refund_page(&staff, StatusCode::BAD_REQUEST, (order, most), &fields, errors, None);
    };
    if fields.get("confirm").is_empty() {
        let sure = Some(Sure { amount, reason: reason.to_owned() });
        return refund_page(&staff, StatusCode::OK, (order, most), &fields, errors, sure);
    }
    let request = RefundRequest { amount: Some(amount), lines: None, reason: reason.to_owned() };
    let key = fields.get("idempotency_key").parse::<Uuid>().unwrap_or_else(|_| Uuid::new_v4()).to_string();
    let error = match web.api.refund_order(staff.caller(), &id, &key, &request).await {
        Ok(()) => {
            staff.flash(&Flash::success(format!("Refund of {amount} started.")));
            return Ok(Redirect::to(&back(&id)).into_response());
        }
        Err(error) => error,
    };
    let Some(problem) = error.problem().filter(|problem| problem.status == 400) else {
        return settle(&staff, Err(error), "", &back(&id));
    };
    for wrong in &problem.errors {
        if wrong.field.starts_with("/amount") {
            errors.add("amount", format!("At most {most}."));
        } else {
            errors.add("reason", too_long());
        }
    }
    if errors.is_empty() {
        errors.general.push("Nothing was refunded. Check the amount and the reason, and try again.".to_owned());
    }
    refund_page(&staff, error.status(), (order, most), &fields, errors, None)
}
