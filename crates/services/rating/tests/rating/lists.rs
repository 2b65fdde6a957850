//! A book's reviews: order, filters, pages.

use super::*;

bookworm_testing::on_every_database!(
    every_order_shows_each_review_once,
    filters_narrow_the_list,
    bad_queries_are_named
);

/// Seven published reviews of book 1: 0.5, 1, 4, 4.5, 5, 5 and 2 stars, the later the more helpful.
async fn seven(home: &TestDatabases) -> Shop {
    let shop = Shop::open(home).await;
    let authors: Vec<_> = (0..6).map(|_| customer()).collect();
    let ids: Vec<_> = authors.iter().map(|author| Some(author.id)).collect();
    shop.complete(home, book(1), &ids).await;
    let voters: Vec<_> = (0..6).map(|_| customer()).collect();
    for (n, rating) in [0.5, 1.0, 4.0, 4.5, 5.0, 5.0].into_iter().enumerate() {
        let language = if n % 2 == 0 { "de" } else { "en" };
        let id = shop.review(&authors[n], book(1), json!({"rating": rating, "language": language})).await;
        for voter in &voters[..n] {
            drop(shop.client.put(&format!("/reviews/{id}/helpful")).caller(voter.clone()).send().await.expect(204));
        }
    }
    let id = shop.review(&customer(), book(1), json!({"rating": 2})).await;
    drop(shop.decide(&staff(), &id, json!({"verdict": "publish"})).await.expect(200));
    shop
}

async fn every_order_shows_each_review_once(home: &TestDatabases) {
    let shop = seven(home).await;
    let orders = [
        ("helpful", [5.0, 5.0, 4.5, 4.0, 1.0, 2.0, 0.5]),
        ("newest", [2.0, 5.0, 5.0, 4.5, 4.0, 1.0, 0.5]),
        ("highest", [5.0, 5.0, 4.5, 4.0, 2.0, 1.0, 0.5]),
        ("lowest", [0.5, 1.0, 2.0, 4.0, 4.5, 5.0, 5.0]),
    ];
    for (sort, expected) in orders {
        let path = format!("/books/{}/reviews?sort={sort}", book(1));
        assert_eq!(shop.ratings(&path).await, expected, "{sort}");
        let (mut shown, mut cursor, mut ids) = (Vec::new(), String::new(), std::collections::BTreeSet::new());
        loop {
            let page = shop.get(&format!("{path}&limit=2&cursor={cursor}")).await.expect(200).body;
            for review in page["items"].as_array().unwrap() {
                shown.push(review["rating"].as_f64().unwrap());
                ids.insert(review["id"].to_string());
            }
            match page["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!((shown.as_slice(), ids.len()), (expected.as_slice(), 7), "{sort} in pages");
    }
    let page = shop.get(&format!("/books/{}/reviews?limit=1", book(1))).await.body;
    assert_eq!((page["count"].as_i64(), page["average"].to_string().as_str()), (Some(7), "3.14"));
    let counts: Vec<_> = page["distribution"].as_array().unwrap().iter().map(|one| one["count"].as_i64()).collect();
    assert_eq!(counts, [3, 1, 0, 1, 2].map(Some));
    let cursor = page["next"].as_str().unwrap();
    let other = shop.get(&format!("/books/{}/reviews?sort=newest&cursor={cursor}", book(1))).await;
    other.expect_problem(400, "invalid_cursor");
    shop.close().await;
}

async fn filters_narrow_the_list(home: &TestDatabases) {
    let shop = seven(home).await;
    let path = |query: &str| format!("/books/{}/reviews?sort=lowest&{query}", book(1));
    assert_eq!(shop.ratings(&path("stars=5")).await, [4.5, 5.0, 5.0]);
    assert_eq!(shop.ratings(&path("stars=1")).await, [0.5, 1.0]);
    assert_eq!(shop.ratings(&path("stars=3")).await, [0.0; 0]);
    assert_eq!(shop.ratings(&path("verified=false")).await, [2.0]);
    assert_eq!(shop.ratings(&path("verified=true&language=German")).await, [0.5, 4.0, 5.0]);
    let page = shop.get(&path("stars=5")).await.body;
    assert_eq!(page["count"], 7, "the summary is the book's");
    assert_eq!(shop.get(&format!("/books/{}/reviews", book(2))).await.expect(200).body["average"], json!(0.0));
    shop.close().await;
}

async fn bad_queries_are_named(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    for (query, field) in [
        ("sort=best", "/sort"),
        ("stars=0", "/stars"),
        ("stars=6", "/stars"),
        ("stars=4.5", "/stars"),
        ("verified=perhaps", "/verified"),
        ("language=Klingonese", "/language"),
        ("limit=101", "/limit"),
    ] {
        let answer = shop.get(&format!("/books/{}/reviews?{query}", book(1))).await;
        let answer = answer.expect_problem(400, "validation_failed");
        assert_eq!(answer.fields(), [field], "{query}");
    }
    for cursor in ["nonsense", "e30"] {
        let answer = shop.get(&format!("/books/{}/reviews?cursor={cursor}", book(1))).await;
        answer.expect_problem(400, "invalid_cursor");
    }
    shop.close().await;
}
