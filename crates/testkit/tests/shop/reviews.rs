//! From the completed order to the rating that everybody sees.

use bookworm_contracts::rest::{
    Page,
    catalog::Book,
    operations::{DeadLetter, Mail},
    ordering::Order,
};
use bookworm_db::Sql;
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
    arrived(shop, &order).await;
    order
}

/// Staff ship the order, and it arrives.
async fn arrived(shop: &TestShop, order: &Order) {
    for (action, body) in [("ship", json!({"tracking": "1Z"})), ("complete", json!({}))] {
        until(&format!("the order can {action}"), || async {
            let path = format!("/api/v1/orders/{}/{action}", order.id);
            let answer = shop.post(&path).bearer(shop.admin()).json(&body).send().await;
            (answer.status == StatusCode::OK).then_some(())
        })
        .await;
    }
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

async fn invitations(shop: &TestShop) -> Vec<Mail> {
    let path = "/api/v1/admin/mail?kind=review_invitation";
    let mails: Page<Mail> = shop.get(path).bearer(shop.admin()).send().await.expect(StatusCode::OK).read();
    mails.items
}

#[tokio::test]
async fn a_guest_is_asked_once_and_reviews_with_the_link_of_the_mail() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start_with(database, &[("rating.invite_after_days", "0")]).await;
        let book = shop.book("The Lathe of Heaven", 999, 5).await;
        let order = shop.buy(&[(book.id, 1)]).await;
        arrived(&shop, &order).await;
        let mail = until("the guest is asked", || async { invitations(&shop).await.pop() }).await;
        assert_eq!(mail.order_id, Some(order.id.uuid()));
        let link = format!("/books/{}/review?invite=", book.id);
        let (_, rest) = mail.text.split_once(&link).expect("a link for the book");
        let token = rest.split_whitespace().next().unwrap();
        let form = shop.get(&format!("{link}{token}")).send().await.expect(StatusCode::OK);
        assert!(form.text().contains("The Lathe of Heaven") && form.text().contains("Half a star"));

        let write = shop.post(&format!("/api/v1/books/{}/reviews", book.id)).header("review-invitation", token);
        let written = write.json(&json!({"rating": 5})).send().await.expect(StatusCode::CREATED);
        assert_eq!((&written.body["verified"], &written.body["author"]), (&json!(true), &json!("Ann R.")));
        until("the book shows its rating", || async {
            let book: Book = shop.get(&format!("/api/v1/books/{}", book.id)).send().await.read();
            (book.rating.count == 1).then_some(())
        })
        .await;
        until("the page shows the review", || async {
            let page = shop.get(&format!("/books/{}", book.id)).send().await.expect(StatusCode::OK).text();
            (page.contains("5 out of 5 stars") && page.contains("Verified purchase")).then_some(())
        })
        .await;

        // One click, as a program for mail does it: without cookies, with a body of its own.
        let one_click = shop.post(&format!("/api/v1/review-invitations/unsubscribe?token={token}"));
        let one_click = one_click.form("List-Unsubscribe=One-Click").send().await;
        assert_eq!(one_click.status, StatusCode::NO_CONTENT, "{:?}", one_click.body);
        let again = shop.buy(&[(book.id, 1)]).await;
        arrived(&shop, &again).await;
        shop.restart().await;
        until("the second order is known", || async {
            let db = shop.database("rating").await.unwrap();
            let known: Option<i64> = db.read().scalar("SELECT COUNT(*) FROM invitations", []).await.unwrap();
            db.close().await;
            (known == Some(2)).then_some(())
        })
        .await;
        assert_eq!(invitations(&shop).await.len(), 1, "never a second time, and never after that");
        shop.stop().await;
    })
    .await;
}
