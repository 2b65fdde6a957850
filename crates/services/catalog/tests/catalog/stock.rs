//! Copies: adjusted, reserved for orders, released, sold.

use super::*;

#[tokio::test]
async fn stock_is_adjusted_once_for_each_key() {
    on_each(|shop| async move {
        let book = shop.create(dispossessed()).await;
        let id = book["id"].as_str().unwrap().to_owned();
        let (path, stock) = (format!("/books/{id}/stock/adjustments"), format!("/books/{id}/stock"));
        assert_eq!(shop.get(&stock).await.body, json!({"on_hand": 3, "reserved": 0, "available": 3}));
        assert_eq!(shop.get(&format!("/books/{id}")).await.body["available"], 3);
        let body = json!({"delta": 4, "reason": "delivery"});
        for _ in 0..2 {
            let answer = shop.send("POST", &path, &[("idempotency-key", "one")], body.clone()).await;
            assert_eq!(
                (answer.status, &answer.body),
                (StatusCode::OK, &json!({"on_hand": 7, "reserved": 0, "available": 7}))
            );
        }
        // At once, although the answer before was kept in memory.
        assert_eq!(shop.get(&format!("/books/{id}")).await.body["available"], 7);
        for (key, body, status, code, field) in [
            (
                Some("one"),
                json!({"delta": 5, "reason": "delivery"}),
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                None,
            ),
            (None, body.clone(), StatusCode::BAD_REQUEST, "idempotency_key_required", None),
            (
                Some("two"),
                json!({"delta": 0, "reason": "x"}),
                StatusCode::BAD_REQUEST,
                "validation_failed",
                Some("/delta"),
            ),
            (
                Some("two"),
                json!({"delta": 1_000_001, "reason": "x"}),
                StatusCode::BAD_REQUEST,
                "validation_failed",
                Some("/delta"),
            ),
            (
                Some("two"),
                json!({"delta": 1, "reason": ""}),
                StatusCode::BAD_REQUEST,
                "validation_failed",
                Some("/reason"),
            ),
            (Some("two"), json!({"delta": -8, "reason": "lost"}), StatusCode::CONFLICT, "insufficient_stock", None),
        ] {
            let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
            let answer = shop.send("POST", &path, &headers, body).await;
            assert_eq!((answer.status, answer.body["code"].as_str().unwrap()), (status, code));
            assert_eq!(fields(&answer).first().copied(), field, "{}", answer.body);
        }
        let unknown = format!("/books/{}/stock/adjustments", BookId::new());
        assert_eq!(
            shop.send("POST", &unknown, &[("idempotency-key", "three")], body).await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(shop.count("stock_adjustments").await, 1);
    })
    .await;
}

fn completed(order_id: OrderId) -> OrderCompleted {
    let zero = Money::zero(Currency::USD);
    OrderCompleted {
        order: OrderSummary {
            order_id,
            number: "B-1".to_owned(),
            customer_id: None,
            email: Email::parse("reader@example.com").unwrap(),
            name: "Reader".to_owned(),
            basket_id: Uuid::now_v7(),
            lines: Vec::new(),
            subtotal: zero,
            shipping: zero,
            tax: zero,
            tax_included: false,
            shipping_address: None,
            total: zero,
            link: String::new(),
            placed_at: Timestamp::default(),
            placed_from: None,
            discount: None,
            coupon: None,
        },
    }
}

#[tokio::test]
async fn an_order_holds_gives_back_and_takes_its_copies() {
    on_each(|shop| async move {
        let (one, mut other) = (shop.create(dispossessed()).await, dispossessed());
        other["source_id"] = json!("demo:2");
        other["isbn13"] = Value::Null;
        let (one, other) = (book_id(&one), book_id(&shop.create(other).await));
        let working = shop.work().await;
        working.heard(2).await;
        let stock = async |book: BookId| shop.get(&format!("/books/{book}/stock")).await.body;

        // All lines or none.
        let order = OrderId::new();
        let wanted = [lines(one, 2), lines(other, 4)].concat();
        working.publish(&ReserveStock { order_id: order, lines: wanted }).await;
        let (subject, body) = working.heard(1).await.remove(0);
        assert_eq!(subject, StockRejected::SUBJECT);
        assert_eq!(body["short"], json!([{"book_id": other, "wanted": 4, "available": 3}]));
        assert_eq!(stock(one).await["reserved"], 0);

        // A repeat is answered again and holds nothing twice.
        let order = OrderId::new();
        for _ in 0..2 {
            working.publish(&ReserveStock { order_id: order, lines: lines(one, 2) }).await;
            assert_eq!(working.heard(1).await[0].0, StockReserved::SUBJECT);
            assert_eq!(stock(one).await, json!({"on_hand": 3, "reserved": 2, "available": 1}));
        }
        working.publish(&completed(order)).await;
        let (subject, body) = working.heard(1).await.remove(0);
        assert_eq!(subject, InventoryUpdated::SUBJECT);
        assert_eq!(body, json!({"book_id": one, "on_hand": 1, "reserved": 0, "order_id": order}));
        // What was sold stays sold.
        working.publish(&ReleaseStock { order_id: order }).await;
        assert_eq!(working.heard(1).await[0].0, StockReleased::SUBJECT);
        assert_eq!(stock(one).await, json!({"on_hand": 1, "reserved": 0, "available": 1}));

        // Given back once, however often it is asked; a reservation that comes after its release is refused.
        let (order, late) = (OrderId::new(), OrderId::new());
        working.publish(&ReserveStock { order_id: order, lines: lines(other, 3) }).await;
        assert_eq!(working.heard(1).await[0].0, StockReserved::SUBJECT);
        for order_id in [order, order, late] {
            working.publish(&ReleaseStock { order_id }).await;
            assert_eq!(working.heard(1).await[0].0, StockReleased::SUBJECT);
        }
        assert_eq!(stock(other).await, json!({"on_hand": 3, "reserved": 0, "available": 3}));
        for order_id in [order, late] {
            working.publish(&ReserveStock { order_id, lines: lines(other, 1) }).await;
            let (subject, body) = working.heard(1).await.remove(0);
            assert_eq!((subject.as_str(), &body["short"]), (StockRejected::SUBJECT, &json!([])));
        }

        // A book that is no longer sold cannot be held, but what is held of it can be given back.
        let order = OrderId::new();
        working.publish(&ReserveStock { order_id: order, lines: lines(other, 1) }).await;
        assert_eq!(working.heard(1).await[0].0, StockReserved::SUBJECT);
        assert_eq!(
            shop.send("DELETE", &format!("/books/{other}"), &[], Value::Null).await.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(working.heard(1).await[0].0, BookChanged::SUBJECT);
        working.publish(&ReserveStock { order_id: OrderId::new(), lines: lines(other, 1) }).await;
        assert_eq!(working.heard(1).await[0].0, StockRejected::SUBJECT);
        working.publish(&ReleaseStock { order_id: order }).await;
        assert_eq!(working.heard(1).await[0].0, StockReleased::SUBJECT);

        // An order that never held anything cannot be completed: somebody must look at it.
        working.publish(&completed(OrderId::new())).await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while working.bus.dead_letters().list(None, 10).await.unwrap().is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "no dead letter");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_buyers_of_ten_copies_get_exactly_ten() {
    on_each(|shop| async move {
        let mut input = dispossessed();
        input["stock"] = json!(10);
        let book = book_id(&shop.create(input).await);
        let working = shop.work().await;
        working.heard(1).await;
        let now = shop.clock.now();
        let orders = (0..200).map(|_| {
            let bus = working.bus.clone();
            async move {
                let command = ReserveStock { order_id: OrderId::new(), lines: lines(book, 1) };
                bus.publish(&[Envelope::new(&command, &Cause::start(), now).unwrap()]).await.unwrap();
            }
        });
        futures::future::join_all(orders).await;
        let answers = working.heard(200).await;
        let reserved = answers.iter().filter(|(subject, _)| subject == StockReserved::SUBJECT).count();
        let rejected = answers.iter().filter(|(subject, _)| subject == StockRejected::SUBJECT).count();
        assert_eq!((reserved, rejected), (10, 190));
        let stock = shop.get(&format!("/books/{book}/stock")).await.body;
        assert_eq!(stock, json!({"on_hand": 10, "reserved": 10, "available": 0}));
    })
    .await;
}

#[tokio::test]
async fn other_services_learn_price_and_availability_of_this_moment() {
    on_each(|shop| async move {
        let book = shop.create(dispossessed()).await;
        let id = book["id"].as_str().unwrap().to_owned();
        let service = CatalogClient::new(shop.catalog.grpc());
        let ask = async |ids: Vec<String>| service.clone().get_books(GetBooksRequest { ids }).await;
        // Somebody else's change, past every cache.
        shop.get(&format!("/books/{id}")).await;
        shop.db()
            .transact::<_, DbError, _>(|tx| {
                Box::pin(async move { tx.exec("UPDATE stock SET on_hand = $1", values![2_i64]).await })
            })
            .await
            .unwrap();
        let answer = ask(vec![id.clone(), BookId::new().to_string(), id.clone()]).await.unwrap().into_inner();
        assert_eq!(answer.books.len(), 1);
        let offer = &answer.books[0];
        assert_eq!((offer.price, offer.currency.as_str(), offer.available), (1299, "USD", 2));
        assert_eq!(
            (offer.authors.join(","), &offer.cover_url),
            ("Ursula K. Le Guin".to_owned(), &format!("/covers/{id}.svg?v=1"))
        );
        assert!(ask(vec![]).await.unwrap().into_inner().books.is_empty());
        assert_eq!(ask(vec!["x".to_owned()]).await.unwrap_err().code(), tonic::Code::InvalidArgument);
        assert_eq!(ask(vec![id.clone(); 201]).await.unwrap_err().code(), tonic::Code::InvalidArgument);
        shop.send("DELETE", &format!("/books/{id}"), &[], Value::Null).await;
        assert!(ask(vec![id]).await.unwrap().into_inner().books.is_empty());
    })
    .await;
}
