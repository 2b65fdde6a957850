//! From a basket to a confirmed and paid order, or to a refusal.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_buys_a_book() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 2, 1299);
        let bought = guest.checkout("one", &order("tok_approve")).await.expect(201);
        assert_eq!(bought.body["status"], "confirmed");
        assert_eq!(bought.body["total"], json!({"amount": 2 * 1299 + 490, "currency": "USD"}));
        assert_eq!(bought.body["lines"][0]["title"], "Book at 1299");
        assert_eq!(bought.body["number"].as_str().unwrap().len(), 12);
        assert!(bought.headers.contains_key(header::ETAG));

        // The link in the mail opens the order, and nothing else does.
        let (id, link) = (bought.id(), path(&bought));
        guest.paid(id).await;
        let read = shop.nobody().get(&link).await.expect(200);
        assert_eq!(read.timeline(), ["pending", "confirmed", "payment_captured"]);
        assert_eq!(read.body["access_key"], bought.body["access_key"]);
        let key = bought.body["access_key"].as_str().unwrap();
        shop.nobody().send(Method::GET, &format!("/orders/{id}"), &[("order-key", key)], None).await.expect(200);
        for wrong in ["", "?key=", "?key=AAAAAAAAAAAAAAAAAAAAAA", &format!("?key={key}x")] {
            shop.nobody().get(&format!("/orders/{id}{wrong}")).await.problem(404, "not_found");
        }

        assert_eq!(shop.played.commands(id), ["ReserveStock", "AuthorisePayment", "CapturePayment"]);
        shop.until("events", async || shop.played.events(id).len() == 2).await;
        let mut events = shop.played.events(id);
        events.sort_unstable();
        assert_eq!(events, ["OrderConfirmed", "OrderCreated"]);
        let asked = shop.played.authorised.lock().unwrap()[&id].clone();
        assert_eq!(asked.return_path, format!("/orders/{id}?key={key}"));
        let summary = shop.played.events.lock().unwrap()[0].2.clone();
        assert_eq!(summary["link"], asked.return_path.as_str());
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_orders_once() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let body = order("tok_approve");
        let answers = futures::future::join_all((0..8).map(|_| guest.checkout("same", &body))).await;
        let ids: HashSet<OrderId> = answers.into_iter().map(|answer| answer.expect(201).id()).collect();
        assert_eq!(ids.len(), 1, "{}: one order for one intention", shop.on);

        // Later, with the basket cleared, the answer is still the order, as it is now.
        guest.clear();
        let again = guest.checkout("same", &body).await.expect(201);
        assert!(ids.contains(&again.id()));
        let mut other = body.clone();
        other["payment"]["token"] = "tok_decline".into();
        guest.checkout("same", &other).await.problem(422, "idempotency_key_reused");

        // Somebody else's key of the same name is another key.
        let stranger = shop.guest();
        stranger.put(book, 1, 1299);
        let theirs = stranger.checkout("same", &body).await.expect(201);
        assert!(!ids.contains(&theirs.id()));
        shop.until("two orders", async || shop.service.order_facts().await.unwrap().len() == 2).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_costs_nothing() {
    for shop in shops().await {
        let customer = shop.customer();
        let book = shop.book(1299, 10);
        customer.put(book, 1, 1299);
        let refused = customer.checkout("k", &order("tok_decline")).await.problem(402, "payment_declined");
        assert_eq!(refused.body["detail"], "Insufficient funds.");
        let id = refused.id();
        customer.checkout("k", &order("tok_decline")).await.problem(402, "payment_declined");
        shop.until("the stock is released", async || shop.played.commands(id).contains(&"ReleaseStock")).await;
        let read = customer.get(&path(&refused)).await.expect(200);
        assert_eq!((&read.body["status"], &read.body["payment"]["status"]), (&json!("rejected"), &json!("declined")));
        assert_eq!(read.body["rejection"]["code"], "payment_declined");
        assert!(!shop.played.commands(id).contains(&"CapturePayment"));
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenged_card_goes_on_when_the_bank_agrees() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let asked = guest.checkout("k", &order("tok_challenge")).await.problem(402, "payment_action_required");
        assert_eq!(asked.body["action_url"], "/pay/1");
        let (id, link) = (asked.id(), path(&asked));
        let waiting = shop.nobody().get(&link).await.expect(200);
        assert_eq!(waiting.body["payment"]["action_url"], "/pay/1");
        let amount = Money::new(1789, Currency::USD);
        shop.say(PaymentAuthorised { order_id: id, payment_id: PaymentId::new(), amount }).await;
        guest.paid(id).await;
        let done = guest.checkout("k", &order("tok_challenge")).await.expect(201);
        assert_eq!(done.timeline(), ["pending", "payment_action_required", "confirmed", "payment_captured"]);
        assert_eq!(done.body["payment"].get("action_url"), None);

        // News that comes again changes nothing.
        shop.say(PaymentAuthorised { order_id: id, payment_id: PaymentId::new(), amount }).await;
        shop.say(StockReserved { order_id: id }).await;
        shop.until("nothing in flight", async || shop.bus.backlog().await.unwrap() == 0).await;
        assert_eq!(shop.nobody().get(&link).await.expect(200).body["version"], done.body["version"]);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_will_not_wait_gets_a_link() {
    for shop in shops_with(Timeouts { reserve: 30, payment: 1 }).await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let head = [("idempotency-key", "k"), ("prefer", "respond-async, wait=0")];
        let body = order("tok_silent").to_string();
        let taken = guest.send(Method::POST, "/orders/checkout", &head, Some(body)).await.expect(202);
        assert_eq!(taken.body["status"], "pending");
        shop.nobody().get(&path(&taken)).await.expect(200);

        // Finance never answers: the customer hears of it, and what was taken is let go.
        guest.becomes(taken.id(), |order| order["status"] == "rejected").await;
        guest.checkout("k", &order("tok_silent")).await.problem(409, "checkout_timed_out");
        guest.becomes(taken.id(), |order| order["payment"]["status"] == "voided").await;
        let commands = shop.played.commands(taken.id());
        assert!(commands.contains(&"ReleaseStock") && commands.contains(&"VoidPayment"), "{commands:?}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_that_never_answers_ends_the_checkout() {
    for shop in shops_with(Timeouts { reserve: 1, payment: 30 }).await {
        let guest = shop.guest();
        let book = shop.book(1, 100);
        guest.put(book, 77, 1);
        let refused = guest.checkout("k", &order("tok_approve")).await.problem(409, "checkout_timed_out");
        assert!(refused.body["detail"].as_str().unwrap().contains("You have not been charged"), "{}", refused.body);
        shop.until("release", async || shop.played.commands(refused.id()) == ["ReserveStock", "ReleaseStock"]).await;

        // What was reserved after all is let go again.
        shop.say(StockReserved { order_id: refused.id() }).await;
        shop.until("nothing in flight", async || shop.bus.backlog().await.unwrap() == 0).await;
        assert!(!shop.played.commands(refused.id()).contains(&"AuthorisePayment"));
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_capture_is_asked_for_again() {
    for shop in shops_with(Timeouts { reserve: 30, payment: 2 }).await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        shop.played.swallow_captures.store(1, SeqCst);
        let bought = guest.checkout("k", &order("tok_approve")).await.expect(201);
        let early = shop.staff().post(&format!("/orders/{}/ship", bought.id()), json!({})).await;
        early.problem(409, "invalid_order_state");
        guest.paid(bought.id()).await;
        assert_eq!(shop.played.commands(bought.id()).iter().filter(|name| **name == "CapturePayment").count(), 2);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_that_fails_calls_the_order_off() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let bought = guest.checkout("k", &order("tok_capture_fails")).await.expect(201);
        guest.becomes(bought.id(), |order| order["status"] == "cancelled").await;
        let read = shop.nobody().get(&path(&bought)).await.expect(200);
        assert_eq!(read.body["payment"]["status"], "failed");
        assert_eq!(read.timeline(), ["pending", "confirmed", "payment_failed", "cancelled"]);
        shop.until("mail and stock", async || {
            shop.played.events(bought.id()).contains(&"OrderCancelled")
                && shop.played.commands(bought.id()).contains(&"ReleaseStock")
        })
        .await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_bought_is_refused_before_anything_is_ordered() {
    for shop in shops().await {
        let body = order("tok_approve");
        shop.nobody().checkout("k", &body).await.problem(409, "basket_empty");
        shop.guest().checkout("k", &body).await.problem(409, "basket_empty");

        let guest = shop.guest();
        guest.put(BookId::new(), 1, 1299);
        guest.checkout("k", &body).await.problem(409, "book_unavailable");
        guest.clear();

        let (scarce, dear) = (shop.book(500, 2), shop.book(900, 9));
        guest.put(scarce, 3, 500);
        let refused = guest.checkout("k", &body).await.problem(409, "insufficient_stock");
        let line = json!({"book_id": scarce.to_string(), "title": "Book at 500", "wanted": 3, "available": 2});
        assert_eq!(refused.body["lines"], json!([line]));
        guest.clear();

        guest.put(dear, 1, 800);
        let refused = guest.checkout("k", &body).await.problem(409, "price_changed");
        assert_eq!(
            (&refused.body["lines"][0]["old"]["amount"], &refused.body["lines"][0]["new"]["amount"]),
            (&json!(800), &json!(900))
        );
        guest.clear();

        guest.put(dear, 1, 900);
        let mut changed = body.clone();
        changed["expected_total"] = json!({"amount": 1, "currency": "USD"});
        let refused = guest.checkout("k", &changed).await.problem(409, "total_changed");
        assert_eq!(refused.body["total"]["amount"], 1390);
        let mut far = body.clone();
        far["shipping_address"]["country"] = "NZ".into();
        far["shipping_address"]["postal_code"] = "6011".into();
        guest.checkout("k", &far).await.problem(422, "shipping_unavailable");
        let mut odd = body.clone();
        odd["shipping_method"] = "rocket".into();
        guest.checkout("k", &odd).await.problem(422, "shipping_unavailable");

        assert!(shop.service.order_facts().await.unwrap().is_empty(), "nothing was ordered");
        // A key that ordered nothing is still free.
        guest.checkout("k", &body).await.expect(201);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_is_gone_at_the_last_moment_is_named() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(500, 5);
        shop.played.refused.lock().unwrap().insert(book);
        guest.put(book, 2, 500);
        let refused = guest.checkout("k", &order("tok_approve")).await.problem(409, "insufficient_stock");
        let line = json!({"book_id": book.to_string(), "title": "Book at 500", "wanted": 2, "available": 1});
        assert_eq!(refused.body["lines"], json!([line]));
        let again = guest.checkout("k", &order("tok_approve")).await.problem(409, "insufficient_stock");
        assert_eq!(again.id(), refused.id());
        shop.until("the rejection is told", async || shop.played.events(refused.id()).contains(&"OrderRejected")).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_answer_is_named_in_time() {
    let shop = shops().await.remove(0);
    let guest = shop.guest();
    let book = shop.book(500, 5);
    guest.put(book, 1, 500);
    *shop.world.silent.lock().unwrap() = true;
    let refused = guest.checkout("k", &order("tok_approve")).await.problem(503, "unavailable");
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_says_what_it_will_cost() {
    for shop in shops().await {
        let guest = shop.guest();
        guest.post("/orders/quote", json!({"country": "US"})).await.problem(409, "basket_empty");
        let book = shop.book(1000, 10);
        guest.put(book, 2, 1000);
        let quote = guest.post("/orders/quote", json!({"country": "us", "region": "ca"})).await.expect(200);
        assert_eq!(quote.body["tax"]["amount"], 145);
        assert_eq!(quote.body["total"]["amount"], 2000 + 490 + 145);
        assert_eq!(quote.body["shipping_method"], "standard");
        guest.post("/orders/quote", json!({"country": "JP"})).await.problem(422, "shipping_unavailable");
        guest.post("/orders/quote", json!({"country": "XX"})).await.problem(400, "validation_failed");
        for region in ["California", "CALIFORNIA", "US-CA", " calif. "] {
            let quote = guest.post("/orders/quote", json!({"country": "US", "region": region})).await.expect(200);
            assert_eq!(quote.body["tax"]["amount"], 145, "{region}");
        }
        for region in [Value::Null, json!("Ontario"), json!("94103")] {
            let quote = guest.post("/orders/quote", json!({"country": "US", "region": region})).await;
            let quote = quote.problem(400, "validation_failed");
            assert_eq!(quote.body["errors"][0]["field"], "/region", "{region}");
        }
        guest.post("/orders/quote", json!({"country": "DE", "region": "CA"})).await.expect(200);
        let methods = shop.nobody().get("/shipping-methods").await.expect(200);
        assert_eq!(methods.body["items"][0]["free_from"]["amount"], 5000);
        let offered = shop.nobody().get("/shipping-methods?country=us&subtotal=6000").await.expect(200);
        assert_eq!(offered.body["items"][0]["charge"], json!({"amount": 0, "currency": "USD"}));
        assert_eq!(offered.body["items"].as_array().unwrap().len(), 1);
        shop.nobody().get("/shipping-methods?country=QQ").await.problem(400, "validation_failed");
        let served = shop.nobody().get("/shipping-countries").await.expect(200);
        let served: Vec<_> = served.body["items"].as_array().unwrap().iter().map(|country| &country["code"]).collect();
        assert_eq!(served, ["US", "FR", "DE"], "the likely one first, the others by name");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_is_woken_by_what_another_instance_decides() {
    for shop in shops().await {
        // Requests come to this one; the reactions are the other's.
        let here = service(&shop.home, &shop.world, Timeouts { reserve: 30, payment: 30 }).await;
        let router: Router = here.api().split_for_parts().0.layer(Extension(shop.mint.verifier()));
        let mut running = Running::new();
        running.consumer(here.follower(), &shop.bus, Arc::new(SystemClock), Policy::default());
        running.relay(here.outbox().source(here.db()), &shop.bus);
        for (token, status) in [("tok_approve", 201), ("tok_challenge", 402), ("tok_decline", 402)] {
            let mut quickest = Duration::MAX;
            for _ in 0..3 {
                let guest = shop.guest();
                guest.put(shop.book(1299, 10), 1, 1299);
                let begun = std::time::Instant::now();
                let asked = Client::new(router.clone())
                    .request(Method::POST, "/orders/checkout")
                    .headers(guest.head.iter().map(|(name, value)| (*name, value.as_str())))
                    .header("idempotency-key", Uuid::now_v7().to_string())
                    .header("content-type", "application/json")
                    .body(order(token).to_string());
                assert_eq!(asked.send().await.status.as_u16(), status, "{token}");
                quickest = quickest.min(begun.elapsed());
            }
            // Without it each waits for the next look at the database, after 5 s.
            assert!(quickest < Duration::from_secs(4), "{}: {token} took {quickest:?}", shop.on);
        }
        running.stop().await;
        here.db().close().await;
        shop.close().await;
    }
}
