//! What may happen to an order once it is placed: cancelling, shipping, refunds, and its history.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_can_be_read() {
    for shop in shops().await {
        let customer = shop.customer();
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        let history = customer.get(&format!("{path}/events")).await.expect(200);
        let items = history.body["items"].as_array().unwrap().clone();
        let kinds: Vec<&str> = items.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["OrderCreated", "PaymentAuthorised", "OrderConfirmed", "PaymentCaptured"]);
        assert_eq!(items[3]["data"]["amount"]["amount"], 1789);
        let correlations: HashSet<&str> = items.iter().map(|event| event["correlation_id"].as_str().unwrap()).collect();
        assert_eq!(correlations.len(), 1, "one request set all of it in motion");

        let page = customer.get(&format!("{path}/events?limit=3")).await.expect(200);
        let next = page.body["next"].as_str().unwrap();
        let rest = customer.get(&format!("{path}/events?limit=3&cursor={next}")).await.expect(200);
        assert_eq!((rest.body["items"][0]["version"].as_u64(), &rest.body["next"]), (Some(4), &Value::Null));

        let placed_at = items[0]["at"].as_str().unwrap();
        let then = customer.get(&format!("{path}?as_of={placed_at}")).await.expect(200);
        assert_eq!((&then.body["status"], &then.body["version"]), (&json!("pending"), &json!(1)));
        customer.get(&format!("{path}?as_of=2001-01-01T00:00:00Z")).await.problem(404, "not_found");
        let bad = customer.get(&format!("{path}?as_of=yesterday")).await.problem(400, "validation_failed");
        assert_eq!(bad.body["errors"][0]["field"], "/as_of");

        let now = customer.get(&path).await.expect(200);
        let tag = now.headers[header::ETAG].to_str().unwrap();
        assert_eq!(tag, "\"4\"");
        customer.send(Method::GET, &path, &[("if-none-match", tag)], None).await.expect(304);

        // To others it does not exist.
        for stranger in [shop.customer(), shop.guest(), shop.nobody()] {
            stranger.get(&path).await.problem(404, "not_found");
            stranger.get(&format!("{path}?as_of={placed_at}")).await.problem(404, "not_found");
            stranger.get(&format!("{path}/events")).await.problem(404, "not_found");
            stranger.post(&format!("{path}/cancel"), json!({})).await.problem(404, "not_found");
        }
        let seen = shop.staff().get(&path).await.expect(200);
        assert_eq!(seen.body.get("access_key"), None, "staff need no key");
        assert_eq!(seen.id(), id);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_called_off_and_the_money_goes_back() {
    for shop in shops().await {
        let customer = shop.customer();
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        let off = customer.post(&format!("{path}/cancel"), json!({"reason": "changed my mind"})).await.expect(200);
        assert_eq!(off.body["status"], "cancelled");
        customer.becomes(id, |order| order["payment"]["status"] == "refunded").await;
        let read = customer.get(&path).await.expect(200);
        assert_eq!(read.body["status"], "cancelled");
        assert_eq!(read.body["payment"]["refunded"]["amount"], 1789);
        assert_eq!(read.timeline(), ["pending", "confirmed", "payment_captured", "cancelled", "refunded"]);
        assert!(shop.played.commands(id).contains(&"ReleaseStock"));
        customer.post(&format!("{path}/cancel"), json!({})).await.problem(409, "invalid_order_state");
        shop.until("mails", async || {
            let events = shop.played.events(id);
            events.contains(&"OrderCancelled") && events.contains(&"OrderRefunded")
        })
        .await;

        // A guest does so with the key, also while the bank is awaited, and without a body.
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let waiting = guest.checkout("k", &order("tok_challenge")).await.problem(402, "payment_action_required");
        let (id, key) = (waiting.id(), waiting.body["access_key"].as_str().unwrap().to_owned());
        let cancel = format!("/orders/{id}/cancel?key={key}");
        shop.nobody().send(Method::POST, &cancel, &[], None).await.expect(200);
        guest.becomes(id, |order| order["payment"]["status"] == "voided").await;
        guest.checkout("k", &order("tok_challenge")).await.problem(409, "invalid_order_state");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_costs_nothing_needs_no_payment() {
    for shop in shops().await {
        let (customer, staff) = (shop.customer(), shop.staff());
        let free = shop.book(0, 10);
        let mut body = order("tok_decline");
        body["shipping_address"] = json!({
            "name": "Ann Reader", "line1": "1 rue du Louvre", "city": "Paris", "postal_code": "75001", "country": "FR"
        });
        body["shipping_method"] = json!("gift");
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove("payment");
        // Any token will do, and none as well.
        for (key, body) in [("any", &body), ("none", &without)] {
            customer.put(free, 1, 0);
            let bought = customer.checkout(key, body).await.expect(201);
            customer.clear();
            let (id, path) = (bought.id(), path(&bought));
            assert_eq!(bought.body["status"], "confirmed");
            assert_eq!(
                bought.body["payment"],
                json!({"status": "not_required", "refunded": {"amount": 0, "currency": "USD"}})
            );
            assert_eq!(bought.body["actions"], json!({"cancel": true, "ship": true, "complete": false}));
            let refund = json!({"reason": "x"}).to_string();
            let head = [("idempotency-key", "k")];
            let refused = staff.send(Method::POST, &format!("{path}/refund"), &head, Some(refund)).await;
            let refused = refused.problem(409, "invalid_order_state");
            assert_eq!(refused.body["detail"], "The order was free, so there is nothing to refund.");
            if key == "any" {
                staff.post(&format!("{path}/ship"), json!({})).await.expect(200);
                staff.post(&format!("{path}/complete"), json!({})).await.expect(200);
            } else {
                customer.post(&format!("{path}/cancel"), json!({})).await.expect(200);
                shop.until("release", async || shop.played.commands(id).contains(&"ReleaseStock")).await;
            }
            let asked = shop.played.commands(id);
            assert!(!asked.iter().any(|name| name.ends_with("Payment")), "finance never hears of it: {asked:?}");
        }
        // What costs something needs one.
        customer.put(shop.book(1299, 1), 1, 1299);
        let refused = customer.checkout("paid", &without).await.problem(400, "validation_failed");
        assert_eq!(
            refused.body["errors"][0],
            json!({"field": "/payment", "message": "is required: the total is $12.99"})
        );
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_after_a_partial_refund_gives_the_rest_back() {
    for shop in shops().await {
        let (customer, staff) = (shop.customer(), shop.staff());
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        let body = json!({"reason": "torn", "amount": {"amount": 100, "currency": "USD"}}).to_string();
        let asked = staff.send(Method::POST, &format!("{path}/refund"), &[("idempotency-key", "k")], Some(body)).await;
        let asked = asked.expect(202);
        assert_eq!(asked.body["actions"]["refund"]["amount"], 1689, "what was asked for is counted at once");
        assert_eq!(asked.body["payment"]["refunding"]["amount"], 100);
        customer.becomes(id, |order| order["payment"]["refunded"]["amount"] == 100).await;
        let read = customer.get(&path).await.expect(200);
        assert_eq!(
            read.body["actions"],
            json!({"cancel": true, "ship": true, "complete": false, "refund": {"amount": 1689, "currency": "USD"}})
        );
        assert_eq!(read.body["payment"].get("refunding"), None);
        customer.post(&format!("{path}/cancel"), json!({})).await.expect(200);
        customer.becomes(id, |order| order["payment"]["refunded"]["amount"] == 1789).await;
        let read = customer.get(&path).await.expect(200);
        assert_eq!((&read.body["status"], &read.body["payment"]["status"]), (&json!("cancelled"), &json!("refunded")));
        assert_eq!(read.body["actions"], json!({"cancel": false, "ship": false, "complete": false}));
        shop.until("release", async || shop.played.commands(id).contains(&"ReleaseStock")).await;
        let list = customer.get("/orders").await.expect(200);
        assert_eq!(list.body["items"][0].get("actions"), None, "lists leave them out");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_ship_complete_and_refund() {
    for shop in shops().await {
        let (customer, staff) = (shop.customer(), shop.staff());
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        for action in ["ship", "complete", "refund"] {
            let at = format!("{path}/{action}");
            let head = [("idempotency-key", "k")];
            let body = Some(json!({"reason": "x"}).to_string());
            customer.send(Method::POST, &at, &head, body.clone()).await.problem(403, "forbidden");
            shop.nobody().send(Method::POST, &at, &head, body).await.problem(401, "unauthenticated");
        }
        staff.post(&format!("{path}/complete"), json!({})).await.problem(409, "invalid_order_state");
        let sent = staff.post(&format!("{path}/ship"), json!({"tracking": "1Z999"})).await.expect(200);
        assert_eq!((&sent.body["status"], &sent.body["tracking"]), (&json!("shipped"), &json!("1Z999")));
        let late = customer.post(&format!("{path}/cancel"), json!({})).await.problem(409, "invalid_order_state");
        assert_eq!(late.body["detail"], "The order is shipped, so it cannot be cancelled.");
        staff.send(Method::POST, &format!("{path}/complete"), &[], None).await.expect(200);

        let refund = async |key: &'static str, body: Value| {
            let head = [("idempotency-key", key)];
            staff.send(Method::POST, &format!("{path}/refund"), &head, Some(body.to_string())).await
        };
        staff.post(&format!("{path}/refund"), json!({"reason": "x"})).await.problem(400, "idempotency_key_required");
        let too_much = json!({"amount": {"amount": 1790, "currency": "USD"}, "reason": "torn"});
        let refused = refund("a", too_much).await.problem(400, "validation_failed");
        assert_eq!(refused.body["errors"][0], json!({"field": "/amount", "message": "At most $17.89."}));
        let some = json!({"amount": {"amount": 500, "currency": "USD"}, "reason": "torn page"});
        refund("b", some.clone()).await.expect(202);
        refund("b", some.clone()).await.expect(202);
        refund("b", json!({"reason": "other"})).await.problem(422, "idempotency_key_reused");
        customer.becomes(id, |order| order["payment"]["refunded"]["amount"] == 500).await;
        assert_eq!(customer.get(&path).await.expect(200).body["payment"]["status"], "partially_refunded");

        // A refund that the provider refuses can be asked for again.
        refund("c", json!({"reason": "fail"})).await.expect(202);
        customer.becomes(id, |order| order["timeline"].to_string().contains("refund_failed")).await;
        refund("d", json!({"reason": "lost"})).await.expect(202);
        customer.becomes(id, |order| order["status"] == "refunded").await;
        let refunds = shop.played.commands(id).iter().filter(|name| **name == "RefundPayment").count();
        assert_eq!(refunds, 3, "once for each key");
        shop.until("events", async || shop.played.events(id).len() == 6).await;
        let mut events = shop.played.events(id);
        events.sort_unstable();
        assert_eq!(
            events,
            ["OrderCompleted", "OrderConfirmed", "OrderCreated", "OrderRefunded", "OrderRefunded", "OrderShipped"]
        );

        // Staff see who did what; the customer does not.
        let history = staff.get(&format!("{path}/events")).await.expect(200);
        for event in history.body["items"].as_array().unwrap() {
            let kind = event["type"].as_str().unwrap();
            let by_staff = ["OrderShipped", "OrderCompleted", "RefundRequested"].contains(&kind);
            let by = if by_staff { json!(staff.name) } else { Value::Null };
            assert_eq!(event["by"]["id"], by, "{event}");
            assert_eq!(event["by"]["name"].is_string(), by_staff, "{event}");
        }
        let history = customer.get(&format!("{path}/events")).await.expect(200);
        assert!(
            history.body["items"].as_array().unwrap().iter().all(|event| event.get("by").is_none()),
            "{}",
            history.body
        );
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refunded_before_it_is_shipped_goes_back_to_the_shelf() {
    for shop in shops().await {
        let customer = shop.customer();
        let bought = customer.buy().await;
        let at = format!("{}/refund", path(&bought));
        let body = Some(json!({"reason": "sorry"}).to_string());
        shop.staff().send(Method::POST, &at, &[("idempotency-key", "k")], body).await.expect(202);
        customer.becomes(bought.id(), |order| order["status"] == "refunded").await;
        shop.until("release", async || shop.played.commands(bought.id()).contains(&"ReleaseStock")).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_finds_and_repairs_what_differs() {
    for shop in shops().await {
        let customer = shop.customer();
        let (one, two) = (customer.buy().await, customer.buy().await);
        let clean = shop.service.replay().await.unwrap();
        assert_eq!((clean.orders, clean.events, clean.differing.len()), (2, 8, 0));
        let (tampered, lost, orphan) = (one.id().uuid(), two.id().uuid(), Uuid::now_v7());
        let db = shop.service.db();
        db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                tx.exec("UPDATE orders SET status = 'completed' WHERE id = $1", values![tampered]).await?;
                tx.exec(
                    "INSERT INTO orders (id, number, email_key, status, placed_at, updated_at, total, currency, version, document) \
                     SELECT $1, 'BW-0000-0000', email_key, status, placed_at, updated_at, total, currency, version, document \
                     FROM orders WHERE id = $2",
                    values![orphan, lost],
                )
                .await?;
                tx.exec("DELETE FROM orders WHERE id = $1", values![lost]).await
            })
        })
        .await
        .unwrap();
        let found = shop.service.replay().await.unwrap();
        assert_eq!(found.differing.len(), 3, "{found:?}");
        for id in [tampered, lost, orphan] {
            assert!(found.differing.iter().any(|line| line.contains(&id.to_string())), "{found:?}");
        }
        assert!(shop.service.replay().await.unwrap().differing.is_empty());
        customer.get(&path(&two)).await.expect(200);

        let facts = shop.service.order_facts().await.unwrap();
        assert_eq!(facts.len(), 2);
        assert!(facts.iter().all(|fact| fact.confirmed && fact.captured == fact.total && fact.refunded.amount == 0));
        shop.close().await;
    }
}
