//! What a search finds, in which order, and how it is narrowed and paged.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_is_found_soon_after_it_was_written_and_gone_after_it_was_deleted() {
    on_each(|shop| async move {
        shop.fill().await;
        let book = shop.create(json!({"title": "Quartz Harvest", "authors": ["Ivo Tal"], "price": usd(500)})).await;
        eventually("found", async || shop.titles("q=quartz").await == ["Quartz Harvest"]).await;
        let path = format!("/books/{}", book["id"].as_str().unwrap());
        let edited = json!({"title": "Basalt Harvest", "authors": ["Ivo Tal"], "price": usd(500)});
        assert_eq!(shop.staff("PUT", &path, &[("if-match", "*")], edited).await.status, StatusCode::OK);
        eventually("found by its new title", async || shop.titles("q=basalt").await == ["Basalt Harvest"]).await;
        assert_eq!(
            shop.search("q=quartz").await["items"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|i| i["matched"]["text"] == true)
                .count(),
            0
        );
        // The name is in every book of the author.
        let author = shop.get("/authors?q=ursula").await.body["items"][0]["id"].as_str().unwrap().to_owned();
        let renamed = json!({"name": "Ursula Kroeber"});
        let answer = shop.staff("PUT", &format!("/authors/{author}"), &[("if-match", "*")], renamed).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        eventually("found by the new name", async || shop.search("q=author:kroeber").await["total"] == 3).await;
        // The last copy comes back.
        eventually("out of stock", async || shop.search("q=darkness&in_stock=true").await["total"] == 0).await;
        let dark = shop.search("q=darkness").await["items"][0]["book"]["id"].as_str().unwrap().to_owned();
        let more = json!({"delta": 1, "reason": "found one"});
        let key = [("idempotency-key", "one-more-copy-of-it")];
        let answer = shop.staff("POST", &format!("/books/{dark}/stock/adjustments"), &key, more).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        eventually("in stock", async || shop.search("q=darkness&in_stock=true").await["total"] == 1).await;
        assert_eq!(shop.staff("DELETE", &path, &[], Value::Null).await.status, StatusCode::NO_CONTENT);
        eventually("gone", async || !shop.titles("q=basalt").await.contains(&"Basalt Harvest".to_owned())).await;
        // Whoever keeps answers was told.
        let count: Option<i64> = shop
            .catalog
            .db()
            .read()
            .scalar("SELECT COUNT(*) FROM outbox WHERE envelope LIKE $1", values!["%SearchIndexUpdated%"])
            .await
            .unwrap();
        assert!(count.unwrap() > 0);
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_names_and_numbers_find_their_book() {
    on_each(|shop| async move {
        shop.fill().await;
        for (query, first) in [
            ("the%20dispossessed", "The Dispossessed"),
            ("dispossessed%20guin", "The Dispossessed"),
            ("the%20dispossessed%20by%20ursula%20le%20guin", "The Dispossessed"),
            ("garcia%20marquez", "Cien años de soledad"),
            ("CIEN%20ANOS", "Cien años de soledad"),
            ("dispossesed", "The Dispossessed"),
            ("the%20dispozessed", "The Dispossessed"),
            ("asimof", "I, Robot"),
            ("978-0-441-47812-5", "The Left Hand of Darkness"),
            ("0441478123", "The Left Hand of Darkness"),
            ("isbn%209780441478125", "The Left Hand of Darkness"),
            ("something%200-441-47812-3%20else", "The Left Hand of Darkness"),
            ("%22left%20hand%22", "The Left Hand of Darkness"),
            ("author:asimov", "I, Robot"),
            ("author:%22le%20guin%22%20wizard", "A Wizard of Earthsea"),
            ("language:french", "Salt and Fire"),
            ("year:1969", "The Left Hand of Darkness"),
            // By meaning alone.
            ("beacon%20and%20mourning%20on%20a%20shore", "The Stone Keeper"),
        ] {
            let body = shop.search(&format!("q={query}")).await;
            assert_eq!(titles(&body).first().map(String::as_str), Some(first), "{query}: {body}");
            assert_eq!(body["degraded"], false, "{query}");
        }
        let exact = shop.search("q=978-0-441-47812-5").await;
        assert_eq!((exact["total"].as_i64(), exact["nearest"].as_bool()), (Some(1), Some(false)));
        assert_eq!(shop.search("q=9780306406157").await["total"], 0);
        let body = shop.search("q=author:guin").await;
        assert_eq!(body["total"], 3, "{body}");
        assert_eq!(shop.search("q=subject:utopias").await["total"], 1);
        assert_eq!(shop.search("q=").await["total"], 7);
        assert_eq!(shop.search("q=!!!").await["total"], 0);
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_character_finds_the_whole_series() {
    on_each(|shop| async move {
        let volume = |title: &str, author: &str, isbn: Value, description: &str| {
            json!({
                "title": title, "authors": [author], "series": "The Harbour Files", "isbn13": isbn, "language": "en",
                "price": usd(900), "stock": 1, "description": description,
            })
        };
        shop.create(volume("Low Water", "Ann Ode", json!("9780306406157"), "Inspector Ilse Marrow finds a boat."))
            .await;
        shop.create(volume("The Second Tide", "Bo Vind", Value::Null, "A letter comes a year too late.")).await;
        shop.fill().await;
        assert_eq!(shop.titles("q=ilse%20marrow").await, ["Low Water", "The Second Tide"]);
        for to_the_letter in
            ["q=%22ilse%20marrow%22", "q=author:ode", "q=title:low", "q=9780306406157", "q=ilse%20marrow&sort=title"]
        {
            assert_eq!(shop.titles(to_the_letter).await[..1], ["Low Water"], "{to_the_letter}");
            assert_eq!(shop.search(to_the_letter).await["total"], 1, "{to_the_letter}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn titles_of_an_older_shop_are_put_in_order_once() {
    on_each(|shop| async move {
        shop.fill().await;
        let old = shop.catalog.db().transact::<_, DbError, _>(|tx| {
            Box::pin(async move {
                let sql = "UPDATE books SET title_key = $1 WHERE title = $2";
                tx.exec(sql, values![b"the dispossessed".to_vec(), "The Dispossessed"]).await?;
                tx.exec("DELETE FROM title_order", []).await?;
                Ok(())
            })
        });
        old.await.unwrap();
        let shop = shop.restart().await;
        let mut walked = Vec::new();
        let mut path = "/books?sort=title&limit=2".to_owned();
        loop {
            let body = shop.get(&path).await.body;
            walked.extend(
                body["items"].as_array().unwrap().iter().map(|book| book["title"].as_str().unwrap().to_owned()),
            );
            let Some(next) = body["next"].as_str() else { break };
            assert!(walked.len() < 10, "{walked:?}");
            path = format!("/books?sort=title&limit=2&cursor={next}");
        }
        let sorted = [
            "Cien años de soledad",
            "The Dispossessed",
            "I, Robot",
            "The Left Hand of Darkness",
            "Salt and Fire",
            "The Stone Keeper",
            "A Wizard of Earthsea",
        ];
        assert_eq!(walked, sorted);
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_combine_and_facets_count_the_whole_result() {
    on_each(|shop| async move {
        shop.fill().await;
        let body = shop.search("q=ursula&limit=1").await;
        assert_eq!(body["items"].as_array().unwrap().len(), 1);
        let values = |facet: &str| -> Vec<(String, i64)> {
            let values = body["facets"][facet].as_array().unwrap();
            values.iter().map(|v| (v["value"].as_str().unwrap().to_owned(), v["count"].as_i64().unwrap())).collect()
        };
        assert_eq!(values("author")[0], ("Ursula K. Le Guin".to_owned(), 3));
        assert!(values("subject").contains(&("Science Fiction".to_owned(), 2)), "{body}");
        assert!(values("price").contains(&("1000-1999".to_owned(), 2)), "{body}");
        for (filters, total) in [
            ("subject=science%20fiction", 2),
            ("subject=science%20fiction&in_stock=true", 1),
            ("subject=science%20fiction&max_price=1200", 1),
            ("author=ISAAC%20asimov", 0),
            ("language=en", 3),
            ("language=fr", 0),
            ("subject=no%20such", 0),
            ("publisher=01981d5c-0000-7000-8000-000000000000", 0),
        ] {
            let body = shop.search(&format!("q=author:ursula&{filters}")).await;
            assert_eq!(body["total"], total, "{filters}: {body}");
        }
        let utopias = shop.get("/subjects?q=utopias").await.body["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(shop.titles(&format!("q=&subject={utopias}")).await, ["The Dispossessed"]);
        assert_eq!(
            shop.titles("q=author:ursula&sort=price").await,
            ["A Wizard of Earthsea", "The Left Hand of Darkness", "The Dispossessed"]
        );
        assert_eq!(
            shop.titles("q=author:ursula&sort=title").await,
            ["The Dispossessed", "The Left Hand of Darkness", "A Wizard of Earthsea"]
        );
        let marked = shop.search("q=wizard").await;
        let highlight = &marked["items"][0]["highlights"][0];
        assert_eq!(highlight["field"], "title", "{marked}");
        let pieces = highlight["pieces"].as_array().unwrap();
        assert!(pieces.iter().any(|piece| piece["text"] == "Wizard" && piece["hit"] == true), "{marked}");
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_reached_by_cursor_and_by_number() {
    on_each(|shop| async move {
        shop.fill().await;
        let all = shop.titles("q=&sort=title").await;
        let (mut walked, mut path) = (Vec::new(), "q=&sort=title&limit=3".to_owned());
        loop {
            let body = shop.search(&path).await;
            walked.extend(titles(&body));
            let Some(next) = body["next"].as_str() else { break };
            path = format!("q=&sort=title&limit=3&cursor={next}");
        }
        assert_eq!(walked, all);
        assert_eq!(shop.titles("q=&sort=title&limit=3&page=2").await, all[3..6]);
        assert_eq!(shop.titles("q=&sort=title&limit=3&page=9").await, Vec::<String>::new());
        let cursor = shop.search("q=&sort=title&limit=3").await["next"].as_str().unwrap().to_owned();
        for (query, code, field) in [
            (format!("q=&limit=3&page=2&cursor={cursor}"), "validation_failed", Some("/page")),
            ("q=&limit=100&page=11".to_owned(), "validation_failed", Some("/page")),
            ("q=&page=0".to_owned(), "validation_failed", Some("/page")),
            ("q=&page=x".to_owned(), "validation_failed", Some("/page")),
            (format!("q=&sort=price&cursor={cursor}"), "invalid_cursor", None),
            ("q=&cursor=broken".to_owned(), "invalid_cursor", None),
        ] {
            let answer = shop.get(&format!("/search?{query}")).await;
            assert_eq!((answer.status, answer.body["code"].as_str()), (StatusCode::BAD_REQUEST, Some(code)), "{query}");
            assert_eq!(answer.body["errors"][0]["field"].as_str(), field, "{query}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_never_a_fault_of_ours() {
    on_each(|shop| async move {
        shop.fill().await;
        let long = "a".repeat(10_000);
        let letters = "lighthouse%20".repeat(300);
        for (query, status) in [
            ("", 200),
            ("q=", 200),
            ("q=%20%20", 200),
            ("q=%00%01%1f%7f", 200),
            ("q=dune%00", 200),
            ("q=%22unbalanced", 200),
            ("q=%22%22%22", 200),
            ("q=title:%22unbalanced", 200),
            ("q=author:", 200),
            ("q=AND%20OR%20NOT", 200),
            ("q=%2B-%26%26%7C%7C!()%7B%7D%5B%5D%5E~*%3F%3A%5C%2F", 200),
            ("q=*:*", 200),
            ("q=title:*%20TO%20z]", 200),
            ("q=';DROP%20TABLE%20books;--", 200),
            ("q=%F0%9F%93%9A%20%E4%B8%89%E4%BD%93", 200),
            ("q=%ff%fe", 200),
            ("q=a&limit=101", 400),
            ("q=a&limit=x", 400),
            ("q=a&cursor=broken", 400),
            ("q=a&cursor=e30", 400),
            ("q=a&sort=sideways", 400),
            ("q=a&mode=sideways", 400),
            ("q=a&explain=maybe", 400),
            ("q=a&in_stock=perhaps", 400),
            ("q=a&min_price=-1", 400),
            ("q=a&min_price=9223372036854775808", 400),
            ("q=a&language=notalanguage", 400),
            ("q=a&facet=nonsense", 200),
            ("q=year:99999999999999999999", 200),
            ("q=year:1-0", 200),
        ] {
            let answer = shop.get(&format!("/search?{query}")).await;
            let seen = answer.status.as_u16();
            assert!(seen == status, "{query}: {seen} {}", answer.body);
        }
        let answer = shop.get(&format!("/search?q={long}")).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/q")));
        let body = shop.search(&format!("q={letters}")).await;
        assert_eq!(titles(&body).first().map(String::as_str), Some("The Stone Keeper"), "{body}");
        for query in ["%00", "%22", "*", "a%20(", "%F0%9F%93%9A"] {
            assert_eq!(shop.get(&format!("/search/suggest?q={query}")).await.status, StatusCode::OK, "{query}");
        }
        assert_eq!(shop.get(&format!("/search/suggest?q={long}")).await.status, StatusCode::BAD_REQUEST);
        shop
    })
    .await;
}
