//! Every page over a stand-in for the API: what it shows, what it refuses, which cookies it sets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod browser;
mod fake_api;
mod imports;
mod money;
mod words;

use browser::{Browser, Seen};
use fake_api::{BOOK, ORDER, OTHER};
use http::{Request, StatusCode, header};
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
    "/contact",
    "/policies",
    "/policies/gift-cards",
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
    "/admin/search",
    "/admin/payments",
    "/admin/payments/reconciliation",
    "/admin/chat/replies",
];

fn all() -> Vec<String> {
    let mut all: Vec<String> = PUBLIC.iter().chain(STAFF).map(|path| (*path).to_owned()).collect();
    all.extend([
        format!("/books/{BOOK}"),
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

#[tokio::test]
async fn every_page_shows_hostile_words_as_words_and_is_well_formed() {
    for roles in [&["customer"][..], &["customer", "staff"][..]] {
        let mut browser = Browser::signed_in(roles);
        for path in all() {
            let seen = browser.get(&path).await;
            if path.starts_with("/sign-") {
                assert_eq!(seen.status, StatusCode::SEE_OTHER, "{path}: who is signed in is sent on");
                continue;
            }
            if path.starts_with("/admin") && !roles.contains(&"staff") {
                assert_eq!(seen.status, StatusCode::FORBIDDEN, "{path}");
            } else if path != "/nowhere" {
                assert_eq!(seen.status, StatusCode::OK, "{path}: {}", seen.body);
            }
            holds_up(&path, &seen);
        }
    }
    let mut guest = Browser::new();
    for path in PUBLIC {
        let seen = guest.get(path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
        holds_up(path, &seen);
    }
}

/// What must be true of every page.
fn holds_up(path: &str, seen: &Seen) {
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

#[tokio::test]
async fn a_form_without_its_token_changes_nothing() {
    let mut browser = Browser::new();
    browser.get("/").await;
    let fields = format!("book_id={BOOK}&quantity=1");
    for token in ["", "&_csrf=forged"] {
        let seen = browser.send(Request::post("/basket/items"), format!("{fields}{token}")).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN);
        assert!(seen.body.contains("This form has expired"), "{}", seen.body);
    }
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        let seen = browser
            .post_with("/basket/items", &[("book_id", BOOK), ("quantity", "1")], |request| request.header(name, value))
            .await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let mut other = browser.clone();
    other.cookies.clear();
    let token = other.get("/").await.hidden("_csrf");
    let seen = browser.send(Request::post("/basket/items"), format!("{fields}&_csrf={token}")).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "the token of another browser");
    assert!(browser.api.asked("POST").is_empty());
}

#[tokio::test]
async fn a_guest_fills_a_basket_and_the_header_knows() {
    let mut browser = Browser::new();
    let seen = browser.post("/basket/items", &[("book_id", BOOK), ("quantity", "2")]).await;
    assert_eq!((seen.status, seen.location()), (StatusCode::SEE_OTHER, "/basket"));
    assert_eq!(browser.cookies["basket_token"], "fresh-guest-secret");
    assert_eq!(browser.cookies["bw_count"], "2");
    let seen = browser.get("/basket").await;
    assert!(seen.body.contains("is in your basket"), "the message is shown");
    assert!(seen.body.contains("data-basket-count>2<"), "{}", seen.body);
    let asked = browser.api.asked("GET /api/v1/basket");
    assert_eq!(asked[0].headers["basket-token"], "fresh-guest-secret");
    let seen = browser.get("/about").await;
    assert!(!seen.body.contains("is in your basket"), "once only");
    assert!(seen.body.contains("data-basket-count>2<"), "without asking the API");
}

#[tokio::test]
async fn an_island_gets_data_instead_of_a_redirect() {
    let mut browser = Browser::new();
    let fields = [("book_id", BOOK), ("quantity", "1")];
    let seen =
        browser.post_with("/basket/items", &fields, |request| request.header(header::ACCEPT, "application/json")).await;
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["count"], 2);
    let path = format!("/basket/items/{BOOK}");
    let seen = browser.post_with(&path, &[("quantity", "3")], |request| request.header("x-fragment", "basket")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("class=\"lines\"") && !seen.body.contains("<html"));
    let seen = browser.get("/checkout/summary?country=DE&shipping_method=express").await;
    assert!(seen.body.contains("id=\"f-review\"") && !seen.body.contains("<html"));
    assert!(!seen.body.contains("Express"), "not offered to Germany");
}

#[tokio::test]
async fn quantities_that_make_no_sense_are_refused_in_words() {
    let mut browser = Browser::new();
    for quantity in ["0", "-1", "100", "x", "", "99999999999999999999"] {
        let seen = browser.post("/basket/items", &[("book_id", BOOK), ("quantity", quantity)]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{quantity}");
        assert!(seen.body.contains("You can order up to 99 copies of a book."), "{quantity}: {}", seen.body);
    }
    let seen = browser.post("/basket/items", &[("book_id", "nonsense"), ("quantity", "1")]).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert!(browser.api.asked("POST").is_empty());
}

#[tokio::test]
async fn signing_in_sets_cookies_that_scripts_and_other_sites_cannot_use() {
    let mut browser = Browser::with(true);
    browser.cookies.insert("basket_token".to_owned(), "guest-secret".to_owned());
    let seen = browser
        .post("/sign-in", &[("email", "ada@example.org"), ("password", "correct horse"), ("next", "/checkout")])
        .await;
    assert_eq!((seen.status, seen.location()), (StatusCode::SEE_OTHER, "/checkout"));
    let cookies: Vec<&str> =
        seen.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect();
    for name in ["__Host-bw_access=", "__Host-bw_refresh="] {
        let cookie = cookies.iter().find(|cookie| cookie.starts_with(name)).unwrap();
        for flag in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(cookie.contains(flag), "{cookie}: {flag}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-bw_access=") && cookie.contains("Max-Age=870")));
    assert!(!browser.cookies.contains_key("basket_token"), "the guest's basket is the account's now");
    assert_eq!(browser.api.asked("POST /api/v1/identity/token")[0].headers["basket-token"], "guest-secret");
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site_and_never_tells_what_was_wrong() {
    let mut browser = Browser::new();
    let right = [("email", "ada@example.org"), ("password", "correct horse"), ("next", "//evil.example")];
    assert_eq!(browser.post("/sign-in", &right).await.location(), "/");
    let mut browser = Browser::new();
    let seen = browser.post("/sign-in", &[("email", "a\"b@example.org"), ("password", "wrong")]).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert!(seen.body.contains("That email and password don’t match."));
    assert!(seen.body.contains("a&#34;b@example.org"), "what was typed is kept");
    assert!(!seen.body.contains("value=\"wrong\""), "the password is not");
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_with_the_link_from_the_mail() {
    let mut browser = Browser::new();
    let seen = browser.post("/forgot-password", &[("email", "ada@example.org")]).await;
    assert_eq!(seen.location(), "/sign-in");
    assert!(browser.get("/sign-in").await.body.contains("If that email has an account"));

    let seen = browser.post("/reset-password", &[("token", "good"), ("new_password", "short")]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("href=\"#f-new_password\"") && seen.body.contains("value=\"good\""), "{}", seen.body);
    let seen = browser.post("/reset-password", &[("token", "used"), ("new_password", "long enough")]).await;
    assert!(
        seen.body.contains("This link has expired or has been used. Request a new one.")
            && seen.body.contains("action=\"/forgot-password\"")
    );
    for token in ["used", "expired", "%3Cb%3E", "%20"] {
        let seen = browser.get(&format!("/reset-password?token={token}")).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{token}");
        assert!(seen.body.contains("action=\"/forgot-password\""), "the way to a new one: {}", seen.body);
        assert!(!seen.body.contains("new_password"), "nobody thinks of a password in vain: {}", seen.body);
    }
    for token in ["good", "busy"] {
        let seen = browser.get(&format!("/reset-password?token={token}")).await;
        assert_eq!(seen.status, StatusCode::OK, "{token}");
        assert!(seen.body.contains("name=\"new_password\""), "{}", seen.body);
    }
    let seen = browser.get("/reset-password").await;
    assert!(seen.body.contains("This link is incomplete"), "{}", seen.body);
    let seen = browser.post("/reset-password", &[("token", "good"), ("new_password", "long enough")]).await;
    assert_eq!(seen.location(), "/sign-in");
}

#[tokio::test]
async fn a_link_from_a_mail_proves_an_address_only_when_the_button_is_pressed() {
    let mut browser = Browser::new();
    for (path, done) in [("/confirm-email", "/sign-in"), ("/confirm-address", "/")] {
        let asked = browser.api.asked("POST").len();
        let shown = browser.get(&format!("{path}?token=good")).await;
        assert!(shown.body.contains(&format!("action=\"{path}\"")), "{}", shown.body);
        assert_eq!(browser.api.asked("POST").len(), asked, "a program that follows links proves nothing");
        let proved = browser.post(path, &[("token", "good")]).await;
        assert_eq!((proved.status.as_u16(), proved.location()), (303, done));
        let late = browser.post(path, &[("token", "old")]).await;
        assert_eq!(late.status.as_u16(), 400);
        assert!(late.body.contains("This link has expired"), "{}", late.body);
    }
}

#[tokio::test]
async fn signing_up_links_each_error_to_its_field() {
    let mut browser = Browser::new();
    let fields = [("name", "Ada"), ("email", "taken@example.org"), ("password", "long enough")];
    let seen = browser.post("/sign-up", &fields).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert!(seen.body.contains("href=\"#f-email\""), "the summary links to the field");
    assert!(seen.body.contains("aria-invalid=\"true\" aria-describedby=\"e-email\""), "{}", seen.body);
    assert!(seen.body.contains("<title>Error: "));
    let seen = browser.post("/sign-up", &[("name", ""), ("email", ""), ("password", "short")]).await;
    for field in ["name", "email", "password"] {
        assert!(seen.body.contains(&format!("href=\"#f-{field}\"")), "{field}");
    }
    let fields = [("name", "Ada"), ("email", "ada@example.org"), ("password", "correct horse")];
    assert_eq!(browser.post("/sign-up", &fields).await.location(), "/");
    assert!(browser.cookies.contains_key("bw_access"));
}

#[tokio::test]
async fn a_burst_of_pages_refreshes_the_session_once() {
    let mut browser = Browser::new();
    browser.cookies.insert("bw_refresh".to_owned(), "good-refresh".to_owned());
    let burst = (0..8).map(|_| {
        let mut browser = browser.clone();
        async move { browser.get("/about").await }
    });
    let seen = futures_all(burst).await;
    assert!(seen.iter().all(|seen| seen.body.contains("Ada")), "each page knows who is looking");
    assert_eq!(browser.api.asked("POST /api/v1/identity/token").len(), 1);
    assert!(seen.iter().all(|seen| {
        seen.headers.get_all(header::SET_COOKIE).iter().any(|cookie| cookie.to_str().unwrap().starts_with("bw_access="))
    }));
}

async fn futures_all<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let handles: Vec<_> = all.map(tokio::spawn).collect();
    let mut out = Vec::new();
    for handle in handles {
        out.push(handle.await.unwrap());
    }
    out
}

#[tokio::test]
async fn a_session_that_has_ended_leaves_a_guest() {
    let mut browser = Browser::new();
    browser.cookies.insert("bw_refresh".to_owned(), "stolen".to_owned());
    let seen = browser.get("/").await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(!browser.cookies.contains_key("bw_refresh"));
    let seen = browser.get("/account").await;
    assert_eq!(seen.location(), "/sign-in?next=%2Faccount");
    let seen = browser.get("/admin/orders?status=x").await;
    assert_eq!(seen.location(), "/sign-in?next=%2Fadmin%2Forders%3Fstatus%3Dx");
}

#[tokio::test]
async fn signing_out_forgets_everything() {
    let mut browser = Browser::signed_in(&["customer"]);
    browser.cookies.insert("bw_refresh".to_owned(), "good-refresh".to_owned());
    browser.cookies.insert("bw_count".to_owned(), "4".to_owned());
    let seen = browser.post("/sign-out", &[]).await;
    assert_eq!(seen.location(), "/");
    assert!(!browser.cookies.contains_key("bw_access") && !browser.cookies.contains_key("bw_refresh"));
    assert_eq!(browser.cookies["bw_count"], "0");
    assert_eq!(browser.api.asked("POST /api/v1/identity/sign-out").len(), 1);
}

#[tokio::test]
async fn a_guest_orders_and_lands_on_the_order_with_its_key() {
    let mut browser = Browser::new();
    let seen = browser.post("/checkout", &checkout_form()).await;
    assert_eq!(seen.location(), format!("/orders/{ORDER}?key=k%2Fe%2By"));
    let asked = browser.api.asked("POST /api/v1/orders/checkout");
    assert_eq!(asked[0].headers["idempotency-key"], "01990000-0000-4000-8000-000000000001");
    let seen = browser.get(&format!("/orders/{ORDER}?key=k%2Fe%2By")).await;
    assert!(seen.body.contains("BW-7K3M-92QX") && seen.body.contains("Thank you! Your order is confirmed."));
    let seen = browser.get(&format!("/orders/{ORDER}/timeline?key=k%2Fe%2By")).await;
    assert!(seen.body.contains("id=\"progress\"") && !seen.body.contains("<html"));
    assert_eq!(browser.get(&format!("/orders/{ORDER}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_goes_wrong_at_checkout_is_said_where_it_belongs_and_nothing_typed_is_lost() {
    let line = json!({"title": "Book", "wanted": 3, "available": 1, "book_id": BOOK});
    let dear = json!({"title": "Book", "old": fake_api::money(999), "new": fake_api::money(1299)});
    for (status, body, field, words) in [
        (
            402,
            json!({"code": "payment_declined", "detail": "The bank said no"}),
            "payment_token",
            "The bank said no. You haven’t been charged",
        ),
        (
            409,
            json!({"code": "insufficient_stock", "lines": [line]}),
            "review",
            "We only have 1 of “Book”, and you wanted 3.",
        ),
        (409, json!({"code": "price_changed", "lines": [dear]}), "review", "“Book” is now $12.99 (was $9.99)."),
        (
            409,
            json!({"code": "total_changed", "detail": "The total is now $40.00."}),
            "review",
            "The total is now $40.00.",
        ),
        (422, json!({"code": "shipping_unavailable", "detail": "Not there"}), "shipping_method", "Not there"),
        (
            400,
            json!({"code": "validation_failed", "errors": [{"field": "/shipping_address/city", "message": "is too odd"}]}),
            "city",
            "Town or city is too odd.",
        ),
    ] {
        let mut browser = Browser::new();
        browser.api.answer_checkout(status, body);
        let seen = browser.post("/checkout", &checkout_form()).await;
        assert_eq!(seen.status.as_u16(), status);
        assert!(seen.body.contains(words), "{words}: {}", seen.body);
        assert!(seen.body.contains(&format!("href=\"#f-{field}\"")), "{field}: the summary links to it");
        assert!(seen.body.contains(&format!("id=\"f-{field}\"")), "{field}: it is there");
        assert!(seen.body.contains(&format!("id=\"e-{field}\"")), "{field}: and says what is wrong");
        assert!(seen.body.contains("value=\"Ada &#60;Reader&#62;\""), "what was typed is kept");
        assert!(seen.body.contains("value=\"tok_decline\" checked"), "what was chosen is kept");
        let key = seen.hidden("idempotency_key");
        assert_ne!(key, "01990000-0000-4000-8000-000000000001", "the old key would give the old answer");
    }
}

#[tokio::test]
async fn an_order_that_may_have_been_placed_is_tried_again_under_the_same_key() {
    for (status, body) in [(503, json!({"code": "unavailable"})), (409, json!({"code": "request_in_progress"}))] {
        let mut browser = Browser::new();
        browser.api.answer_checkout(status, body);
        let seen = browser.post("/checkout", &checkout_form()).await;
        assert_eq!(seen.hidden("idempotency_key"), "01990000-0000-4000-8000-000000000001");
    }
}

#[tokio::test]
async fn a_payment_to_confirm_leads_to_the_bank_and_nowhere_else() {
    let mut browser = Browser::new();
    browser.api.answer_checkout(402, json!({"code": "payment_action_required", "action_url": "/sandbox/challenge/7"}));
    assert_eq!(browser.post("/checkout", &checkout_form()).await.location(), "/sandbox/challenge/7");
    browser.api.answer_checkout(402, json!({"code": "payment_action_required", "action_url": "javascript:alert(1)"}));
    let seen = browser.post("/checkout", &checkout_form()).await;
    assert_eq!((seen.status.as_u16(), seen.location()), (402, ""));
}

#[tokio::test]
async fn an_order_that_waits_for_the_bank_offers_a_way_on_and_a_way_back() {
    let mut browser = Browser::new();
    browser.api.0.lock().unwrap().under_way = true;
    for path in ["/checkout", "/basket"] {
        let seen = browser.get(path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
        holds_up(path, &seen);
        assert!(seen.body.contains("href=\"/sandbox/challenge/1\">Continue to your bank"), "{path}: {}", seen.body);
        assert!(seen.body.contains(&format!("/orders/{ORDER}?key=k%2Fe%2By")), "{path}: the order can be looked at");
        assert_eq!((seen.hidden("order").as_str(), seen.hidden("key").as_str()), (ORDER, "k/e+y"), "{path}");
        assert!(!seen.body.contains("name=\"payment_token\""), "{path}: there is nothing to pay a second time");
    }
    // A second window that still shows the form.
    let refusal = json!({"code": "order_in_progress", "order_id": ORDER, "access_key": "k/e+y", "action_url": "/x"});
    browser.api.answer_checkout(409, refusal);
    assert_eq!(browser.post("/checkout", &checkout_form()).await.location(), "/checkout");

    let again = [("order", ORDER), ("key", "k/e+y")];
    assert_eq!(browser.post("/checkout/start-again", &again).await.location(), "/checkout");
    let asked = browser.api.asked("POST /api/v1/orders/");
    assert_eq!(asked.iter().filter(|asked| asked.line.contains("/cancel")).count(), 1);
    let seen = browser.get("/checkout").await;
    assert!(seen.body.contains("cancelled") && seen.body.contains("name=\"payment_token\""), "{}", seen.body);
    // Decided in the meantime: nothing is called off, and the page of the order says how.
    let seen = browser.post("/checkout/start-again", &again).await;
    assert_eq!(seen.location(), format!("/orders/{ORDER}?key=k%2Fe%2By"));
}

#[tokio::test]
async fn a_second_window_is_led_to_the_order_of_the_first() {
    for (problem, to) in [
        (json!({"code": "order_in_progress", "order_id": ORDER}), format!("/orders/{ORDER}")),
        (
            json!({"code": "order_in_progress", "order_id": ORDER, "access_key": "k/e+y"}),
            format!("/orders/{ORDER}?key=k%2Fe%2By"),
        ),
    ] {
        let mut browser = Browser::new();
        browser.api.answer_checkout(409, problem);
        assert_eq!(browser.post("/checkout", &checkout_form()).await.location(), to);
        let seen = browser.get("/").await;
        assert!(seen.body.contains("not placed a second time"), "{}", seen.body);
    }
}

#[tokio::test]
async fn what_is_missing_at_checkout_is_said_without_ordering() {
    let mut browser = Browser::new();
    let seen = browser.post("/checkout", &[("country", "US"), ("action", "place")]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    for field in ["email", "name", "line1", "city", "region", "postal_code", "shipping_method", "payment_token"] {
        assert!(seen.body.contains(&format!("href=\"#f-{field}\"")), "{field}");
    }
    let seen = browser.post("/checkout", &[("country", "DE"), ("action", "update")]).await;
    assert_eq!(seen.status, StatusCode::OK, "only new totals were asked for");
    assert!(!seen.body.contains("id=\"errors\""));
    assert!(browser.api.asked("POST /api/v1/orders/checkout").is_empty());
}

#[tokio::test]
async fn an_empty_basket_cannot_be_checked_out() {
    let mut browser = Browser::new();
    browser.api.0.lock().unwrap().empty = true;
    assert_eq!(browser.get("/checkout").await.location(), "/basket");
    assert!(browser.get("/basket").await.body.contains("Your basket is empty"));
}

#[tokio::test]
async fn an_edit_of_an_old_version_is_explained_and_not_lost() {
    let mut browser = Browser::signed_in(&["staff"]);
    let path = format!("/admin/books/{BOOK}");
    let mut fields = vec![("title", "My title"), ("price", "12.50"), ("currency", "USD"), ("version", "1")];
    let seen = browser.post(&path, &fields).await;
    assert_eq!(seen.status, StatusCode::PRECONDITION_FAILED);
    assert!(seen.body.contains("Somebody else saved this book") && seen.body.contains("value=\"My title\""));
    fields[3] = ("version", "2");
    assert_eq!(browser.post(&path, &fields).await.location(), path);
    fields[1] = ("price", "a lot");
    let seen = browser.post(&path, &fields).await;
    assert!(seen.body.contains("href=\"#f-price\"") && seen.body.contains("value=\"a lot\""));
}

#[tokio::test]
async fn staff_work_on_orders() {
    let mut browser = Browser::signed_in(&["staff"]);
    let path = format!("/admin/orders/{ORDER}");
    assert_eq!(browser.post(&format!("{path}/cancel"), &[("reason", "x")]).await.location().replace("%2D", "-"), path);
    assert!(browser.get(&path).await.body.contains("Order cancelled."));
    browser.post(&format!("{path}/ship"), &[("tracking", "T1")]).await;
    let body = browser.get(&path).await.body;
    assert!(body.contains("That isn’t possible at the moment"), "the refusal, in the page’s words: {body}");
    let asked = format!("POST /api/v1/orders/{}/refund", ORDER.replace('-', "%2D"));
    let refund = format!("{path}/refund");
    for (amount, reason, problem) in [
        ("x", "Corner bent", "Enter an amount such as"),
        ("1,2,3", "Corner bent", "Enter an amount such as"),
        ("0", "Corner bent", "Enter an amount above zero."),
        ("99999", "Corner bent", "At most $32.97."),
        ("32.98", "Corner bent", "At most $32.97."),
        ("5", " ", "Enter a reason."),
    ] {
        let seen = browser.post(&refund, &[("amount", amount), ("reason", reason)]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{amount}");
        let error = seen.body.split("field__error").nth(1).unwrap_or_default();
        assert!(error.contains(problem), "beside the field: {problem} {}", seen.body);
        assert!(seen.body.contains(&format!("value=\"{amount}\"")), "what was typed stays: {}", seen.body);
        holds_up(&refund, &seen);
    }
    // The first step asks, the second does.
    let seen = browser.post(&refund, &[("amount", "5"), ("reason", "Corner bent")]).await;
    assert!(seen.body.contains("Refund $5.00 for order <span class=\"whole\">BW-7K3M-92QX</span>?"), "{}", seen.body);
    assert!(browser.api.asked(&asked).is_empty(), "nothing is done before it is confirmed");
    let sure = [("amount", seen.hidden("amount")), ("reason", seen.hidden("reason")), ("confirm", "yes".to_owned())];
    let sure: Vec<(&str, &str)> = sure.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(browser.post(&refund, &sure).await.location().replace("%2D", "-"), path);
    assert_eq!(browser.api.asked(&asked).len(), 1);
    let seen = browser.post(&refund, &[("amount", ""), ("reason", "All of it")]).await;
    assert!(seen.body.contains("Refund $32.97 for order"), "an empty amount is all of it: {}", seen.body);
}

#[tokio::test]
async fn what_cannot_be_undone_is_asked_first() {
    let mut browser = Browser::signed_in(&["admin", "agent"]);
    let order = browser.get(&format!("/admin/orders/{ORDER}")).await.body;
    assert!(!order.contains("/cancel\" method") && !order.contains("/refund\" method"), "a step away: {order}");
    let seen = browser.get(&format!("/admin/orders/{ORDER}/cancel")).await.body;
    assert!(
        seen.contains("Cancel order <span class=\"whole\">BW-7K3M-92QX</span>?") && seen.contains("$32.97"),
        "{seen}"
    );
    let seen = browser.get(&format!("/admin/books/{BOOK}")).await.body;
    assert!(!seen.contains("/delete\" method"), "{seen}");
    let seen = browser.get(&format!("/admin/books/{BOOK}/delete")).await.body;
    assert!(seen.contains("<h1>Unlist “&#60;script"), "{seen}");

    let saved = || [("etag", "\"0\""), ("was", "hello"), ("shortcut", ""), ("text", "")];
    let seen = browser.post("/admin/chat/replies", &saved()).await;
    assert!(seen.body.contains("Delete this reply?") && seen.body.contains("/hello"), "{}", seen.body);
    holds_up("/admin/chat/replies", &seen);
    assert!(browser.api.0.lock().unwrap().replies.0.is_null(), "nothing is deleted yet");
    let mut sure = saved().to_vec();
    sure.push(("delete", "yes"));
    assert_eq!(browser.post("/admin/chat/replies", &sure).await.location(), "/admin/chat/replies");
    assert_eq!(browser.api.0.lock().unwrap().replies.0, json!([]));
}

#[tokio::test]
async fn numbers_in_the_office_are_whole_or_refused_beside_their_field() {
    let mut browser = Browser::signed_in(&["staff"]);
    let stock = format!("/admin/stock/{BOOK}");
    for typed in ["twelve", "1,000", "1O", "", "12.5", "99999999999999999999"] {
        let seen = browser.post(&stock, &[("delta", typed), ("reason", "Delivery")]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{typed}");
        assert!(seen.body.contains("Enter a whole number such as 12 or -3."), "{}", seen.body);
        assert!(seen.body.contains("value=\"Delivery\"") && seen.body.contains("id=\"e-delta\""), "{}", seen.body);
        holds_up(&stock, &seen);
    }
    assert!(browser.post(&stock, &[("delta", "0"), ("reason", "x")]).await.body.contains("0 changes nothing"));
    assert!(browser.post(&stock, &[("delta", "5"), ("reason", "")]).await.body.contains("Enter a reason"));
    assert!(browser.api.asked("POST").is_empty(), "nothing was guessed");
    assert_eq!(
        browser.post(&stock, &[("delta", "-3"), ("reason", "Damaged")]).await.location().replace("%2D", "-"),
        stock
    );

    let form = |name: &'static str, value: &'static str| {
        vec![("title", "T"), ("price", "12.50"), ("currency", "USD"), (name, value)]
    };
    for (name, value, problem) in [
        ("year", "18l3", "Enter a whole number such as 12 or -3."),
        ("pages", "1,000", "Enter a whole number such as 12 or -3."),
        ("stock", "ten", "Enter a whole number such as 12 or -3."),
        ("year", "99999999999", "Enter a year between -5000 and 3000."),
        ("pages", "0", "Enter a number of pages between 1 and 100000."),
        ("stock", "-1", "Enter a number of copies between 0 and 1000000000."),
    ] {
        let seen = browser.post("/admin/books/new", &form(name, value)).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{name} {value}");
        assert!(seen.body.contains(problem) && seen.body.contains(&format!("id=\"e-{name}\"")), "{}", seen.body);
    }
}

#[tokio::test]
async fn a_shop_whose_parts_are_down_says_so() {
    let mut browser = Browser::new();
    browser.api.0.lock().unwrap().down = Some(503);
    let seen = browser.get("/").await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(seen.body.contains("We’re having trouble right now") && seen.body.contains("trace&#60;1&#62;"));
    assert_eq!(browser.get("/about").await.status, StatusCode::OK, "what needs no part goes on");
    let fields = [("book_id", BOOK), ("quantity", "1")];
    let seen = browser
        .post_with("/basket/items", &fields, |request| {
            request.header("referer", "http://shop.example/books?sort=title")
        })
        .await;
    assert!(seen.body.contains("href=\"/books?sort=title\">Try again"), "back to the page of the form: {}", seen.body);
}

#[tokio::test]
async fn unknown_addresses_and_methods_get_pages() {
    let mut browser = Browser::new();
    for path in ["/nowhere", "/books/nonsense", "/errors/nonsense", "/covers/x.svg", "/assets/x.js"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let seen = browser.send(Request::delete("/basket"), String::new()).await;
    assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED);
    let seen = browser.send(Request::post("/basket/items"), "x".repeat(300_000)).await;
    assert_eq!(seen.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn assets_and_covers_are_kept_for_ever_and_drawn_once() {
    let mut browser = Browser::new();
    let home = browser.get("/").await.body;
    for kind in [".js", ".css"] {
        let at = home.find("/assets/").map(|_| home.match_indices("/assets/")).unwrap();
        let path = at.map(|(at, _)| home[at..].split('"').next().unwrap()).find(|path| path.ends_with(kind)).unwrap();
        let plain = browser.get(path).await;
        assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
        assert!(!plain.headers.contains_key("set-cookie"), "assets are the same for everybody");
        let packed = browser.send(Request::get(path).header("accept-encoding", "br, gzip"), String::new()).await;
        assert_eq!(packed.headers["content-encoding"], "gzip");
        if kind == ".js" {
            assert!(plain.body.len() < 20_000, "scripts stay small");
        }
    }
    let path = format!("/covers/{BOOK}.svg?v=2");
    let seen = browser.get(&path).await;
    assert_eq!(seen.headers["content-type"], "image/svg+xml; charset=utf-8");
    assert_eq!(seen.headers["cache-control"], "public, max-age=31536000, immutable");
    assert!(seen.body.contains("&lt;script&gt;") && !seen.body.contains("<script"));
    browser.get(&path).await;
    assert_eq!(browser.api.asked(&format!("GET /api/v1/books/{}", BOOK.replace('-', "%2D"))).len(), 1);
    let old = browser.get(&format!("/covers/{BOOK}.svg?v=1")).await;
    assert_eq!(old.headers["cache-control"], "public, max-age=3600", "another version than the book has");
}

#[tokio::test]
async fn the_chosen_colours_are_kept() {
    let mut browser = Browser::new();
    let seen = browser.post("/theme", &[("theme", "dark"), ("next", "/books?sort=title")]).await;
    assert_eq!(seen.location(), "/books?sort=title");
    assert!(browser.get("/").await.body.contains("<html lang=\"en\" data-theme=\"dark\">"));
}

#[tokio::test]
async fn machine_readable_metadata_cannot_break_out() {
    let mut browser = Browser::new();
    let body = browser.get(&format!("/books/{BOOK}")).await.body;
    let start = body.find("<script type=\"application/ld+json\">").unwrap();
    let json = &body[start + "<script type=\"application/ld+json\">".len()..];
    let json = &json[..json.find("</script>").unwrap()];
    let data: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(data["name"], fake_api::HOSTILE);
    assert_eq!(data["offers"]["price"], "12.99");
}

#[tokio::test]
async fn results_mark_the_words_that_match() {
    let mut browser = Browser::new();
    let body = browser.get("/search?q=sea&in_stock=true").await.body;
    assert!(body.contains("<h1>About 1,234 books for “sea”</h1>"), "{body}");
    assert!(
        body.contains("<mark>&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;</mark> &#38; &#39;Co&#39;"),
        "{body}"
    );
    assert!(body.contains("… <mark>&#60;b&#62;Second</mark>&#60;/b&#62;</p>"), "the matching part of the description");
    assert!(body.contains("about\">… <mark>st</mark>. …</p>"), "dots that are there already are not doubled: {body}");
    assert!(body.contains("First. &#60;b&#62;Second&#60;/b&#62;</p>"), "its beginning where nothing matches");
    assert!(body.contains("Similar in theme"));
    assert!(body.contains("value=\"sea\" maxlength"), "the query stays in the box");
    assert!(body.contains("href=\"/search?q=sea&#38;in_stock=true&#38;language=en\""), "facets combine: {body}");
    assert!(body.contains("Remove filter: </span>In stock"));
}

#[tokio::test]
async fn results_come_in_pages_that_can_be_shared() {
    let mut browser = Browser::new();
    let body = browser.get("/search?q=sea&sort=price&page=3").await.body;
    assert!(!browser.api.asked("GET /api/v1/search?q=sea&sort=price&limit=20&page=3").is_empty());
    assert!(body.contains("aria-current=\"page\"><span class=\"hidden\">Page </span>3<"), "{body}");
    assert!(body.contains("rel=\"prev\" href=\"/search?q=sea&#38;sort=price&#38;page=2\""), "{body}");
    assert!(body.contains("rel=\"next\" href=\"/search?q=sea&#38;sort=price&#38;page=4\""));
    assert!(body.contains("<ol class=\"hits\" start=\"41\">") && body.contains("Only the first 1,000 books"));
    let first = browser.get("/search?q=sea&page=2").await.body;
    assert!(first.contains("rel=\"prev\" href=\"/search?q=sea\""), "the first page has one address");
}

#[tokio::test]
async fn odd_addresses_of_results_are_explained() {
    let mut browser = Browser::new();
    for (query, status, words) in [
        (
            "q=sea&page=51",
            404,
            "There are 50 pages of results. <a href=\"/search?q=sea&#38;page=50\">Go to the last page</a>",
        ),
        ("q=sea&page=99999999999999999999", 404, "That page doesn’t exist."),
        ("q=sea&page=0", 200, "There is no page “0”; this is the first."),
        ("q=sea&page=%3Cb%3E", 200, "There is no page “&#60;b&#62;”"),
        ("q=sea&page=-1", 200, "There is no page “-1”"),
        ("q=sea&cursor=abc", 200, "This link is an old one"),
        ("q=sea&sort=odd", 200, "We ignored an unknown sort option."),
        ("q=sea&price=9-1", 200, "We ignored a price range"),
    ] {
        let seen = browser.get(&format!("/search?{query}")).await;
        assert_eq!(seen.status.as_u16(), status, "{query}");
        assert!(seen.body.contains(words), "{query}: {}", seen.body);
    }
    let long = format!("/search?q={}", "a%00b".repeat(4_000));
    let seen = browser.get(&long).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("the first 4,000 characters were searched for") && !seen.body.contains('\0'));

    browser.api.answer_search(400, json!({"errors": [{"field": "/language", "message": "must be an ISO 639 code"}]}));
    let seen = browser.get("/search?q=sea&language=gibberish").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("We don’t know this language."), "{}", seen.body);
    assert!(seen.body.contains("value=\"sea\" maxlength"), "the query stays in the box");
}

#[tokio::test]
async fn a_dead_end_shows_ways_on() {
    let mut browser = Browser::new();
    let mut none = fake_api::found(0);
    none["did_you_mean"] = json!("frankenstein & <co>");
    browser.api.answer_search(200, none.clone());
    let body = browser.get("/search?q=frankenstien&language=en").await.body;
    assert!(body.contains("<h1>No books for “frankenstien”</h1>"), "{body}");
    assert!(
        body.contains("Did you mean <a href=\"/search?language=en&#38;q=frankenstein+%26+%3Cco%3E\">frankenstein &#38; &#60;co&#62;</a>?"),
        "{body}"
    );
    assert!(body.contains("search without filters") && body.contains("/books?subject=Sea%20%3Cstories%3E"));

    let mut near = fake_api::found(2);
    near["nearest"] = json!(true);
    near["degraded"] = json!(true);
    browser.api.answer_search(200, near);
    let body = browser.get("/search?q=sorrow+of+a+lamp").await.body;
    assert!(body.contains("No exact matches. Here are the closest:"), "{body}");
    assert!(!body.contains("Similar in theme"), "said once, above");
    assert!(body.contains("Showing keyword matches only for now."));
    browser.api.answer_search(200, none);
    let seen = browser.get("/search?q=sea&page=2").await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert!(
        seen.body.contains("There is 1 page of results. <a href=\"/search?q=sea\">Go to the last page</a>"),
        "{}",
        seen.body
    );
}

#[tokio::test]
async fn what_the_search_did_otherwise_than_asked_is_said_with_a_way_back() {
    let mut browser = Browser::new();
    let mut corrected = fake_api::found(2);
    corrected["did_you_mean"] = json!("harry <potter>");
    corrected["corrected_to"] = json!("harry <potter>");
    browser.api.answer_search(200, corrected.clone());
    let body = browser.get("/search?q=harry+poter&language=en&page=1").await.body;
    assert!(body.contains("<h1>2 books for “harry &#60;potter&#62;”</h1>"), "{body}");
    assert!(
        body.contains(
            "Results for <strong>harry &#60;potter&#62;</strong>. Search instead for \
             <a href=\"/search?language=en&#38;q=harry+poter&#38;exact=true\">harry poter</a>."
        ),
        "{body}"
    );
    assert!(!body.contains("Did you mean"));
    browser.api.answer_search(200, corrected);
    let body = browser.get("/search?q=harry+poter&exact=true").await.body;
    let asked = browser.api.asked("GET /api/v1/search");
    assert!(asked.iter().any(|asked| asked.line.contains("exact=true")), "asked as typed");
    assert!(body.contains("<input type=\"hidden\" name=\"exact\" value=\"true\">"), "{body}");

    let mut missing = fake_api::found(2);
    missing["missing"] = json!(true);
    missing["total"] = json!(0);
    missing["facets"] = json!({"subject": [], "language": [], "author": [], "price": []});
    browser.api.answer_search(200, missing);
    let body = browser.get("/search?q=les+mis%C3%A9rables").await.body;
    assert!(body.contains("<h1>We don’t have “les misérables”</h1>") && body.contains("Similar books:"), "{body}");
    assert!(body.contains("A lamp by the sea") && !body.contains("books for"), "{body}");

    let mut wrong = fake_api::found(0);
    wrong["wrong_isbn"] = json!({"typed": "9780804429574", "expected": "3", "meant": "9780804429573"});
    browser.api.answer_search(200, wrong);
    let body = browser.get("/search?q=978-0-8044-2957-4").await.body;
    assert!(
        body.contains(
            "The last digit of 9780804429574 doesn’t fit. Did you mean \
             <a href=\"/search?q=9780804429573\">9780804429573</a>?"
        ),
        "{body}"
    );
}

#[tokio::test]
async fn a_list_whose_place_is_lost_says_so() {
    let mut browser = Browser::new();
    browser.api.break_path("/books", 400);
    let seen = browser.get("/books?cursor=odd").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(
        seen.body.contains("That link doesn’t work any more.") && seen.body.contains("First page"),
        "{}",
        seen.body
    );
}

#[tokio::test]
async fn recommendations_are_for_whoever_looks_and_never_in_the_way() {
    let mut guest = Browser::new();
    assert!(guest.get("/").await.body.contains(">Bestsellers</h2>"));
    let mut customer = Browser::signed_in(&["customer"]);
    let body = customer.get("/").await.body;
    assert!(body.contains(">For you</h2>") && body.contains("A likely book"), "{body}");
    assert!(customer.get(&format!("/books/{BOOK}")).await.body.contains("Much like it"));

    for status in [404, 503] {
        for mut browser in [Browser::new(), Browser::signed_in(&["customer"])] {
            browser.api.break_path("/recommendations", status);
            browser.api.break_path("/books/01990000%2D0000%2D7000%2D8000%2D000000000001/", status);
            for path in ["/".to_owned(), format!("/books/{BOOK}")] {
                let seen = browser.get(&path).await;
                assert_eq!(seen.status, StatusCode::OK, "{path} without its bonus");
                assert!(!seen.body.contains("id=\"recommended\"") && !seen.body.contains("id=\"similar\""), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn what_customers_look_at_is_told_to_the_catalogue() {
    let path = format!("/books/{BOOK}");
    let views = format!("POST /api/v1/books/{}/views", BOOK.replace('-', "%2D"));
    let mut guest = Browser::new();
    guest.get(&path).await;
    let mut customer = Browser::signed_in(&["customer"]);
    customer.get("/books/01990000-0000-7000-8000-000000000099").await;
    customer.send(Request::get(&path).header("sec-purpose", "prefetch"), String::new()).await;
    customer.get(&path).await;
    for _ in 0..1_000 {
        if !customer.api.asked(&views).is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(
        customer.api.asked("POST").len(),
        1,
        "books that are not there, and pages nobody sees yet, do not count"
    );
    assert!(customer.api.asked(&views)[0].headers.contains_key("authorization"));
    assert!(guest.api.asked("POST").is_empty());
}

#[tokio::test]
async fn staff_see_how_the_search_is() {
    let mut browser = Browser::signed_in(&["staff"]);
    let body = browser.get("/admin/search").await.body;
    assert!(body.contains("max=\"2000\" value=\"1234\">1,234 of 2,000</progress>"), "{body}");
    assert!(body.contains("Building") && body.contains("m&#60;1&#62;"));
    let part = browser.get("/admin/search/status").await.body;
    assert!(part.starts_with("<section") && part.contains("data-every=\"2000\""), "{part}");
    for status in [404, 503] {
        let mut browser = Browser::signed_in(&["staff"]);
        browser.api.break_path("/admin/search", status);
        let seen = browser.get("/admin/search").await;
        assert_eq!(seen.status, StatusCode::OK);
        assert!(seen.body.contains("Index status unavailable.") && seen.body.contains("name=\"groups\""));
        browser.api.break_path("/search/synonyms", status);
        let seen = browser.get("/admin/search").await;
        assert!(seen.body.contains("Synonyms are unavailable right now"), "{}", seen.body);
    }
}

#[tokio::test]
async fn staff_edit_synonyms_and_nobodys_work_is_lost() {
    let mut browser = Browser::signed_in(&["staff"]);
    let body = browser.get("/admin/search").await.body;
    assert!(
        body.contains("sea, &#60;ocean&#62;</textarea>") && body.contains("name=\"etag\" value=\"&#34;0&#34;\""),
        "{body}"
    );
    let mine = [("groups", "crime, whodunit\n\nsf, science fiction"), ("etag", "\"0\"")];
    let seen = browser.post("/admin/search", &mine).await;
    assert_eq!(seen.location(), "/admin/search");
    assert!(browser.get("/admin/search").await.body.contains("Saved 2 groups of synonyms"));

    let late = [("groups", "crime, whodunit\nsea, ocean"), ("etag", "\"0\"")];
    let seen = browser.post("/admin/search", &late).await;
    assert_eq!(seen.status, StatusCode::PRECONDITION_FAILED);
    assert!(seen.body.contains("crime, whodunit\nsf, science fiction</textarea>"), "what is saved: {}", seen.body);
    assert!(seen.body.contains("crime, whodunit\nsea, ocean</textarea>"), "what was typed");
    assert!(seen.body.contains("<li>sf, science fiction</li>") && seen.body.contains("<li>sea, ocean</li>"));
    assert!(seen.body.contains("name=\"etag\" value=\"&#34;1&#34;\""), "saving now is a decision");
    holds_up("/admin/search", &seen);

    let wrong = [("groups", "sea, ocean\nalone\n"), ("etag", "\"1\"")];
    let seen = browser.post("/admin/search", &wrong).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("<a href=\"#f-groups\">Line 2: add at least one synonym for “alone”"), "{}", seen.body);
    let seen = browser.post("/admin/search", &[("groups", "\nrefused, b"), ("etag", "\"1\"")]).await;
    assert!(seen.body.contains("Line 2: “b” can’t be used."), "{}", seen.body);
    assert!(seen.body.contains("refused, b</textarea>"), "what was typed is kept");
}

#[tokio::test]
async fn the_chats_script_gets_the_token_and_other_sites_do_not() {
    let mut guest = Browser::new();
    let seen = guest.get("/chat/session").await;
    assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store");
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body, json!({"access_token": null, "expires_in": 0, "account": null, "name": null, "agent": false}));

    // Only the second cookie is left: the session is renewed on the way.
    let mut customer = Browser::new();
    customer.cookies.insert("bw_refresh".to_owned(), "good-refresh".to_owned());
    let own = Request::get("/chat/session").header("sec-fetch-site", "same-origin");
    let seen = customer.send(own, String::new()).await;
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["access_token"], customer.cookies["bw_access"]);
    assert_eq!((&body["name"], &body["agent"]), (&json!("Ada <b>Reader</b>"), &json!(false)));

    for site in ["cross-site", "same-site", "none"] {
        let request = Request::get("/chat/session").header("sec-fetch-site", site);
        let seen = customer.send(request, String::new()).await;
        assert_eq!((seen.status, seen.body.as_str()), (StatusCode::FORBIDDEN, ""), "{site}");
    }
    let request = Request::get("/chat/session").header(header::ORIGIN, "https://evil.example");
    assert_eq!(customer.send(request, String::new()).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_page_offers_the_chat_and_the_desk_does_not() {
    let mut agent = Browser::signed_in(&["customer", "agent"]);
    for path in ["/", "/checkout", "/contact", "/nowhere"] {
        let body = agent.get(path).await.body;
        assert!(body.contains("<a class=\"chat-button\" href=\"/contact\""), "{path}");
        if path == "/checkout" {
            continue;
        }
        assert!(body.contains("href=\"/admin/chat\"") && !body.contains("href=\"/admin\""), "{path}");
    }
    let seen = agent.get("/admin/chat").await;
    assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store");
    assert!(seen.body.contains("data-island=\"desk\"") && !seen.body.contains("chat-button"));
    assert!(!seen.body.contains("data-orders"), "orders are for staff");
    holds_up("/admin/chat", &seen);
    let script = seen.body.split("data-src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(script.starts_with("/assets/desk-"), "{script}");
    assert_eq!(agent.get(&script).await.status, StatusCode::OK);
    assert_eq!(agent.get("/admin/orders").await.status, StatusCode::FORBIDDEN);

    let mut staff = Browser::signed_in(&["staff"]);
    assert_eq!(staff.get("/admin/chat").await.status, StatusCode::FORBIDDEN);
    assert!(!staff.get("/").await.body.contains("/admin/chat\""));
    assert!(Browser::signed_in(&["admin"]).get("/admin/chat").await.body.contains("data-orders"));
    assert!(Browser::new().get("/admin/chat").await.location().starts_with("/sign-in"));
}

#[tokio::test]
async fn policies_are_shown_and_their_absence_is_no_failure() {
    let mut browser = Browser::new();
    let body = browser.get("/contact").await.body;
    assert!(body.contains("Our team is here Mon–Fri 09:00–18:00, Sat 10:00–14:00 (UTC−3:30)."), "{body}");
    assert!(body.contains("mailto:shop@shop.example") && body.contains("href=\"/policies/gift%2Dcards\""), "{body}");
    let seen = browser.get("/policies/gift-cards").await;
    assert!(seen.body.contains("<p>First.") && !seen.body.contains(">T</h1>"), "{}", seen.body);
    assert_eq!(browser.get("/policies/nothing").await.status, StatusCode::NOT_FOUND);
    browser.api.break_path("/chat/policies", 404);
    assert_eq!(browser.get("/contact").await.status, StatusCode::OK);
    assert!(browser.get("/policies").await.body.contains("href=\"/shipping-and-returns\""));
    assert_eq!(browser.get("/policies/gift-cards").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn prepared_replies_are_edited_and_nobodys_work_is_lost() {
    let mut browser = Browser::signed_in(&["agent"]);
    let seen = browser.get("/admin/chat/replies").await;
    assert_eq!(seen.body.matches("name=\"shortcut\"").count(), 4, "the one that is there, and room for new ones");
    let mine =
        [("etag", "\"0\""), ("shortcut", "/Thanks"), ("text", "Thank you, {name}."), ("shortcut", ""), ("text", "")];
    let seen = browser.post("/admin/chat/replies", &mine).await;
    assert_eq!(seen.location(), "/admin/chat/replies");
    let saved = browser.api.0.lock().unwrap().replies.0.clone();
    assert_eq!(saved, json!([{"shortcut": "thanks", "text": "Thank you, {name}."}]));

    let late = [("etag", "\"0\""), ("shortcut", "bye"), ("text", "Good bye.")];
    let seen = browser.post("/admin/chat/replies", &late).await;
    assert_eq!(seen.status, StatusCode::PRECONDITION_FAILED);
    assert!(seen.body.contains("Good bye.</textarea>") && seen.body.contains("<dt>/thanks</dt>"), "{}", seen.body);
    assert_eq!(seen.hidden("etag"), "&#34;1&#34;", "saving once more is a decision");
    holds_up("/admin/chat/replies", &seen);

    for (shortcut, text) in [("two words", "x"), ("", "x"), ("x", ""), ("x", "refused")] {
        let fields = [("etag", "\"1\""), ("shortcut", shortcut), ("text", text)];
        let seen = browser.post("/admin/chat/replies", &fields).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{shortcut} {text}");
        assert!(seen.body.contains("href=\"#f-shortcut-0\"") && seen.body.contains("aria-invalid"), "{}", seen.body);
        holds_up("/admin/chat/replies", &seen);
    }
    assert_eq!(Browser::signed_in(&["customer"]).get("/admin/chat/replies").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_slash_at_the_end_leads_to_the_page() {
    let mut guest = Browser::new();
    for (asked, page) in [
        ("/books/", "/books"),
        ("/basket/", "/basket"),
        ("/admin/", "/admin"),
        ("/books/?sort=title", "/books?sort=title"),
        ("/nowhere//", "/nowhere"),
    ] {
        let seen = guest.get(asked).await;
        assert_eq!(seen.status, StatusCode::PERMANENT_REDIRECT, "{asked}");
        assert_eq!(seen.headers[header::LOCATION], page, "{asked}");
    }
    for nowhere in ["//evil.example/", "///", "//evil.example/%2f/", "/nowhere"] {
        let seen = guest.get(nowhere).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND, "{nowhere}");
        assert!(!seen.headers.contains_key(header::LOCATION), "{nowhere}");
    }
}

#[tokio::test]
async fn what_anybody_may_keep_sets_no_cookie() {
    let mut paths: Vec<String> = PUBLIC.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(["/robots.txt", "/site.webmanifest", "/favicon.svg"].map(str::to_owned));
    for path in paths {
        let seen = Browser::new().get(&path).await;
        let control = seen.headers.get(header::CACHE_CONTROL).and_then(|control| control.to_str().ok()).unwrap_or("");
        let sets = seen.headers.contains_key(header::SET_COOKIE);
        assert!(!(control.contains("public") && sets), "{path}: {control}");
        assert_eq!(control.contains("public"), path.contains('.'), "{path}: {control}");
    }
}

#[tokio::test]
async fn the_office_says_which_part_of_the_shop_cannot_work() {
    let mut staff = Browser::signed_in(&["staff"]);
    assert!(!staff.get("/admin/stock").await.body.contains("can't work right now"));
    staff.api.0.lock().unwrap().disk_full = true;
    let seen = staff.get("/admin/stock").await;
    assert!(seen.body.contains("basket: the database basket cannot be used: the disk is full"), "{}", seen.body);
    assert!(!seen.body.contains("catalog: ok"), "only what is wrong is listed");
    assert!(!staff.get("/").await.body.contains("the disk is full"), "customers are not told");
}

#[tokio::test]
async fn nobody_pays_a_total_that_they_have_not_seen() {
    let mut guest = Browser::new();
    guest.get("/checkout").await;
    let form: Vec<_> = checkout_form().into_iter().filter(|(name, _)| !name.starts_with("expected")).collect();
    let seen = guest.post("/checkout", &form).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("Check your total") && seen.body.contains("name=\"expected_amount\""), "{}", seen.body);
    assert!(guest.api.asked("POST /api/v1/orders/checkout").is_empty(), "nothing is ordered");
}
