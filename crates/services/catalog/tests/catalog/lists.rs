//! Lists, pages, suggestions, and searches without an index.

use super::*;

#[tokio::test]
async fn lists_are_narrowed_and_sorted() {
    on_each(|shop| async move {
        fill(&shop).await;
        let sources = async |query: &str| {
            let answer = shop.get(&format!("/books?{query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            let ids =
                answer.body["items"].as_array().unwrap().iter().map(|b| b["source_id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>().concat()
        };
        for (query, expected) in [
            ("", "234165"),
            ("sort=relevance", "234165"),
            ("sort=price", "214356"),
            ("sort=-price", "653412"),
            ("sort=newest", "243615"),
            ("sort=rating", "243165"),
            ("sort=title", "564123"),
            ("subject=science%20FICTION&sort=price", "243"),
            ("author=ursula%20k.%20le%20guin&sort=price", "43"),
            ("author=gabriel%20garcia%20marquez", "5"),
            ("publisher=ace", "3"),
            ("language=en&sort=title", "6423"),
            ("language=eng&sort=title", "6423"),
            ("language=English&sort=title", "6423"),
            ("language=EN-us&min_price=1100&max_price=1200&sort=price", "43"),
            ("in_stock=true&subject=Classics&sort=price", "56"),
            ("in_stock=false&subject=Classics&sort=price", "356"),
            ("subject=Classics&author=Ursula%20K.%20Le%20Guin&language=en", "3"),
            ("subject=Cooking", ""),
            ("subject=&author=&min_price=&limit=&cursor=&sort=", "234165"),
        ] {
            assert_eq!(sources(query).await, expected, "{query}");
        }
        let subject = shop.get("/subjects?q=sci").await.body["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(sources(&format!("subject={subject}&sort=price")).await, "243");
    })
    .await;
}

#[tokio::test]
async fn without_an_index_the_database_finds_every_word_and_ranks_titles_first() {
    on_each(|shop| async move {
        fill(&shop).await;
        let found = async |query: &str| {
            let answer = shop.get(&format!("/search?q={query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            (titles(&answer.body).join(" | "), answer.body["total"].as_i64().unwrap())
        };
        for (query, expected, total) in [
            ("darkness", "Darkness at Noon | The Left Hand of Darkness", 2),
            ("DARK%20guin", "The Left Hand of Darkness", 1),
            ("garcia%20marquez", "Cien años de soledad", 1),
            ("Garc%C3%ADa%20soledad", "Cien años de soledad", 1),
            ("emile", "Émile, or On Education", 1),
            ("enders%20game", "Ender's Game", 1),
            ("Ender%E2%80%99s", "Ender's Game", 1),
            ("978-0-441-47812-5", "The Left Hand of Darkness", 1),
            ("0441478123", "The Left Hand of Darkness", 1),
            ("97804414", "The Left Hand of Darkness", 1),
            ("le%20guin", "The Left Hand of Darkness | The Dispossessed", 2),
            ("le%20guin&in_stock=true", "The Dispossessed", 1),
            ("le%20guin&sort=price", "The Dispossessed | The Left Hand of Darkness", 2),
            ("arkness", "", 0),
            ("%21%21%21", "", 0),
        ] {
            assert_eq!(found(query).await, (expected.to_owned(), total), "{query}");
        }
        assert_eq!(found("").await.1, 6);
        let answer = shop.get("/search?q=the%20dispossessed").await;
        assert_eq!(answer.headers["surrogate-key"], answer.body["items"][0]["book"]["id"].as_str().unwrap());
        insta::allow_duplicates! {
            insta::assert_json_snapshot!(without(answer.body, &["book", "took_ms"]), @r#"
            {
              "degraded": true,
              "facets": {
                "author": [
                  {
                    "count": 1,
                    "value": "Ursula K. Le Guin"
                  }
                ],
                "language": [
                  {
                    "count": 1,
                    "value": "en"
                  }
                ],
                "price": [
                  {
                    "count": 1,
                    "value": "1000-1999"
                  }
                ],
                "subject": [
                  {
                    "count": 1,
                    "value": "Science Fiction"
                  },
                  {
                    "count": 1,
                    "value": "Utopias"
                  }
                ]
              },
              "items": [
                {
                  "book": "[hidden]",
                  "lang": "en",
                  "matched": {
                    "meaning": false,
                    "text": true
                  },
                  "score": 3.411764705882353
                }
              ],
              "missing": false,
              "nearest": false,
              "next": null,
              "took_ms": "[hidden]",
              "total": 1
            }
            "#);
        }
        let first = shop.get("/search?q=d&limit=3").await.body;
        let next = first["next"].as_str().unwrap();
        let second = shop.get(&format!("/search?q=d&limit=3&cursor={next}")).await.body;
        assert_eq!(titles(&second).len(), 1);
        assert!(titles(&second).iter().all(|title| !titles(&first).contains(title)));
        let other = shop.get(&format!("/books?cursor={next}")).await;
        assert_eq!(other.body["code"], "invalid_cursor");
    })
    .await;
}

#[tokio::test]
async fn suggestions_complete_and_similar_books_share_something() {
    on_each(|shop| async move {
        fill(&shop).await;
        let items = shop.get("/search/suggest?q=%C3%89MI").await.body;
        assert_eq!(
            (&items["items"][0]["text"], &items["items"][0]["kind"]),
            (&json!("Émile, or On Education"), &json!("title"))
        );
        let items = shop.get("/search/suggest?q=u").await.body;
        let kinds: Vec<_> =
            items["items"].as_array().unwrap().iter().map(|s| (s["text"].as_str(), s["kind"].as_str())).collect();
        assert_eq!(kinds, [(Some("Utopias"), Some("subject")), (Some("Ursula K. Le Guin"), Some("author"))]);
        assert_eq!(shop.get("/search/suggest?q=").await.body, json!({"items": []}));
        let book = shop.get("/search?q=dispossessed").await.body["items"][0]["book"]["id"].as_str().unwrap().to_owned();
        let similar = shop.get(&format!("/books/{book}/similar")).await.body;
        assert_eq!(titles(&similar), ["The Left Hand of Darkness", "Ender's Game"]);
        assert_eq!(similar["next"], Value::Null);
        let lonely = shop.get("/search?q=rousseau").await.body["items"][0]["book"]["id"].as_str().unwrap().to_owned();
        assert_eq!(shop.get(&format!("/books/{lonely}/similar")).await.body, json!({"items": [], "next": null}));
    })
    .await;
}

#[tokio::test]
async fn walking_all_pages_yields_each_book_once() {
    on_each(|shop| async move {
        shop.import("many.jsonl", many(60).as_bytes()).await;
        let runner = std::cell::RefCell::new(proptest::test_runner::TestRunner::deterministic());
        let choice = (
            prop::sample::select(vec!["relevance", "newest", "price", "-price", "rating", "title"]),
            1..25_usize,
            prop::sample::select(vec!["/books?", "/search?", "/search?q=title&", "/books?subject=all&"]),
        );
        for _ in 0..24 {
            let (sort, limit, list) = choice.new_tree(&mut runner.borrow_mut()).unwrap().current();
            let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let body = shop.get(&format!("{list}sort={sort}&limit={limit}&cursor={cursor}")).await.body;
                let items = body["items"].as_array().unwrap_or_else(|| panic!("{body}"));
                let book = |item: &Value| if item["book"].is_object() { item["book"].clone() } else { item.clone() };
                seen.extend(items.iter().map(|item| book(item)["source_id"].as_str().unwrap().to_owned()));
                pages += 1;
                match body["next"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
            let distinct: HashSet<_> = seen.iter().collect();
            assert_eq!((seen.len(), distinct.len()), (60, 60), "{list} {sort} {limit}");
            assert_eq!(pages, 60_usize.div_ceil(limit));
        }
    })
    .await;
}
