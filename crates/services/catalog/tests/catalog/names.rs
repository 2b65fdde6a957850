//! Authors, publishers and subjects: renamed, merged, split.

use super::*;

#[tokio::test]
async fn authors_publishers_and_subjects_are_renamed_everywhere_and_kept_while_in_use() {
    on_each(|shop| async move {
        fill(&shop).await;
        for (kind, old, new) in [
            ("authors", "Ursula K. Le Guin", "Ursula Kroeber Le \"Guin\""),
            ("subjects", "Science Fiction", "SF \\ Speculative"),
            ("publishers", "Ace", "Ace Books"),
        ] {
            let listed = shop.get(&format!("/{kind}?q={}", old.replace(' ', "%20").to_uppercase())).await.body;
            let one = &listed["items"][0];
            assert_eq!(one["name"], old);
            let path = format!("/{kind}/{}", one["id"].as_str().unwrap());
            let gone = shop.send("DELETE", &path, &[], Value::Null).await;
            assert_eq!((gone.status, gone.body["code"].as_str()), (StatusCode::CONFLICT, Some("still_in_use")));
            let renamed = shop.send("PUT", &path, &[("if-match", "\"1\"")], json!({"name": new})).await;
            assert_eq!(
                (renamed.status, &renamed.body["name"], &renamed.body["version"]),
                (StatusCode::OK, &json!(new), &json!(2))
            );
            let stale = shop.send("PUT", &path, &[("if-match", "\"1\"")], json!({"name": "x"})).await;
            assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
            let bad = shop.send("PUT", &path, &[("if-match", "\"2\"")], json!({"name": " "})).await;
            assert_eq!((bad.status, fields(&bad)), (StatusCode::BAD_REQUEST, vec!["/name"]));
            let taken = shop.send("POST", &format!("/{kind}"), &[], json!({"name": new.to_uppercase()})).await;
            assert_eq!(
                (taken.status, taken.body["code"].as_str(), fields(&taken)),
                (StatusCode::CONFLICT, Some("duplicate_value"), vec!["/name"])
            );
            let added = shop.send("POST", &format!("/{kind}"), &[], json!({"name": "Nobody"})).await;
            assert_eq!((added.status, &added.body["books"]), (StatusCode::CREATED, &json!(0)));
            let path = format!("/{kind}/{}", added.body["id"].as_str().unwrap());
            assert_eq!(shop.get(&path).await.body, added.body);
            assert_eq!(shop.send("DELETE", &path, &[], Value::Null).await.status, StatusCode::NO_CONTENT);
            assert_eq!(shop.get(&path).await.status, StatusCode::NOT_FOUND);
        }
        let book = shop.get("/books/isbn/9780441478125").await.body;
        assert_eq!(book["authors"][0]["name"], "Ursula Kroeber Le \"Guin\"");
        assert_eq!(book["subjects"], json!(["SF \\ Speculative", "Classics"]));
        assert_eq!((&book["publisher"], &book["version"]), (&json!("Ace Books"), &json!(4)));
        assert_eq!(shop.get("/search?q=kroeber").await.body["total"], 2);
        let most = shop.get("/subjects?limit=2").await.body;
        assert_eq!(most["items"][0]["books"], 3);
        let rest = shop.get(&format!("/subjects?limit=2&cursor={}", most["next"].as_str().unwrap())).await.body;
        assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (2, &Value::Null));
    })
    .await;
}

#[tokio::test]
async fn spellings_of_a_name_are_one_author() {
    on_each(|shop| async move {
        let lines: Vec<String> =
            ["ADA QUILL", "Ada Quill", "Quill, Ada", "J.K. Rowling", "J. K. Rowling", "Rowling, J K"]
                .iter()
                .enumerate()
                .map(|(i, name)| {
                    json!({"source_id": i.to_string(), "title": format!("Book {i}"), "authors": [name], "price": 5})
                        .to_string()
                })
                .collect();
        shop.import("authors.jsonl", lines.join("\n").as_bytes()).await;
        let authors = shop.get("/authors?sort=name").await.body;
        let named: Vec<(&str, i64)> = authors["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|author| (author["name"].as_str().unwrap(), author["books"].as_i64().unwrap()))
            .collect();
        assert_eq!(named, [("Ada Quill", 3), ("J.K. Rowling", 3)]);
        for spelling in ["JK%20Rowling", "rowling,%20j.k.", "J.%20K.%20Rowling"] {
            assert_eq!(ids(&shop.get(&format!("/books?author={spelling}")).await.body).len(), 3, "{spelling}");
        }
        // A later file in capitals changes no name, and neither does staff's form.
        shop.import("more.jsonl", b"{\"source_id\":\"9\",\"title\":\"Nine\",\"authors\":[\"ADA  QUILL\"]}").await;
        let book = shop
            .create(json!({"title": "Ten", "authors": ["ada quill", "A. Other", "A Other"], "price": usd(1)}))
            .await;
        let names: Vec<&str> =
            book["authors"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Ada Quill", "A. Other"]);
        let taken = shop.send("POST", "/authors", &[], json!({"name": "Quill, Ada"})).await;
        assert_eq!((taken.status, taken.body["code"].as_str()), (StatusCode::CONFLICT, Some("duplicate_value")));
    })
    .await;
}

#[tokio::test]
async fn staff_merge_and_split_authors() {
    on_each(|shop| async move {
        let by = |title: &str, authors: &[&str]| json!({"title": title, "authors": authors, "price": usd(500)});
        let one = shop.create(by("One", &["Ada Quill"])).await;
        let both = shop.create(by("Both", &["Ada Quill", "Augusta Quill"])).await;
        let two = shop.create(by("Two", &["Augusta Quill"])).await;
        let ada = one["authors"][0]["id"].as_str().unwrap().to_owned();
        let augusta = two["authors"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(shop.staff_get("/admin/authors/doubles").await.body["groups"], json!([]));
        // What an older release took for another person.
        let sql = "UPDATE authors SET identity_key = (SELECT a.identity_key FROM authors a WHERE a.name = 'Ada Quill') WHERE name = 'Augusta Quill'";
        shop.db().transact(move |tx| Box::pin(async move { tx.exec(sql, []).await })).await.unwrap();
        let doubles = shop.staff_get("/admin/authors/doubles").await.body;
        let group = &doubles["groups"][0];
        assert_eq!((&group["reason"], group["authors"].as_array().unwrap().len()), (&json!("spelling"), 2), "{doubles}");

        let merge = || json!({"into": ada});
        let merged = shop.send("POST", &format!("/authors/{augusta}/merge"), &[], merge()).await;
        assert_eq!((merged.status, &merged.body["books"]), (StatusCode::OK, &json!(3)), "{}", merged.body);
        let again = shop.send("POST", &format!("/authors/{augusta}/merge"), &[], merge()).await;
        assert_eq!((again.status, &again.body), (StatusCode::OK, &merged.body), "a repeat changes nothing");
        assert_eq!(shop.staff_get("/admin/authors/doubles").await.body["groups"], json!([]));
        let book = shop.get(&format!("/books/{}", both["id"].as_str().unwrap())).await.body;
        assert_eq!((book["authors"].as_array().unwrap().len(), &book["version"]), (1, &json!(2)));
        let gone = shop.get(&format!("/authors/{augusta}")).await;
        assert_eq!(gone.status, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(gone.headers[header::LOCATION], format!("/api/v1/authors/{ada}"));
        for author in [ada.as_str(), &augusta, "Augusta%20Quill", "quill,%20augusta"] {
            assert_eq!(ids(&shop.get(&format!("/books?author={author}")).await.body).len(), 3, "{author}");
            assert_eq!(shop.get(&format!("/authors?name={author}")).await.body["items"][0]["name"], "Ada Quill", "{author}");
        }
        assert_eq!(shop.get("/authors?name=Nobody").await.body["items"], json!([]));
        for (list, wrong) in [("authors", "limit=many"), ("subjects", "cursor=there"), ("publishers", "limit=0")] {
            let answer = shop.get(&format!("/{list}?name=Nobody&{wrong}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{list} {wrong}: a name hides nothing");
        }
        // A file that still has the old name finds the one that stayed.
        shop.import("a.jsonl", b"{\"source_id\":\"1\",\"title\":\"Three\",\"authors\":[\"AUGUSTA QUILL\"]}").await;
        assert_eq!(shop.get(&format!("/authors/{ada}")).await.body["books"], 4);

        let split = json!({"name": "Augusta Quill", "books": [two["id"]]});
        let parted = shop.send("POST", &format!("/authors/{ada}/split"), &[], split.clone()).await;
        assert_eq!((parted.status, parted.body["id"].as_str()), (StatusCode::OK, Some(augusta.as_str())), "{}", parted.body);
        assert_eq!((&parted.body["books"], &shop.get(&format!("/authors/{ada}")).await.body["books"]), (&json!(1), &json!(3)));
        assert_eq!(titles(&shop.get("/books?author=Augusta%20Quill").await.body), ["Two"]);
        let again = shop.send("POST", &format!("/authors/{ada}/split"), &[], split).await;
        assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("duplicate_value")));
        for books in [json!([two["id"]]), json!([]), json!([one["id"], one["id"]]), json!([Uuid::now_v7()])] {
            let foreign = json!({"name": "Somebody New", "books": books});
            let refused = shop.send("POST", &format!("/authors/{ada}/split"), &[], foreign).await;
            assert_eq!((refused.status, fields(&refused)), (StatusCode::BAD_REQUEST, vec!["/books"]), "{books}");
        }
        assert_eq!(shop.count("authors").await, 2, "what is refused leaves nothing behind");
        for (path, body) in [
            (format!("/authors/{ada}/merge"), json!({"into": ada})),
            (format!("/authors/{ada}/merge"), json!({"into": Uuid::now_v7()})),
        ] {
            assert_eq!(shop.send("POST", &path, &[], body).await.status, StatusCode::BAD_REQUEST, "{path}");
        }
        let nobody = shop.send("POST", &format!("/authors/{}/merge", Uuid::now_v7()), &[], merge()).await;
        assert_eq!(nobody.status, StatusCode::NOT_FOUND);
        let events = |like: &'static str| {
            let db = shop.db().clone();
            async move {
                let sql = format!("SELECT COUNT(*) FROM outbox WHERE envelope LIKE '%{like}%'");
                db.read().scalar::<i64>(&sql, []).await.unwrap().unwrap()
            }
        };
        assert_eq!((events("events.catalog.AuthorsMerged").await, events("events.catalog.AuthorSplit").await), (1, 1));
        // Merged on and on, old addresses lead to the last one.
        let third = shop.create(by("Other", &["Ada Third"])).await["authors"][0]["id"].as_str().unwrap().to_owned();
        shop.send("POST", &format!("/authors/{augusta}/merge"), &[], merge()).await;
        shop.send("POST", &format!("/authors/{ada}/merge"), &[], json!({"into": third})).await;
        for old in [&augusta, &ada] {
            assert_eq!(shop.get(&format!("/authors/{old}")).await.headers[header::LOCATION], format!("/api/v1/authors/{third}"));
        }
        let sql = "UPDATE authors SET book_count = 2001";
        shop.db().transact(move |tx| Box::pin(async move { tx.exec(sql, []).await })).await.unwrap();
        let lone = shop.send("POST", "/authors", &[], json!({"name": "Lone"})).await.body;
        let many = shop.send("POST", &format!("/authors/{third}/merge"), &[], json!({"into": lone["id"]})).await;
        assert_eq!((many.status, fields(&many)), (StatusCode::BAD_REQUEST, vec!["/into"]));
    })
    .await;
}

#[tokio::test]
async fn names_that_may_be_short_for_another_are_offered() {
    let shop = Shop::open(None).await;
    for (title, author) in [
        ("A", "Ursula K. Le Guin"),
        ("B", "Ursula K. Le Guin"),
        ("C", "U. K. Le Guin"),
        ("D", "Ursula Le Guin"),
        ("E", "Ann Other"),
        ("F", "John Other"),
    ] {
        shop.create(json!({"title": title, "authors": [author], "price": usd(500)})).await;
    }
    let doubles = shop.staff_get("/admin/authors/doubles").await.body;
    let groups = doubles["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[0]["reason"]), (1, &json!("initials")), "{doubles}");
    let authors = groups[0]["authors"].as_array().unwrap();
    assert_eq!((&authors[0]["name"], authors.len()), (&json!("Ursula K. Le Guin"), 3), "{doubles}");
}

/// A book that is given to an author while that author is merged is not lost, on either database.
#[tokio::test]
async fn a_merge_and_new_books_at_once_lose_nothing() {
    on_each(|shop| async move {
        let by = |title: String, author: &str| json!({"title": title, "authors": [author], "price": usd(500)});
        let old = shop.create(by("Old".to_owned(), "Old Name")).await["authors"][0]["id"].as_str().unwrap().to_owned();
        let stays =
            shop.create(by("New".to_owned(), "New Name")).await["authors"][0]["id"].as_str().unwrap().to_owned();
        let file: String = (0..200)
            .map(|n| format!("{{\"source_id\":\"{n}\",\"title\":\"T{n}\",\"authors\":[\"Old Name\"]}}\n"))
            .collect();
        let path = format!("/authors/{old}/merge");
        let (merged, imported) = tokio::join!(
            shop.send("POST", &path, &[], json!({"into": stays})),
            shop.import("race.jsonl", file.as_bytes()),
        );
        assert_eq!((merged.status, imported.added), (StatusCode::OK, 200), "{}", merged.body);
        let linked: i64 = shop
            .db()
            .read()
            .scalar(
                "SELECT COUNT(*) FROM book_authors l JOIN authors a ON a.id = l.author_id WHERE a.name = 'New Name'",
                [],
            )
            .await
            .unwrap()
            .unwrap();
        assert_eq!((linked, &shop.get(&format!("/authors/{stays}")).await.body["books"]), (202, &json!(202)));
        assert_eq!(shop.count("authors").await, 1);
    })
    .await;
}
