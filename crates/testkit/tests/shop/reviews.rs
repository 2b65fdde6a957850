//! From the completed order to the rating that everybody sees.

use bookworm_contracts::rest::{Page, catalog::Book, operations::DeadLetter, ordering::Order};
use bookworm_kernel::BookId;
use bookworm_testkit::{TestShop, on_every_database, until};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// A customer buys a book, and has it.
async fn bought(shop: &TestShop, token: &str, book: BookId) -> Order {
    let add = json!({"book_id": book, "quantity": 1});
    let added = shop.post("/api/v1/basket/items").bearer(token).json(&add).send().await;
    assert_eq!(added.status, StatusCode::OK, "{:?}", added.body);
    // The body and the key of a purchase; the guest's basket that comes with them stays where it is.
    let purchase = shop.purchase(&[(book, 1)], "tok_approve").await;
    let checkout = shop.post("/api/v1/orders/checkout").bearer(token).header("idempotency-key", &purchase.key);
    let order: Order = checkout.json(&purchase.body).send().await.expect(StatusCode::CREATED).read();
    for (action, body) in [("ship", json!({"tracking": "1Z"})), ("complete", json!({}))] {
        until(&format!("the order can {action}"), || async {
            let path = format!("/api/v1/orders/{}/{action}", order.id);
            let answer = shop.post(&path).bearer(shop.admin()).json(&body).send().await;
            (answer.status == StatusCode::OK).then_some(())
        })
        .await;
    }
    order
}

#[tokio::test]
async fn a_completed_order_verifies_and_the_rating_reaches_pages_lists_and_searches() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("The Dispossessed", 1299, 5).await;
        drop(shop.book("Rocannon's World", 999, 5).await);
        let read = async || -> Book {
            shop.get(&format!("/api/v1/books/{}", book.id)).send().await.expect(StatusCode::OK).read()
        };
        let first =
            async |path: &str| -> Value { shop.get(path).send().await.expect(StatusCode::OK).body["items"][0].clone() };
        // Every cache has the book as it was.
        assert_eq!(read().await.rating.count, 0);
        let search = "/api/v1/search?q=dispossessed";
        until("the search finds it", || async { first(search).await.is_object().then_some(()) }).await;

        let token = shop.customer("ann@reader.test").await;
        bought(&shop, &token, book.id).await;
        let review = json!({"rating": 4.5, "title": "Cold", "text": "Two worlds and a wall."});
        let write = shop.post(&format!("/api/v1/books/{}/reviews", book.id)).bearer(&token).json(&review);
        let written = write.send().await.expect(StatusCode::CREATED);
        until("it is verified", || async {
            let review = shop.get(&format!("/api/v1/reviews/{}", written.string("id"))).bearer(&token).send().await;
            (review.body["verified"] == json!(true)).then_some(())
        })
        .await;
        until("the book shows its rating", || async { (read().await.rating.count == 1).then_some(()) }).await;
        assert_eq!(read().await.rating.average, 4.5);
        until("the search shows it", || async {
            (first(search).await["book"]["rating"]["average"] == json!(4.5)).then_some(())
        })
        .await;
        until("the list begins with it", || async {
            (first("/api/v1/books?sort=rating").await["id"] == json!(book.id)).then_some(())
        })
        .await;

        // Taken back, it counts no more.
        let delete = shop.request(Method::DELETE, &format!("/api/v1/reviews/{}", written.string("id")));
        assert_eq!(delete.bearer(&token).send().await.status, StatusCode::NO_CONTENT);
        until("the rating is gone", || async { (read().await.rating.count == 0).then_some(()) }).await;
        let dead: Page<DeadLetter> = shop.get("/api/v1/admin/dead-letters").bearer(shop.admin()).send().await.read();
        assert_eq!(dead.items.len(), 0, "{:?}", dead.items);
        shop.stop().await;
    })
    .await;
}
