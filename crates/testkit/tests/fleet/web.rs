//! Several instances of the pages are one to a browser.

use bookworm_testkit::TestShop;
use http::StatusCode;

use crate::registry::on_nats;

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_one_instance_is_taken_by_another() {
    on_nats(|server, nats| async move {
        let processes = ["gateway,identity,basket,notification,catalog", "web"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &[]).await;
        let book = shop.book("The Dispossessed", 1299, 5).await;
        let mut browser = shop.browser();
        let token = browser.get(&format!("/books/{}", book.id)).await.hidden("_csrf");
        shop.join("web").await;
        shop.others().remove(0).stop().await;
        let fields = [("book_id", &*book.id.to_string()), ("quantity", "1"), ("_csrf", &*token)];
        let added = browser.submit("/basket/items", &fields).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
        shop.stop().await;
    })
    .await;
}

/// Pages ask the API for each visitor. Where they run in another process, all of it would come from one address: the first
/// visitor who asks too much would shut the shop for everybody.
#[tokio::test(flavor = "multi_thread")]
async fn visitors_whose_pages_come_from_another_process_have_limits_of_their_own() {
    on_nats(|server, nats| async move {
        let processes = ["gateway,identity,basket,notification,catalog", "web"];
        let limits = [
            ("gateway.trust_forwarded_for", "true"),
            ("gateway.rate_limit.enabled", "true"),
            // One comes back each minute, so that what is granted does not depend on how fast the machine is.
            ("gateway.rate_limit.per_client_per_minute", "1"),
            ("gateway.rate_limit.burst", "40"),
        ];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &limits).await;
        let visit = async |from: &str| shop.get("/").header("x-forwarded-for", from).send().await.status;
        let mut seen = Vec::new();
        for _ in 0..60 {
            seen.push(visit("203.0.113.7").await);
        }
        assert_eq!(seen[0], StatusCode::OK);
        assert_eq!(seen[59], StatusCode::TOO_MANY_REQUESTS, "{seen:?}");
        for other in ["203.0.113.8", "203.0.113.9", "198.51.100.1"] {
            assert_eq!(visit(other).await, StatusCode::OK, "{other} has asked for nothing yet");
        }
        shop.stop().await;
    })
    .await;
}
