//! Guests and customers fill and read their baskets.

use super::*;

#[tokio::test]
async fn a_guest_gets_a_basket_and_keeps_it_by_header_or_cookie() {
    on_each_database(Settings { secure_cookies: true, ..Settings::default() }, |shop| async move {
        shop.shelf.put(1, 1299, 7);
        let empty = shop.basket(&[]).await;
        assert_json_snapshot!(empty.body, @r#"
        {
          "items": [],
          "subtotal": {
            "amount": 0,
            "currency": "USD"
          },
          "version": 0
        }
        "#);
        assert!(empty.headers.get("basket-token").is_none(), "looking makes no basket");

        let added = shop.add(&[], 1, 2).await;
        assert_eq!(added.status, 200);
        assert_json_snapshot!(added.body, @r#"
        {
          "items": [
            {
              "authors": [
                "Ann Author"
              ],
              "available": 7,
              "book_id": "00000000-0000-0000-0000-000000000001",
              "cover_url": "/covers/1.svg",
              "language": "ru",
              "line_total": {
                "amount": 2598,
                "currency": "USD"
              },
              "price_changed": false,
              "quantity": 2,
              "title": "Book 1",
              "unit_price": {
                "amount": 1299,
                "currency": "USD"
              }
            }
          ],
          "subtotal": {
            "amount": 2598,
            "currency": "USD"
          },
          "version": 1
        }
        "#);
        let token = added.token();
        assert_eq!(token.len(), 43);
        assert_eq!(
            added.headers[header::SET_COOKIE].to_str().unwrap(),
            format!("basket_token={token}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
        );
        let cookie = format!("theme=dark; basket_token={token}");
        assert_eq!(shop.basket(&[("cookie", &cookie)]).await.lines(), lines(&[("Book 1", 2)]));
        let again = shop.add(&[("basket-token", &token)], 1, 3).await;
        assert_eq!((again.lines(), again.token()), (lines(&[("Book 1", 5)]), token.clone()));

        // Only a hash of the secret is stored.
        let stored: Option<String> =
            shop.service.db().read().scalar("SELECT guest_hash FROM baskets", []).await.unwrap();
        assert_ne!(stored.unwrap(), token);
        shop
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_no_good_is_an_empty_basket_and_never_an_error() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1299, 7);
        let unknown = "A".repeat(43);
        for bad in ["", "x", "' OR 1=1 --", "<script>", &unknown, &"z".repeat(4000)] {
            let cookie = format!("basket_token={bad}");
            for headers in [[("basket-token", bad)], [("cookie", cookie.as_str())]] {
                assert_eq!(shop.basket(&headers).await.lines(), lines(&[]), "{bad}");
                let added = shop.add(&headers, 1, 1).await;
                assert_eq!(added.lines(), lines(&[("Book 1", 1)]), "{bad}");
                assert_ne!(added.token(), *bad);
            }
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn lines_are_set_removed_and_cleared() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=3 {
            shop.shelf.put(n, 1000, 7);
        }
        let token = shop.add(&[], 1, 1).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.add(&headers, 2, 2).await;
        shop.add(&headers, 3, 3).await;
        let item = |n| format!("/basket/items/{}", book(n));
        let set = shop.ask(Method::PATCH, &item(2), &headers, Some(json!({"quantity": 99}))).await;
        assert_eq!(set.lines(), lines(&[("Book 1", 1), ("Book 2", 99), ("Book 3", 3)]));
        assert_eq!(set.body["version"], 4);
        let zero = shop.ask(Method::PATCH, &item(2), &headers, Some(json!({"quantity": 0}))).await;
        assert_eq!(zero.lines(), lines(&[("Book 1", 1), ("Book 3", 3)]));
        let removed = shop.ask(Method::DELETE, &item(1), &headers, None).await;
        assert_eq!(removed.lines(), lines(&[("Book 3", 3)]));
        let repeated = shop.ask(Method::DELETE, &item(1), &headers, None).await;
        assert_eq!((repeated.lines(), &repeated.body["version"]), (lines(&[("Book 3", 3)]), &json!(6)));
        let cleared = shop.ask(Method::DELETE, "/basket", &headers, None).await;
        assert_eq!(cleared.lines(), lines(&[]));
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[]));
        shop
    })
    .await;
}

#[tokio::test]
async fn the_limits_are_99_a_line_and_100_lines() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=101 {
            shop.shelf.put(n, 1000, 7);
        }
        let token = shop.add(&[], 1, 98).await.token();
        let headers = [("basket-token", token.as_str())];
        let refused = shop.add(&headers, 1, 2).await;
        assert_eq!((refused.status, &refused.body["code"]), (StatusCode::BAD_REQUEST, &json!("validation_failed")));
        assert_json_snapshot!(refused.body["errors"], @r#"
        [
          {
            "field": "/quantity",
            "message": "must not be above 99 with the 98 already in the basket"
          }
        ]
        "#);
        for n in 2..=100 {
            assert_eq!(shop.add(&headers, n, 1).await.status, 200);
        }
        let full = shop.add(&headers, 101, 1).await;
        assert_eq!((full.status, &full.body["code"]), (StatusCode::CONFLICT, &json!("basket_full")));
        assert_eq!(full.body["detail"], "A basket holds at most 100 different books.");
        assert_eq!(shop.add(&headers, 1, 1).await.status, 200, "a line that is there still takes copies");
        assert_eq!(shop.basket(&headers).await.lines().len(), 100);
        shop
    })
    .await;
}

#[tokio::test]
async fn a_changed_price_is_shown_once_and_a_lost_book_stays() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 500, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.add(&headers, 2, 1).await;
        shop.shelf.put(1, 1100, 3);
        shop.shelf.stop_selling(2);
        let changed = shop.basket(&headers).await.0.body;
        let shown: Vec<_> = changed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| {
                format!(
                    "{} now {} was {} available {}",
                    line["price_changed"],
                    line["unit_price"]["amount"],
                    line["previous_price"]["amount"],
                    line["available"]
                )
            })
            .collect();
        assert_eq!(shown, ["true now 1100 was 1000 available 3", "false now 500 was null available 0"]);
        assert_eq!(changed["subtotal"]["amount"], 2700);
        let again = shop.basket(&headers).await.0.body;
        assert_eq!(again["items"][0]["price_changed"], false);
        assert_eq!(again["items"][0]["unit_price"]["amount"], 1100);
        assert_eq!(again["version"], 2, "looking is no change");
        shop
    })
    .await;
}

#[tokio::test]
async fn without_the_catalogue_the_basket_is_still_there() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.shelf.silent.store(true, Ordering::SeqCst);
        let degraded = shop.basket(&headers).await;
        assert_eq!(degraded.lines(), lines(&[("Book 1", 2)]));
        assert_eq!(degraded.headers["basket-degraded"], "1");
        assert_eq!(degraded.body["items"][0]["available"], 7);
        let refused = shop.add(&headers, 2, 1).await;
        assert_eq!((refused.status, &refused.body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
        assert_eq!(refused.headers["retry-after"], "1");
        let removed = shop.ask(Method::DELETE, "/basket", &headers, None).await;
        assert_eq!(removed.lines(), lines(&[]));
        shop.shelf.silent.store(false, Ordering::SeqCst);
        shop
    })
    .await;
}

#[tokio::test]
async fn forgotten_guests_expire_and_customers_never_do() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let bearer = shop.sign_in(CustomerId::new());
        let signed = [("authorization", bearer.as_str())];
        shop.add(&signed, 1, 1).await;
        let forgotten = shop.add(&[], 1, 1).await.token();
        let read = shop.add(&[], 1, 1).await.token();
        shop.clock.advance(10 * DAY);
        shop.basket(&[("basket-token", &read)]).await;
        shop.clock.advance(21 * DAY);
        assert_eq!(shop.service.expire_guests().await.unwrap(), 1);
        assert_eq!(shop.basket(&[("basket-token", &forgotten)]).await.lines(), lines(&[]));
        assert_eq!(shop.basket(&[("basket-token", &read)]).await.lines(), lines(&[("Book 1", 1)]));
        let kept: Option<i64> = shop.service.db().read().scalar("SELECT COUNT(*) FROM baskets", []).await.unwrap();
        assert_eq!(kept, Some(2));
        shop
    })
    .await;
}

#[tokio::test]
async fn concurrent_adds_lose_no_copy() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=4 {
            shop.shelf.put(n, 1000, 7);
        }
        let bearer = shop.sign_in(CustomerId::new());
        let signed = [("authorization", bearer.as_str())];
        // The first adds race to make the customer's basket.
        let answers = futures::future::join_all((0..40).map(|i| shop.add(&signed, 1 + i % 4, 1))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        let mut basket = shop.basket(&signed).await.lines();
        basket.sort();
        assert_eq!(basket, lines(&[("Book 1", 10), ("Book 2", 10), ("Book 3", 10), ("Book 4", 10)]));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_basket_survives_a_restart() {
    let shop = Shop::open(TestDatabases::sqlite(), Settings::default()).await;
    shop.shelf.put(1, 1000, 7);
    let token = shop.add(&[], 1, 2).await.token();
    shop.service.db().close().await;
    let reopened = Shop::open(shop.home, Settings::default()).await;
    reopened.shelf.put(1, 1000, 7);
    assert_eq!(reopened.basket(&[("basket-token", &token)]).await.lines(), lines(&[("Book 1", 2)]));
    reopened.service.db().close().await;
}
