//! A process has no more connections to PostgreSQL than it may.

use bookworm_config::Secret;
use bookworm_db::{Pool, Sql};
use bookworm_testing::postgres_url;
use bookworm_testkit::{Database, TestShop};
use futures::{StreamExt, future::join_all, stream};
use http::StatusCode;

/// How many connections the shop has, and to how many databases.
async fn connections(server: &Pool) -> (i64, i64) {
    let ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'bookworm-%'";
    let all = server.scalar(&format!("SELECT COUNT(*) {ours}"), []).await.unwrap().unwrap();
    let databases =
        server.scalar(&format!("SELECT COUNT(DISTINCT application_name) {ours}"), []).await.unwrap().unwrap();
    (all, databases)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_databases_of_a_process_together_stay_below_its_number() {
    let Some(url) = postgres_url() else { return };
    let settings = [("database.max_connections", "20"), ("telemetry.metrics_token", "a-token-of-the-scraper")];
    let mut shop = TestShop::start_with(Database::Postgres(url), &settings).await;
    let own = Secret::expose(shop.settings().database.url.as_ref().unwrap()).to_owned();
    let server = Pool::connect(&own).await.unwrap();
    let book = shop.book("The Dispossessed", 1299, 100).await;
    let one = [(book.id, 1)];
    let buying = join_all((0..12).map(|_| shop.buy(&one)));
    let looking = stream::iter(0..40).for_each(|_| async {
        let (all, databases) = connections(&server).await;
        assert!(all <= 20 && databases <= 10, "{all} connections to {databases} databases");
    });
    let (orders, ()) = tokio::join!(buying, looking);
    assert_eq!(orders.len(), 12);
    assert_eq!(connections(&server).await.1, 10, "as many as its roles have, and the bus's");
    let scraped = shop.get("/metrics").bearer("a-token-of-the-scraper").send().await.expect(StatusCode::OK).text();
    for database in
        ["bus", "catalog", "basket", "ordering", "identity", "finance", "sandbox", "notification", "rating", "chat"]
    {
        let series = format!("db_connections{{database=\"{database}\",state=\"open\"}}");
        assert!(scraped.contains(&series), "{series} in {scraped}");
    }
    assert!(scraped.contains("db_connections_limit"), "{scraped}");
    server.close().await;
    shop.stop().await;
    let too_few =
        TestShop::refusal(Database::Postgres(postgres_url().unwrap()), "", &[("database.max_connections", "19")]);
    let words = too_few.await;
    assert!(words.contains("10 databases: 20 connections at least"), "{words}");
}
