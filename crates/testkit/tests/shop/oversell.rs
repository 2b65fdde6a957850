//! Two hundred people want the last ten copies.

use bookworm_testkit::{TestShop, on_every_database};
use futures::future::join_all;
use http::StatusCode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_ten_copies_are_sold_ten_times() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("The Last Copies", 1500, 10).await;
        let one = [(book.id, 1)];
        let purchases = join_all((0..200).map(|_| shop.purchase(&one, "tok_approve"))).await;
        let answers = join_all(purchases.iter().map(|purchase| shop.check_out(purchase))).await;

        let confirmed = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
        let short = answers.iter().filter(|answer| answer.is_problem("insufficient_stock")).count();
        let others: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status != StatusCode::CREATED && !answer.is_problem("insufficient_stock"))
            .map(|answer| (answer.status, answer.json()))
            .collect();
        assert_eq!((confirmed, short), (10, 190), "{others:?}");
        assert_eq!(shop.stock(book.id).await, (10, 10, 0));
        shop.stop().await;
    })
    .await;
}
