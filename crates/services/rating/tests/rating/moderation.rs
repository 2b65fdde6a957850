//! What is held, what staff decide, and what authors can do about it.

use std::time::Duration;

use super::*;

bookworm_testing::on_every_database!(
    what_is_found_is_held_with_its_reason,
    staff_decide_and_the_author_reads_why,
    an_edit_after_staff_read_it_is_not_published,
    reports_reach_staff_and_are_settled,
    the_shop_answers
);

async fn what_is_found_is_held_with_its_reason(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let long = "I have never read anything like this book before.";
    let buyers: Vec<_> = (0..5).map(|_| customer()).collect();
    let ids: Vec<_> = buyers.iter().map(|buyer| Some(buyer.id)).collect();
    shop.complete(home, book(1), &ids).await;
    let cases = [
        (json!({"rating": 5, "text": long}), ""),
        (json!({"rating": 5, "text": "see www.evil.example"}), "link"),
        (json!({"rating": 5, "title": "ann@example.org"}), "address"),
        (json!({"rating": 5, "text": "Sooooooooooo good"}), "repeated"),
        (json!({"rating": 5, "text": long.to_uppercase()}), "repeated"),
    ];
    for (buyer, (body, reason)) in buyers.iter().zip(&cases) {
        let id = shop.review(buyer, book(1), body.clone()).await;
        let status = if reason.is_empty() { "published" } else { "held" };
        assert_eq!(shop.standing(buyer, &id).await, (status.to_owned(), (*reason).to_owned()), "{body}");
    }
    // The same words in one's own edit are no repetition, but a link that is added is held.
    let (author, own) = (&buyers[0], shop.get_as(&buyers[0], "/reviews").await.body["items"][0]["id"].clone());
    let own = own.as_str().unwrap();
    for (text, status) in [(long.to_owned(), "published"), (format!("{long} http://evil.example"), "held")] {
        let request = shop.client.put(&format!("/reviews/{own}")).caller(author.clone()).header("if-match", "*");
        drop(request.json(&json!({"rating": 4, "text": text})).send().await.expect(200));
        assert_eq!(shop.standing(author, own).await.0, status);
    }
    // Five reviews within an hour are enough.
    let eager = customer();
    for n in 10..17 {
        shop.complete(home, book(n), &[Some(eager.id)]).await;
    }
    for n in 10..15 {
        let id = shop.review(&eager, book(n), json!({"rating": 5})).await;
        assert_eq!(shop.standing(&eager, &id).await.0, "published", "{n}");
    }
    let id = shop.review(&eager, book(15), json!({"rating": 5})).await;
    assert_eq!(shop.standing(&eager, &id).await, ("held".to_owned(), "rate".to_owned()));
    shop.clock.advance(Duration::from_secs(60 * 60));
    let id = shop.review(&eager, book(16), json!({"rating": 5})).await;
    assert_eq!(shop.standing(&eager, &id).await.0, "published", "an hour later");
    shop.close().await;
}

async fn staff_decide_and_the_author_reads_why(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (author, staff) = (customer(), staff());
    let id = shop.review(&author, book(1), json!({"rating": 1, "text": "Rubbish."})).await;
    shop.get_as(&author, "/admin/reviews").await.expect_problem(403, "forbidden");
    shop.decide(&author, &id, json!({"verdict": "publish"})).await.expect_problem(403, "forbidden");
    let queue = || async { shop.get_as(&staff, "/admin/reviews").await.expect(200).body };
    assert_eq!(queue().await["items"][0]["review"]["id"], json!(id));

    let answer = shop.decide(&staff, &id, json!({"verdict": "hide"})).await.expect_problem(400, "validation_failed");
    assert_eq!(answer.fields(), ["/reason"]);
    drop(shop.decide(&staff, &id, json!({"verdict": "hide", "reason": "It is about the parcel."})).await.expect(200));
    assert_eq!(queue().await["items"], json!([]));
    let own = shop.get_as(&author, &format!("/reviews/{id}")).await.body;
    assert_eq!(own["standing"]["explanation"], "It is about the parcel.");

    let appeal = |text: &str| {
        let body = json!({"text": text});
        let request = shop.client.post(&format!("/reviews/{id}/appeal")).caller(author.clone());
        async move { request.json(&body).send().await }
    };
    drop(appeal("It is about the book.").await.expect(200));
    appeal("Please.").await.expect_problem(409, "invalid_review_state");
    assert_eq!(queue().await["items"][0]["review"]["standing"]["appeal"], "It is about the book.");
    drop(shop.decide(&staff, &id, json!({"verdict": "publish", "reason": "You are right."})).await.expect(200));
    appeal("Thanks").await.expect_problem(409, "invalid_review_state");
    assert_eq!(shop.ratings(&format!("/books/{}/reviews", book(1))).await, [1.0]);

    let path = format!("/reviews/{id}/events");
    shop.get_as(&customer(), &path).await.expect_problem(404, "not_found");
    let events = shop.get_as(&author, &path).await.expect(200).body;
    let last = &events["items"][4];
    assert_eq!((&last["type"], &last["by"]), (&json!("Published"), &json!("staff")));
    assert_eq!((&last["reason"], &last["account"]), (&json!("You are right."), &Value::Null));
    let events = shop.get_as(&staff, &path).await.expect(200).body;
    assert_eq!(events["items"][4]["account"], json!(staff.id), "staff see who it was");
    shop.close().await;
}

async fn an_edit_after_staff_read_it_is_not_published(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (author, staff) = (customer(), staff());
    let id = shop.review(&author, book(1), json!({"rating": 5, "text": "Fine."})).await;
    let read = shop.get_as(&staff, &format!("/reviews/{id}")).await;
    let tag = read.header("etag").unwrap();
    let edit = shop.client.put(&format!("/reviews/{id}")).caller(author.clone()).header("if-match", "*");
    drop(edit.json(&json!({"rating": 5, "text": "Something rude."})).send().await.expect(200));
    let decision = shop.client.post(&format!("/admin/reviews/{id}/decision")).caller(staff.clone());
    let decision = decision.header("if-match", tag).json(&json!({"verdict": "publish"})).send().await;
    decision.expect_problem(412, "edit_conflict");
    assert_eq!(shop.standing(&author, &id).await.0, "waiting");
    shop.close().await;
}

async fn reports_reach_staff_and_are_settled(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (author, staff) = (customer(), staff());
    shop.complete(home, book(1), &[Some(author.id)]).await;
    let id = shop.review(&author, book(1), json!({"rating": 5})).await;
    let report = |who: Arc<AccountClaims>, body: Value| {
        let request = shop.client.post(&format!("/reviews/{id}/reports")).caller(who).json(&body);
        async move { request.send().await }
    };
    report(author.clone(), json!({"reason": "spam"})).await.expect_problem(403, "forbidden");
    let answer = report(customer(), json!({"reason": "other"})).await.expect_problem(400, "validation_failed");
    assert_eq!(answer.fields(), ["/text"]);
    let reader = customer();
    for _ in 0..2 {
        drop(report(reader.clone(), json!({"reason": "off_topic", "text": "About shoes."})).await.expect(204));
    }
    for _ in 0..6 {
        drop(report(customer(), json!({"reason": "spam"})).await.expect(204));
    }
    assert_eq!(shop.standing(&author, &id).await.0, "published", "readers decide nothing");
    let queue = shop.get_as(&staff, "/admin/reviews").await.expect(200).body;
    let first = &queue["items"][0];
    assert_eq!((first["report_count"].as_i64(), first["reports"].as_array().unwrap().len()), (Some(7), 5));
    drop(shop.decide(&staff, &id, json!({"verdict": "publish"})).await.expect(200));
    assert_eq!(shop.get_as(&staff, "/admin/reviews").await.body["items"], json!([]));
    drop(report(reader, json!({"reason": "spam"})).await.expect(204));
    assert_eq!(shop.get_as(&staff, "/admin/reviews").await.body["items"], json!([]), "one report for each account");
    let all = shop.get_as(&staff, "/admin/reviews?queue=published").await.expect(200).body;
    assert_eq!(all["items"][0]["report_count"], 0);
    shop.close().await;
}

async fn the_shop_answers(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (author, staff) = (customer(), staff());
    let id = shop.review(&author, book(1), json!({"rating": 2})).await;
    let path = format!("/reviews/{id}/answer");
    let put = |who: &Arc<AccountClaims>| {
        let request = shop.client.put(&path).caller(who.clone()).json(&json!({"text": "We are sorry.\nReally."}));
        async move { request.send().await }
    };
    put(&staff).await.expect_problem(409, "invalid_review_state");
    drop(shop.decide(&staff, &id, json!({"verdict": "publish"})).await.expect(200));
    put(&author).await.expect_problem(403, "forbidden");
    drop(put(&staff).await.expect(200));
    assert_eq!(shop.get(&format!("/reviews/{id}")).await.body["answer"]["text"], "We are sorry.\nReally.");
    drop(shop.client.delete(&path).caller(staff.clone()).send().await.expect(204));
    shop.client.delete(&path).caller(staff.clone()).send().await.expect_problem(404, "not_found");
    assert_eq!(shop.get(&format!("/reviews/{id}")).await.body["answer"], Value::Null);
    shop.close().await;
}
