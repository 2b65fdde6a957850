//! Pages that take and give money: what they ask for, and which buttons they show.

use http::StatusCode;
use serde_json::json;

use crate::{
    browser::Browser,
    fake_api::{ORDER, money},
};

fn yen(amount: i64) -> serde_json::Value {
    json!({"amount": amount, "currency": "JPY"})
}

#[tokio::test]
async fn a_total_of_zero_asks_for_no_payment() {
    let mut browser = Browser::new();
    let free = json!({"subtotal": money(0), "shipping": money(0), "tax": money(0), "tax_included": false,
        "discount": money(0), "total": money(0), "shipping_method": "standard"});
    browser.api.0.lock().unwrap().quote = Some((200, free));
    let seen = browser.get("/checkout").await;
    assert!(seen.body.contains("There is nothing to pay.") && !seen.body.contains("name=\"payment_token\""));
    assert!(!seen.body.contains("Place order and pay"));
    let fields: Vec<_> = crate::checkout_form()
        .into_iter()
        .filter(|(name, _)| *name != "payment_token")
        .map(|(name, value)| (name, if name == "expected_amount" { "0" } else { value }))
        .collect();
    assert_eq!(browser.post("/checkout", &fields).await.status, StatusCode::SEE_OTHER);
    let asked = browser.api.asked("POST /api/v1/orders/checkout");
    assert!(asked[0].body.get("payment").is_none(), "{:?}", asked[0].body);
    // It was free when it was shown, and is not any more.
    let errors = json!([{"field": "/payment", "message": "is required: the total is $4.90"}]);
    browser.api.answer_checkout(400, json!({"code": "validation_failed", "errors": errors}));
    browser.api.0.lock().unwrap().quote = None;
    let seen = browser.post("/checkout", &fields).await;
    assert!(seen.body.contains("id=\"e-payment_token\"") && seen.body.contains("Choose how to pay."));
}

#[tokio::test]
async fn buttons_are_those_that_the_order_permits() {
    let nothing = json!({"cancel": false, "ship": false, "complete": false});
    let cancel = json!({"cancel": true, "ship": false, "complete": false});
    for (actions, cancels, refunds) in [
        (nothing, false, false),
        (cancel, true, false),
        (json!({"cancel": false, "ship": true, "complete": false, "refund": money(500)}), false, true),
        (json!({"cancel": false, "ship": false, "complete": true, "refund": money(500)}), false, true),
    ] {
        let mut browser = Browser::signed_in(&["staff"]);
        browser.api.0.lock().unwrap().order = json!({"actions": actions});
        let customers = browser.get(&format!("/orders/{ORDER}?key=k%2Fe%2By")).await;
        assert_eq!(customers.body.contains(&format!("/orders/{ORDER}/cancel")), cancels, "{actions}");
        let office = browser.get(&format!("/admin/orders/{ORDER}")).await;
        assert_eq!(office.body.contains(&format!("/admin/orders/{ORDER}/cancel")), cancels, "{actions}");
        assert_eq!(office.body.contains(&format!("/admin/orders/{ORDER}/refund")), refunds, "{actions}");
        let refund = browser.get(&format!("/admin/orders/{ORDER}/refund")).await;
        assert_eq!(refund.body.contains("up to $5.00"), refunds, "{actions}");
        for action in ["ship", "complete"] {
            let shown = office.body.contains(&format!("/admin/orders/{ORDER}/{action}"));
            assert_eq!(shown, actions[action] == true, "{actions}");
        }
    }
}

#[tokio::test]
async fn a_refund_that_is_refused_says_so_beside_its_field() {
    let mut browser = Browser::signed_in(&["staff"]);
    let path = format!("/admin/orders/{ORDER}/refund");
    let errors = json!([{"field": "/amount", "message": "At most $32.97."}]);
    browser.api.0.lock().unwrap().refund = Some((400, json!({"code": "validation_failed", "errors": errors})));
    let key = ("idempotency_key", "01990000-0000-4000-8000-000000000007");
    let typed = [("amount", "99999"), ("reason", "torn"), ("confirm", "yes"), key];
    let seen = browser.post(&path, &typed).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("id=\"e-amount\"") && seen.body.contains("At most $32.97."));
    assert!(seen.body.contains("value=\"99999\"") && seen.body.contains("value=\"torn\""), "nothing typed is lost");
    assert_eq!(seen.hidden("idempotency_key"), "01990000-0000-4000-8000-000000000007");
    let seen = browser.post(&path, &[("amount", "5"), ("reason", " ")]).await;
    assert!(seen.body.contains("id=\"e-reason\"") && seen.body.contains("value=\"5\""));
}

#[tokio::test]
async fn a_yen_shop_is_asked_for_yen() {
    let mut browser = Browser::signed_in(&["staff"]);
    let path = format!("/admin/orders/{ORDER}/refund");
    browser.api.0.lock().unwrap().order = json!({"total": yen(3690), "actions": {"cancel": false, "ship": false,
        "complete": false, "refund": yen(3690)}});
    assert!(browser.get(&path).await.body.contains("up to ¥3,690"));
    for typed in ["12.50", "12,5"] {
        let seen = browser.post(&path, &[("amount", typed), ("reason", "torn")]).await;
        assert!(seen.body.contains("JPY has no decimals. Enter an amount such as 1234."), "{typed}");
    }
    let seen = browser.post(&path, &[("amount", "1,234"), ("reason", "torn"), ("confirm", "yes")]).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    let asked = browser.api.asked(&format!("POST /api/v1/orders/{}/refund", ORDER.replace('-', "%2D")));
    assert_eq!(asked[0].body["amount"], yen(1234));
}

#[tokio::test]
async fn sums_add_up_with_tax_included_and_added() {
    let mut browser = Browser::new();
    let path = format!("/orders/{ORDER}?key=k%2Fe%2By");
    let seen = browser.get(&path).await;
    assert!(seen.body.contains("<dt>Tax</dt>") && !seen.body.contains("Including tax"));
    browser.api.0.lock().unwrap().order = json!({"tax_included": true, "tax": money(203), "total": money(3097),
        "payment": {"status": "captured", "refunded": money(0), "refunding": money(100)}});
    let seen = browser.get(&path).await;
    assert!(!seen.body.contains("<dt>Tax</dt>") && seen.body.contains("<dt>Including tax</dt><dd>$2.03</dd>"));
    assert!(seen.body.contains("Refund on its way") && seen.body.contains("−$1.00"));
    let mut staff = Browser::signed_in(&["staff"]);
    staff.api.0.lock().unwrap().order =
        json!({"payment": {"status": "captured", "refunded": money(0), "refunding": money(100)}});
    let office = staff.get(&format!("/admin/orders/{ORDER}")).await;
    assert_eq!(office.body.matches("$1.00").count(), 1, "said once: {}", office.body);
}

#[tokio::test]
async fn the_form_is_that_of_the_country() {
    let mut browser = Browser::new();
    let form = async |browser: &mut Browser, country: &str| {
        browser.post("/checkout", &[("action", "update"), ("country", country), ("line1", "1 High Street")]).await.body
    };
    let us = form(&mut browser, "US").await;
    assert!(us.contains(">ZIP code</label>") && us.contains("<option value=\"OR\">Oregon</option>"));
    let city = us.find("id=\"f-city\"").unwrap();
    assert!(city < us.find("id=\"f-postal_code\"").unwrap(), "the ZIP code comes last");
    let de = form(&mut browser, "DE").await;
    assert!(de.find("id=\"f-postal_code\"").unwrap() < de.find("id=\"f-city\"").unwrap());
    assert!(!de.contains("name=\"region\""));
    let hk = form(&mut browser, "HK").await;
    assert!(!hk.contains("name=\"postal_code\"") && hk.contains(">Kowloon</option>"));
    assert!(hk.contains("value=\"1 High Street\""), "what was typed is kept");
    // Only served countries are offered, and one that is not is not taken.
    assert!(!us.contains("Antarctica"));
    let nowhere = form(&mut browser, "AQ").await;
    assert!(nowhere.contains("<option value=\"US\" selected>"));
}

#[tokio::test]
async fn only_what_the_person_chose_is_remembered() {
    let mut browser = Browser::new();
    let checked = |body: &str| {
        let at = body.find(" checked required").unwrap();
        body[..at].rsplit("value=\"").next().unwrap().trim_end_matches('"').to_owned()
    };
    let seen = browser.get("/checkout/summary?country=HK").await;
    assert_eq!(checked(&seen.body), "international");
    let back =
        "/checkout/summary?country=US&shipping_method=international&preset_method=international&remembered_method=";
    assert_eq!(checked(&browser.get(back).await.body), "standard", "nobody chose the dear one");
    assert_eq!(checked(&browser.get(&format!("{back}express")).await.body), "express");
}

#[tokio::test]
async fn a_region_that_tax_depends_on_is_asked_for() {
    let mut browser = Browser::new();
    let errors = json!([{"field": "/region", "message": "Choose a state such as California."}]);
    browser.api.0.lock().unwrap().quote = Some((400, json!({"code": "validation_failed", "errors": errors})));
    let seen = browser.get("/checkout").await;
    assert!(seen.body.contains("Choose your state to see tax and the total."));
    assert!(!seen.body.contains("data-total"), "no total without the tax");
}

#[tokio::test]
async fn junk_in_an_address_is_refused_in_words_beside_each_field() {
    let mut browser = Browser::new();
    let junk = [("name", "1"), ("line1", "-"), ("city", "?"), ("region", "XX"), ("postal_code", "x")];
    let mut fields: Vec<_> = crate::checkout_form();
    for field in &mut fields {
        if let Some((_, junk)) = junk.iter().find(|(name, _)| *name == field.0) {
            field.1 = junk;
        }
    }
    let seen = browser.post("/checkout", &fields).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    for (name, _) in junk {
        assert!(seen.body.contains(&format!("id=\"e-{name}\"")), "{name}");
    }
    assert!(seen.body.contains("Enter a ZIP code such as 95014."));
    assert!(browser.api.asked("POST /api/v1/orders/checkout").is_empty());
}
