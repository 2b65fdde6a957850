//! What happened to an order, in words: what, who, when. The event as it is stored stays at hand for those who look for
//! a fault.

use bookworm_contracts::rest::ordering::OrderEvent;
use bookworm_kernel::Money;
use serde_json::Value;

use crate::view::{self, Calendar};

/// An event as the page shows it.
pub(super) struct Entry {
    pub(super) what: String,
    /// Who did it; empty where the shop itself did.
    pub(super) by: String,
    /// HTML.
    pub(super) at: String,
    pub(super) version: u64,
    pub(super) kind: String,
    pub(super) as_of: String,
    pub(super) data: String,
    pub(super) correlation: String,
}

/// The history of an order, oldest first.
pub(super) fn entries(events: Vec<OrderEvent>, calendar: Calendar) -> Vec<Entry> {
    let described = events.iter().map(|event| (words(event, &events), by(event, &events))).collect::<Vec<_>>();
    events
        .into_iter()
        .zip(described)
        .map(|(event, (what, by))| Entry {
            what,
            by,
            at: calendar.time(&event.at),
            version: event.version,
            as_of: view::encoded(&event.at.to_string()),
            data: serde_json::to_string_pretty(&event.data).unwrap_or_default(),
            correlation: event.correlation_id.to_string(),
            kind: event.kind,
        })
        .collect()
}

fn text<'a>(event: &'a OrderEvent, field: &str) -> &'a str {
    event.data.get(field).and_then(Value::as_str).unwrap_or_default().trim()
}

fn money(event: &OrderEvent, field: &str) -> Option<Money> {
    serde_json::from_value(event.data.get(field)?.clone()).ok()
}

/// The event in which staff asked for this refund; a cancelled order's refund was asked for by nobody.
fn request<'a>(event: &OrderEvent, all: &'a [OrderEvent]) -> Option<&'a OrderEvent> {
    let id = text(event, "refund_id");
    all.iter().find(|other| other.kind == "RefundRequested" && text(other, "refund_id") == id)
}

fn words(event: &OrderEvent, all: &[OrderEvent]) -> String {
    let amount = || money(event, "amount").map(|amount| format!(" {amount}")).unwrap_or_default();
    let because = |what: String, reason: &str| {
        if reason.is_empty() { what } else { format!("{what}: {reason}") }
    };
    match event.kind.as_str() {
        "OrderCreated" => "Order placed".to_owned(),
        "PaymentActionRequired" => "The bank asked the customer to confirm the payment".to_owned(),
        "PaymentAuthorised" => "Payment authorized".to_owned(),
        "OrderConfirmed" => "Order confirmed".to_owned(),
        "PaymentCaptured" => format!("Payment received:{}", amount()),
        "CaptureFailed" => because("The payment couldn’t be collected".to_owned(), text(event, "reason")),
        "PaymentVoided" => "Authorization released; nothing was charged".to_owned(),
        "OrderRejected" => because("Order declined".to_owned(), text(event, "reason")),
        "OrderCancelled" => because("Order cancelled".to_owned(), text(event, "reason")),
        "OrderShipped" => match text(event, "tracking") {
            "" => "Shipped, without a tracking number".to_owned(),
            number => format!("Shipped, tracking number {number}"),
        },
        "OrderCompleted" => "Delivered".to_owned(),
        "RefundRequested" => because(format!("Refund of{} requested", amount()), text(event, "reason")),
        "OrderRefunded" => {
            let reason = request(event, all).map(|asked| text(asked, "reason")).unwrap_or_default();
            because(format!("Refunded{}", amount()), reason)
        }
        "RefundFailed" => {
            let amount = request(event, all).and_then(|asked| money(asked, "amount"));
            let what = match amount {
                Some(amount) => format!("The refund of {amount} failed"),
                None => "A refund failed".to_owned(),
            };
            because(what, text(event, "reason"))
        }
        other => spaced(other),
    }
}

fn by(event: &OrderEvent, all: &[OrderEvent]) -> String {
    // The provider reports a refund; whoever asked for it is meant.
    let source = match event.kind.as_str() {
        "OrderRefunded" | "RefundFailed" => request(event, all).unwrap_or(event),
        _ => event,
    };
    if let Some(author) = &source.by {
        return author.name.clone();
    }
    match (event.kind.as_str(), text(event, "by")) {
        ("OrderCreated", _) | (_, "customer") => "the customer".to_owned(),
        (_, "staff") => "staff".to_owned(),
        _ => String::new(),
    }
}

/// `PaymentCaptured` as `Payment captured`.
fn spaced(kind: &str) -> String {
    let mut words = String::with_capacity(kind.len() + 4);
    for letter in kind.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::{TimeZone, Timestamp};
    use serde_json::json;

    use super::*;

    const NOBODY: &str = "01990000-0000-7000-8000-000000000099";

    fn history(events: Value) -> Vec<OrderEvent> {
        let rows = events.as_array().unwrap().iter().enumerate().map(|(n, event)| {
            json!({"version": n + 1, "type": event[0], "data": event[1], "by": event.get(2), "at": "2026-03-01T12:30:00Z",
                "correlation_id": NOBODY, "causation_id": NOBODY})
        });
        serde_json::from_value(Value::Array(rows.collect())).unwrap()
    }

    #[test]
    fn says_what_happened_and_who_did_it() {
        let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
        let sam = json!({"id": NOBODY, "name": "Sam"});
        let calendar = Calendar { zone: TimeZone::UTC, now: Timestamp::default() };
        let described = entries(
            history(json!([
                ["OrderCreated", {}],
                ["PaymentAuthorised", {}],
                ["PaymentCaptured", {"amount": usd(3690)}],
                ["RefundRequested", {"refund_id": "a", "amount": usd(500), "reason": "Corner bent"}, sam],
                ["OrderRefunded", {"refund_id": "a", "amount": usd(500)}],
                ["RefundRequested", {"refund_id": "b", "amount": usd(100), "reason": "Late"}, sam],
                ["RefundFailed", {"refund_id": "b", "reason": "card closed"}],
                ["OrderShipped", {"tracking": "1Z999"}, sam],
                ["OrderShipped", {"tracking": null}],
                ["OrderCancelled", {"reason": "", "by": "customer"}],
                ["OrderCancelled", {"reason": "Sold twice", "by": "staff"}],
                ["OrderRefunded", {"refund_id": "other", "amount": usd(3190)}],
                ["SomethingQuiteNew", {}],
            ])),
            calendar,
        );
        let lines: Vec<String> = described.iter().map(|entry| format!("{} | {}", entry.what, entry.by)).collect();
        assert_eq!(
            lines,
            [
                "Order placed | the customer",
                "Payment authorized | ",
                "Payment received: $36.90 | ",
                "Refund of $5.00 requested: Corner bent | Sam",
                "Refunded $5.00: Corner bent | Sam",
                "Refund of $1.00 requested: Late | Sam",
                "The refund of $1.00 failed: card closed | Sam",
                "Shipped, tracking number 1Z999 | Sam",
                "Shipped, without a tracking number | ",
                "Order cancelled | the customer",
                "Order cancelled: Sold twice | staff",
                "Refunded $31.90 | ",
                "Something quite new | ",
            ]
        );
    }
}
