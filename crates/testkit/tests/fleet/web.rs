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
