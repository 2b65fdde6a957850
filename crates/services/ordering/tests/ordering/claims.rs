//! One basket becomes one order.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_basket_is_ordered_once_however_many_keys_there_are() {
    for shop in shops().await {
        for buyer in [shop.guest(), shop.customer()] {
            buyer.put(shop.book(1299, 100), 2, 1299);
            let (keys, body) = ((0..20).map(|n| format!("key {n}").replace(' ', "-")), order("tok_approve"));
            let keys: Vec<String> = keys.collect();
            let answers = futures::future::join_all(keys.iter().map(|key| buyer.checkout(key, &body))).await;
            let (bought, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
            assert_eq!((bought.len(), refused.len()), (1, 19), "{}", shop.on);
            for answer in refused {
                let answer = answer.problem(409, "order_in_progress");
                assert_eq!(answer.id(), bought[0].id());
                assert_eq!(answer.body["order_number"], bought[0].body["number"]);
                // The way to it that the answer names is a way for this very shopper.
                buyer.get(&path(&answer)).await.expect(200);
            }

            // Still so while what was bought has not left the basket yet, and then there is nothing to buy.
            let again = buyer.checkout("later", &body).await.problem(409, "order_in_progress");
            assert_eq!((again.id(), &again.body["order_status"]), (bought[0].id(), &json!("confirmed")));
            buyer.get("/orders/under-way").await.problem(404, "not_found");
            buyer.clear();
            buyer.checkout("later", &body).await.problem(409, "basket_empty");
            buyer.paid(bought[0].id()).await;
        }
        let captured: Vec<_> = shop.played.captured.lock().unwrap().values().copied().collect();
        assert_eq!(captured.len(), 2, "{}: each basket was paid once", shop.on);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_waits_for_the_bank_is_shown_and_can_be_begun_again() {
    for shop in shops().await {
        let guest = shop.guest();
        shop.nobody().get("/orders/under-way").await.problem(404, "not_found");
        guest.put(shop.book(1299, 10), 1, 1299);
        guest.get("/orders/under-way").await.problem(404, "not_found");
        let first = guest.checkout("first", &order("tok_challenge")).await.problem(402, "payment_action_required");

        let second = guest.checkout("second", &order("tok_approve")).await.problem(409, "order_in_progress");
        assert_eq!((second.id(), &second.body["action_url"]), (first.id(), &json!("/pay/1")));
        let shown = guest.get("/orders/under-way").await.expect(200);
        assert_eq!((shown.id(), &shown.body["access_key"]), (first.id(), &second.body["access_key"]));
        // The repeat of the first is answered as before.
        guest.checkout("first", &order("tok_challenge")).await.problem(402, "payment_action_required");

        let key = second.body["access_key"].as_str().unwrap();
        let cancel = format!("/orders/{}/cancel?key={key}", first.id());
        guest.post(&cancel, json!({"only_unconfirmed": true})).await.expect(200);
        guest.post(&cancel, json!({"only_unconfirmed": true})).await.problem(409, "invalid_order_state");
        let bought = guest.checkout("third", &order("tok_approve")).await.expect(201);
        guest.paid(bought.id()).await;

        // The bank's late yes to the first order is let go again.
        let voids = || shop.played.commands(first.id()).iter().filter(|command| **command == "VoidPayment").count();
        let before = voids();
        let (payment_id, amount) = (PaymentId::new(), Money::new(1299 + 490, Currency::USD));
        shop.say(PaymentAuthorised { order_id: first.id(), payment_id, amount }).await;
        shop.until("the first order is off", async || {
            let first = shop.staff().get(&format!("/orders/{}", first.id())).await;
            first.body["status"] == "cancelled" && voids() >= before.max(1)
        })
        .await;
        assert!(!shop.played.commands(first.id()).contains(&"CapturePayment"), "{}", shop.on);
        assert_eq!(shop.played.captured.lock().unwrap().keys().collect::<Vec<_>>(), [&bought.id()]);

        // An order that was confirmed a moment before is not called off by somebody who meant to begin again.
        let cancel = format!("/orders/{}/cancel", bought.id());
        let refused = shop.staff().post(&cancel, json!({"only_unconfirmed": true})).await;
        refused.problem(409, "invalid_order_state");
        let still = shop.staff().get(&format!("/orders/{}", bought.id())).await;
        assert_eq!(still.body["status"], "confirmed");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_off_gives_the_basket_back() {
    for shop in shops().await {
        let customer = shop.customer();
        customer.put(shop.book(1299, 10), 1, 1299);
        for n in 0..3 {
            let key = format!("declined-{n}");
            customer.checkout(&key, &order("tok_decline")).await.problem(402, "payment_declined");
        }
        let bought = customer.checkout("approved", &order("tok_approve")).await.expect(201);
        customer.paid(bought.id()).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_without_an_order_is_taken_up_by_its_own_request_and_given_up_for_others() {
    for shop in shops().await {
        let guest = shop.guest();
        guest.put(shop.book(1299, 10), 1, 1299);
        let claims = || shop.world.claims.lock().unwrap().clone();
        let lose_the_claim = async |key: &str| {
            shop.world.lose_claims.store(3, SeqCst);
            guest.checkout(key, &order("tok_approve")).await.problem(503, "unavailable");
        };

        // Claimed, and then nothing: as when the program was killed at this moment. Others are asked to wait.
        lose_the_claim("first").await;
        let orphan: OrderId = claims()[0].1.parse().unwrap();
        let early = guest.checkout("second", &order("tok_approve")).await.problem(409, "request_in_progress");
        assert!(early.headers.contains_key(header::RETRY_AFTER));
        guest.get("/orders/under-way").await.problem(404, "not_found");
        // The request itself goes on with the order it had begun.
        let bought = guest.checkout("first", &order("tok_decline")).await.problem(402, "payment_declined");
        assert_eq!(bought.id(), orphan);

        // Nobody comes back, and after a while somebody else may buy. The order that was never placed never is.
        lose_the_claim("third").await;
        let orphan = claims()[0].1.clone();
        shop.world.claim_age.store(60_000, SeqCst);
        let declined = guest.checkout("fourth", &order("tok_decline")).await.problem(402, "payment_declined");
        assert_ne!(declined.id().to_string(), orphan);
        let late = guest.checkout("third", &order("tok_approve")).await.expect(201);
        assert_ne!(late.id().to_string(), orphan);

        // A tombstone outlives what the basket remembers: a claim that arrives late is of no use.
        let stranger = shop.guest();
        stranger.put(shop.book(500, 10), 1, 500);
        let claimant = {
            let mut claims = shop.world.claims.lock().unwrap();
            claims.push((basket_id(&stranger.name), orphan.clone(), "somebody".to_owned()));
            claims.len()
        };
        assert_eq!(claimant, 2);
        shop.world.claim_age.store(0, SeqCst);
        let theirs = stranger.checkout("their", &order("tok_approve")).await.expect(201);
        assert_ne!(theirs.id().to_string(), orphan);
        guest.paid(late.id()).await;
        stranger.paid(theirs.id()).await;
        shop.close().await;
    }
}
