//! Coupons: the field at checkout, and the pages of staff.

use http::StatusCode;
use serde_json::json;

use crate::{
    browser::Browser,
    checkout_form,
    fake_api::{ORDER, money},
};

#[tokio::test]
async fn a_code_is_sent_with_quote_and_order_and_shown_beside_the_discount() {
    let mut browser = Browser::new();
    let quote = json!({"subtotal": money(2598), "shipping": money(499), "tax": money(0), "tax_included": false,
        "discount": money(260), "coupon": {"code": "SPRING", "name": "10 % <off>"}, "total": money(2837),
        "shipping_method": "standard"});
    browser.api.0.lock().unwrap().quote = Some((200, quote));
    let mut form = checkout_form();
    form.retain(|(name, _)| *name != "action");
    form.extend([("coupon", " spring "), ("action", "update")]);
    let seen = browser.post("/checkout", &form).await;
    assert!(seen.body.contains("SPRING: 10 % &#60;off&#62;") && seen.body.contains("−$2.60"), "{}", seen.body);
    assert!(seen.body.contains("name=\"coupon\" type=\"text\" value=\"spring\""));
    assert_eq!(browser.api.asked("POST /api/v1/orders/quote")[0].body["coupon"], "spring");
    let mut form = checkout_form();
    form.push(("coupon", "spring"));
    browser.post("/checkout", &form).await;
    assert_eq!(browser.api.asked("POST /api/v1/orders/checkout")[0].body["coupon"], "spring");
    browser.api.0.lock().unwrap().order =
        json!({"discount": money(260), "coupon": {"code": "SPRING", "name": "A <gift>"}});
    let seen = browser.get(&format!("/orders/{ORDER}?key=k%2Fe%2By")).await;
    assert!(seen.body.contains("SPRING: A &#60;gift&#62;") && seen.body.contains("−$2.60"));
}

#[tokio::test]
async fn a_refused_code_is_said_beside_its_field() {
    let mut browser = Browser::new();
    let why = json!({"code": "coupon_refused", "detail": "This code has expired.", "rule": "ended"});
    browser.api.0.lock().unwrap().quote = Some((422, why.clone()));
    let seen = browser.get("/checkout/summary?country=US&coupon=OLD").await;
    assert!(seen.body.contains("id=\"e-coupon\"") && seen.body.contains("This code has expired."), "{}", seen.body);
    let asked = browser.api.asked("POST /api/v1/orders/quote");
    assert_eq!(asked.len(), 2, "and again without it");
    assert!(asked.iter().any(|quote| quote.body.get("coupon").is_none()));

    browser.api.0.lock().unwrap().quote = None;
    browser.api.answer_checkout(422, why);
    let mut form = checkout_form();
    form.push(("coupon", "OLD"));
    let seen = browser.post("/checkout", &form).await;
    assert_eq!(seen.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(seen.body.contains("href=\"#f-coupon\"") && seen.body.contains("value=\"OLD\""), "{}", seen.body);
    assert!(seen.body.contains("aria-describedby=\"e-coupon\""));
    // A quote knows nothing of the address, and would still take the code.
    let asked = browser.api.asked("POST /api/v1/orders/quote");
    let after = &asked[2..];
    assert!(!after.is_empty() && after.iter().all(|quote| quote.body.get("coupon").is_none()), "shown without it");
}

#[tokio::test]
async fn staff_make_and_stop_coupons() {
    let mut browser = Browser::signed_in(&["staff"]);
    let form = [
        ("code", "spring"),
        ("name", "Spring"),
        ("benefit", "amount"),
        ("value", "5.50"),
        ("minimum", "20"),
        ("subjects", "Poetry\n Sea stories "),
        ("from", "2026-03-01"),
        ("until", "2026-03-02"),
        ("max_uses", "100"),
        ("first_order", "true"),
    ];
    assert_eq!(browser.post("/admin/coupons/new", &form).await.status, StatusCode::SEE_OTHER);
    let sent = &browser.api.asked("POST /api/v1/admin/coupons")[0].body;
    assert_eq!(sent["benefit"], json!({"kind": "amount", "amount": money(550)}));
    assert_eq!((&sent["subjects"], &sent["max_uses"]), (&json!(["Poetry", "Sea stories"]), &json!(100)));
    assert_eq!((&sent["first_order"], &sent["minimum"]["amount"]), (&json!(true), &json!(2000)));
    let hours = |name: &str| bookworm_kernel::Timestamp::parse(sent[name].as_str().unwrap()).unwrap();
    assert_eq!(hours("until").since(hours("from")).as_secs(), 48 * 3600, "the last day is part of it");

    for (name, value, message) in [
        ("code", "", "Enter a code"),
        ("code", "TAKEN", "Another coupon has this code."),
        ("name", "", "Enter a name"),
        ("value", "many", "Enter a percentage"),
        ("minimum", "1.234", "Enter an amount such as 12.50."),
        ("books", "not-an-id", "Enter the IDs of books"),
        ("from", "01.03.2026", "Enter a date such as"),
        ("max_uses", "-1", "Enter a number from 1 to 1000000."),
        ("max_uses", "0", "Enter a number from 1 to 1000000."),
        ("per_customer", "1e3", "Enter a number from 1 to 1000."),
    ] {
        let mut form: Vec<_> = form.iter().copied().filter(|(known, _)| *known != name).collect();
        form.push((name, value));
        let seen = browser.post("/admin/coupons/new", &form).await;
        assert!(seen.status.is_client_error() && seen.body.contains(message), "{name}={value}: {}", seen.body);
        assert!(seen.body.contains("Sea stories"), "what was typed stays");
        assert!(seen.body.contains(&format!("href=\"#f-{name}\"")), "{name}");
    }
    let seen = browser.get("/admin/coupons").await;
    assert!(seen.body.contains("2 of 2") && seen.body.contains("Used up"));
    let seen = browser.get("/admin/coupons/SPRING").await;
    assert!(
        seen.body.contains("BW-7K3M-92QX")
            && seen.body.contains("Given back")
            && seen.body.contains("First orders only")
    );
    assert_eq!(browser.post("/admin/coupons/SPRING/stop", &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.api.asked("POST /api/v1/admin/coupons/SPRING/stop").len(), 1);
}
