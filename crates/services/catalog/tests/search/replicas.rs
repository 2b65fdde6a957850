//! Several instances of the catalogue on one database, each with an index of its own.

use super::*;

/// Instances on one database that have one model.
struct Replicas {
    databases: Databases,
    model: Model,
}

impl Replicas {
    /// One more, which shares these leases.
    async fn one_more(&self, leases: &MemoryLeases) -> Shop {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Shop::open_under(Some(self.databases.clone()), folder, self.model.clone(), leases.clone()).await
    }
}

async fn on_each_database<F: Future<Output = ()>>(test: impl Fn(Replicas) -> F) {
    on_every_database(async |home| {
        test(Replicas { databases: home.databases.clone(), model: Model::default() }).await;
    })
    .await;
}

/// How many vectors the database has.
async fn stored(shop: &Shop) -> i64 {
    shop.catalog.db().read().scalar("SELECT COUNT(*) FROM book_vectors", []).await.unwrap().unwrap()
}

/// Only the model knows that they have to do with each other.
async fn finds_by_meaning(shop: &Shop) {
    let found = shop.search("q=automaton").await;
    assert_eq!((titles(&found)[0].as_str(), &found["degraded"]), ("I, Robot", &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_book_is_embedded_once_for_all_instances() {
    on_each_database(|replicas| async move {
        let leases = MemoryLeases::new();
        let (one, two) = (replicas.one_more(&leases).await, replicas.one_more(&leases).await);
        one.fill().await;
        two.ready().await;
        assert_eq!((replicas.model.embedded(), stored(&one).await), (7, 7));
        for shop in [&one, &two] {
            assert_eq!(shop.catalog.search_standing(), "ok");
            finds_by_meaning(shop).await;
        }
        // Whoever has the lease may be either of them.
        for (shop, other, title) in [(&one, &two, "The Android"), (&two, &one, "The Sorcerer")] {
            shop.create(json!({"title": title, "price": usd(700)})).await;
            eventually("the other has it", async || {
                other.status().await["with_meaning"] == other.status().await["books"]
            })
            .await;
        }
        one.ready().await;
        two.ready().await;
        assert_eq!(replicas.model.embedded(), 9);
        // One ends; the other goes on, whoever had the lease.
        one.end().await;
        two.create(json!({"title": "The Machine", "price": usd(700)})).await;
        two.ready().await;
        assert_eq!(replicas.model.embedded(), 10);
        // One that comes late is not one to ask until it has everything, and has nothing embedded.
        let late = replicas.one_more(&leases).await;
        assert_ne!(late.catalog.search_standing(), "ok");
        late.ready().await;
        finds_by_meaning(&late).await;
        two.end().await;
        late.create(json!({"title": "The Wizard", "price": usd(700)})).await;
        late.ready().await;
        assert_eq!((replicas.model.embedded(), stored(&late).await), (11, 11));
        late.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_both_lead_do_no_harm() {
    on_each_database(|replicas| async move {
        let one = replicas.one_more(&MemoryLeases::new()).await;
        let two = replicas.one_more(&MemoryLeases::new()).await;
        // Slow enough that both embed the same texts.
        replicas.model.slow(200);
        one.fill().await;
        let book = one.create(json!({"title": "Quiet", "price": usd(700), "description": "A keeper at sea."})).await;
        let (path, etag) = (format!("/books/{}", book["id"].as_str().unwrap()), "*");
        let changed = json!({"title": "Quiet", "price": usd(700), "description": "A spell of a sorcerer."});
        let answer = two.staff("PUT", &path, &[("if-match", etag)], changed).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        for shop in [&one, &two] {
            shop.ready().await;
            finds_by_meaning(shop).await;
            eventually("it is found by the meaning of its last text", async || {
                let found = shop.staff("GET", "/search?q=magic&mode=meaning", &[], Value::Null).await.body;
                titles(&found).iter().take(2).any(|title| title == "Quiet")
            })
            .await;
        }
        assert_eq!(stored(&one).await, 8);
        one.end().await;
        two.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_of_a_folder_are_taken_into_a_database_that_has_none() {
    on_each(|shop| async move {
        shop.fill().await;
        let (databases, folder, model) = (shop.databases.clone(), shop.folder.clone(), shop.model.clone());
        let made = model.embedded();
        // As a release before this one left it.
        let emptied = shop.catalog.db().transact::<_, DbError, _>(|tx| {
            Box::pin(async move { tx.batch("DELETE FROM book_vectors; DELETE FROM vector_model;").await })
        });
        let _ = shop.working.finish(Duration::from_secs(60)).await;
        emptied.await.unwrap();
        shop.catalog.db().close().await;
        let shop = Shop::open(Some(databases), folder, model).await;
        eventually("the database has them", async || stored(&shop).await == 7).await;
        shop.ready().await;
        assert_eq!(shop.model.embedded(), made, "none was made again");
        finds_by_meaning(&shop).await;
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_new_model_every_instance_gets_new_vectors() {
    on_each_database(|replicas| async move {
        let leases = MemoryLeases::new();
        let (one, two) = (replicas.one_more(&leases).await, replicas.one_more(&leases).await);
        one.fill().await;
        replicas.model.0.release.store(1, Ordering::SeqCst);
        for shop in [&one, &two] {
            eventually("it has the vectors of the new one", async || {
                let found = shop.search("q=automaton").await;
                replicas.model.embedded() == 14 && titles(&found).first().is_some_and(|title| title == "I, Robot")
            })
            .await;
        }
        let model: Option<String> = one.catalog.db().read().scalar("SELECT name FROM vector_model", []).await.unwrap();
        assert_eq!((model.as_deref(), stored(&one).await), (Some("concepts 1"), 7));
        one.end().await;
        two.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_book_leaves_no_vector() {
    on_each(|shop| async move {
        shop.fill().await;
        let book = shop.search("q=earthsea").await["items"][0]["book"]["id"].as_str().unwrap().to_owned();
        let gone = shop.staff("DELETE", &format!("/books/{book}"), &[("if-match", "*")], Value::Null).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.body);
        assert_eq!(stored(&shop).await, 6);
        shop.ready().await;
        shop
    })
    .await;
}

/// Runs a statement as somebody else would.
async fn run(shop: &Shop, statement: &'static str) {
    let run = shop.catalog.db().transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.batch(statement).await }));
    run.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fails_for_a_while_costs_no_book_its_vector() {
    on_each(|shop| async move {
        shop.fill().await;
        shop.model.slow(2_000);
        shop.create(json!({"title": "The Android", "price": usd(700)})).await;
        eventually("its text is at the model", async || shop.model.embedded() > 7).await;
        run(&shop, "ALTER TABLE book_vectors RENAME TO elsewhere").await;
        eventually("it is said that something is wrong", async || shop.status().await["last_error"].is_string()).await;
        shop.model.slow(0);
        run(&shop, "ALTER TABLE elsewhere RENAME TO book_vectors").await;
        eventually("its vector is there", async || stored(&shop).await == 8).await;
        eventually("nothing is wrong any more", async || shop.status().await["last_error"].is_null()).await;
        shop.ready().await;
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_that_another_model_wiped_are_made_again() {
    on_each(|shop| async move {
        shop.fill().await;
        for wiped in [
            "DELETE FROM book_vectors; UPDATE vector_model SET name = 'another', seq = seq + 1, complete = FALSE",
            "DELETE FROM book_vectors; UPDATE vector_model SET dimensions = 3, seq = seq + 1, complete = FALSE",
        ] {
            run(&shop, wiped).await;
            eventually("all are there again", async || stored(&shop).await == 7).await;
            shop.ready().await;
        }
        finds_by_meaning(&shop).await;
        shop
    })
    .await;
}
