//! Every page over a stand-in for the API: what it shows, what it refuses, which cookies it sets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod browser;
mod buying;
mod chat;
mod coupons;
mod every_page;
mod fake_api;
mod fake_coupons;
mod fleet;
mod health;
mod imports;
mod money;
mod office;
mod reviews;
mod search;
mod sessions;
mod status;
mod words;

use bookworm_testing::Page;
use browser::Browser;
use fake_api::{BOOK, ORDER, OTHER};
use http::{StatusCode, header};
use serde_json::json;

const PUBLIC: &[&str] = &[
    "/",
    "/books",
    "/books?subject=Sea&author=x&language=en&price=0-999&in_stock=true&sort=price&cursor=abc",
    "/books?price=nonsense&sort=nonsense",
    "/search?q=%3Cscript%3E",
    "/search?q=sea&subject=Sea&author=x&language=en&price=0-999&in_stock=true&sort=price&page=2",
    "/search?q=sea&price=nonsense&sort=nonsense&page=nonsense&cursor=nonsense",
    "/search",
    "/basket",
    "/checkout",
    "/sign-in",
    "/sign-up",
    "/forgot-password",
    "/reset-password?token=good",
    "/confirm-email?token=abc",
    "/confirm-email",
    "/confirm-address?token=abc",
    "/about",
    "/shipping-and-returns",
    "/privacy",
    "/status",
    "/contact",
    "/policies",
    "/policies/gift-cards",
    "/unsubscribe?token=%3Cscript%3E",
];

const STAFF: &[&str] = &[
    "/admin",
    "/admin/orders",
    "/admin/orders?status=confirmed&q=BW",
    "/admin/stock",
    "/admin/stock?q=x",
    "/admin/books",
    "/admin/books?q=x",
    "/admin/books/new",
    "/admin/books/import",
    "/admin/books/authors",
    "/admin/books/authors?q=x",
    "/admin/mail",
    "/admin/mail/1",
    "/admin/dead-letters",
    "/admin/fleet",
    "/admin/health",
    "/admin/search",
    "/admin/payments",
    "/admin/payments/reconciliation",
    "/admin/chat/replies",
    "/admin/coupons",
    "/admin/coupons/new",
    "/admin/coupons/SPRING",
    "/admin/coupons/SPRING/stop",
    "/admin/reviews",
    "/admin/reviews?queue=hidden&cursor=abc",
];

fn all() -> Vec<String> {
    let mut all: Vec<String> = PUBLIC.iter().chain(STAFF).map(|path| (*path).to_owned()).collect();
    all.extend([
        format!("/books/{BOOK}"),
        format!("/books/{BOOK}?sort=lowest&stars=5&verified=true&language=de&cursor=abc"),
        format!("/books/{BOOK}/review"),
        format!("/books/{BOOK}/review?invite=good"),
        format!("/reviews/{ORDER}/report"),
        "/account/reviews".to_owned(),
        format!("/account/reviews/{ORDER}"),
        format!("/admin/reviews/{ORDER}"),
        format!("/orders/{ORDER}?key=k%2Fe%2By"),
        format!("/orders/{ORDER}"),
        "/orders".to_owned(),
        "/account".to_owned(),
        format!("/admin/orders/{ORDER}"),
        format!("/admin/orders/{ORDER}?as_of=2026-03-01T12:30:00Z"),
        format!("/admin/orders/{ORDER}/cancel"),
        format!("/admin/orders/{ORDER}/refund"),
        format!("/admin/stock/{BOOK}"),
        format!("/admin/books/{BOOK}/delete"),
        format!("/admin/books/{BOOK}"),
        format!("/admin/books/import/{ORDER}"),
        format!("/admin/books/import/{ORDER}/cancel"),
        format!("/admin/books/import/{ORDER}/discard"),
        format!("/admin/books/authors/{OTHER}"),
        format!("/admin/books/authors/{OTHER}/merge?into={ORDER}"),
        "/nowhere".to_owned(),
    ]);
    all
}

fn checkout_form() -> Vec<(&'static str, &'static str)> {
    vec![
        ("email", "ada@example.org"),
        ("name", "Ada <Reader>"),
        ("line1", "1 Main St"),
        ("city", "Town"),
        ("region", "NY"),
        ("postal_code", "12345"),
        ("country", "US"),
        ("shipping_method", "standard"),
        ("payment_token", "tok_decline"),
        ("expected_amount", "3297"),
        ("expected_currency", "USD"),
        ("idempotency_key", "01990000-0000-4000-8000-000000000001"),
        ("action", "place"),
    ]
}

/// What must be true of every page.
fn holds_up(path: &str, seen: &Page) {
    let body = &seen.body;
    assert!(!body.contains("<script>alert"), "{path}: script of a title is live");
    assert!(!body.contains("Ada <b>"), "{path}: markup of a name is live");
    assert!(!body.contains("<stories>") && !body.contains("O'Brien <i>"), "{path}: markup of a name is live");
    assert_eq!(body.matches("<h1").count(), 1, "{path}: one h1");
    assert_eq!(body.matches("<main").count(), 1, "{path}: one main");
    assert!(body.contains("<html lang=\"en\""), "{path}: language");
    assert!(body.contains("class=\"skip\" href=\"#main\""), "{path}: skip link");
    assert!(body.contains("Test &#38; Shop"), "{path}: the shop's name");
    assert!(!body.contains(" style=\"") && !body.contains("<style"), "{path}: styles that the policy refuses");
    assert!(!body.contains(" onclick=\""), "{path}: handlers that the policy refuses");
    for script in body.split("<script").skip(1) {
        assert!(script.starts_with(" src=\"/assets/") || script.starts_with(" type=\"application/ld+json\""), "{path}");
    }
    for form in body.split("<form").skip(1).filter(|form| form[..form.find('>').unwrap()].contains("method=\"post\"")) {
        let form = &form[..form.find("</form>").unwrap()];
        assert!(form.contains("name=\"_csrf\""), "{path}: a form without its token: {form}");
    }
    let mut ids: Vec<&str> = body.split(" id=\"").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{path}: ids are unique");
    for label in body.split("<label").skip(1) {
        let target = label.split("for=\"").nth(1).map(|rest| &rest[..rest.find('"').unwrap()]).unwrap();
        assert!(ids.binary_search(&target).is_ok(), "{path}: label for {target}");
    }
    assert!(!body.contains("https://") || path.starts_with("/books/"), "{path}: something of another host");
}
