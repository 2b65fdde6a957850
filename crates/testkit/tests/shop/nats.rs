//! The shop with NATS for its bus.

use bookworm_contracts::rest::{
    Page,
    operations::DeadLetter,
    ordering::{Order, OrderStatus, PaymentStatus},
};
use bookworm_testing::{NatsServer, nats_stream, nats_url};
use bookworm_testkit::{Database, TestShop, until};
use http::StatusCode;

async fn dead_letters(shop: &TestShop) -> usize {
    let page: Page<DeadLetter> = shop.get("/api/v1/admin/dead-letters").bearer(shop.admin()).send().await.read();
    page.items.len()
}

async fn buy(shop: &TestShop, book: bookworm_kernel::BookId) -> Order {
    let purchase = shop.purchase(&[(book, 1)], "tok_approve").await;
    let answer = shop.check_out(&purchase).await;
    assert!(answer.status.is_success(), "{}", answer.body);
    answer.read()
}

async fn decided(shop: &TestShop, order: &Order) {
    until("the order is confirmed and paid", || async {
        let order = shop.order(order.id).await;
        (order.status == OrderStatus::Confirmed && order.payment.status == PaymentStatus::Captured).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_is_bought_over_nats_also_after_a_restart() {
    let Some(url) = nats_url() else { return };
    let stream = nats_stream();
    let settings = [("nats.url", url.as_str()), ("nats.stream", &stream), ("nats.max_mib", "8")];
    let mut shop = TestShop::start_with(Database::Sqlite, &settings).await;
    let book = shop.book("The Dispossessed", 1299, 5).await;
    let order = buy(&shop, book.id).await;
    assert_eq!(order.status, OrderStatus::Confirmed);
    decided(&shop, &order).await;
    shop.restart().await;
    let order = buy(&shop, book.id).await;
    decided(&shop, &order).await;
    assert_eq!(dead_letters(&shop).await, 0);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_were_placed_while_nats_was_away_are_decided_when_it_is_back() {
    let Some(mut server) = NatsServer::start() else { return };
    let url = server.url();
    let settings = [("nats.url", url.as_str()), ("nats.max_mib", "8"), ("ordering.checkout_wait_seconds", "1")];
    let mut shop = TestShop::start_with(Database::Sqlite, &settings).await;
    let book = shop.book("The Lathe of Heaven", 999, 9).await;
    let before = buy(&shop, book.id).await;
    server.kill();
    let mut meanwhile = Vec::new();
    for _ in 0..3 {
        let purchase = shop.purchase(&[(book.id, 1)], "tok_approve").await;
        let answer = shop.check_out(&purchase).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "accepted, and not decided yet: {}", answer.body);
        meanwhile.push(answer.read::<Order>());
    }
    server.start_again();
    decided(&shop, &before).await;
    for order in &meanwhile {
        decided(&shop, order).await;
    }
    assert_eq!(dead_letters(&shop).await, 0);
    assert_eq!(shop.stock(book.id).await, (9, 4, 5), "each reserved once");
    shop.stop().await;
}
