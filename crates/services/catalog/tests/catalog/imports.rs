//! Files that are imported from the command line.

use super::*;

#[tokio::test]
async fn bad_lines_are_reported_and_do_not_stop_the_rest() {
    on_each(|shop| async move {
        let file = [
            "\u{feff}{\"source_id\":\"1\",\"title\":\"One\"}".as_bytes(),
            b"",
            b"not json",
            b"{\"source_id\":\"2\",\"title\":\"\xff\"}",
            b"{\"source_id\":\"3\",\"title\":\"Three\",\"isbn13\":\"9780441478126\"}",
            b"  {\"source_id\":\"4\",\"title\":\"Four\",\"isbn13\":\"9780441478125\"}\r",
            b"{\"source_id\":\"5\",\"title\":\"Five\",\"isbn13\":\"9780441478125\"}",
            "x".repeat(1_100_000).as_bytes(),
            b"{\"source_id\":\"4\",\"title\":\"Four again\",\"isbn13\":\"9780441478125\"}",
        ]
        .join(&b"\n"[..]);
        let report = shop.import("bad.jsonl", &file).await;
        assert_eq!((report.added, report.changed, report.unchanged, report.rejected, report.adjusted), (3, 0, 1, 4, 2));
        let reasons = rejects(&shop.rejects());
        assert_eq!(reasons.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5, 8]);
        assert!(reasons[2].1.contains("the check digit is wrong"), "{reasons:?}");
        let by_isbn = shop.get("/books/isbn/9780441478125").await.body;
        // The first line that has it keeps it: a later one for the same book comes after its place in the file.
        assert!(["4", "5"].contains(&by_isbn["source_id"].as_str().unwrap()));
        // A clean import leaves no misleading rejects behind.
        shop.import("good.jsonl", b"{\"source_id\":\"1\",\"title\":\"One\"}").await;
        assert!(!shop.rejects().exists());
    })
    .await;
}

#[tokio::test]
async fn importing_again_changes_only_what_changed() {
    on_each(|shop| async move {
        let file = many(700);
        let first = shop.import("books.jsonl", file.as_bytes()).await;
        assert_eq!((first.added, first.changed, first.unchanged), (700, 0, 0));
        let again = shop.import("books.jsonl", file.as_bytes()).await;
        assert_eq!((again.added, again.changed, again.unchanged), (0, 0, 700));
        let edited = file.replacen("Author 3", "Somebody Else", 1).replacen("Subject 2", "Something Else", 1);
        let report = shop.import("books.jsonl", edited.as_bytes()).await;
        assert_eq!((report.added, report.changed, report.unchanged), (0, 2, 698));
        for table in ["books", "stock", "book_search", "book_authors"] {
            assert_eq!(shop.count(table).await, 700, "{table}");
        }
        assert_eq!(shop.count("outbox").await, 702);
        // The counts are what the links say.
        for (table, link, column) in
            [("authors", "book_authors", "author_id"), ("subjects", "book_subjects", "subject_id"), ("publishers", "books", "publisher_id")]
        {
            let wrong: Option<i64> = shop
                .db()
                .read()
                .scalar(
                    &format!("SELECT COUNT(*) FROM {table} x WHERE book_count <> (SELECT COUNT(*) FROM {link} l WHERE l.{column} = x.id)"),
                    [],
                )
                .await
                .unwrap();
            assert_eq!(wrong, Some(0), "{table}");
        }
        let books = shop.get("/books?author=somebody%20else").await.body;
        assert_eq!((books["items"][0]["source_id"].as_str(), books["items"][0]["version"].as_i64()), (Some("many:3"), Some(2)));
        // Staff took it from sale; the file does not bring it back.
        let path = format!("/books/{}", books["items"][0]["id"].as_str().unwrap());
        assert_eq!(shop.send("DELETE", &path, &[], Value::Null).await.status, StatusCode::NO_CONTENT);
        let report = shop.import("books.jsonl", file.as_bytes()).await;
        assert_eq!((report.added, report.changed, report.unchanged), (0, 1, 699));
        assert_eq!(shop.get(&path).await.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn what_staff_edited_stays_while_the_file_says_the_same() {
    let shop = Shop::open(None).await;
    shop.import("books.jsonl", b"{\"source_id\":\"1\",\"title\":\"One\",\"stock\":4}").await;
    let book = shop.get("/books").await.body["items"][0].clone();
    let path = format!("/books/{}", book["id"].as_str().unwrap());
    let put = shop.send("PUT", &path, &[("if-match", "\"1\"")], json!({"title": "The One", "price": usd(100)})).await;
    assert_eq!(put.status, StatusCode::OK);
    let report = shop.import("books.jsonl", b"{\"source_id\":\"1\",\"title\":\"One\",\"stock\":9}").await;
    assert_eq!((report.changed, report.unchanged), (0, 1));
    assert_eq!(
        (&shop.get(&path).await.body["title"], &shop.get(&path).await.body["available"]),
        (&json!("The One"), &json!(4))
    );
    let report = shop.import("books.jsonl", b"{\"source_id\":\"1\",\"title\":\"One, revised\",\"stock\":9}").await;
    assert_eq!(report.changed, 1);
    let book = shop.get(&path).await.body;
    assert_eq!((&book["title"], &book["version"], &book["available"]), (&json!("One, revised"), &json!(3), &json!(4)));
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn reads_gzip_of_several_members_and_csv() {
    let shop = Shop::open(None).await;
    // As `cat a.gz b.gz > c.gz` makes it; the name does not tell.
    let two = [gzip(b"{\"source_id\":\"1\",\"title\":\"One\"}\n"), gzip(b"{\"source_id\":\"2\",\"title\":\"Two\"}\n")]
        .concat();
    assert_eq!(shop.import("books.jsonl", &two).await.added, 2);

    let csv = "Title,source_id,authors,subjects,price,stock,ISBN,pages\n\
               \"Good Omens, a Novel\",3,Terry Pratchett;Neil Gaiman,Fantasy|Humour,9.99,7,0-06-085398-0,\n\
               Short,4,,,,\n\
               Bad,5,,,cheap,,,\n\
               \"Two\nlines\",6,,,,,,12\n";
    let report = shop.import("books.csv.gz", &gzip(csv.as_bytes())).await;
    assert_eq!((report.added, report.rejected), (2, 2));
    assert_eq!(
        rejects(&shop.rejects()),
        [
            (3, "there are 6 fields instead of 8".to_owned()),
            (4, "price: `cheap` is no amount in USD; write it like 12.50".to_owned())
        ]
    );
    let book = shop.get("/books/isbn/9780060853983").await.body;
    assert_eq!(
        (&book["title"], &book["price"], &book["available"]),
        (&json!("Good Omens, a Novel"), &usd(999), &json!(7))
    );
    assert_eq!(book["authors"].as_array().unwrap().len(), 2);
    assert_eq!(book["subjects"], json!(["Fantasy", "Humour"]));
    assert!(matches!(shop.try_import("bad.csv", b"colour,price\nx,1\n").await, Err(ImportError::Header { .. })));
}

#[tokio::test]
async fn an_import_that_stopped_is_finished_by_running_it_again() {
    on_each(|shop| async move {
        let file = many(1800);
        let whole = gzip(file.as_bytes());
        // Damaged in the middle: what came before stays.
        let stopped = shop.try_import("books.jsonl.gz", &whole[..whole.len() / 2]).await;
        assert!(matches!(stopped, Err(ImportError::Read(_))), "{stopped:?}");
        let kept = shop.count("books").await;
        assert!((500..1800).contains(&kept), "{kept}");
        // Abandoned between two batches, as when the program is killed.
        let path = shop.folder.path().join("books.jsonl.gz");
        std::fs::write(&path, &whole).unwrap();
        let (first, abandoned) = tokio::sync::oneshot::channel();
        let (catalog, to, mut papers) = (shop.catalog.clone(), Source::File(path.clone()), shop.papers());
        let mut first = Some(first);
        let running = tokio::spawn(async move {
            catalog
                .import(&to, &Options::default(), false, &mut papers, |_: Progress| {
                    if let Some(first) = first.take() {
                        let _ = first.send(());
                    }
                })
                .await
        });
        abandoned.await.unwrap();
        running.abort();
        let _ = running.await;
        let mut steps = Vec::new();
        let (source, options) = (Source::File(path), Options::default());
        let report = shop
            .catalog
            .import(&source, &options, false, &mut shop.papers(), |progress| steps.push(progress))
            .await
            .unwrap();
        assert_eq!(report.added + report.unchanged, 1800);
        for table in ["books", "stock", "book_search", "book_authors"] {
            assert_eq!(shop.count(table).await, 1800, "{table}");
        }
        assert_eq!(shop.count("outbox").await, 1800);
        assert!(steps.is_sorted_by_key(|step| step.done));
        let last = steps.last().unwrap();
        assert_eq!((last.done, last.read_bytes, last.total_bytes), (1800, whole.len() as u64, whole.len() as u64));
    })
    .await;
}

#[tokio::test]
async fn the_demonstration_catalogue_is_taken_whole() {
    let shop = Shop::open(None).await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../data/demo-catalogue.jsonl");
    let (source, options) = (Source::File(file.into()), Options { demonstration: true, ..Options::default() });
    let report = shop.catalog.import(&source, &options, false, &mut shop.papers(), |_| {}).await.unwrap();
    assert_eq!((report.rejected, report.adjusted, report.changed, report.unchanged), (0, 0, 0, 0), "{report:?}");
    assert_eq!((report.not_for_sale, report.without_stock), (0, 0));
    assert!(report.added >= 300, "{report:?}");
    let free = shop.db().read().scalar::<i64>("SELECT COUNT(*) FROM books WHERE price = 0 OR currency <> 'USD'", []);
    assert_eq!(free.await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_language_has_one_tag_however_it_is_written() {
    on_each(|shop| async move {
        for (i, language) in ["en", "eng", "English", "en-GB", "EN"].into_iter().enumerate() {
            let book = json!({"title": format!("Book {i}"), "price": usd(500), "language": language});
            assert_eq!(shop.create(book).await["language"], "en", "{language}");
        }
        // What an older release took as it came.
        for (from, to) in [("Book 1", "eng"), ("Book 2", "ger"), ("Book 3", "zz")] {
            let sql = "UPDATE books SET language = $1 WHERE title = $2";
            shop.db().transact(move |tx| Box::pin(async move { tx.exec(sql, values![to, from]).await })).await.unwrap();
        }
        let db = shop.databases.open(CatalogService::NAME).await.unwrap();
        let again = open(db, shop.clock.clone()).await;
        let (router, _) = again.api().split_for_parts();
        for (query, expected) in [
            ("en", &["Book 0", "Book 1", "Book 4"][..]),
            ("eng", &["Book 0", "Book 1", "Book 4"]),
            ("German", &["Book 2"]),
        ] {
            let request = Request::get(format!("/books?sort=title&language={query}")).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert_eq!(titles(&serde_json::from_slice(&bytes).unwrap()), expected, "{query}");
        }
        again.db().close().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_file_does_not_say_is_not_invented() {
    on_each(|shop| async move {
        let file = b"SKU,title,Author,Betrag,Vorrat\nA1,Real Book,Ann Author,29.00,3\n";
        let foreseen = shop.foresee("shop.csv", file).await;
        assert_eq!((foreseen.added, foreseen.not_for_sale, foreseen.without_stock, foreseen.dry_run), (1, 1, 1, true));
        assert_eq!(shop.count("books").await, 0, "a dry run writes nothing");
        let report = shop.import("shop.csv", file).await;
        assert_eq!((report.added, report.not_for_sale, report.has_prices, report.has_stock), (1, 1, false, false));
        assert_eq!(report.plan.ignored().collect::<Vec<_>>(), ["Betrag", "Vorrat"]);
        let book = shop.get("/books").await.body["items"][0].clone();
        assert_eq!((&book["for_sale"], &book["available"]), (&json!(false), &json!(0)));
        let id = book_id(&book);
        // Copies alone do not sell it, nor does it stand among the cheapest.
        let counted = json!({"delta": 5, "reason": "count"});
        let path = format!("/books/{id}/stock/adjustments");
        assert!(shop.send("POST", &path, &[("idempotency-key", "k1")], counted).await.status.is_success());
        assert_eq!(shop.get(&format!("/books/{id}")).await.body["available"], 0);
        for query in ["sort=price", "min_price=0", "in_stock=true"] {
            assert_eq!(ids(&shop.get(&format!("/books?{query}")).await.body).len(), 0, "{query}");
        }
        let offers = import_offers(&shop, id).await;
        assert_eq!(offers, 0, "no other service can sell it");
        // Staff give it a price; the next import of the file leaves that alone.
        let priced = json!({"title": "Real Book", "price": usd(2900)});
        let answer = shop.send("PUT", &format!("/books/{id}"), &[("if-match", "*")], priced).await;
        assert_eq!((&answer.body["for_sale"], &answer.body["available"]), (&json!(true), &json!(5)), "{}", answer.body);
        let report = shop.import("shop.csv", b"SKU,title,Author\nA1,Real Book II,Ann Author\n").await;
        assert_eq!(report.changed, 1);
        let book = shop.get(&format!("/books/{id}")).await.body;
        assert_eq!(
            (&book["title"], &book["price"], &book["for_sale"]),
            (&json!("Real Book II"), &usd(2900), &json!(true))
        );
    })
    .await;
}

async fn import_offers(shop: &Shop, id: BookId) -> usize {
    let request = tonic::Request::new(GetBooksRequest { ids: vec![id.to_string()] });
    CatalogClient::new(shop.catalog.grpc()).get_books(request).await.unwrap().into_inner().books.len()
}

#[tokio::test]
async fn a_dry_run_foretells_what_an_import_does() {
    on_each(|shop| async move {
        shop.import("first.jsonl", many(700).as_bytes()).await;
        let next = [
            format!("{}\n", many(720).replacen("Author 3", "Somebody Else", 1)).as_bytes(),
            b"{\"source_id\":\"many:5\",\"title\":\"Another\"}\n",
            b"{\"source_id\":\"x\",\"title\":\"X\",\"price\":\"cheap\"}\n",
        ]
        .concat();
        let foreseen = shop.foresee("next.jsonl", &next).await;
        let before = shop.count("book_changes").await;
        let done = shop.import("next.jsonl", &next).await;
        assert!(shop.count("book_changes").await > before);
        let sums = |report: &Report| (report.records, report.added, report.changed, report.unchanged, report.rejected);
        assert_eq!(sums(&foreseen), sums(&done));
        assert_eq!(done.records, done.added + done.changed + done.unchanged + done.rejected);
        let report = std::fs::read_to_string(shop.folder.path().join("report.csv")).unwrap();
        assert!(report.contains("722,rejected,price,cheap,"), "{report}");
    })
    .await;
}
