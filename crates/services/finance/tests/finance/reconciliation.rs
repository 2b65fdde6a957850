//! What staff see: differences, payments, the ledger.

use super::*;

#[tokio::test]
async fn reconciliation_names_every_difference() {
    on_every_database(|shop| async move {
        let mut facts = Vec::new();
        let mut orders = Vec::new();
        for _ in 0..6 {
            let order = shop.authorise("tok_approve", 1000).await;
            shop.send(&OrderCreated { order: summary(order, 1000) }).await;
            // The confirmation overtakes nothing here, but it may: what was heard first does not matter.
            shop.send(&OrderConfirmed { order: summary(order, 1000) }).await;
            shop.capture(order).await;
            facts.push(OrderFacts {
                order_id: order,
                status: OrderStatus::Confirmed,
                total: usd(1000),
                confirmed: true,
                payment_captured: Some(true),
                refunded: usd(0),
            });
            orders.push(order);
        }
        let report = shop.finance.reconcile(facts.clone()).await.unwrap();
        assert_eq!((report.differences, report.orders, report.payments, report.transactions), (vec![], 6, 6, 6));
        shop.advance(61);
        let (_, report) = shop.get("/api/v1/admin/reconciliation").await;
        assert_eq!((report["orders"].as_i64(), report["differences"].as_array().map(Vec::len)), (Some(6), Some(0)));

        facts[0].total = usd(999);
        facts[1].confirmed = false;
        facts[2].payment_captured = Some(false);
        facts.push(OrderFacts { order_id: OrderId::new(), ..facts[5].clone() });
        facts.remove(3);
        shop.tamper(shop.sandbox.db(), "UPDATE sandbox_payments SET captured = 900 WHERE payment_id IN (SELECT payment_id FROM sandbox_payments ORDER BY payment_id DESC LIMIT 1)").await;
        shop.tamper(shop.db(), "UPDATE ledger_entries SET amount = amount + 1 WHERE account = 'provider_clearing' AND transaction_id = (SELECT id FROM ledger_transactions ORDER BY id LIMIT 1)").await;
        let report = shop.finance.reconcile(facts).await.unwrap();
        let kinds: Vec<&str> = report.differences.iter().map(|difference| difference.kind.as_str()).collect();
        assert_eq!(
            kinds,
            [
                "captured_without_confirmed_order",
                "confirmed_without_payment",
                "ledger_captured_differs",
                "ledger_transaction_unbalanced",
                "order_captured_differs",
                "payment_without_order",
                "provider_captured_differs",
                "total_differs"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn the_running_shop_compares_what_it_has_heard_of_orders() {
    on_every_database(|shop| async move {
        let [rejected, silent, income] = [
            shop.authorise("tok_approve", 100).await,
            shop.authorise("tok_approve", 200).await,
            shop.authorise("tok_approve", 300).await,
        ];
        shop.send(&OrderRejected { order: summary(rejected, 100), code: "c".into(), reason: "r".into() }).await;
        // An older event that comes later does not bring the order back.
        shop.send(&OrderCreated { order: summary(rejected, 100) }).await;
        shop.capture(income).await;
        shop.send(&OrderConfirmed { order: summary(income, 300) }).await;
        shop.send(&OrderCompleted { order: summary(income, 300) }).await;
        shop.send(&OrderCompleted { order: summary(income, 300) }).await;
        assert_eq!(
            shop.balances().await,
            HashMap::from([("provider_clearing".into(), 300), ("customer_orders".into(), 0), ("revenue".into(), -300)])
        );
        // What a coupon took off is shown beside the income, once.
        let cheaper = shop.authorise("tok_approve", 400).await;
        shop.capture(cheaper).await;
        let less = || OrderSummary { discount: Some(usd(100)), coupon: Some("SPRING".into()), ..summary(cheaper, 400) };
        shop.send(&OrderConfirmed { order: less() }).await;
        shop.send(&OrderCompleted { order: less() }).await;
        shop.send(&OrderCompleted { order: less() }).await;
        let balances = shop.balances().await;
        assert_eq!((balances["revenue"], balances["discounts"], balances["provider_clearing"]), (-800, 100, 700));
        // An order that costs nothing has no payment, and no income of which something was taken off.
        let free = OrderId::new();
        shop.send(&OrderCompleted { order: OrderSummary { discount: Some(usd(500)), ..summary(free, 0) } }).await;
        assert_eq!(shop.balances().await, balances);
        let (_, moving) = shop.get("/api/v1/admin/reconciliation").await;
        assert_eq!(moving["differences"], serde_json::json!([]), "what just changed is still under way");
        shop.advance(61);
        let (_, report) = shop.get("/api/v1/admin/reconciliation").await;
        let found: Vec<(&str, &str)> = report["differences"]
            .as_array()
            .unwrap()
            .iter()
            .map(|difference| (difference["kind"].as_str().unwrap(), difference["order_id"].as_str().unwrap()))
            .collect();
        assert_eq!(
            found,
            [("held_for_closed_order", rejected.to_string().as_str()), ("payment_without_order", &silent.to_string())]
        );
    })
    .await;
}

#[tokio::test]
async fn only_staff_see_money_and_lists_page_and_filter() {
    on_every_database(|shop| async move {
        let mut orders = Vec::new();
        for token in ["tok_approve", "tok_decline", "tok_approve"] {
            orders.push(shop.authorise(token, 100).await);
        }
        let (_, page) = shop.get("/api/v1/admin/payments?limit=2").await;
        let items = page["items"].as_array().unwrap();
        assert_eq!(items[0]["order_id"], orders[2].to_string(), "latest first");
        let next = page["next"].as_str().unwrap();
        let (_, rest) = shop.get(&format!("/api/v1/admin/payments?limit=2&cursor={next}")).await;
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);
        assert_eq!(rest["next"], Value::Null);
        let (_, declined) = shop.get("/api/v1/admin/payments?status=declined").await;
        assert_eq!(declined["items"].as_array().unwrap().len(), 1);
        assert_eq!(declined["items"][0]["order_id"], orders[1].to_string());
        for (path, status, code) in [
            ("/api/v1/admin/payments?limit=0", 400, "validation_failed"),
            ("/api/v1/admin/payments?limit=101", 400, "validation_failed"),
            ("/api/v1/admin/payments?status=paid", 400, "validation_failed"),
            ("/api/v1/admin/payments?cursor=x", 400, "invalid_cursor"),
            ("/api/v1/admin/payments/nonsense", 404, "not_found"),
            ("/api/v1/admin/payments/0190b0a0-0000-7000-8000-000000000001", 404, "not_found"),
        ] {
            let (answered, problem) = shop.get(path).await;
            assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path} {problem}");
        }
        for path in ["payments", &format!("payments/{}", orders[0]), "ledger", "reconciliation"] {
            let request = || Request::get(format!("/api/v1/admin/{path}")).body(Body::empty()).unwrap();
            assert_eq!(ask(&shop.web, request()).await.0, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(ask(&shop.as_role(Role::Customer), request()).await.0, StatusCode::FORBIDDEN, "{path}");
            assert_eq!(ask(&shop.staff(), request()).await.0, StatusCode::OK, "{path}");
        }
        let (status, methods) =
            ask(&shop.web, Request::get("/api/v1/payment-methods").body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        for token in ["tok_approve", "tok_decline", "tok_challenge", "tok_timeout"] {
            assert!(methods.contains(token), "{token}");
        }
    })
    .await;
}
