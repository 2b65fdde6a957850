//! Coupons: what they take off, when they are refused, and that they are never used more often than they may.

use super::*;

impl Shop {
    /// Staff make a coupon with these members beside a code of its own, which is returned.
    async fn coupon(&self, more: Value) -> String {
        let code = format!("C-{}", &Uuid::new_v4().simple().to_string()[..12].to_uppercase());
        let mut coupon = json!({"code": code.clone(), "name": "A gift", "benefit": {"kind": "percent", "percent": 10}});
        coupon.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.staff().post("/admin/coupons", coupon).await.expect(201);
        code
    }

    /// The kinds of what does not add up.
    async fn coupon_differences(&self) -> Vec<&'static str> {
        let counters = self.service.coupon_counters().await.unwrap();
        let orders = self.service.order_facts().await.unwrap();
        let found = self.service.compare_coupons(counters, &orders).await.unwrap();
        found.into_iter().map(|difference| difference.kind).collect()
    }

    /// How often the coupon was counted.
    async fn uses(&self, code: &str) -> i64 {
        self.staff().get(&format!("/admin/coupons/{code}")).await.expect(200).body["uses"].as_i64().unwrap()
    }
}

impl Buyer<'_> {
    /// Buys one copy of a book at 10.00 with a code, and leaves the basket empty.
    async fn buy_with(&self, code: &str, email: &str, token: &str) -> Answer {
        self.put(self.shop.book(1000, 500), 1, 1000);
        let answer = self.checkout(&Uuid::now_v7().to_string(), &with(code, email, token)).await;
        self.clear();
        answer
    }
}

fn with(code: &str, email: &str, token: &str) -> Value {
    let mut body = order(token);
    body["email"] = email.into();
    body["coupon"] = code.into();
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coupon_takes_something_off_and_stays_with_the_order() {
    for shop in shops().await {
        let code = shop.coupon(json!({})).await;
        let guest = shop.guest();
        guest.put(shop.book(1000, 10), 1, 1000);
        guest.put(shop.book(333, 10), 2, 333);
        let ask = json!({"country": "US", "region": "CA", "coupon": format!(" {} ", code.to_lowercase())});
        let quote = guest.post("/orders/quote", ask).await.expect(200).body.clone();
        assert_eq!((&quote["discount"]["amount"], &quote["coupon"]["code"]), (&json!(167), &json!(code)));
        // 7.25 % of 14.99, and not of 16.66.
        assert_eq!((&quote["tax"]["amount"], &quote["total"]["amount"]), (&json!(109), &json!(1666 + 490 + 109 - 167)));
        let mut body = with(&code, "ann@example.org", "tok_approve");
        body["shipping_address"]["region"] = "CA".into();
        body["expected_total"] = quote["total"].clone();
        let bought = guest.checkout("k", &body).await.expect(201);
        guest.paid(bought.id()).await;
        let read = shop.nobody().get(&path(&bought)).await.expect(200).body.clone();
        assert_eq!(read["coupon"], json!({"code": code, "name": "A gift"}));
        let parts: Vec<i64> =
            read["lines"].as_array().unwrap().iter().map(|line| line["discount"]["amount"].as_i64().unwrap()).collect();
        assert_eq!(parts, [100, 67], "the lines' parts are the discount");
        assert_eq!(shop.played.authorised.lock().unwrap()[&bought.id()].amount.amount, read["total"]["amount"]);
        shop.until("others are told", async || shop.played.events(bought.id()).contains(&"OrderConfirmed")).await;
        let told =
            shop.played.events.lock().unwrap().iter().find(|event| event.1 == "OrderConfirmed").unwrap().2.clone();
        assert_eq!((&told["discount"]["amount"], &told["coupon"]), (&json!(167), &json!(code)));
        let uses = shop.staff().get(&format!("/admin/coupons/{code}/uses")).await.expect(200).body.clone();
        let used = &uses["items"][0];
        assert_eq!(
            (&used["number"], &used["discount"]["amount"], &used["returned_at"]),
            (&read["number"], &json!(167), &Value::Null)
        );
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_go_back_give_back_what_was_paid_for_them() {
    for shop in shops().await {
        let code = shop.coupon(json!({})).await;
        let (guest, staff) = (shop.guest(), shop.staff());
        let (book, other) = (shop.book(999, 10), shop.book(500, 10));
        guest.put(book, 3, 999);
        guest.put(other, 1, 500);
        let bought = guest.checkout("k", &with(&code, "ann@example.org", "tok_approve")).await.expect(201);
        guest.paid(bought.id()).await;
        let at = format!("/orders/{}/refund", bought.id());
        let refund = async |key: &str, lines: Value| {
            let body = json!({"reason": "torn", "lines": lines}).to_string();
            staff.send(Method::POST, &at, &[("idempotency-key", key)], Some(body)).await
        };
        let one = json!([{"book_id": book, "quantity": 1}]);
        // 29.97 less 3.00 of 3.50: three thirds of 26.97.
        for (key, sum) in [("1", 899), ("2", 1798), ("3", 2697)] {
            refund(key, one.clone()).await.expect(202);
            guest.becomes(bought.id(), |order| order["payment"]["refunded"]["amount"] == sum).await;
        }
        let refused = refund("4", one).await.problem(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["field"], "/lines/0");
        refund("5", json!([{"book_id": BookId::new(), "quantity": 1}])).await.problem(400, "validation_failed");
        refund("6", json!([{"book_id": other, "quantity": 0}])).await.problem(400, "validation_failed");
        refund("7", json!([{"book_id": other, "quantity": 1}, {"book_id": other, "quantity": 1}]))
            .await
            .problem(400, "validation_failed");
        // No copies are not the whole order.
        for (key, nothing) in [("10", json!([])), ("11", json!({})), ("12", json!([{}]))] {
            let refused = refund(key, nothing.clone()).await;
            assert_eq!(refused.status, 400, "{nothing}");
        }
        let refused = refund("13", json!([])).await.problem(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["field"], "/lines");
        let both = json!({"reason": "x", "amount": {"amount": 1, "currency": "USD"}, "lines": [{"book_id": other, "quantity": 1}]});
        let both = staff.send(Method::POST, &at, &[("idempotency-key", "8")], Some(both.to_string())).await;
        assert_eq!(both.problem(400, "validation_failed").body["errors"][0]["field"], "/lines");
        refund("9", json!([{"book_id": other, "quantity": 1}])).await.expect(202);
        guest.becomes(bought.id(), |order| order["payment"]["refunded"]["amount"] == 2697 + 450).await;
        assert_eq!(shop.uses(&code).await, 1, "a refund gives no use back");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_code_says_which_rule() {
    for shop in shops().await {
        let (guest, staff) = (shop.guest(), shop.staff());
        let book = shop.book(1000, 100);
        guest.put(book, 1, 1000);
        let refusal = async |code: &str| {
            let quoted = guest.post("/orders/quote", json!({"country": "US", "region": "IL", "coupon": code})).await;
            let quoted = quoted.problem(422, "coupon_refused").body["rule"].clone();
            let body = with(code, "ann@example.org", "tok_approve");
            let refused = guest.checkout(&Uuid::now_v7().to_string(), &body).await.problem(422, "coupon_refused");
            assert_eq!((&refused.body["rule"], &refused.body["errors"][0]["field"]), (&quoted, &json!("/coupon")));
            quoted.as_str().unwrap().to_owned()
        };
        for unknown in ["NOSUCH", "%", "a", &"x".repeat(100), "'; DROP TABLE coupons; --"] {
            assert_eq!(refusal(unknown).await, "unknown", "{unknown}");
        }
        for (more, rule) in [
            (json!({"from": "2999-01-01T00:00:00Z"}), "not_yet"),
            (json!({"until": "2020-01-01T00:00:00Z"}), "ended"),
            (json!({"minimum": {"amount": 1001, "currency": "USD"}}), "minimum"),
            (json!({"subjects": ["Poetry"]}), "no_book"),
            (json!({"books": [BookId::new()]}), "no_book"),
        ] {
            let code = shop.coupon(more).await;
            assert_eq!(refusal(&code).await, rule);
            assert_eq!(shop.uses(&code).await, 0);
        }
        let stopped = shop.coupon(json!({})).await;
        for _ in 0..2 {
            let answer =
                staff.post(&format!("/admin/coupons/{}/stop", stopped.to_lowercase()), json!({})).await.expect(200);
            assert!(answer.body["stopped_at"].is_string() && answer.body["stopped_by"]["id"].is_string());
        }
        assert_eq!(refusal(&stopped).await, "stopped");
        let free = shop.coupon(json!({"benefit": {"kind": "free_delivery"}})).await;
        guest.put(shop.book(5000, 10), 1, 5000);
        assert_eq!(refusal(&free).await, "nothing_to_reduce");
        assert!(shop.service.order_facts().await.unwrap().is_empty(), "nothing was ordered");
        // The basket is not claimed by what was refused.
        guest.checkout("k", &order("tok_approve")).await.expect(201);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coupon_counts_of_the_books_it_names() {
    for shop in shops().await {
        let guest = shop.guest();
        let (named, other) = (shop.book(1000, 10), shop.book(400, 10));
        guest.put(named, 1, 1000);
        guest.put(other, 1, 400);
        let of_catalogue = |book: BookId| {
            let mut books = shop.world.books.lock().unwrap();
            books.get_mut(&book).unwrap().subject = "Sea stories".to_owned();
        };
        of_catalogue(named);
        for scope in [json!({"books": [named]}), json!({"subjects": ["sea stories"]})] {
            let code = shop.coupon(scope).await;
            let quote =
                guest.post("/orders/quote", json!({"country": "DE", "coupon": code})).await.expect(200).body.clone();
            assert_eq!(quote["discount"]["amount"], 100, "10 % of 10.00");
        }
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_each_customer_holds_for_account_and_mailbox() {
    for shop in shops().await {
        let code = shop.coupon(json!({"per_customer": 1})).await;
        let customer = shop.customer();
        customer.buy_with(&code, "ann@example.org", "tok_approve").await.expect(201);
        let again = customer.buy_with(&code, "bob@example.org", "tok_approve").await.problem(422, "coupon_refused");
        assert_eq!(again.body["rule"], "used_before", "the account");
        let guest = shop.guest().buy_with(&code, "ANN+books@example.org", "tok_approve").await;
        assert_eq!(guest.problem(422, "coupon_refused").body["rule"], "used_before", "the mailbox");
        shop.guest().buy_with(&code, "cat@example.org", "tok_approve").await.expect(201);

        let first = shop.coupon(json!({"first_order": true})).await;
        let known = shop.guest().buy_with(&first, "cat@example.org", "tok_approve").await;
        assert_eq!(known.problem(422, "coupon_refused").body["rule"], "first_order_only");
        let declined = shop.guest().buy_with(&first, "dan@example.org", "tok_decline").await;
        declined.problem(402, "payment_declined");
        shop.guest().buy_with(&first, "dan@example.org", "tok_approve").await.expect(201);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_does_not_stand_gives_its_use_back() {
    for shop in shops().await {
        let code = shop.coupon(json!({"max_uses": 1, "per_customer": 1})).await;
        let customer = shop.customer();
        for _ in 0..2 {
            customer.buy_with(&code, "ann@example.org", "tok_decline").await.problem(402, "payment_declined");
            assert_eq!(shop.uses(&code).await, 0, "rejected");
        }
        let bought = customer.buy_with(&code, "ann@example.org", "tok_approve").await.expect(201);
        customer.paid(bought.id()).await;
        assert_eq!(shop.uses(&code).await, 1);
        let late = shop.guest().buy_with(&code, "bob@example.org", "tok_approve").await;
        assert_eq!(late.problem(422, "coupon_refused").body["rule"], "used_up");
        customer.post(&format!("/orders/{}/cancel", bought.id()), json!({})).await.expect(200);
        assert_eq!(shop.uses(&code).await, 0, "cancelled");
        let failed = customer.buy_with(&code, "ann@example.org", "tok_capture_fails").await.expect(201);
        customer.becomes(failed.id(), |order| order["status"] == "cancelled").await;
        assert_eq!(shop.uses(&code).await, 0, "its payment could not be captured");
        let kept = customer.buy_with(&code, "ann@example.org", "tok_approve").await.expect(201);
        customer.paid(kept.id()).await;
        assert_eq!(shop.uses(&code).await, 1);
        let uses = shop.staff().get(&format!("/admin/coupons/{code}/uses?limit=3")).await.expect(200).body.clone();
        let returned: Vec<bool> =
            uses["items"].as_array().unwrap().iter().map(|used| used["returned_at"].is_string()).collect();
        assert_eq!(returned, [false, true, true], "the latest first");
        let next = uses["next"].as_str().unwrap();
        let rest =
            shop.staff().get(&format!("/admin/coupons/{code}/uses?cursor={next}")).await.expect(200).body.clone();
        assert_eq!(rest["items"].as_array().unwrap().len(), 2);
        assert_eq!(shop.coupon_differences().await, [""; 0]);
        // What does not add up is found.
        let db = shop.service.db();
        let wrong = code.clone();
        let broken = db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move { tx.exec("UPDATE coupons SET uses = 7 WHERE code = $1", values![wrong]).await })
        });
        broken.await.unwrap();
        assert_eq!(shop.coupon_differences().await, ["coupon_uses_differ"]);
        let broken = db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                tx.exec("UPDATE coupons SET uses = 1", values![]).await?;
                tx.exec("UPDATE coupon_redeemers SET uses = 3 WHERE uses = 1", values![]).await
            })
        });
        broken.await.unwrap();
        assert_eq!(shop.coupon_differences().await, ["coupon_redeemers_differ"; 2], "the account and the mailbox");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_use_a_coupon_as_often_as_may_be() {
    for shop in shops().await {
        let code = shop.coupon(json!({"max_uses": 10})).await;
        let guests: Vec<Buyer<'_>> = (0..200).map(|_| shop.guest()).collect();
        // Every fifth card is declined: those uses come back, and others may have them.
        let answers = futures::future::join_all(guests.iter().enumerate().map(async |(n, guest)| {
            let token = if n % 5 == 0 { "tok_decline" } else { "tok_approve" };
            guest.buy_with(&code, &format!("guest{n}@example.org"), token).await
        }))
        .await;
        let mut bought = 0;
        for answer in answers {
            match answer.status.as_u16() {
                201 => {
                    assert_eq!(answer.body["discount"]["amount"], 100);
                    bought += 1;
                }
                402 => drop(answer.problem(402, "payment_declined")),
                _ => assert_eq!(answer.problem(422, "coupon_refused").body["rule"], "used_up"),
            }
        }
        assert!((1..=10).contains(&bought), "{}: {bought} orders use the coupon", shop.on);
        assert_eq!(shop.uses(&code).await, bought);
        assert_eq!(shop.coupon_differences().await, [""; 0]);
        // What is left can still be used, and no more than that.
        for n in bought..10 {
            shop.guest().buy_with(&code, &format!("late{n}@example.org"), "tok_approve").await.expect(201);
        }
        shop.guest().buy_with(&code, "last@example.org", "tok_approve").await.problem(422, "coupon_refused");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_customer_at_once_uses_a_coupon_once() {
    for shop in shops().await {
        let code = shop.coupon(json!({"per_customer": 1})).await;
        let guests: Vec<Buyer<'_>> = (0..12).map(|_| shop.guest()).collect();
        let buy =
            async |guest: &Buyer<'_>| guest.buy_with(&code, "ann@example.org", "tok_approve").await.status.as_u16();
        let answers = futures::future::join_all(guests.iter().map(buy)).await;
        assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{}: {answers:?}", shop.on);
        assert_eq!(shop.uses(&code).await, 1);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_customer_at_once_has_one_first_order() {
    for shop in shops().await {
        for round in 0..5 {
            // Each with a code of its own, so that no coupon's row keeps them apart.
            let mut codes = Vec::new();
            for _ in 0..8 {
                codes.push(shop.coupon(json!({"first_order": true})).await);
            }
            let email = format!("new{round}@example.org");
            let answers = futures::future::join_all(codes.iter().map(async |code| {
                let answer = shop.guest().buy_with(code, &email, "tok_approve").await;
                if answer.status != 201 {
                    assert_eq!(answer.problem(422, "coupon_refused").body["rule"], "first_order_only");
                    return 422;
                }
                201
            }))
            .await;
            assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{}: {answers:?}", shop.on);
        }
        assert_eq!(shop.coupon_differences().await, [""; 0]);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_several_times_at_once_is_answered_with_its_order() {
    for shop in shops().await {
        for round in 0..8 {
            // The last use, by the last who may, of the last copy.
            let code = shop.coupon(json!({"max_uses": 1, "per_customer": 1, "first_order": true})).await;
            let customer = shop.customer();
            customer.put(shop.book(1000, 1), 1, 1000);
            let body = with(&code, &format!("twice{round}@example.org"), "tok_approve");
            let answers = futures::future::join_all((0..6).map(|_| customer.checkout("once", &body))).await;
            let id = answers[0].id();
            for answer in answers {
                assert_eq!((answer.status.as_u16(), answer.id()), (201, id), "{}: {}", shop.on, answer.body);
            }
            customer.paid(id).await;
            assert_eq!(customer.checkout("once", &body).await.expect(201).id(), id);
            assert_eq!(shop.uses(&code).await, 1);
        }
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_an_address_has_bought_is_not_told_before_an_order_is_placed() {
    for shop in shops().await {
        let first = shop.coupon(json!({"first_order": true})).await;
        let once = shop.coupon(json!({"per_customer": 1})).await;
        shop.guest().buy_with(&once, "known@example.org", "tok_approve").await.expect(201);
        let asker = shop.customer();
        asker.put(shop.book(1000, 10), 1, 1000);
        for code in [&first, &once] {
            asker.post("/orders/quote", json!({"country": "US", "region": "IL", "coupon": code})).await.expect(200);
            for email in ["known@example.org", "KNOWN+x@example.org", "unknown@example.org"] {
                // Whoever does not want to buy names another total, or no payment.
                let mut other_total = with(code, email, "tok_approve");
                other_total["expected_total"] = json!({"amount": 0, "currency": "USD"});
                let key = Uuid::now_v7().to_string();
                asker.checkout(&key, &other_total).await.problem(409, "total_changed");
                let mut unpaid = with(code, email, "tok_approve");
                unpaid.as_object_mut().unwrap().remove("payment");
                asker.checkout(&key, &unpaid).await.problem(400, "validation_failed");
            }
        }
        for (code, rule) in [(&first, "first_order_only"), (&once, "used_before")] {
            let body = with(code, "known@example.org", "tok_approve");
            let refused = asker.checkout(&Uuid::now_v7().to_string(), &body).await;
            assert_eq!(refused.problem(422, "coupon_refused").body["rule"], rule, "who buys is told");
        }
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_release_did_not_give_back_is_given_back() {
    for shop in shops().await {
        let code = shop.coupon(json!({"max_uses": 2, "per_customer": 2})).await;
        let customer = shop.customer();
        let stands = customer.buy_with(&code, "ann@example.org", "tok_approve").await.expect(201);
        let off = customer.buy_with(&code, "ann@example.org", "tok_decline").await.problem(402, "payment_declined");
        // As if the process that rejected it had known nothing of coupons.
        let (id, used) = (off.id().uuid(), code.clone());
        let db = shop.service.db();
        let kept = db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                tx.exec("UPDATE coupon_uses SET returned_at = NULL WHERE order_id = $1", values![id]).await?;
                tx.exec("UPDATE coupon_redeemers SET uses = uses + 1 WHERE code = $1", values![used.clone()]).await?;
                tx.exec("UPDATE coupons SET uses = uses + 1 WHERE code = $1", values![used]).await
            })
        });
        kept.await.unwrap();
        assert_eq!(shop.uses(&code).await, 2);
        let again = service(&shop.home, &shop.world, Timeouts { reserve: 30, payment: 30 }).await;
        let mut running = Running::new();
        let loops = again.loops();
        running.work(loops.iter().find(|work| work.name() == "ordering.coupon_uses").unwrap());
        shop.until("it is given back", async || shop.uses(&code).await == 1).await;
        running.stop().await;
        again.db().close().await;
        assert_eq!(shop.coupon_differences().await, [""; 0]);
        customer.buy_with(&code, "ann@example.org", "tok_approve").await.expect(201);
        customer.buy_with(&code, "bob@example.org", "tok_approve").await.problem(422, "coupon_refused");
        customer.paid(stands.id()).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_make_coupons_and_nobody_else_does() {
    for shop in shops().await {
        let staff = shop.staff();
        let code = shop.coupon(json!({"max_uses": 5, "minimum": {"amount": 2000, "currency": "USD"}})).await;
        let read = staff.get(&format!("/admin/coupons/{}", code.to_lowercase())).await.expect(200).body.clone();
        assert_eq!(
            (&read["uses"], &read["max_uses"], &read["minimum"]["amount"]),
            (&json!(0), &json!(5), &json!(2000))
        );
        assert!(read["created_by"]["name"].is_string() && read["stopped_at"].is_null());
        let again = json!({"code": code.to_lowercase(), "name": "x", "benefit": {"kind": "free_delivery"}});
        let taken = staff.post("/admin/coupons", again).await.problem(409, "duplicate_value");
        assert_eq!(taken.body["errors"][0]["field"], "/code");
        let newer = shop.coupon(json!({})).await;
        let first = staff.get("/admin/coupons?limit=1").await.expect(200).body.clone();
        assert_eq!(first["items"][0]["code"], newer);
        let next = first["next"].as_str().unwrap();
        let second = staff.get(&format!("/admin/coupons?limit=1&cursor={next}")).await.expect(200).body.clone();
        assert_eq!((&second["items"][0]["code"], &second["next"]), (&json!(code), &Value::Null));

        for (who, status, problem) in [(shop.nobody(), 401, "unauthenticated"), (shop.customer(), 403, "forbidden")] {
            who.get("/admin/coupons").await.problem(status, problem);
            who.get(&format!("/admin/coupons/{code}")).await.problem(status, problem);
            who.get(&format!("/admin/coupons/{code}/uses")).await.problem(status, problem);
            who.post(&format!("/admin/coupons/{code}/stop"), json!({})).await.problem(status, problem);
            let make = json!({"code": "MINE", "name": "x", "benefit": {"kind": "percent", "percent": 100}});
            who.post("/admin/coupons", make).await.problem(status, problem);
        }
        for unknown in ["NOSUCH", "x", "%00", "%2e%2e"] {
            staff.get(&format!("/admin/coupons/{unknown}")).await.problem(404, "not_found");
            staff.post(&format!("/admin/coupons/{unknown}/stop"), json!({})).await.problem(404, "not_found");
        }
        let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
        for (member, value, field) in [
            ("code", json!("a b!"), "/code"),
            ("code", json!("x".repeat(33)), "/code"),
            ("name", json!(""), "/name"),
            ("name", json!("x".repeat(101)), "/name"),
            ("benefit", json!({"kind": "percent", "percent": 0}), "/benefit/percent"),
            ("benefit", json!({"kind": "percent", "percent": 101}), "/benefit/percent"),
            ("benefit", json!({"kind": "amount", "amount": usd(0)}), "/benefit/amount/amount"),
            (
                "benefit",
                json!({"kind": "amount", "amount": {"amount": 5, "currency": "EUR"}}),
                "/benefit/amount/currency",
            ),
            ("minimum", usd(-1), "/minimum/amount"),
            ("subjects", json!(["ok", ""]), "/subjects/1"),
            ("authors", json!(["x".repeat(201)]), "/authors/0"),
            ("publishers", json!(vec!["x"; 201]), "/books"),
            ("until", json!("2020-01-01T00:00:00Z"), "/until"),
            ("max_uses", json!(0), "/max_uses"),
            ("max_uses", json!(1_000_001), "/max_uses"),
            ("per_customer", json!(0), "/per_customer"),
        ] {
            let mut body = json!({"code": "FINE", "name": "x", "benefit": {"kind": "percent", "percent": 5},
                "from": "2026-01-01T00:00:00Z"});
            body[member] = value.clone();
            let refused = staff.post("/admin/coupons", body).await.problem(400, "validation_failed");
            assert_eq!(refused.body["errors"][0]["field"], field, "{member} = {value}");
        }
        staff.get("/admin/coupons/FINE").await.problem(404, "not_found");
        shop.close().await;
    }
}
