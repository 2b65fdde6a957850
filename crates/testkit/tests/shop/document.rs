//! The API's document: complete, and changed only on purpose.

use std::collections::BTreeSet;

use bookworm_testkit::{Database, TestShop};
use serde_json::Value;

/// Addresses that clients program against; each must be in the document.
const PROMISED: &[(&str, &str)] = &[
    ("post", "/identity/register"),
    ("post", "/identity/token"),
    ("get", "/identity/me"),
    ("post", "/identity/confirm-email"),
    ("post", "/identity/me/confirm-email"),
    ("post", "/mail/confirm"),
    ("get", "/admin/mail/refusals"),
    ("get", "/books"),
    ("post", "/books"),
    ("get", "/books/{id}"),
    ("put", "/books/{id}"),
    ("delete", "/books/{id}"),
    ("get", "/books/isbn/{isbn}"),
    ("get", "/books/{id}/stock"),
    ("post", "/books/{id}/stock/adjustments"),
    ("get", "/books/{id}/similar"),
    ("get", "/authors"),
    ("get", "/publishers"),
    ("get", "/subjects"),
    ("get", "/search"),
    ("get", "/search/suggest"),
    ("get", "/basket"),
    ("delete", "/basket"),
    ("post", "/basket/items"),
    ("patch", "/basket/items/{book_id}"),
    ("delete", "/basket/items/{book_id}"),
    ("post", "/orders/checkout"),
    ("get", "/orders"),
    ("get", "/orders/{id}"),
    ("get", "/orders/{id}/events"),
    ("post", "/orders/{id}/cancel"),
    ("post", "/orders/{id}/ship"),
    ("post", "/orders/{id}/complete"),
    ("post", "/orders/{id}/refund"),
    ("get", "/shipping-methods"),
    ("get", "/shipping-countries"),
    ("get", "/payment-methods"),
    ("get", "/conversations"),
    ("get", "/conversations/{id}"),
    ("delete", "/conversations/{id}"),
    ("get", "/conversations/{id}/messages"),
    ("get", "/conversations/{id}/context"),
    ("get", "/conversations/{id}/notes"),
    ("post", "/chat/classify"),
    ("get", "/chat/policies"),
    ("get", "/chat/canned-replies"),
    ("put", "/chat/canned-replies"),
    ("get", "/admin/imports"),
    ("post", "/admin/imports"),
    ("get", "/admin/imports/{id}"),
    ("delete", "/admin/imports/{id}"),
    ("put", "/admin/imports/{id}/mapping"),
    ("post", "/admin/imports/{id}/start"),
    ("post", "/admin/imports/{id}/cancel"),
    ("get", "/admin/imports/{id}/report"),
    ("get", "/admin/authors/doubles"),
    ("post", "/authors/{id}/merge"),
    ("post", "/authors/{id}/split"),
    ("get", "/admin/mail"),
    ("get", "/admin/dead-letters"),
    ("post", "/admin/dead-letters/{id}/retry"),
];

#[tokio::test]
async fn the_document_describes_every_address_and_is_the_one_kept_in_docs() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let document = shop.get("/api/v1/openapi.json").send().await.json();
    for (method, path) in PROMISED {
        assert!(document["paths"][path][method].is_object(), "{method} {path} is not described");
    }
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut dangling = BTreeSet::new();
    find_dangling(&document, &document, &mut dangling);
    assert!(dangling.is_empty(), "references that lead nowhere: {dangling:?}");

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == text, "the API changed: look at it, then UPDATE_OPENAPI=1 cargo test -p bookworm-testkit document");
    shop.stop().await;
}

/// Collects every `$ref` that leads nowhere.
fn find_dangling(value: &Value, document: &Value, dangling: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && document.pointer(reference.trim_start_matches('#')).is_none()
            {
                dangling.insert(reference.clone());
            }
            members.values().for_each(|member| find_dangling(member, document, dangling));
        }
        Value::Array(items) => items.iter().for_each(|item| find_dangling(item, document, dangling)),
        _ => {}
    }
}
