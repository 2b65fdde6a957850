//! What the published reviews of a book give together, as other roles hear it.

use bookworm_contracts::events::rating::BookRated;

use super::*;

bookworm_testing::on_every_database!(every_change_that_counts_is_published_once, writers_at_once_are_all_counted);

fn numbers(rated: &BookRated) -> (i64, i64, i64, i64, [i64; 5]) {
    (rated.version, rated.count, rated.half_stars, rated.average_hundredths, rated.distribution)
}

async fn every_change_that_counts_is_published_once(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let listener = Listener::<BookRated>::new(&shop, home).await;
    let (ann, bob, cat) = (customer(), customer(), customer());
    shop.complete(home, book(1), &[Some(ann.id), Some(bob.id)]).await;
    let first = shop.review(&ann, book(1), json!({"rating": 4.5})).await;
    drop(shop.review(&bob, book(1), json!({"rating": 2})).await);
    // These count only from their publication on.
    drop(shop.review(&customer(), book(1), json!({"rating": 1, "text": "See https://evil.example"})).await);
    let waits = shop.review(&cat, book(1), json!({"rating": 5})).await;
    shop.complete(home, book(1), &[Some(cat.id), Some(cat.id)]).await;
    let edit = async |body: Value| {
        let request = shop.client.put(&format!("/reviews/{first}")).caller(ann.clone()).header("if-match", "*");
        drop(request.json(&body).send().await.expect(200));
    };
    edit(json!({"rating": 4.5, "text": "Other words"})).await;
    edit(json!({"rating": 3})).await;
    drop(shop.decide(&staff(), &waits, json!({"verdict": "hide", "reason": "Rude"})).await.expect(200));
    drop(shop.decide(&staff(), &waits, json!({"verdict": "hide", "reason": "Very rude"})).await.expect(200));
    drop(shop.decide(&staff(), &waits, json!({"verdict": "publish"})).await.expect(200));
    drop(shop.client.delete(&format!("/reviews/{first}")).caller(ann.clone()).send().await.expect(204));
    // Another book has numbers of its own.
    shop.complete(home, book(2), &[Some(ann.id)]).await;
    drop(shop.review(&ann, book(2), json!({"rating": 0.5})).await);

    let heard = listener.heard(8).await;
    let shown: Vec<_> = heard.iter().map(numbers).collect();
    assert_eq!(
        shown,
        [
            (1, 1, 9, 450, [0, 0, 0, 0, 1]),
            (2, 2, 13, 325, [0, 1, 0, 0, 1]),
            (3, 3, 23, 383, [0, 1, 0, 0, 2]),
            (4, 3, 20, 333, [0, 1, 1, 0, 1]),
            (5, 2, 10, 250, [0, 1, 1, 0, 0]),
            (6, 3, 20, 333, [0, 1, 1, 0, 1]),
            (7, 2, 14, 350, [0, 1, 0, 0, 1]),
            (1, 1, 1, 50, [1, 0, 0, 0, 0]),
        ]
    );
    assert!(heard[..7].iter().all(|rated| rated.book_id == book(1)) && heard[7].book_id == book(2));
    assert_eq!(heard[0].bayesian_ten_thousandths, 35_476);
    listener.stop().await;
    shop.close().await;
}

async fn writers_at_once_are_all_counted(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let listener = Listener::<BookRated>::new(&shop, home).await;
    let readers: Vec<_> = (0..8).map(|_| customer()).collect();
    let ids: Vec<_> = readers.iter().map(|reader| Some(reader.id)).collect();
    shop.complete(home, book(1), &ids).await;
    let written = readers.iter().map(|reader| shop.write(reader, book(1), json!({"rating": 4})));
    for answer in futures::future::join_all(written).await {
        drop(answer.expect(201));
    }
    let mut heard = listener.heard(8).await;
    heard.sort_by_key(|rated| rated.version);
    let counts: Vec<_> = heard.iter().map(|rated| (rated.version, rated.count)).collect();
    assert_eq!(counts, (1..=8).map(|n| (n, n)).collect::<Vec<_>>(), "a higher version never knows less");
    listener.stop().await;
    shop.close().await;
}
