//! What reviews say together.

use super::*;

bookworm_testing::on_every_database!(
    from_five_reviews_on_readers_are_quoted,
    what_was_taken_back_is_not_quoted_for_a_moment,
    a_sentence_that_the_model_refuses_is_left_out,
    it_stands_beside_the_first_page_of_all_reviews,
    without_a_model_the_summary_waits
);

const TEXTS: [(f64, &str); 5] = [
    (5.0, "The writing is beautiful all the way. I bought two copies of it."),
    (4.5, "What beautiful writing this is!"),
    (4.0, "I loved the story from the start. The end is a bit weak."),
    (4.0, "Such beautiful writing, page after page."),
    (2.0, "A dull plot, and the story is weak."),
];

/// Somebody with a completed order writes a review of book 1.
async fn reviewed(home: &TestDatabases, shop: &Shop, rating: f64, text: &str) -> (Arc<AccountClaims>, String) {
    let author = customer();
    shop.complete(home, book(1), &[Some(author.id)]).await;
    let id = shop.review(&author, book(1), json!({"rating": rating, "text": text})).await;
    (author, id)
}

async fn five(home: &TestDatabases, shop: &Shop) -> Vec<(Arc<AccountClaims>, String)> {
    let mut written = Vec::new();
    for (rating, text) in TEXTS {
        written.push(reviewed(home, shop, rating, text).await);
    }
    written
}

/// The sentences of each point.
fn points(summary: &Value, side: &str) -> Vec<Vec<String>> {
    let text = |sentence: &Value| sentence["text"].as_str().unwrap().to_owned();
    let point = |point: &Value| point["sentences"].as_array().unwrap().iter().map(text).collect();
    summary[side].as_array().unwrap().iter().map(point).collect()
}

async fn summary(shop: &Shop) -> Value {
    shop.get(&format!("/books/{}/reviews", book(1))).await.expect(200).body["summary"].clone()
}

async fn from_five_reviews_on_readers_are_quoted(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    for (rating, text) in &TEXTS[..4] {
        reviewed(home, &shop, *rating, text).await;
    }
    assert_eq!(shop.service.summarize().await.unwrap(), Some(1));
    assert_eq!(summary(&shop).await, Value::Null, "four are too few");
    let (last, spoiler) = (TEXTS[4], "The writing is beautiful where he dies.");
    reviewed(home, &shop, last.0, last.1).await;
    assert_eq!(shop.service.summarize().await.unwrap(), Some(1));
    assert_eq!(shop.service.summarize().await.unwrap(), Some(0), "nothing has changed since");
    let said = summary(&shop).await;
    let praised = points(&said, "praised");
    assert_eq!(praised[0].len(), 3, "{said}");
    assert!(praised[0].iter().all(|sentence| sentence.contains("writing")), "{said}");
    let missed = points(&said, "missed");
    assert_eq!(missed, [["A dull plot, and the story is weak."]], "{said}");
    assert_eq!(said["missed"][0]["sentences"][0]["rating"], 2.0);
    assert_eq!(said["missed"][0]["sentences"][0]["author"], "Ann");

    let author = customer();
    shop.complete(home, book(1), &[Some(author.id)]).await;
    shop.review(&author, book(1), json!({"rating": 5, "text": spoiler, "spoiler": true})).await;
    assert_eq!(shop.service.summarize().await.unwrap(), Some(1), "it is built anew when reviews change");
    assert!(!summary(&shop).await.to_string().contains("dies"), "what gives the ending away is not quoted");
    shop.close().await;
}

async fn what_was_taken_back_is_not_quoted_for_a_moment(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let written = five(home, &shop).await;
    shop.service.summarize().await.unwrap();
    let (author, id) = &written[4];
    let edit = shop.client.put(&format!("/reviews/{id}")).caller(author.clone()).header("if-match", "*");
    drop(edit.json(&json!({"rating": 3, "text": "I have thought about it again."})).send().await.expect(200));
    assert_eq!(points(&summary(&shop).await, "missed"), [[""; 0]; 0], "its author wrote something else");
    let (author, id) = &written[0];
    let delete = shop.client.delete(&format!("/reviews/{id}")).caller(author.clone()).header("if-match", "*");
    drop(delete.send().await.expect(204));
    let hidden =
        shop.decide(&staff(), &written[1].1, json!({"verdict": "hide", "reason": "Not about the book."})).await;
    drop(hidden.expect(200));
    let praised = points(&summary(&shop).await, "praised");
    assert_eq!(praised[0], ["Such beautiful writing, page after page."], "deleted and hidden ones are gone");
    assert_eq!(shop.service.summarize().await.unwrap(), Some(1));
    assert_eq!(summary(&shop).await, Value::Null, "three are too few");
    shop.close().await;
}

async fn without_a_model_the_summary_waits(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    five(home, &shop).await;
    shop.service.summarize().await.unwrap();
    let before = summary(&shop).await;
    reviewed(home, &shop, 5.0, "The beautiful writing machine is out of order.").await;
    assert_eq!(shop.service.summarize().await.unwrap(), None);
    assert_eq!(summary(&shop).await, before, "what there is stays");
    shop.close().await;
}

async fn a_sentence_that_the_model_refuses_is_left_out(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    five(home, &shop).await;
    reviewed(home, &shop, 5.0, "I loved it so \u{1F4A5} much. The beautiful writing again!").await;
    assert_eq!(shop.service.summarize().await.unwrap(), Some(1));
    let said = summary(&shop).await;
    assert_eq!(points(&said, "praised")[0].len(), 4, "{said}");
    shop.close().await;
}

async fn it_stands_beside_the_first_page_of_all_reviews(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    five(home, &shop).await;
    shop.service.summarize().await.unwrap();
    let path = format!("/books/{}/reviews", book(1));
    let first = shop.get(&format!("{path}?limit=2&sort=newest")).await.expect(200).body;
    assert!(first["summary"].is_object());
    let next = first["next"].as_str().unwrap();
    for query in ["stars=5", "verified=true", "language=en", &*format!("limit=2&sort=newest&cursor={next}")] {
        assert_eq!(shop.get(&format!("{path}?{query}")).await.expect(200).body["summary"], Value::Null, "{query}");
    }
    shop.close().await;
}
