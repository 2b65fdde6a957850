//! What earlier releases have written stays readable, and what is written now is the same bytes.
//!
//! Files in `tests/golden/` were written by the release that stored orders in the API's own types. They are never
//! written again: a new optional field gets a file of its own.

use bookworm_eventstore::{Aggregate, Loaded};
use bookworm_kernel::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::{document::Document, orders::Row};
use crate::domain::{
    checkout_saga::Checkout,
    event::{Author, OrderEvent},
    order::Order,
};

macro_rules! golden {
    ($file:expr) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/", $file))
    };
}

macro_rules! lives {
    ($($name:literal),* $(,)?) => {
        [$(($name, golden!(concat!("orders/", $name, ".events.jsonl")), golden!(concat!("orders/", $name, ".document.json")))),*]
    };
}

/// Whole lives of orders: the events as stored, one a line, and the row's document after the last.
const LIVES: [(&str, &str, &str); 11] = lives![
    "account_tax_added_bought_and_refunded",
    "coupon_used_and_a_copy_refunded",
    "discount_of_everything_cancelled_by_staff",
    "free_cancelled_by_its_customer",
    "free_sent_without_tracking",
    "guest_cancelled_before_confirmation_and_voided",
    "guest_capture_failed_and_voided",
    "guest_short_of_stock",
    "guest_tax_included_declined",
    "guest_waits_for_its_bank",
    "placed",
];

/// As the event store writes it.
fn written(event: &OrderEvent) -> String {
    serde_json::to_value(event).unwrap().to_string()
}

/// The order of these stored events, each a second and a microsecond after the one before.
fn folded(events: &str) -> Loaded<Order> {
    let mut order = Order::default();
    for (n, line) in events.lines().enumerate() {
        let at = Timestamp::from_micros(1_764_000_000_500_000 + n as i64 * 1_000_001);
        order.apply(&serde_json::from_str(line).unwrap(), at);
    }
    Loaded { state: order, version: events.lines().count() as u64 }
}

fn unchanged<T: Serialize + DeserializeOwned>(stored: &str) -> T {
    let value: T = serde_json::from_str(stored).unwrap_or_else(|error| panic!("{error} in {stored}"));
    assert_eq!(serde_json::to_string(&value).unwrap(), stored);
    value
}

#[test]
fn events_of_every_kind_are_read_and_written_as_they_were_stored() {
    let mut kinds = std::collections::BTreeSet::new();
    for (name, events, _) in LIVES {
        for line in events.lines() {
            let event: OrderEvent = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {name}"));
            assert_eq!(written(&event), line, "{name}");
            kinds.insert(serde_json::to_value(&event).unwrap()["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(kinds.len(), 14, "each kind of event is in some file: {kinds:?}");
}

#[test]
fn stored_events_lead_to_the_rows_that_they_led_to_before() {
    for (name, events, document) in LIVES {
        let order = folded(events);
        let now = Document::of(&order.state, order.version).unwrap();
        let row = Row::of(&order, &now).unwrap();
        assert_eq!(row.document(), document.trim_end(), "{name}");
        let read: Document = unchanged(document.trim_end());
        assert_eq!(read, Document { actions: None, ..now }, "{name}");
    }
}

#[test]
fn checkouts_and_authors_are_read_and_written_as_they_were_stored() {
    for line in golden!("checkouts.jsonl").lines() {
        unchanged::<Checkout>(line);
    }
    let metadata: serde_json::Value = unchanged(golden!("metadata.jsonl").trim_end());
    unchanged::<Author>(&metadata["by"].to_string());
}

#[test]
fn what_was_stored_before_a_field_came_is_read() {
    let order = folded(golden!("older/placed_before_addresses_could_lack_parts.jsonl"));
    let placed = order.state.placement().unwrap();
    let address = &placed.shipping_address;
    assert_eq!((placed.customer_id, &placed.placed_from, &placed.lines[0].language), (None, &None, &None));
    assert_eq!((address.city.as_str(), address.postal_code.as_str(), &address.region), ("", "", &None));
    assert!(order.state.short().is_empty());

    // What may be done was shown with an order once, and an unknown field does no harm.
    let read: Document = serde_json::from_str(golden!("older/document_with_less_and_more.json")).unwrap();
    assert_eq!((read.actions, read.was_confirmed(), read.lines[0].language.as_deref()), (None, true, None));
    let without_charge =
        r#"{"step":{"step":"done"},"limits":{"reserve_seconds":1,"payment_seconds":2,"action_seconds":3}}"#;
    assert_eq!(serde_json::from_str::<Checkout>(without_charge).unwrap().charge, None);
}
