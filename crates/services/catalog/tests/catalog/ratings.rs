//! What readers give: the reviews of this shop, and what an import said.

use std::collections::BTreeMap;

use bookworm_contracts::events::rating::BookRated;

use super::*;

/// A book's first, second, ... numbers.
fn rated(book_id: BookId, version: i64, half_stars: i64, count: i64) -> BookRated {
    BookRated {
        book_id,
        version,
        count,
        half_stars,
        average_hundredths: half_stars * 50 / count.max(1),
        bayesian_ten_thousandths: 35_000,
        distribution: [0; 5],
    }
}

async fn by_rating(shop: &Shop) -> String {
    let books = shop.get("/books?sort=rating").await.body;
    books["items"].as_array().unwrap().iter().map(|book| book["source_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn reviews_take_the_place_of_an_imported_rating_and_leave_it_readable() {
    on_each(|shop| async move {
        fill(&shop).await;
        let list = shop.get("/books?sort=rating").await.body;
        let ids: BTreeMap<&str, BookId> = (list["items"].as_array().unwrap().iter())
            .map(|book| (book["source_id"].as_str().unwrap(), book_id(book)))
            .collect();
        let (ender, darkness) = (ids["2"], ids["6"]);
        let read = async |id: BookId| shop.get(&format!("/books/{id}")).await.body;
        let before = read(ender).await;
        let imported = json!({"average": 4.3, "count": 9000, "source": null});
        assert_eq!(before["rating"], json!({"average": 4.3, "count": 9000, "source": "imported"}));
        assert_eq!((&before["imported_rating"], by_rating(&shop).await.as_str()), (&imported, "243165"));

        let working = shop.work().await;
        working.heard(6).await;
        // A first good review is shown as it is, and does not throw back what thousands liked.
        working.publish(&rated(ender, 1, 9, 1)).await;
        let (subject, body) = working.heard(1).await.remove(0);
        assert_eq!((subject.as_str(), &body["book_id"]), (BookChanged::SUBJECT, &json!(ender)));
        let one = read(ender).await;
        assert_eq!(one["rating"], json!({"average": 4.5, "count": 1, "source": "reviews"}));
        assert_eq!((&one["imported_rating"], &one["version"]), (&imported, &before["version"]));
        assert_eq!(by_rating(&shop).await, "243165");
        // Many of this shop outweigh what was expected.
        working.publish(&rated(ender, 2, 100, 50)).await;
        working.publish(&rated(darkness, 1, 100, 10)).await;
        working.heard(2).await;
        assert_eq!(by_rating(&shop).await, "436152");

        // A repeat, and what is older, change nothing and are not published.
        working.publish(&rated(ender, 2, 100, 50)).await;
        working.publish(&rated(ender, 1, 9, 1)).await;
        working.publish(&rated(BookId::new(), 1, 9, 1)).await;
        // Editing keeps both, and the place in the list.
        working.publish(&rated(darkness, 2, 91, 10)).await;
        assert_eq!(working.heard(1).await[0].1["book_id"], json!(darkness));
        let two = read(ender).await;
        assert_eq!(two["rating"], json!({"average": 1.0, "count": 50, "source": "reviews"}));
        let place = by_rating(&shop).await;
        let edited = json!({"title": "Ender's Game", "price": usd(900)});
        let answer = shop.send("PUT", &format!("/books/{ender}"), &[("if-match", "*")], edited).await;
        assert_eq!((answer.status, &answer.body["imported_rating"]), (StatusCode::OK, &imported));
        assert_eq!((&answer.body["rating"], by_rating(&shop).await), (&two["rating"], place));

        // The last review is taken back.
        working.publish(&rated(ender, 3, 0, 0)).await;
        working.heard(2).await;
        assert_eq!(read(ender).await["rating"], before["rating"]);
        assert!(by_rating(&shop).await.starts_with('2'));
    })
    .await;
}

#[tokio::test]
async fn an_import_says_where_readers_rated() {
    on_each(|shop| async move {
        let named =
            r#"{"source_id": "1", "title": "A", "rating_avg": 4, "rating_count": 3, "rating_source": "The Library"}"#;
        shop.import("a.jsonl", named.as_bytes()).await;
        let silent = r#"{"source_id": "2", "title": "B", "rating_avg": 4, "rating_count": 3}"#;
        let nobody = r#"{"source_id": "3", "title": "C", "rating_avg": 4, "rating_source": "The Library"}"#;
        shop.import("b.jsonl", format!("{silent}\n{nobody}").as_bytes()).await;
        let books = shop.get("/books?sort=title").await.body;
        let imported: Vec<_> = books["items"].as_array().unwrap().iter().map(|book| &book["imported_rating"]).collect();
        let rating = |source: Value| json!({"average": 4.0, "count": 3, "source": source});
        assert_eq!(imported, [&rating(json!("The Library")), &rating(Value::Null), &Value::Null]);
    })
    .await;
}
