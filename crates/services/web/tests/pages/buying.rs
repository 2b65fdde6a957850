//! Basket, checkout, and orders that wait for a bank.

use super::*;

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
        browser.post_with("/basket/items", &fields, |request| request.header("accept", "application/json")).await;
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
async fn nobody_pays_a_total_that_they_have_not_seen() {
    let mut guest = Browser::new();
    guest.get("/checkout").await;
    let form: Vec<_> = checkout_form().into_iter().filter(|(name, _)| !name.starts_with("expected")).collect();
    let seen = guest.post("/checkout", &form).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("Check your total") && seen.body.contains("name=\"expected_amount\""), "{}", seen.body);
    assert!(guest.api.asked("POST /api/v1/orders/checkout").is_empty(), "nothing is ordered");
}
