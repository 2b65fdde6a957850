//! Two hundred people want the last ten copies.

use bookworm_contracts::rest::ordering::{Order, OrderStatus};
use bookworm_kernel::OrderId;
use bookworm_testkit::{Purchase, Response, TestShop, on_every_database, until};
use futures::{StreamExt, future::join_all, stream};
use http::StatusCode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_ten_copies_are_sold_ten_times() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("The Last Copies", 1500, 10).await;
        let one = [(book.id, 1)];
        // Filling the baskets is not what is tried here.
        let purchases: Vec<_> =
            stream::iter(0..200).map(|_| shop.purchase(&one, "tok_approve")).buffered(8).collect().await;
        let answers = join_all(purchases.iter().map(|purchase| patiently(&shop, purchase))).await;

        // An answer that took too long names the order; its fate is read there.
        let fates = join_all(answers.iter().map(|answer| async {
            match answer.status {
                StatusCode::CREATED => OrderStatus::Confirmed,
                StatusCode::ACCEPTED => fate(&shop, answer.read::<Order>().id).await,
                _ if answer.is_problem("insufficient_stock") => OrderStatus::Rejected,
                other => panic!("{other} {}", answer.body),
            }
        }))
        .await;
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        assert_eq!((count(OrderStatus::Confirmed), count(OrderStatus::Rejected)), (10, 190));
        assert_eq!(shop.stock(book.id).await, (10, 10, 0));
        shop.stop().await;
    })
    .await;
}

/// Checks out as a good client does: a shop that is too busy is asked again, with the same key.
async fn patiently(shop: &TestShop, purchase: &Purchase) -> Response {
    until("the shop has time", || async {
        Some(shop.check_out(purchase).await).filter(|answer| answer.status != StatusCode::SERVICE_UNAVAILABLE)
    })
    .await
}

async fn fate(shop: &TestShop, order: OrderId) -> OrderStatus {
    until("the order is decided", || async {
        Some(shop.order(order).await.status).filter(|status| *status != OrderStatus::Pending)
    })
    .await
}
