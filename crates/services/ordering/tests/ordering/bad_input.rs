//! Requests that are not valid.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_names_every_bad_field_and_changes_nothing() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let long = "x".repeat(300);
        let cases: Vec<(&str, Value, &str)> = vec![
            ("/email", Value::Null, "/email"),
            ("/email", json!("nobody"), "/email"),
            ("/email", json!(format!("{long}@example.org")), "/email"),
            ("/shipping_address/name", json!(""), "/shipping_address/name"),
            ("/shipping_address/name", json!("a\u{0}b"), "/shipping_address/name"),
            ("/shipping_address/line1", json!(long), "/shipping_address/line1"),
            ("/shipping_address/line2", json!(long), "/shipping_address/line2"),
            ("/shipping_address/city", json!("  "), "/shipping_address/city"),
            ("/shipping_address/region", json!(long), "/shipping_address/region"),
            ("/shipping_address/postal_code", json!("123456789012345678901"), "/shipping_address/postal_code"),
            ("/shipping_address/country", json!("UK"), "/shipping_address/country"),
            ("/shipping_address/country", json!(7), "/shipping_address/country"),
            ("/shipping_address/planet", json!("Mars"), "/shipping_address/planet"),
            ("/shipping_method", json!(""), "/shipping_method"),
            ("/shipping_method", json!(long), "/shipping_method"),
            ("/payment/token", json!(""), "/payment/token"),
            ("/payment/token", json!("a b"), "/payment/token"),
            ("/payment/token", json!(long), "/payment/token"),
            ("/payment", json!("tok_approve"), "/payment"),
            ("/expected_total", json!({"amount": -1, "currency": "USD"}), "/expected_total/amount"),
            ("/expected_total", json!({"amount": 1, "currency": "???"}), "/expected_total/currency"),
            ("/expected_total", json!({"amount": 1e30, "currency": "USD"}), "/expected_total/amount"),
        ];
        for (at, value, field) in cases {
            let mut body = order("tok_approve");
            let (parent, name) = at.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value.clone();
            let refused = guest.checkout("k", &body).await.problem(400, "validation_failed");
            assert_eq!(refused.body["errors"][0]["field"], field, "{at} = {value}: {}", refused.body);
        }
        let mut body = order("");
        body["email"] = "x".into();
        body["shipping_address"]["city"] = "".into();
        let refused = guest.checkout("k", &body).await.problem(400, "validation_failed");
        assert_eq!(refused.body["errors"].as_array().unwrap().len(), 3, "all at once");

        let head = [("idempotency-key", "k")];
        let raw = async |head: &[(&str, &str)], body: &str| {
            guest.send(Method::POST, "/orders/checkout", head, Some(body.to_owned())).await
        };
        raw(&head, "{").await.problem(400, "malformed_body");
        raw(&head, "[]").await.problem(400, "validation_failed");
        raw(&[], "{}").await.problem(400, "idempotency_key_required");
        raw(&[("idempotency-key", "a b")], "{}").await.problem(400, "validation_failed");
        guest.send(Method::POST, "/orders/checkout", &head, None).await.problem(415, "unsupported_media_type");
        let forged = [("idempotency-key", "k"), ("authorization", "Bearer forged")];
        raw(&forged, &order("tok_approve").to_string()).await.problem(401, "invalid_token");

        let staff = shop.staff();
        let unknown = OrderId::new();
        for at in ["not-an-id", &unknown.to_string(), "0", "%00"] {
            staff.get(&format!("/orders/{at}")).await.problem(404, "not_found");
            staff.get(&format!("/orders/{at}/events")).await.problem(404, "not_found");
            for action in ["cancel", "ship", "complete", "refund"] {
                let body = Some(json!({"reason": "x"}).to_string()).filter(|_| action != "ship");
                staff
                    .send(Method::POST, &format!("/orders/{at}/{action}"), &head, body)
                    .await
                    .problem(404, "not_found");
            }
        }
        let bought = guest.checkout("good", &order("tok_approve")).await.expect(201);
        let at = format!("/orders/{}", bought.id());
        for (action, body, field) in [
            ("cancel", json!({"reason": "x".repeat(501)}), "/reason"),
            ("cancel", json!({"why": "x"}), "/why"),
            ("ship", json!({"tracking": "x".repeat(101)}), "/tracking"),
            ("ship", json!({"tracking": 1}), "/tracking"),
            ("refund", json!({}), "/reason"),
            ("refund", json!({"reason": ""}), "/reason"),
            ("refund", json!({"reason": "x".repeat(501)}), "/reason"),
            ("refund", json!({"reason": "x", "amount": {"amount": 0, "currency": "USD"}}), "/amount/amount"),
            ("refund", json!({"reason": "x", "amount": {"amount": 1.5, "currency": "USD"}}), "/amount/amount"),
        ] {
            let body = Some(body.to_string());
            let refused = staff.send(Method::POST, &format!("{at}/{action}"), &head, body).await;
            let refused = refused.problem(400, "validation_failed");
            assert_eq!(refused.body["errors"][0]["field"], field, "{action}: {}", refused.body);
        }
        assert_eq!(shop.service.order_facts().await.unwrap().len(), 1);

        // Each country has its own form, and an order shows the address as it is written there.
        let address = |country: &str, city: &str, region: &str, postal_code: &str| {
            json!({"name": "Ann Reader", "line1": "1 Main Street", "city": city, "region": region,
                "postal_code": postal_code, "country": country})
        };
        for (given, field, message) in [
            (address("US", "Reno", "NV", "x"), "postal_code", "Enter a ZIP code such as 95014."),
            (address("US", "Reno", "NV", "-"), "postal_code", "Enter a ZIP code such as 95014."),
            (address("US", "San Francisco", "", "94103"), "region", "Choose a state such as California."),
            (address("DE", "?", "", "10115"), "city", "Enter the town or city."),
            (address("DE", "Berlin", "", "ABC"), "postal_code", "Enter a postal code such as 26133."),
        ] {
            let mut body = order("tok_approve");
            body["shipping_address"] = given;
            let refused = guest.checkout("k", &body).await.problem(400, "validation_failed");
            let field = format!("/shipping_address/{field}");
            assert_eq!(refused.body["errors"], json!([{"field": field, "message": message}]));
        }
        for (key, given, kept) in [
            ("reno", address("us", "Reno", "us-nv", "895011234"), json!({"region": "NV", "postal_code": "89501-1234"})),
            ("berlin", address("DE", "Berlin", "CA", "D-10115"), json!({"region": null, "postal_code": "10115"})),
        ] {
            let mut body = order("tok_approve");
            body["shipping_address"] = given;
            guest.clear();
            guest.put(shop.book(1299, 10), 1, 1299);
            let bought = guest.checkout(key, &body).await.expect(201);
            for part in ["region", "postal_code"] {
                assert_eq!(bought.body["shipping_address"][part], kept[part], "{key}");
            }
        }

        // Text is text: it comes back as it was sent.
        let nasty = "'; DROP TABLE orders; -- <script>alert(1)</script>";
        let mut body = order("tok_approve");
        body["shipping_address"]["line1"] = nasty.into();
        guest.clear();
        guest.put(shop.book(1299, 10), 1, 1299);
        let kept = guest.checkout("nasty", &body).await.expect(201);
        assert_eq!(kept.body["shipping_address"]["line1"], nasty);
        shop.close().await;
    }
}
