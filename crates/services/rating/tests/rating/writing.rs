//! Writing, editing, taking back, voting.

use std::time::Duration;

use bookworm_contracts::events::ordering::OrderRefunded;

use super::*;

bookworm_testing::on_every_database!(
    a_buyer_is_seen_at_once_and_others_wait,
    an_order_that_completes_later_verifies,
    a_review_stays_verified_when_its_order_is_refunded,
    there_is_one_review_for_each_account_and_book,
    two_at_once_are_one_review,
    only_its_author_edits_and_deletes,
    a_vote_counts_once_and_never_for_oneself,
    changes_are_limited,
    wrong_fields_are_named
);

async fn a_buyer_is_seen_at_once_and_others_wait(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (buyer, other) = (customer(), customer());
    shop.complete(home, book(1), &[Some(buyer.id), None]).await;
    let body = json!({"rating": 4.5, "title": " Cold ", "text": "Line one\r\nline two <b>", "language": "English"});
    let seen = shop.write(&buyer, book(1), body).await.expect(201);
    assert_eq!((&seen.body["verified"], &seen.body["standing"]["status"]), (&json!(true), &json!("published")));
    assert_eq!((seen.body["title"].as_str(), seen.body["language"].as_str()), (Some("Cold"), Some("en")));
    assert_eq!(seen.body["text"], "Line one\nline two <b>", "text is text");
    assert_eq!(seen.header("location"), Some(format!("/api/v1/reviews/{}", seen.string("id")).as_str()));
    let waits = shop.review(&other, book(1), json!({"rating": 1})).await;
    assert_eq!(shop.standing(&other, &waits).await, ("waiting".to_owned(), "not_verified".to_owned()));
    let elsewhere = shop.review(&buyer, book(2), json!({"rating": 1})).await;
    assert_eq!(shop.standing(&buyer, &elsewhere).await.0, "waiting", "what was bought is another book");

    let page = shop.get(&format!("/books/{}/reviews", book(1))).await.expect(200).body;
    assert_eq!((page["count"].as_i64(), page["average"].as_f64()), (Some(1), Some(4.5)));
    assert_eq!(page["items"][0]["standing"], Value::Null);
    shop.get(&format!("/reviews/{waits}")).await.expect_problem(404, "not_found");
    shop.get_as(&buyer, &format!("/reviews/{waits}")).await.expect_problem(404, "not_found");
    shop.get(&format!("/books/{}/reviews", book(404))).await.expect_problem(404, "not_found");
    shop.write(&other, book(404), json!({"rating": 1})).await.expect_problem(404, "not_found");
    let anonymous = shop.client.post(&format!("/books/{}/reviews", book(1))).json(&json!({"rating": 1})).send().await;
    anonymous.expect_problem(401, "unauthenticated");
    shop.close().await;
}

async fn an_order_that_completes_later_verifies(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (waiting, held) = (customer(), customer());
    let first = shop.review(&waiting, book(1), json!({"rating": 3})).await;
    let second = shop.review(&held, book(1), json!({"rating": 3, "text": "Buy at https://evil.example"})).await;
    shop.complete(home, book(1), &[Some(waiting.id), Some(held.id), Some(waiting.id)]).await;
    assert_eq!(shop.standing(&waiting, &first).await.0, "published");
    assert_eq!(shop.standing(&held, &second).await, ("held".to_owned(), "link".to_owned()));
    let events = shop.get_as(&waiting, &format!("/reviews/{first}/events")).await.expect(200).body;
    let events = events["items"].as_array().unwrap();
    let what: Vec<_> = events.iter().map(|event| (event["type"].as_str().unwrap(), &event["by"])).collect();
    let (author, rule) = (json!("author"), json!("shop"));
    assert_eq!(what, [("Written", &author), ("Waiting", &author), ("Verified", &rule), ("Published", &rule)]);
    shop.close().await;
}

async fn a_review_stays_verified_when_its_order_is_refunded(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let buyer = customer();
    let order = completed(book(1), Some(buyer.id));
    shop.react(home, std::slice::from_ref(&order)).await;
    let review = shop.review(&buyer, book(1), json!({"rating": 2, "text": "Torn."})).await;
    let refunded = OrderRefunded { amount: order.order.total, order: order.order, reason: "torn".to_owned() };
    shop.react(home, &[refunded]).await;
    let page = shop.get(&format!("/books/{}/reviews", book(1))).await.expect(200).body;
    assert_eq!((&page["items"][0]["id"], &page["items"][0]["verified"]), (&json!(review), &json!(true)));
    let said = page["checked"].as_str().unwrap();
    assert!(said.contains("The mark stays if the order is refunded later"), "{said}");
    let changed = shop.client.put(&format!("/reviews/{review}")).caller(buyer.clone()).header("if-match", "*");
    let changed = changed.json(&json!({"rating": 3})).send().await.expect(200);
    assert_eq!(changed.body["verified"], json!(true), "also when its author changes it");
    shop.close().await;
}

async fn there_is_one_review_for_each_account_and_book(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let reader = customer();
    shop.complete(home, book(1), &[Some(reader.id)]).await;
    let id = shop.review(&reader, book(1), json!({"rating": 5})).await;
    let again = shop.write(&reader, book(1), json!({"rating": 1})).await.expect_problem(409, "duplicate_value");
    assert_eq!(again.string("review_id"), id);
    drop(shop.client.delete(&format!("/reviews/{id}")).caller(reader.clone()).send().await.expect(204));
    assert_eq!(shop.ratings(&format!("/books/{}/reviews", book(1))).await, [0.0; 0]);
    shop.get_as(&reader, &format!("/reviews/{id}")).await.expect_problem(404, "not_found");
    assert_eq!(shop.get_as(&reader, "/reviews").await.body["items"], json!([]));
    shop.review(&reader, book(1), json!({"rating": 2})).await;
    assert_eq!(shop.ratings(&format!("/books/{}/reviews", book(1))).await, [2.0]);
    shop.close().await;
}

async fn two_at_once_are_one_review(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let reader = customer();
    let post = || shop.write(&reader, book(1), json!({"rating": 5}));
    let (a, b, c) = tokio::join!(post(), post(), post());
    let mut statuses = [a, b, c].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    // Whatever comes first, the order or the review.
    let buyer = customer();
    let buyers = [Some(buyer.id)];
    let (written, ()) =
        tokio::join!(shop.write(&buyer, book(2), json!({"rating": 5})), shop.complete(home, book(2), &buyers));
    assert_eq!(shop.standing(&buyer, &written.expect(201).string("id")).await.0, "published");
    shop.close().await;
}

async fn only_its_author_edits_and_deletes(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (author, other) = (customer(), customer());
    shop.complete(home, book(1), &[Some(author.id)]).await;
    let id = shop.review(&author, book(1), json!({"rating": 5, "title": "Good", "text": "Very."})).await;
    let path = format!("/reviews/{id}");
    let body = json!({"rating": 0.5});
    let put = |who: &Arc<AccountClaims>| shop.client.put(&path).caller(who.clone()).json(&body);
    put(&author).send().await.expect_problem(428, "precondition_required");
    put(&author).header("if-match", "\"99\"").send().await.expect_problem(412, "edit_conflict");
    put(&other).header("if-match", "*").send().await.expect_problem(404, "not_found");
    let tag = shop.get_as(&author, &path).await.header("etag").unwrap().to_owned();
    let edited = put(&author).header("if-match", &tag).send().await.expect(200);
    assert_eq!((&edited.body["rating"], &edited.body["title"]), (&json!(0.5), &Value::Null));
    put(&author).header("if-match", &tag).send().await.expect_problem(412, "edit_conflict");
    shop.client.delete(&path).caller(other.clone()).send().await.expect_problem(404, "not_found");
    drop(shop.client.delete(&path).caller(author.clone()).send().await.expect(204));
    shop.client.delete(&path).caller(author.clone()).send().await.expect_problem(404, "not_found");
    let words = "SELECT COUNT(*) FROM reviews WHERE title IS NOT NULL OR text IS NOT NULL OR author_name <> ''";
    assert_eq!(count(shop.service.db(), words).await, 0, "what was taken back is nowhere");
    shop.close().await;
}

async fn a_vote_counts_once_and_never_for_oneself(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (author, reader) = (customer(), customer());
    shop.complete(home, book(1), &[Some(author.id)]).await;
    let id = shop.review(&author, book(1), json!({"rating": 5})).await;
    let path = format!("/reviews/{id}/helpful");
    let vote = || async { shop.client.put(&path).caller(reader.clone()).send().await.expect(204) };
    let _ = tokio::join!(vote(), vote(), vote());
    let helpful = || async { shop.get(&format!("/reviews/{id}")).await.body["helpful"].as_i64().unwrap() };
    assert_eq!(helpful().await, 1);
    shop.client.put(&path).caller(author.clone()).send().await.expect_problem(403, "forbidden");
    for _ in 0..2 {
        drop(shop.client.delete(&path).caller(reader.clone()).send().await.expect(204));
        assert_eq!(helpful().await, 0);
    }
    shop.close().await;
}

async fn changes_are_limited(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (author, reader) = (customer(), customer());
    shop.complete(home, book(1), &[Some(author.id)]).await;
    let id = shop.review(&author, book(1), json!({"rating": 5})).await;
    let path = format!("/reviews/{id}/helpful");
    for _ in 0..100 {
        drop(shop.client.put(&path).caller(reader.clone()).send().await.expect(204));
    }
    shop.clock.advance(Duration::from_secs(60 * 60));
    let refused = shop.client.put(&path).caller(reader.clone()).send().await.expect_problem(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), Some("82800"), "23 hours");
    shop.clock.advance(Duration::from_secs(23 * 60 * 60));
    drop(shop.client.put(&path).caller(reader.clone()).send().await.expect(204));
    shop.close().await;
}

async fn wrong_fields_are_named(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let reader = customer();
    let text = |length: usize| "ä".repeat(length);
    let cases = [
        (json!({}), "/rating"),
        (json!({"rating": 0}), "/rating"),
        (json!({"rating": 5.5}), "/rating"),
        (json!({"rating": 4.2}), "/rating"),
        (json!({"rating": "5"}), "/rating"),
        (json!({"rating": 5, "title": text(121)}), "/title"),
        (json!({"rating": 5, "title": "a\nb"}), "/title"),
        (json!({"rating": 5, "text": text(5001)}), "/text"),
        (json!({"rating": 5, "text": "a\u{7}b"}), "/text"),
        (json!({"rating": 5, "language": "Klingonese"}), "/language"),
        (json!({"rating": 5, "spoiler": "yes"}), "/spoiler"),
        (json!({"rating": 5, "verified": true}), "/verified"),
    ];
    for (body, field) in cases {
        let answer = shop.write(&reader, book(1), body.clone()).await.expect_problem(400, "validation_failed");
        assert_eq!(answer.fields(), [field], "{body}");
    }
    let most = json!({"rating": 5, "title": "b c ".repeat(30).trim(), "text": " ", "language": ""});
    drop(shop.write(&reader, book(1), most).await.expect(201));
    shop.close().await;
}
